//! The shapes of facts: which names an expression may use. Rules that use another name are refused when they are
//! loaded, and `dossier rules facts` prints the shapes as the reference for rule authors.

/// The type of a value in an expression.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string, number, boolean or none.
    Scalar,
    /// A fact with these fields.
    Record(&'static RecordShape),
    /// A list of such values.
    List(&'static Shape),
    /// A map from any name to such values (labels, sysctls, conditions by type).
    Map(&'static Shape),
}

/// A kind of fact and its fields.
#[derive(Debug)]
pub struct RecordShape {
    /// The kind's name, for messages: `node`, `condition`.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a kind of fact.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub shape: Shape,
    /// What it is, with its unit, in a sentence.
    pub doc: &'static str,
}

impl RecordShape {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Two lists of fields in one, for a kind of fact that is made in two places. `N` is the sum of their lengths; what
/// is beyond both lists repeats the first field, so a wrong `N` shows in the test that names are unique.
pub const fn joined<const N: usize>(first: &[Field], second: &[Field]) -> [Field; N] {
    let mut fields = [first[0]; N];
    let mut at = 0;
    while at < first.len() {
        fields[at] = first[at];
        at += 1;
    }
    while at < first.len() + second.len() {
        fields[at] = second[at - first.len()];
        at += 1;
    }
    fields
}

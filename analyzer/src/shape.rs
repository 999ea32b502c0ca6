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
#[derive(Debug)]
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

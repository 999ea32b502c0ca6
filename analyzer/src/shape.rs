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

impl Field {
    /// A field that is a string, number, boolean or none.
    pub const fn scalar(name: &'static str, doc: &'static str) -> Field {
        Field { name, shape: Shape::Scalar, doc }
    }

    /// A field that is a list of strings, numbers or booleans.
    pub const fn scalars(name: &'static str, doc: &'static str) -> Field {
        Field { name, shape: Shape::List(&Shape::Scalar), doc }
    }

    /// A field that is a map from any name to strings, numbers or booleans.
    pub const fn map(name: &'static str, doc: &'static str) -> Field {
        Field { name, shape: Shape::Map(&Shape::Scalar), doc }
    }

    /// A field that is a fact of this shape.
    pub const fn record(name: &'static str, of: &'static RecordShape, doc: &'static str) -> Field {
        Field { name, shape: Shape::Record(of), doc }
    }

    /// A field of this type.
    pub const fn of(name: &'static str, shape: Shape, doc: &'static str) -> Field {
        Field { name, shape, doc }
    }
}

impl RecordShape {
    /// The names of its fields.
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|field| field.name).collect()
    }

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

#[cfg(test)]
pub(crate) mod agreement {
    //! Whether facts have the fields that their shapes promise, and no others.

    use std::collections::BTreeSet;

    use minijinja::Value;
    use minijinja::value::ValueKind;

    use super::{RecordShape, Shape};

    /// Checks samples of one kind of fact, and what hangs below them: no field that the shape does not have, and each
    /// field of the shape defined in one of the samples.
    pub fn check(shape: &'static RecordShape, samples: &[Value]) {
        check_except(shape, samples, &[]);
    }

    /// The same, where the samples cannot have some fields.
    pub fn check_except(shape: &'static RecordShape, samples: &[Value], missing: &[&str]) {
        let mut unique = BTreeSet::new();
        assert!(shape.fields.iter().all(|field| unique.insert(field.name)), "{} has a field twice", shape.name);
        for sample in samples {
            for name in sample.try_iter().unwrap() {
                assert!(shape.field(name.as_str().unwrap()).is_some(), "{} has {name}, its shape has not", shape.name);
            }
        }
        for field in shape.fields.iter().filter(|field| !missing.contains(&field.name)) {
            let values: Vec<Value> = samples
                .iter()
                .filter_map(|sample| sample.get_attr(field.name).ok())
                .filter(|v| !v.is_undefined())
                .collect();
            assert!(!values.is_empty(), "no sample of {} has {}", shape.name, field.name);
            for value in &values {
                agrees(&field.shape, value, &format!("{}.{}", shape.name, field.name));
            }
        }
    }

    fn agrees(shape: &Shape, value: &Value, name: &str) {
        let kind = value.kind();
        match shape {
            Shape::Scalar => {
                assert!(!matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::Iterable), "{name} is {kind}")
            }
            Shape::Record(_) => assert_eq!(kind, ValueKind::Map, "{name}"),
            Shape::List(element) => {
                assert!(matches!(kind, ValueKind::Seq | ValueKind::Iterable), "{name} is {kind}");
                value.try_iter().unwrap().for_each(|item| agrees(element, &item, name));
            }
            Shape::Map(of) => {
                assert_eq!(kind, ValueKind::Map, "{name}");
                value.try_iter().unwrap().for_each(|key| agrees(of, &value.get_item(&key).unwrap(), name));
            }
        }
    }
}

//! A test's question: does a value have exactly the shape that rules are checked against?

use minijinja::Value;
use minijinja::value::ValueKind;

use crate::shape::Shape;

/// Fails where a value and its shape differ: a field that the shape does not name, or a field of the shape that the
/// value does not have. `none` and `undefined` fit every shape; an empty list proves nothing of its items.
pub fn assert_shape(value: &Value, shape: &Shape) {
    check(value, shape, "value");
}

fn check(value: &Value, shape: &Shape, at: &str) {
    if value.is_none() || value.is_undefined() {
        return;
    }
    match shape {
        Shape::Scalar => assert!(
            matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool),
            "{at} is {:?}, not a scalar",
            value.kind()
        ),
        Shape::List(item) => {
            assert!(matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable), "{at} is {:?}", value.kind());
            value.try_iter().unwrap().for_each(|each| check(&each, item, &format!("{at}[]")));
        }
        Shape::Map(item) => {
            assert_eq!(value.kind(), ValueKind::Map, "{at}");
            for key in value.try_iter().into_iter().flatten() {
                check(&value.get_item(&key).unwrap(), item, &format!("{at}[{key}]"));
            }
        }
        Shape::Record(record) => {
            assert_eq!(value.kind(), ValueKind::Map, "{at} is no record {}", record.name);
            let mut names: Vec<String> = value.try_iter().unwrap().map(|name| name.to_string()).collect();
            let mut fields: Vec<String> = record.fields.iter().map(|field| field.name.to_owned()).collect();
            names.sort();
            fields.sort();
            assert_eq!(names, fields, "{at}: the fields of the fact and of the shape {} differ", record.name);
            for field in record.fields {
                check(&value.get_attr(field.name).unwrap(), &field.shape, &format!("{at}.{}", field.name));
            }
        }
    }
}

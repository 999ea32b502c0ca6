//! JSON arrays whose elements keep their place in the file and their text.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::source::{Cited, LineCounter, Origin};

/// One element of an array: its value and where it stands.
pub(crate) struct Element {
    pub value: Value,
    pub cited: Cited,
}

/// Why a JSON source could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not the array that the command prints.
    #[error("{file} is not the JSON that the command prints: {reason}; collect it again")]
    NotTheOutput {
        /// The file.
        file: String,
        /// The parser's words.
        reason: String,
    },
}

/// Reads `[…]`; an empty file, which `ip -j` prints for nothing, is an empty array.
pub(crate) fn array(file: &Arc<str>, bytes: &[u8]) -> Result<Vec<Element>, JsonError> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| not_output(file, &error))?;
    Ok(elements(file, &text, "", &items))
}

/// Reads `{"KEY": […]}`.
pub(crate) fn array_under(file: &Arc<str>, bytes: &[u8], key: &str) -> Result<Vec<Element>, JsonError> {
    #[derive(Deserialize)]
    struct Wrapper<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);

    let text = String::from_utf8_lossy(bytes);
    let wrapper: Wrapper<'_> = serde_json::from_str(&text).map_err(|error| not_output(file, &error))?;
    let inner = wrapper.0.get(key).map_or("[]", |raw| raw.get());
    let items: Vec<&RawValue> = serde_json::from_str(inner).map_err(|error| not_output(file, &error))?;
    Ok(elements(file, &text, &format!("/{key}"), &items))
}

fn not_output(file: &Arc<str>, error: &serde_json::Error) -> JsonError {
    JsonError::NotTheOutput { file: file.to_string(), reason: error.to_string() }
}

fn elements(file: &Arc<str>, text: &str, prefix: &str, items: &[&RawValue]) -> Vec<Element> {
    let mut lines = LineCounter::new(text);
    let place = |(at, raw): (usize, &&RawValue)| {
        let raw = raw.get();
        let origin = Origin::json(file, lines.line_of(raw), format!("{prefix}/{at}"));
        Element { value: parsed(raw), cited: Cited { origin, text: one_line(raw) } }
    };
    items.iter().enumerate().map(place).collect()
}

fn parsed(raw: &str) -> Value {
    serde_json::from_str(raw).unwrap_or(Value::Null)
}

fn one_line(raw: &str) -> String {
    raw.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value within a JSON file, by which its parts can be cited too.
#[derive(Clone, Debug)]
pub(crate) struct Place<'t> {
    raw: &'t str,
    origin: Origin,
}

/// The objects of a file: those of a list (`{"items": […]}`, `{"value": […]}` by the key, where lists have one), of a
/// bare array, or the one object that it holds. Nothing else is an output of the commands that are read so.
pub(crate) fn objects<'t>(file: &Arc<str>, text: &'t str, key: Option<&str>) -> Result<Vec<Place<'t>>, JsonError> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| not_output(file, &error))?;
    let mut lines = LineCounter::new(text);
    let raw = whole.get();
    let root = Place { raw, origin: Origin::json(file, lines.line_of(raw), "") };
    if raw.starts_with('[') {
        return Ok(root.elements());
    }
    if !raw.starts_with('{') {
        let reason = "it is neither an object nor an array".to_owned();
        return Err(JsonError::NotTheOutput { file: file.to_string(), reason });
    }
    Ok(match key.and_then(|key| root.member(key)) {
        Some(list) => list.elements(),
        None => vec![root],
    })
}

impl<'t> Place<'t> {
    /// The value; null where it cannot be held.
    pub fn value(&self) -> Value {
        parsed(self.raw)
    }

    /// The citation of the whole value.
    pub fn cited(&self) -> Cited {
        Cited { origin: self.origin.clone(), text: one_line(self.raw) }
    }

    /// The value of a member.
    pub fn member(&self, key: &str) -> Option<Place<'t>> {
        let members: std::collections::BTreeMap<String, &'t RawValue> = serde_json::from_str(self.raw).ok()?;
        let raw = members.get(key)?.get();
        // RFC 6901: `~` and `/` in a key are escaped.
        let step = key.replace('~', "~0").replace('/', "~1");
        Some(self.inside(raw, LineCounter::new(self.raw).line_of(raw), &step))
    }

    /// The elements of an array; none where it is none.
    pub fn elements(&self) -> Vec<Place<'t>> {
        let items: Vec<&'t RawValue> = serde_json::from_str(self.raw).unwrap_or_default();
        let mut lines = LineCounter::new(self.raw);
        let place = |(at, raw): (usize, &&'t RawValue)| {
            let raw = raw.get();
            self.inside(raw, lines.line_of(raw), &at.to_string())
        };
        items.iter().enumerate().map(place).collect()
    }

    fn inside(&self, raw: &'t str, line: u32, step: &str) -> Place<'t> {
        let pointer = format!("{}/{step}", self.origin.pointer.as_deref().unwrap_or_default());
        let line = self.origin.line.saturating_add(line.saturating_sub(1));
        Place { raw, origin: Origin::json(&self.origin.file, line, pointer) }
    }
}

/// A member that is a string.
pub(crate) fn string<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

/// A member that is a number, or a string that holds one in decimal or hexadecimal.
pub(crate) fn number(value: &Value, key: &str) -> Option<u32> {
    match value.get(key)? {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => crate::matches::parse_number(text),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_line_and_pointer() {
        let text = "{\"kind\":\"List\",\n\"items\":[\n{\"a\":\n [1,\n {\"b\": 2}]},\n null]}";
        let items = objects(&Arc::from("f.json"), text, Some("items")).unwrap();
        assert_eq!(items.len(), 2);
        let inner = items[0].member("a").unwrap().elements()[1].clone();
        assert_eq!(inner.cited().origin.to_string(), "f.json:5#/items/0/a/1");
        assert_eq!(inner.cited().text, "{\"b\": 2}");
        assert_eq!(items[1].cited().origin.to_string(), "f.json:6#/items/1");
        assert!(items[1].value().is_null() && items[1].member("a").is_none() && items[1].elements().is_empty());
    }

    #[test]
    fn one_object_a_bare_array_and_what_is_neither() {
        let file = Arc::from("f.json");
        assert_eq!(objects(&file, "{\"spec\": {}}", Some("items")).unwrap().len(), 1);
        assert_eq!(objects(&file, "\n[{}, {}]", Some("items")).unwrap()[1].cited().origin.to_string(), "f.json:2#/1");
        assert!(objects(&file, "7", Some("items")).is_err() && objects(&file, "", Some("items")).is_err());
    }
}

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
    items
        .iter()
        .enumerate()
        .map(|(at, raw)| Element {
            value: serde_json::from_str(raw.get()).unwrap_or(Value::Null),
            cited: Cited {
                origin: Origin::json(file, lines.line_of(raw.get()), format!("{prefix}/{at}")),
                text: raw.get().split_whitespace().collect::<Vec<_>>().join(" "),
            },
        })
        .collect()
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

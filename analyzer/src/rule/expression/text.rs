//! Tests on strings.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use minijinja::{Error, ErrorKind, State, Value};
use regex::{Regex, RegexBuilder};

use super::work;
use crate::pattern::{Pattern, PatternValue};
use crate::rule::root::PATTERNS;

/// Bytes that a compiled regular expression may take.
const REGEX_SIZE: usize = 1 << 20;

/// Whether the string contains the other.
pub fn is_containing(value: &Value, part: &str) -> bool {
    value.as_str().is_some_and(|text| text.contains(part))
}

/// Whether the message pattern is found in the string.
pub fn is_saying(state: &State, value: &Value, pattern: &str) -> Result<bool, Error> {
    let Some(text) = value.as_str() else { return Ok(false) };
    work::spend(1 + text.len() as u64 / 1024)?;
    with_pattern(state, pattern, |pattern| pattern.is_in(text))
}

/// The named parts that the message pattern finds in the string; none where it is not found.
pub fn captured(state: &State, value: &Value, pattern: &str) -> Result<Value, Error> {
    let Some(text) = value.as_str() else { return Ok(Value::UNDEFINED) };
    work::spend(1 + text.len() as u64 / 1024)?;
    with_pattern(state, pattern, |pattern| Value::from(pattern.captures(text.as_bytes())))
}

fn with_pattern<T>(state: &State, id: &str, answer: impl FnOnce(&Pattern) -> T) -> Result<T, Error> {
    let patterns = state.lookup(PATTERNS);
    let patterns = patterns.as_ref().and_then(|value| value.downcast_object_ref::<PatternValue>());
    match patterns.and_then(|PatternValue(patterns)| patterns.get(id)) {
        Some(pattern) => Ok(answer(pattern)),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("there is no message pattern `{id}`"))),
    }
}

/// Whether the regular expression is found in the string.
pub fn is_matching(value: &Value, pattern: &str) -> Result<bool, Error> {
    let Some(text) = value.as_str() else { return Ok(false) };
    // Matching is linear in the text; one element is charged for each started kilobyte.
    work::spend(1 + text.len() as u64 / 1024)?;
    Ok(compiled(pattern)?.is_match(text))
}

/// Compiles within the bound on size. Rules with anything but a literal pattern are refused when they are loaded, so
/// that the cache is bounded by the rules.
fn compiled(pattern: &str) -> Result<Rc<Regex>, Error> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Rc<Regex>>> = RefCell::new(HashMap::new());
    }
    if let Some(known) = COMPILED.with_borrow(|cache| cache.get(pattern).cloned()) {
        return Ok(known);
    }
    let regex = Rc::new(regex(pattern).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))?);
    COMPILED.with_borrow_mut(|cache| cache.insert(pattern.to_owned(), regex.clone()));
    Ok(regex)
}

/// A regular expression within the bound on size, or why it is none.
pub fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).multi_line(true).size_limit(REGEX_SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("the regular expression takes more than {limit} bytes"),
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

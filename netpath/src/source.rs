//! Where a parsed thing stood: the file it was read from and its line.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The place of a parsed line, so that every claim can cite it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The name under which the caller gave the bytes.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// For JSON, which often is one long line: the pointer (RFC 6901) of the object within the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Arc<str>>,
}

impl Origin {
    /// A place in a text file.
    pub fn line(file: &Arc<str>, line: u32) -> Self {
        Self { file: Arc::clone(file), line, pointer: None }
    }

    /// A place in a JSON file.
    pub fn json(file: &Arc<str>, line: u32, pointer: impl Into<Arc<str>>) -> Self {
        Self { file: Arc::clone(file), line, pointer: Some(pointer.into()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match &self.pointer {
            Some(pointer) => write!(f, "#{pointer}"),
            None => Ok(()),
        }
    }
}

/// A line that decided something, with its text as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Cited {
    /// Where the line stands.
    #[serde(flatten)]
    pub origin: Origin,
    /// The text of the line (of the object, for JSON).
    pub text: String,
}

/// Bytes as lossy text with line numbers: evidence may hold anything, and a bad byte must not cost the whole file.
pub(crate) fn numbered_lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    text.lines().zip(1u32..).map(|(line, number)| (number, line))
}

/// The line on which a slice of `whole` starts, counted from 1.
///
/// `part` must be a slice of `whole`; otherwise the answer is the last line.
pub(crate) fn line_of(whole: &str, part: &str) -> u32 {
    let offset = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
    let newlines = whole.as_bytes().get(..offset).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

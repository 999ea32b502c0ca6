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

/// Finds the lines on which parts of a text start. Parts are asked for in their order, so that the text is gone through
/// once.
pub(crate) struct LineCounter<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
}

impl<'a> LineCounter<'a> {
    /// A counter at the start of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, offset: 0, line: 1 }
    }

    /// The line on which a part starts, counted from 1. `part` must be a slice of the text; the line of one that stands
    /// before the last one asked for is that one's.
    pub fn line_of(&mut self, part: &str) -> u32 {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        let between = self.text.as_bytes().get(self.offset..offset).unwrap_or_default();
        let newlines = between.iter().filter(|byte| **byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.offset = self.offset.max(offset);
        self.line
    }
}

//! Citations: every claim names the path in the bundle, the line or JSON pointer, and the text itself.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A piece of evidence, as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The entry in the bundle.
    #[schemars(with = "String")]
    pub path: Arc<str>,
    /// Line in that entry, from 1, where the entry is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// JSON pointer (RFC 6901) into that entry, where it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The text itself: the line, or the JSON value, at most [`Citation::TEXT_LIMIT`] bytes of it.
    pub text: String,
}

impl Citation {
    /// Bytes of evidence text that a citation keeps; the rest is in the bundle, at the place that is named.
    pub const TEXT_LIMIT: usize = 400;

    /// Cites a line of a text entry. Lines count from 1.
    pub fn line(path: &Arc<str>, line: u64, text: &str) -> Citation {
        Citation { path: path.clone(), line: Some(line), pointer: None, text: clip(text) }
    }

    /// Cites a value of a JSON entry.
    pub fn pointer(path: &Arc<str>, pointer: impl Into<String>, text: &str) -> Citation {
        Citation { path: path.clone(), line: None, pointer: Some(pointer.into()), text: clip(text) }
    }

    /// Cites an entry as a whole, or its absence, with what is to be said of it.
    pub fn whole(path: &Arc<str>, text: &str) -> Citation {
        Citation { path: path.clone(), line: None, pointer: None, text: clip(text) }
    }
}

/// As netpath writes citations: they have a line always.
impl From<&Citation> for netpath::source::Cited {
    fn from(citation: &Citation) -> Self {
        let line = citation.line.and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
        let origin = match &citation.pointer {
            Some(pointer) => netpath::source::Origin::json(&citation.path, line, pointer.as_str()),
            None => netpath::source::Origin::line(&citation.path, line),
        };
        netpath::source::Cited { origin, text: citation.text.clone() }
    }
}

/// Cuts at a character boundary, and says that it cut.
fn clip(text: &str) -> String {
    if text.len() <= Citation::TEXT_LIMIT {
        return text.to_owned();
    }
    let end = (0..=Citation::TEXT_LIMIT).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

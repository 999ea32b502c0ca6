//! YAML of rule and pattern files, with the place of every value. The only module that knows the YAML crate.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::diagnostic::{Problem, SourceFile};

/// Bytes of a rule or pattern file; a larger one is refused unread.
pub const FILE_LIMIT: usize = 1_000_000;

/// A value with its place in the file: byte range of the scalar as it is written, quotes and block header included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let span = byte_range(&spanned.referenced);
        Ok(Located { value: spanned.value, span })
    }
}

/// Parses one file into its document; a failure names the place.
pub fn parse<T: DeserializeOwned>(file: &SourceFile) -> Result<T, Problem> {
    if file.text.len() > FILE_LIMIT {
        return Err(Problem::new(file, 0..0, format!("the file is larger than {FILE_LIMIT} bytes")));
    }
    serde_saphyr::from_str(&file.text).map_err(|error| {
        let span = error.location().map_or(0..0, |location| place_of_error(file, &location));
        Problem::new(file, span, message_of(&error))
    })
}

/// The error's first line without its place, which the diagnostic shows itself.
fn message_of(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match first.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => first.to_owned(),
    }
}

/// Where the YAML itself is wrong the parser knows the line and the column alone.
fn place_of_error(file: &SourceFile, location: &serde_saphyr::Location) -> Range<usize> {
    if location.span().byte_offset().is_some() {
        return byte_range(location);
    }
    let line = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
    let begin: usize = file.text.split_inclusive('\n').take(line).map(str::len).sum();
    let text = file.text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let start = begin + text.char_indices().nth(column).map_or(text.len(), |(offset, _)| offset);
    start..start
}

fn byte_range(location: &serde_saphyr::Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    start..start + length
}

impl Located<String> {
    /// The place in the file of a byte range of the value, whichever way the scalar is written. YAML's styles change
    /// nothing but white space and escapes, so characters other than white space are counted on both sides.
    pub fn place_of(&self, file: &SourceFile, range: Range<usize>) -> Range<usize> {
        let raw = file.text.get(self.span.clone()).unwrap_or_default();
        let start = offset_in_raw(raw, &self.value, range.start).unwrap_or(0);
        let last = range.end.saturating_sub(1).max(range.start);
        let end = offset_in_raw(raw, &self.value, last).map_or(raw.len(), |offset| offset + 1);
        self.span.start + start..self.span.start + end.max(start)
    }
}

/// The offset in the raw scalar of the character at this offset of the value.
fn offset_in_raw(raw: &str, value: &str, offset: usize) -> Option<usize> {
    let before = value.get(..offset)?.chars().filter(|c| !c.is_whitespace()).count();
    visible_offsets(raw).nth(before)
}

/// The offsets of the raw scalar's characters that the value shows and that are not white space.
fn visible_offsets(raw: &str) -> impl Iterator<Item = usize> + '_ {
    let quote = raw.chars().next().filter(|c| *c == '\'' || *c == '"');
    let mut chars = raw.char_indices().peekable();
    if quote.is_some() {
        chars.next();
    } else if raw.starts_with(['|', '>']) {
        // The header of a block scalar (`>-`, `|2`) ends with its line.
        for (_, c) in chars.by_ref() {
            if c == '\n' {
                break;
            }
        }
    }
    std::iter::from_fn(move || {
        loop {
            let (offset, c) = chars.next()?;
            if quote == Some('\'') && c == '\'' {
                chars.next()?; // `''` is one quote; a single one ends the scalar.
                return Some(offset);
            }
            if quote == Some('"') && c == '\\' {
                let (_, escaped) = chars.next()?;
                if matches!(escaped, 'n' | 't' | ' ' | '\n') {
                    continue;
                }
                return Some(offset);
            }
            if !c.is_whitespace() {
                return Some(offset);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Document {
        when: Located<String>,
    }

    /// Finds `needle` in the value and gives what the file has at the place that is named for it.
    fn shown(yaml: &str, needle: &str) -> String {
        let file = SourceFile::new("r.yaml", yaml);
        let document: Document = parse(&file).unwrap_or_else(|problem| panic!("{}", problem.render()));
        let at = document.when.value.find(needle).unwrap();
        let place = document.when.place_of(&file, at..at + needle.len());
        file.text[place].to_owned()
    }

    #[test]
    fn every_scalar_style_maps_back() {
        assert_eq!(shown("when: node.nope > 1\n", "nope"), "nope");
        assert_eq!(shown("when: 'a == ''x'' and nope'\n", "nope"), "nope");
        assert_eq!(shown("when: \"a == \\\"x\\\" and nope\"\n", "nope"), "nope");
        assert_eq!(shown("when: >-\n  a and\n  nope and b\n", "nope"), "nope");
        assert_eq!(shown("when: |\n  a and\n    nope and b\nid: 1\n", "nope"), "nope");
        assert_eq!(shown("when: a and\n  nope\n  and b\n", "nope"), "nope");
    }

    #[test]
    fn an_error_names_its_place() {
        let file = SourceFile::new("r.yaml", "when: [1\n");
        let problem = parse::<Document>(&file).err().unwrap();
        assert!(problem.render().contains("r.yaml:"), "{}", problem.render());
        let file = SourceFile::new("r.yaml", "id: x\nwhen: a: b\n");
        let problem = parse::<Document>(&file).err().unwrap();
        assert!(problem.render().contains("r.yaml:2:8"), "{}", problem.render());
    }
}

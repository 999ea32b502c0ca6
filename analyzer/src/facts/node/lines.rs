//! The lines of a text entry, as every line-oriented parser of a node's files reads them.

use std::borrow::Cow;

/// A line of an entry: its number from 1, and its text without the line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Number, from 1.
    pub number: u64,
    /// The text. Bytes that are not UTF-8 show as U+FFFD.
    pub text: &'a str,
}

/// The text of an entry. Configuration files may hold any byte; what is not UTF-8 becomes U+FFFD, so that one odd
/// comment never hides the rest of the file.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The lines of a text, numbered from 1.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    (1u64..).zip(text.lines()).map(|(number, text)| Line { number, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_from_one_and_lose_their_ends() {
        let bytes = b"a\r\n\nb\xff\n";
        let text = text(bytes);
        let got: Vec<_> = lines(&text).map(|line| (line.number, line.text)).collect();
        assert_eq!(got, [(1, "a"), (2, ""), (3, "b\u{fffd}")]);
    }
}

//! Words of nft's text.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, a number, an address, an operator.
    Word,
    /// What stood in quotes.
    Quoted,
    /// One of `{ } ( ) , ; :` and the end of a line.
    Mark,
}

/// A token with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub text: &'a str,
    pub kind: Kind,
    pub line: u32,
    /// Where it begins and ends in the text, with its quotes.
    pub start: usize,
    pub end: usize,
}

impl Token<'_> {
    /// Whether it is this mark or word, outside of quotes.
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Quoted && self.text == text
    }
}

const MARKS: [u8; 6] = *b"{}();,";

/// Splits a text. A colon and a dot are tokens of their own only where blanks stand around them, as nft prints them; a
/// comma within a word (`established,related`) belongs to it.
pub(super) fn split(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0usize, 1u32);
    let slice = |start: usize, end: usize| text.get(start..end).unwrap_or_default();
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let kind = match byte {
            b'\n' => Kind::Mark,
            b' ' | b'\t' | b'\r' => continue,
            b'#' => {
                // To the end of the line: handles, and remarks about tables.
                at += bytes[at.min(bytes.len())..].iter().take_while(|byte| **byte != b'\n').count();
                continue;
            }
            b'"' => {
                let inner =
                    bytes[at.min(bytes.len())..].iter().take_while(|byte| !matches!(**byte, b'"' | b'\n')).count();
                let closed = usize::from(bytes.get(at + inner) == Some(&b'"'));
                tokens.push(Token {
                    text: slice(at, at + inner),
                    kind: Kind::Quoted,
                    line,
                    start,
                    end: at + inner + closed,
                });
                at += inner + closed;
                continue;
            }
            byte if MARKS.contains(&byte) => Kind::Mark,
            _ => {
                at = end_of_word(bytes, at);
                Kind::Word
            }
        };
        tokens.push(Token { text: slice(start, at), kind, line, start, end: at });
        line += u32::from(byte == b'\n');
    }
    tokens
}

/// A word ends at a blank, a brace or a semicolon, and at a comma that a blank follows.
fn end_of_word(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        let blank_follows = bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b';' | b'"' | b'(' | b')' => break,
            b',' if blank_follows => break,
            _ => at += 1,
        }
    }
    at
}

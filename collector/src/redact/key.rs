//! A name that may be a secret's, and what stands around it: quotes, the dash of a flag, its place in the line.

use super::key_name;
use super::scan::{Hit, Scan};

/// A name, and what stands around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The quote before it, and how many backslashes that has.
    pub(super) quote: Option<(u8, usize)>,
    /// Whether it is a flag.
    pub(super) flag: bool,
    /// Whether it begins its line, but for white space and the dash of a list.
    pub(super) begins_line: bool,
    /// White space before it in its line.
    pub(super) indent: usize,
    /// Whether it is the name of an element of XML.
    pub(super) tag: bool,
}

/// What stands between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Equals,
    Colon,
    Tag,
}

pub(super) fn of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The name around a word. None where it is too long to be one, a part of a path, or a reference to a variable.
pub(super) fn key_around(scan: &Scan<'_>, hit: Hit) -> Option<Key> {
    let left =
        scan.text.get(..hit.from)?.iter().rev().take(key_name::LONGEST).take_while(|&&byte| of_name(byte)).count();
    let mut from = hit.from - left;
    let right = scan.rest(hit.to).iter().take(key_name::LONGEST).take_while(|&&byte| of_name(byte)).count();
    // A word that was found with its separator leaves the name before that.
    let found = scan.text.get(hit.from..hit.to)?;
    let to = match found.last() {
        Some(&byte) if !of_name(byte) => hit.to - 1,
        _ => hit.to + right,
    };
    let mut before = from.checked_sub(1).and_then(|at| scan.byte(at));
    let mut written_line_end = false;
    // What was written as an escape ends where the name begins: a line end or `&` in JSON, `&` in a URL.
    match (before, scan.byte(from)) {
        (Some(b'\\'), Some(b'n' | b'r' | b't')) => {
            written_line_end = true;
            from += 1;
        }
        (Some(b'\\'), Some(b'u')) => (from, before) = (from + 5, None),
        (Some(b'%'), Some(b'2' | b'3')) => (from, before) = (from + 2, None),
        _ => {}
    }
    if from >= to || to - from > key_name::LONGEST || scan.rest(from).starts_with(b"MASKED-") {
        return None;
    }
    let mut depth = 0;
    if !written_line_end {
        match before {
            Some(b'/' | b'$' | b'%') => return None,
            Some(b'{' | b'(') if from >= 2 && scan.byte(from - 2) == Some(b'$') => return None,
            Some(b'"' | b'\'' | b'`') => {
                depth = scan.text.get(..from - 1)?.iter().rev().take(16).take_while(|&&byte| byte == b'\\').count();
            }
            _ => {}
        }
    } else {
        before = None;
    }
    let quote = before.filter(|byte| matches!(byte, b'"' | b'\'' | b'`')).map(|byte| (byte, depth));
    let start = quote.map_or(from, |_| from - 1 - depth);
    let indent = scan.text.get(..start)?.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let (mut at, mut lead) = (start - indent, indent);
    if at >= 1 && scan.byte(at - 1) == Some(b'-') && indent > 0 {
        let more = scan.text.get(..at - 1)?.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        at -= 1 + more;
        lead += 1 + more;
    }
    let escaped_start = at >= 2 && scan.byte(at - 2) == Some(b'\\') && matches!(scan.byte(at - 1), Some(b'n' | b'r'));
    let begins_line = written_line_end || at == 0 || escaped_start || scan.byte(at - 1) == Some(b'\n');
    let flag = scan.byte(from) == Some(b'-');
    Some(Key { from, to, quote, flag, begins_line, indent: lead, tag: before == Some(b'<') })
}

/// Passes over the quote that closes a name. Says whether there is one.
pub(super) fn close(scan: &Scan<'_>, key: Key) -> (usize, bool) {
    let Some((quote, depth)) = key.quote else { return (key.to, false) };
    let backslashes = scan.rest(key.to).iter().take(depth + 1).take_while(|&&byte| byte == b'\\').count();
    if backslashes != depth || scan.byte(key.to + depth) != Some(quote) {
        return (key.to, false);
    }
    let after = key.to + depth + 1;
    let bracket = usize::from(scan.byte(after) == Some(b']'));
    (after + bracket, true)
}

pub(super) fn blanks(scan: &Scan<'_>, at: usize, lines_too: bool) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t') || (lines_too && matches!(byte, b'\n' | b'\r'));
    at + scan.rest(at).iter().take(64).take_while(blank).count()
}

/// What separates the name from its value, and where that begins.
pub(super) fn separator(scan: &Scan<'_>, key: Key, after: usize) -> Option<(Separator, usize)> {
    if key.tag {
        return (scan.byte(after) == Some(b'>')).then_some((Separator::Tag, after + 1));
    }
    let at = blanks(scan, after, false);
    let next = scan.byte(at + 1);
    let (separator, at) = match (scan.byte(at)?, next) {
        (b':', Some(b'=')) => (Separator::Equals, at + 2),
        (b':', Some(b':')) | (b'=', Some(b'=')) => return None,
        (b':', _) => (Separator::Colon, at + 1),
        (b'=', Some(b'>')) => (Separator::Equals, at + 2),
        (b'=', _) => (Separator::Equals, at + 1),
        // `=` and `:` of JSON in a URL.
        (b'%', Some(b'3')) if matches!(scan.byte(at + 2), Some(b'D' | b'd')) => (Separator::Equals, at + 3),
        _ => return None,
    };
    Some((separator, at))
}

pub(super) fn quote_at(scan: &Scan<'_>, at: usize) -> Option<(u8, usize)> {
    let backslashes = scan.rest(at).iter().take(16).take_while(|&&byte| byte == b'\\').count();
    let quote = scan.byte(at + backslashes)?;
    matches!(quote, b'"' | b'\'' | b'`').then_some((quote, backslashes))
}

pub(super) fn next_line(scan: &Scan<'_>, at: usize) -> usize {
    memchr::memchr(b'\n', scan.rest(at)).map_or(scan.text.len(), |newline| at + newline + 1)
}

impl Scan<'_> {
    /// Whether the quote behind a name ends the string in which that stands, rather than beginning a value. Behind a name that
    /// has JSON's quotes itself, one with fewer backslashes does.
    pub(super) fn closes_string_of(&self, key: Key, at: usize, quote: u8, depth: usize) -> bool {
        match key.quote {
            Some((b'"', own)) => quote == b'"' && depth < own,
            _ => self.closes_a_string(at, quote, depth),
        }
    }

    /// Whether the quote at a place rather ends a string of JSON than begins a value: by what comes behind it.
    pub(super) fn closes_a_string(&self, at: usize, quote: u8, depth: usize) -> bool {
        quote == b'"' && matches!(self.byte(at + depth + 1), None | Some(b',' | b'}' | b']' | b':' | b'\n' | b'\r'))
    }
}

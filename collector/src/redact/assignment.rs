//! Values behind a name that sounds like a secret's: in JSON of any nesting, YAML, environment files, flags, headers, query
//! strings, connection strings, structured logs, XML, and plain sentences.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::block::Open;
use super::key_name::{self, Secret};
use super::scan::{Hit, Instead, More, Scan};
use super::value::{self, End, Until};
use super::{encoded, pattern};

/// What is read ahead of a name at once; a value that is longer asks for more by itself.
const AHEAD: usize = 256;

/// A name, and what stands around it.
#[derive(Debug, Clone, Copy)]
struct Key {
    from: usize,
    to: usize,
    /// The quote before it, and how many backslashes that has.
    quote: Option<(u8, usize)>,
    /// Whether it is a flag.
    flag: bool,
    /// Whether it begins its line, but for white space and the dash of a list.
    begins_line: bool,
    /// White space before it in its line.
    indent: usize,
    /// Whether it is the name of an element of XML.
    tag: bool,
}

/// What stands between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Equals,
    Colon,
    Tag,
}

fn of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The value behind the name in which a word was found.
pub fn of_word(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, AHEAD)?;
    let Some(key) = key_around(scan, hit) else { return Ok(hit.to) };
    let Some(secret) = key_name::judge(scan.text.get(key.from..key.to).unwrap_or_default()) else { return Ok(hit.to) };
    let (after, closed) = close(scan, key);
    let key = Key { quote: key.quote.filter(|_| closed), ..key };
    let Some((separator, at)) = separator(scan, key, after) else {
        return without_separator(scan, key, after, secret, hit);
    };
    let next = value(scan, key, separator, at, secret)?;
    Ok(next.max(hit.to))
}

/// The name around a word. None where it is too long to be one, a part of a path, or a reference to a variable.
fn key_around(scan: &Scan<'_>, hit: Hit) -> Option<Key> {
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
fn close(scan: &Scan<'_>, key: Key) -> (usize, bool) {
    let Some((quote, depth)) = key.quote else { return (key.to, false) };
    let backslashes = scan.rest(key.to).iter().take(depth + 1).take_while(|&&byte| byte == b'\\').count();
    if backslashes != depth || scan.byte(key.to + depth) != Some(quote) {
        return (key.to, false);
    }
    let after = key.to + depth + 1;
    let bracket = usize::from(scan.byte(after) == Some(b']'));
    (after + bracket, true)
}

fn blanks(scan: &Scan<'_>, at: usize, lines_too: bool) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t') || (lines_too && matches!(byte, b'\n' | b'\r'));
    at + scan.rest(at).iter().take(64).take_while(blank).count()
}

/// What separates the name from its value, and where that begins.
fn separator(scan: &Scan<'_>, key: Key, after: usize) -> Option<(Separator, usize)> {
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

fn value(scan: &mut Scan<'_>, key: Key, separator: Separator, after: usize, secret: Secret) -> Result<usize, More> {
    let at = blanks(scan, after, key.quote.is_some());
    let kind = secret.kind();
    if separator == Separator::Tag {
        let end = scan.end(after, Until::Tag, kind)?;
        scan.mask_value(after, end, secret);
        return Ok(end);
    }
    if let Some((quote, depth)) = quote_at(scan, at) {
        if scan.closes_string_of(key, at, quote, depth) {
            return Ok(at);
        }
        return quoted(scan, at + depth + 1, (quote, depth), secret);
    }
    match scan.byte(at) {
        None => Ok(at),
        Some(b'[') if secret != Secret::Other => array(scan, key, at + 1, secret),
        Some(b'[' | b'{') => Ok(at),
        Some(b'|' | b'>') if separator == Separator::Colon && key.quote.is_none() => {
            block_scalar(scan, key, at, secret)
        }
        Some(b'\n' | b'\r') if separator == Separator::Colon && key.quote.is_none() && key.begins_line => {
            below(scan, key, at, secret)
        }
        Some(b'\n' | b'\r' | b',') => Ok(at),
        Some(_) if key.quote.is_some() => scalar(scan, at, key, secret),
        Some(_) if secret == Secret::Authorization => credentials(scan, at, secret),
        Some(_) if separator == Separator::Equals => bare(scan, key, at, secret),
        Some(_) if at == after => attached(scan, at, secret),
        Some(_) if key.begins_line => line(scan, at, secret),
        Some(_) => sentence(scan, at, secret),
    }
}

fn quote_at(scan: &Scan<'_>, at: usize) -> Option<(u8, usize)> {
    let backslashes = scan.rest(at).iter().take(16).take_while(|&&byte| byte == b'\\').count();
    let quote = scan.byte(at + backslashes)?;
    matches!(quote, b'"' | b'\'' | b'`').then_some((quote, backslashes))
}

/// A value in quotes that begins behind them.
fn quoted(scan: &mut Scan<'_>, from: usize, (quote, depth): (u8, usize), secret: Secret) -> Result<usize, More> {
    let end = scan.end(from, Until::Quote(quote, depth), secret.kind())?;
    let from = if secret == Secret::Authorization { behind_scheme(scan, from).unwrap_or(from) } else { from };
    scan.mask_value(from.min(end), end, secret);
    Ok(end)
}

/// The strings and numbers of an array, or what stands between the brackets in YAML.
fn array(scan: &mut Scan<'_>, key: Key, from: usize, secret: Secret) -> Result<usize, More> {
    if key.quote.is_none() && quote_at(scan, blanks(scan, from, true)).is_none() {
        return bare_array(scan, blanks(scan, from, false), secret);
    }
    let mut at = from;
    loop {
        at = blanks(scan, at, true);
        scan.need(at, 32)?;
        at = match (quote_at(scan, at), scan.byte(at)) {
            (Some((quote, depth)), _) if scan.closes_string_of(key, at, quote, depth) => return Ok(at),
            (Some((quote, depth)), _) => quoted(scan, at + depth + 1, (quote, depth), secret)? + depth + 1,
            (None, None | Some(b'{' | b'[' | b']')) => return Ok(at.min(scan.text.len())),
            (None, Some(_)) => scalar(scan, at, key, secret)?,
        };
        at = blanks(scan, at, true);
        if scan.byte(at) != Some(b',') {
            return Ok(at.min(scan.text.len()));
        }
        at += 1;
    }
}

/// Bare words, up to the bracket or the line's end.
fn bare_array(scan: &mut Scan<'_>, from: usize, secret: Secret) -> Result<usize, More> {
    if matches!(scan.byte(from), Some(b'{' | b'[' | b']') | None) {
        return Ok(from.min(scan.text.len()));
    }
    let line = scan.end(from, Until::Line, secret.kind())?;
    let words = scan.text.get(from..line).unwrap_or_default();
    let end = words.iter().position(|&byte| byte == b']').map_or(line, |n| from + n);
    if !scan.text.get(from..end).unwrap_or_default().contains(&b'{') {
        scan.mask_value(from, end, secret);
    }
    Ok(end)
}

/// `key: |` of YAML. In a string of JSON, its lines end with written line ends.
fn block_scalar(scan: &mut Scan<'_>, key: Key, at: usize, secret: Secret) -> Result<usize, More> {
    let head =
        1 + scan.rest(at + 1).iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-')).count();
    let after = blanks(scan, at + head, false);
    match scan.byte(after) {
        Some(b'\n' | b'\r') => {
            scan.open = Open::Yaml { indent: key.indent, kind: secret.kind(), list: false };
            Ok(next_line(scan, after))
        }
        Some(b'\\') if matches!(scan.byte(after + 1), Some(b'n')) => {
            let string = scan.end(after, Until::Quote(b'"', 0), secret.kind())?;
            let mut end = after;
            while scan.text.get(end..end + 2) == Some(b"\\n")
                && matches!(scan.byte(end + 2), Some(b' '))
                && end < string
            {
                let line = scan.text.get(end + 2..string).unwrap_or_default();
                end = line.windows(2).position(|pair| pair == b"\\n").map_or(string, |n| end + 2 + n);
            }
            if end > after {
                scan.mask(after + 2, end, secret.kind());
            }
            Ok(end)
        }
        _ => line(scan, at, secret),
    }
}

fn next_line(scan: &Scan<'_>, at: usize) -> usize {
    memchr::memchr(b'\n', scan.rest(at)).map_or(scan.text.len(), |newline| at + newline + 1)
}

/// What stands below a key without a value: a list of YAML, or a value in a line of its own.
fn below(scan: &mut Scan<'_>, key: Key, at: usize, secret: Secret) -> Result<usize, More> {
    let next = next_line(scan, at);
    if matches!(secret, Secret::Authorization | Secret::PerhapsKey | Secret::Cookie) {
        return Ok(at);
    }
    scan.need(next, AHEAD)?;
    let indent = blanks(scan, next, false) - next;
    let rest = scan.rest(next + indent);
    let item = rest.starts_with(b"- ");
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let content = rest.get(..end).unwrap_or_default();
    let mapping = content.contains(&b':') || content.contains(&b'{');
    if mapping
        || content.trim_ascii().is_empty()
        || !(indent > key.indent || (item && indent == key.indent))
        || (item && secret == Secret::Other)
    {
        return Ok(at);
    }
    scan.open = Open::Yaml { indent: key.indent, kind: secret.kind(), list: item };
    Ok(next)
}

/// A value without quotes behind a name in quotes: a number in JSON.
fn scalar(scan: &mut Scan<'_>, at: usize, key: Key, secret: Secret) -> Result<usize, More> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']' | b'"' | b'\\' | 0);
    let length = scan.rest(at).iter().position(ends);
    let end = match length {
        Some(length) => at + length,
        None if scan.whole => scan.text.len(),
        None => return Err(More),
    };
    let text = scan.text.get(at..end).unwrap_or_default();
    if !text.is_empty() && !value::harmless(text, secret) {
        let instead = match key.quote {
            Some((b'"', depth)) => Instead::Quoted(depth),
            _ => Instead::Mask,
        };
        scan.replace(at, end, secret.kind(), instead);
    }
    Ok(end)
}

/// `name=value`.
fn bare(scan: &mut Scan<'_>, key: Key, at: usize, secret: Secret) -> Result<usize, More> {
    let word = scan.end(at, Until::Word, secret.kind())?;
    let end = value::trim(scan.text, at, word);
    let name = scan.text.get(key.from..key.to).unwrap_or_default();
    // In a file of variables a value may have blanks in it, if nothing else is assigned in its line.
    if key.begins_line && !name.iter().any(u8::is_ascii_lowercase) && scan.byte(word) == Some(b' ') {
        let line = scan.end(at, Until::Line, secret.kind())?;
        let rest = scan.text.get(word..line).unwrap_or_default();
        if !rest.contains(&b'=') && !rest.windows(2).any(|pair| matches!(pair, b" #" | b" -")) {
            scan.mask_value(at, line, secret);
            return Ok(line);
        }
    }
    scan.mask_value(at, end, secret);
    Ok(end)
}

/// `name:value`, as Go prints structures.
fn attached(scan: &mut Scan<'_>, at: usize, secret: Secret) -> Result<usize, More> {
    let word = scan.end(at, Until::Word, secret.kind())?;
    let end = value::trim(scan.text, at, word);
    if secret == Secret::Password || value::looks_secret(scan.text.get(at..end).unwrap_or_default()) {
        scan.mask_value(at, end, secret);
    }
    Ok(end)
}

/// `name: value` at the beginning of a line: YAML, or a header.
fn line(scan: &mut Scan<'_>, at: usize, secret: Secret) -> Result<usize, More> {
    let line = scan.end(at, Until::Line, secret.kind())?;
    let text = scan.text.get(at..line).unwrap_or_default();
    let comment = text.windows(2).position(|pair| pair == b" #").unwrap_or(text.len());
    let value = text.get(..comment).unwrap_or_default().trim_ascii_end();
    let first = value.split(|&byte| byte == b' ').next().unwrap_or_default();
    let words = first.len() < value.len();
    // `token: no such file or directory` is a sentence.
    if words && !matches!(secret, Secret::Password | Secret::Cookie) && !value::looks_secret(first) {
        return Ok(at);
    }
    let end = at + value.len();
    if secret != Secret::Password || !NAME_SERVICES.is_match(value) {
        scan.mask_value(at, end, secret);
    }
    Ok(end)
}

/// What stands behind `passwd:` in nsswitch.conf(5).
static NAME_SERVICES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?-u)^(?:(?:files|compat|systemd|sss|ldap|nis|nisplus|winbind|db|altfiles|hesiod|extrausers|cache|\[[A-Za-z!=]+\])\s*)+$",
    )
});

/// Words that follow a secret's name in sentences.
static STOP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?xi-u)^(?:is|are|was|were|has|have|had|be|been|being|must|should|can|cannot|may|will|to|for|from|in|on|of|at|by|with|without|and|or|not|no|the|a|an|
        authentication|change|changed|check|correct|does|empty|error|expected|expires?|expired|failed|failure|file|flag|found|get|hash|incorrect|invalid|length|
        mismatch|missing|needs?|option|policy|post|prompt|provided|rejected|denied|required|reset|rpc|set|should|too|try|unauthorized|unknown|update|updated|verification|wrong|x509:?)[:,.;]?$",
    )
});

/// `name: value` within a sentence.
fn sentence(scan: &mut Scan<'_>, at: usize, secret: Secret) -> Result<usize, More> {
    if secret == Secret::Cookie {
        return line(scan, at, secret);
    }
    let word = scan.end(at, Until::Word, secret.kind())?;
    let end = value::trim(scan.text, at, word);
    let text = scan.text.get(at..end).unwrap_or_default();
    let last = matches!(scan.byte(word), None | Some(b'\n' | b'\r' | b'"' | b'\\')) || end < word;
    let alone = secret == Secret::Password && last && !STOP.is_match(text) && !text.ends_with(b":");
    if alone || value::looks_secret(text) {
        scan.mask_value(at, end, secret);
    }
    Ok(end)
}

/// Known schemes of `Authorization` (RFC 9110 section 11, and vendors' own), with the blank behind them.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)^(?:bearer|basic|digest|token|negotiate|ntlm|apikey|api-key|sharedkey|sharedkeylite|aws4-hmac-sha256|oauth|ssws|hawk|googlelogin|key)[ ]+",
    )
});

fn behind_scheme(scan: &Scan<'_>, at: usize) -> Option<usize> {
    let rest = scan.rest(at);
    SCHEME.find(rest.get(..64).unwrap_or(rest)).map(|scheme| at + scheme.end())
}

/// The credentials of `Authorization: Bearer …`.
fn credentials(scan: &mut Scan<'_>, at: usize, secret: Secret) -> Result<usize, More> {
    let Some(from) = behind_scheme(scan, at) else {
        let word = scan.end(at, Until::Word, secret.kind())?;
        if value::looks_secret(scan.text.get(at..word).unwrap_or_default()) {
            scan.mask_value(at, word, secret);
        }
        return Ok(word);
    };
    let scheme = scan.text.get(at..from).unwrap_or_default().to_ascii_lowercase();
    let parts = ["digest", "aws4", "oauth", "hawk"]
        .iter()
        .any(|scheme_of_parts| scheme.starts_with(scheme_of_parts.as_bytes()));
    let end = scan.end(from, if parts { Until::Line } else { Until::Word }, secret.kind())?;
    scan.mask_value(from, end, secret);
    Ok(end)
}

/// `--token VALUE` in all its spellings, `password "…"`, and lines of configuration.
fn without_separator(scan: &mut Scan<'_>, key: Key, after: usize, secret: Secret, hit: Hit) -> Result<usize, More> {
    if key.flag && !matches!(secret, Secret::PerhapsKey | Secret::Signature) {
        return Ok(flag(scan, key, after, secret)?.max(hit.to));
    }
    let at = blanks(scan, after, false);
    if secret != Secret::Password || at == after {
        return Ok(hit.to);
    }
    if let Some((quote, depth)) = quote_at(scan, at) {
        return if scan.closes_a_string(at, quote, depth) {
            Ok(hit.to)
        } else {
            quoted(scan, at + depth + 1, (quote, depth), secret)
        };
    }
    let word = scan.end(at, Until::Word, secret.kind())?;
    let text = scan.text.get(at..word).unwrap_or_default();
    let line = scan.text.get(scan.line_start(key.from)..key.to).unwrap_or_default();
    let first = line.trim_ascii_start().split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let configures = [
        &b"neighbor"[..],
        b"machine",
        b"default",
        b"username",
        b"user",
        b"enable",
        b"requirepass",
        b"masterauth",
        b"login",
    ];
    let last = matches!(scan.byte(word), None | Some(b'\n' | b'\r'));
    if !STOP.is_match(text) && (configures.contains(&first) || (last && value::looks_secret(text))) {
        scan.mask_value(at, word, secret);
    }
    Ok(word)
}

/// The value of a flag in the next word, argument, element or line.
fn flag(scan: &mut Scan<'_>, key: Key, after: usize, secret: Secret) -> Result<usize, More> {
    if key.quote.is_some() {
        let comma = blanks(scan, after, true);
        let at = blanks(scan, comma + 1, true);
        return match (scan.byte(comma), quote_at(scan, at)) {
            (Some(b','), Some((quote, depth))) if scan.byte(at + depth + 1) != Some(b'-') => {
                quoted(scan, at + depth + 1, (quote, depth), secret)
            }
            _ => Ok(after),
        };
    }
    let at = blanks(scan, after, false);
    match scan.byte(at) {
        Some(0) => {
            let end = value::end(scan.text, at + 1, Until::Word);
            let end = match end {
                End::At(end) => end,
                End::Beyond if scan.whole => scan.text.len(),
                End::Beyond => return Err(More),
            };
            if scan.byte(at + 1) != Some(b'-') {
                scan.mask_value(at + 1, end, secret);
            }
            Ok(end)
        }
        // The next item of a list in YAML.
        Some(b'\n' | b'\r') if key.begins_line => {
            let item = blanks(scan, next_line(scan, at), false);
            if !scan.rest(item).starts_with(b"- ") || scan.byte(item + 2) == Some(b'-') {
                return Ok(at);
            }
            let from = item + 2;
            let end = scan.end(from, Until::Line, secret.kind())?;
            scan.mask_value(from, end, secret);
            Ok(end)
        }
        Some(b'-') | None => Ok(at),
        Some(_) if at > after => {
            if let Some((quote, depth)) = quote_at(scan, at) {
                if scan.closes_a_string(at, quote, depth) {
                    return Ok(at);
                }
                return quoted(scan, at + depth + 1, (quote, depth), secret);
            }
            let end = scan.end(at, Until::Word, secret.kind())?;
            let word = scan.text.get(at..end).unwrap_or_default();
            if !STOP.is_match(word) {
                scan.mask_value(at, end, secret);
            }
            Ok(end)
        }
        Some(_) => Ok(at),
    }
}

/// `"name": "X",` or `- name: X` before a value.
static NAME_BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?-u)\b(?i:name|key)[\\"']*\s*[:=]\s*[\\"']*([A-Za-z0-9_.-]+)[\\"']*\s*,?(?:\\+n|\\+r|\s)*[\\"']*$"#)
});
/// The same behind it.
static NAME_BEHIND: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?-u)^[\\"']*\s*,\s*[\\"']*(?i:name|key)[\\"']*\s*[:=]\s*[\\"']*([A-Za-z0-9_.-]+)"#));

/// `value` whose name stands beside it.
pub fn of_pair(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, AHEAD)?;
    let Some(key) = key_around(scan, hit) else { return Ok(hit.to) };
    if !scan.text.get(key.from..key.to).is_some_and(|name| name.eq_ignore_ascii_case(b"value")) {
        return Ok(hit.to);
    }
    let (after, closed) = close(scan, key);
    let start = key.quote.map_or(key.from, |(_, depth)| key.from - 1 - depth);
    let key = Key { quote: key.quote.filter(|_| closed), ..key };
    let Some((separator, at)) = separator(scan, key, after) else { return Ok(hit.to) };
    let before = scan.text.get(start.saturating_sub(200)..start).unwrap_or_default();
    if let Some(secret) = NAME_BEFORE.captures(before).and_then(|found| key_name::judge(found.get(1)?.as_bytes())) {
        return Ok(value(scan, key, separator, at, secret)?.max(hit.to));
    }
    // The name behind it.
    let begins = blanks(scan, at, true);
    let Some((quote, depth)) = quote_at(scan, begins) else { return Ok(hit.to) };
    let end = match value::end(scan.text, begins + depth + 1, Until::Quote(quote, depth)) {
        End::At(end) => end,
        // What is that long has no name of a variable behind it.
        End::Beyond => return Ok(hit.to),
    };
    let rest = scan.rest(end);
    let named = NAME_BEHIND.captures(rest.get(..200).unwrap_or(rest));
    if let Some(secret) = named.and_then(|found| key_name::judge(found.get(1)?.as_bytes())) {
        scan.mask_value(begins + depth + 1, end, secret);
        return Ok(end);
    }
    Ok(hit.to)
}

/// `Bearer …` and `Basic …`, wherever they stand.
pub fn of_scheme(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, AHEAD)?;
    if hit.from.checked_sub(1).and_then(|at| scan.byte(at)).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(hit.to);
    }
    let from = blanks(scan, hit.to, false);
    let end = scan.end(from, Until::Word, "authorization")?;
    let end = value::trim(scan.text, from, end);
    let word = scan.text.get(from..end).unwrap_or_default();
    let basic = scan.text.get(hit.from..hit.to).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
    let secret = if basic {
        encoded::decode(word)
            .is_some_and(|pair| pair.contains(&b':') && pair.iter().all(|byte| !byte.is_ascii_control()))
            || (word.len() >= 8 && word.len() < 16 && word.ends_with(b"="))
    } else {
        let parameter = word.iter().position(|&byte| byte == b'=').is_some_and(|at| at + 2 < word.len());
        word.len() >= 8
            && value::looks_secret(word)
            && !parameter
            && word.iter().all(|&byte| value::is_base64(byte) || b".~:".contains(&byte))
    };
    if secret {
        scan.mask_value(from, end, Secret::Authorization);
        return Ok(end);
    }
    Ok(hit.to)
}

/// `IDENTIFIED BY 'password'`.
pub fn of_sql(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, AHEAD)?;
    let mut at = blanks(scan, hit.to, false);
    if scan.rest(at).get(..9).is_some_and(|word| word.eq_ignore_ascii_case(b"password ")) {
        at = blanks(scan, at + 9, false);
    }
    match quote_at(scan, at) {
        Some((quote, depth)) if !scan.closes_a_string(at, quote, depth) => {
            quoted(scan, at + depth + 1, (quote, depth), Secret::Password)
        }
        _ => Ok(hit.to),
    }
}

impl Scan<'_> {
    /// Whether the quote behind a name ends the string in which that stands, rather than beginning a value. Behind a name that
    /// has JSON's quotes itself, one with fewer backslashes does.
    fn closes_string_of(&self, key: Key, at: usize, quote: u8, depth: usize) -> bool {
        match key.quote {
            Some((b'"', own)) => quote == b'"' && depth < own,
            _ => self.closes_a_string(at, quote, depth),
        }
    }

    /// Whether the quote at a place rather ends a string of JSON than begins a value: by what comes behind it.
    fn closes_a_string(&self, at: usize, quote: u8, depth: usize) -> bool {
        quote == b'"' && matches!(self.byte(at + depth + 1), None | Some(b',' | b'}' | b']' | b':' | b'\n' | b'\r'))
    }
}

//! Values behind a name that sounds like a secret's: in JSON of any nesting, YAML, environment files, flags, headers, query
//! strings, connection strings, structured logs, XML, and plain sentences.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::block::Open;
use super::key::{Key, Separator, blanks, close, key_around, next_line, quote_at, separator};
use super::key_name::{self, Secret};
use super::scan::{Hit, Instead, More, Scan};
use super::value::{self, Until};
use super::{flag, pattern};

/// What is read ahead of a name at once; a value that is longer asks for more by itself.
pub(super) const AHEAD: usize = 256;

/// The value behind the name in which a word was found.
pub fn of_word(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, AHEAD)?;
    let Some(key) = key_around(scan, hit) else { return Ok(hit.to) };
    let Some(secret) = key_name::judge(scan.text.get(key.from..key.to).unwrap_or_default()) else { return Ok(hit.to) };
    let (after, closed) = close(scan, key);
    let key = Key { quote: key.quote.filter(|_| closed), ..key };
    let Some((separator, at)) = separator(scan, key, after) else {
        return flag::without_separator(scan, key, after, secret, hit);
    };
    let next = value(scan, key, separator, at, secret)?;
    Ok(next.max(hit.to))
}

pub(super) fn value(
    scan: &mut Scan<'_>,
    key: Key,
    separator: Separator,
    after: usize,
    secret: Secret,
) -> Result<usize, More> {
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

/// A value in quotes that begins behind them.
pub(super) fn quoted(
    scan: &mut Scan<'_>,
    from: usize,
    (quote, depth): (u8, usize),
    secret: Secret,
) -> Result<usize, More> {
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
pub(super) static STOP: LazyLock<Regex> = LazyLock::new(|| {
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

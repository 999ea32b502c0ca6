//! Kubernetes Secrets that somebody printed: whatever their keys are called, the values below `data` and `stringData` go.
//!
//! The collector never asks for Secrets; they come in files that the sender attaches, in logs, and in annotations.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern;
use super::scan::{Hit, Instead, More, Scan};
use super::value::{self, End, Until};

const KIND: &str = "secret";
/// How far behind its data the kind of an object is looked for.
const BEHIND: usize = 2_000;
/// How far before.
const BEFORE: usize = 500;

/// The kind of an object in JSON, or a type that only Secrets have.
static JSON_KIND: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r#"(?-u)\\*"(?:kind\\*"\s*:\s*\\*"[A-Za-z]+\\*"|type\\*"\s*:\s*\\*"(?:{TYPES})\\*")"#))
});
/// The same of a Secret.
static JSON_SECRET: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r#"(?-u)"(?:Secret\\*"$|(?:{TYPES})\\*"$)"#)));
/// The same in YAML.
static YAML_KIND: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r#"(?m-u)^[ \t-]*(?:kind:[ \t]*["']?[A-Za-z]+["']?|type:[ \t]*["']?(?:{TYPES})["']?)[ \t]*\r?$"#))
});
/// The same of a Secret.
static YAML_SECRET: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r#"(?m-u):[ \t]*["']?(?:Secret|{TYPES})["']?[ \t]*\r?$"#)));

/// What stands between two objects, or two documents.
static BETWEEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u)\}[\s,]*\{|\n---"));

/// The built-in types of Secrets (https://kubernetes.io/docs/concepts/configuration/secret/#secret-types), and Helm's.
const TYPES: &str = r"Opaque|kubernetes\.io/(?:tls|basic-auth|ssh-auth|service-account-token|dockercfg|dockerconfigjson)|bootstrap\.kubernetes\.io/token|helm\.sh/release\.v1";

/// `data` or `stringData`, of which it is not known yet whose it is.
pub fn data(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, 64)?;
    let found = scan.text.get(hit.from..hit.to).unwrap_or_default();
    if found.ends_with(b":") {
        return yaml(scan, hit.to, hit);
    }
    let rest = scan.rest(hit.to);
    // In `stringData` the letters may be within another word.
    match rest.first() {
        Some(b'"' | b'\\') => json(scan, hit),
        Some(b':') if !found.starts_with(b"\"") => yaml(scan, hit.to + 1, hit),
        _ => Ok(hit.to),
    }
}

fn skip_blank(text: &[u8], at: usize) -> usize {
    let blank = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    at + blank
}

/// Passes over blanks, a quote of this depth, and gives what is behind it.
fn open_quote(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let backslashes = text.get(at..)?.iter().take_while(|&&byte| byte == b'\\').count();
    (backslashes == depth && text.get(at + depth) == Some(&b'"')).then_some(at + depth + 1)
}

fn json(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    let text = scan.text;
    let depth = text.get(hit.to..).unwrap_or_default().iter().take_while(|&&byte| byte == b'\\').count();
    let Some(after) = open_quote(text, hit.to, depth) else { return Ok(hit.to) };
    let colon = skip_blank(text, after);
    let open = skip_blank(text, colon + 1);
    if text.get(colon) != Some(&b':') || text.get(open) != Some(&b'{') {
        return Ok(hit.to);
    }
    // Where it goes on beyond the text, more of it is needed to tell; a text without end is taken as it is.
    let beyond = if scan.whole { Ok(hit.to) } else { Err(More) };
    let mut values = Vec::new();
    let mut at = open + 1;
    let end = loop {
        at = skip_blank(text, at);
        match text.get(at) {
            Some(b'}') => break at + 1,
            Some(b',') => at += 1,
            None => return beyond,
            Some(_) => {}
        }
        at = skip_blank(text, at);
        let Some(key) = open_quote(text, at, depth) else {
            return if at + 8 > text.len() { beyond } else { Ok(hit.to) };
        };
        let End::At(close) = value::end(text, key, Until::Quote(b'"', depth)) else { return beyond };
        let colon = skip_blank(text, close + depth + 1);
        let value = skip_blank(text, colon + 1);
        if value + depth + 1 >= text.len() {
            return beyond;
        }
        let Some(begins) = open_quote(text, value, depth) else { return Ok(hit.to) };
        match value::end(text, begins, Until::Quote(b'"', depth)) {
            End::At(ends) => {
                values.push((begins, ends));
                at = ends + depth + 1;
            }
            End::Beyond => {
                // Too long to hold: judged by what stands before alone.
                if scan.whole && is_before(scan, hit, &JSON_KIND, &JSON_SECRET) {
                    values.push((begins, text.len()));
                    scan.unfinished = Some((Until::Quote(b'"', depth), KIND));
                    break text.len();
                }
                return beyond;
            }
        }
    };
    if values.is_empty() {
        return Ok(hit.to);
    }
    scan.need(end, BEHIND)?;
    let behind = text.get(end..).unwrap_or_default();
    let behind = behind.get(..BEHIND).unwrap_or(behind);
    // The first kind behind it is its own, where members are sorted; where they are not, it stands before.
    let says = |found: regex::bytes::Match<'_>| JSON_SECRET.is_match(found.as_bytes());
    let is_secret = JSON_KIND.find(behind).is_some_and(says) || is_before(scan, hit, &JSON_KIND, &JSON_SECRET);
    if !is_secret {
        return Ok(hit.to);
    }
    for (from, to) in values {
        mask(scan, from, to);
    }
    Ok(end.max(hit.to))
}

/// Whether the last kind that stands before is that of a Secret.
fn is_before(scan: &Scan<'_>, hit: Hit, kind: &Regex, secret: &Regex) -> bool {
    let before = scan.text.get(hit.from.saturating_sub(BEFORE)..hit.from).unwrap_or_default();
    // What comes before the last document or object ended is not this one's.
    let from = BETWEEN.find_iter(before).last().map_or(0, |found| found.start());
    let last = kind.find_iter(before.get(from..).unwrap_or_default()).last();
    last.is_some_and(|found| secret.is_match(found.as_bytes()))
}

fn mask(scan: &mut Scan<'_>, from: usize, to: usize) {
    let value = scan.text.get(from..to).unwrap_or_default();
    if !value::harmless(value, super::key_name::Secret::Password) {
        scan.mask(from, to, KIND);
    }
}

fn yaml(scan: &mut Scan<'_>, after: usize, hit: Hit) -> Result<usize, More> {
    let text = scan.text;
    let rest = scan.rest(after);
    let newline = memchr::memchr(b'\n', rest);
    let Some(newline) = newline.filter(|&newline| rest.get(..newline).is_some_and(|line| line.trim_ascii().is_empty()))
    else {
        return Ok(hit.to);
    };
    let key = if text.get(hit.from).is_some_and(|byte| matches!(byte, b'\n' | b' ')) { hit.from + 1 } else { hit.from };
    let indent = key - scan.line_start(key);
    let mut at = after + newline + 1;
    let mut values: Vec<(usize, usize)> = Vec::new();
    let mut block = None;
    loop {
        let rest = scan.rest(at);
        let end = match memchr::memchr(b'\n', rest) {
            Some(newline) => at + newline,
            None if scan.whole => text.len(),
            None => return Err(More),
        };
        let line = text.get(at..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let content = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if content < line.len() {
            if content <= indent {
                break;
            }
            if block.is_some_and(|above| content > above) {
                values.push((at + content, at + line.len()));
            } else {
                block = None;
                let colon = line.windows(2).position(|pair| pair == b": ");
                let value = colon.map(|colon| (colon, line.get(colon + 2..).unwrap_or_default().trim_ascii()));
                match value {
                    Some((_, value)) if matches!(value.first(), Some(b'|' | b'>')) => block = Some(content),
                    Some((colon, value)) if !value.is_empty() => values.push((at + colon + 2, at + line.len())),
                    _ => block = Some(content),
                }
            }
        }
        if end >= text.len() {
            at = end;
            break;
        }
        at = end + 1;
    }
    if values.is_empty() {
        return Ok(hit.to);
    }
    scan.need(at, BEHIND)?;
    let behind = scan.rest(at);
    let behind = behind.get(..BEHIND).unwrap_or(behind);
    let document = behind.windows(4).position(|part| part == b"\n---").unwrap_or(behind.len());
    let own = behind.get(..document).unwrap_or_default();
    let next = own.windows(6).position(|part| part == b"\ndata:").unwrap_or(own.len());
    let first = YAML_KIND.find(own.get(..next).unwrap_or_default());
    let is_secret = first.is_some_and(|found| YAML_SECRET.is_match(found.as_bytes()));
    if !is_secret && !is_before(scan, hit, &YAML_KIND, &YAML_SECRET) {
        return Ok(hit.to);
    }
    for (from, to) in values {
        let value = text.get(from..to).unwrap_or_default();
        let lead = value.iter().take_while(|byte| **byte == b' ').count();
        let quotes = usize::from(matches!(value.get(lead), Some(b'"' | b'\'')) && value.len() > lead + 1);
        if !value::harmless(value, super::key_name::Secret::Password) {
            scan.replace(from + lead + quotes, to - quotes, KIND, Instead::Mask);
        }
    }
    Ok(at.max(hit.to))
}

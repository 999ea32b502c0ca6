//! Values that follow a name without a separator: of flags, and in lines of configuration.

use super::assignment::{STOP, quoted};
use super::key::{Key, blanks, next_line, quote_at};
use super::key_name::Secret;
use super::scan::{Hit, More, Scan};
use super::value::{self, End, Until};

/// `--token VALUE` in all its spellings, `password "…"`, and lines of configuration.
pub(super) fn without_separator(
    scan: &mut Scan<'_>,
    key: Key,
    after: usize,
    secret: Secret,
    hit: Hit,
) -> Result<usize, More> {
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
pub(super) fn flag(scan: &mut Scan<'_>, key: Key, after: usize, secret: Secret) -> Result<usize, More> {
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

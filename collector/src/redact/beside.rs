//! Values whose name stands beside them rather than before: variables of a container, schemes of authentication, SQL.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::assignment::{AHEAD, quoted, value};
use super::key::{Key, blanks, close, key_around, quote_at, separator};
use super::key_name::{self, Secret};
use super::scan::{Hit, More, Scan};
use super::value::{self, End, Until};
use super::{encoded, pattern};

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

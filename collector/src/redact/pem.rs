//! Private keys in PEM (RFC 7468), over lines or with written line ends in one line. The lines that say what begins and ends
//! stay, and every line keeps its place.

use super::block::Open;
use super::scan::{Hit, More, Scan};

/// Lines that a key may have: RSA with 16,384 bits has 200.
pub const LINES: usize = 400;

/// What begins with `-----BEGIN`: nothing where it is a certificate.
pub fn begin(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.from, 128)?;
    let rest = scan.rest(hit.to);
    let label = rest.get(..64).unwrap_or(rest);
    let Some(dashes) = label.windows(5).position(|part| part == b"-----") else { return Ok(hit.to) };
    let label = label.get(..dashes).unwrap_or_default();
    if !label.windows(11).any(|part| part.eq_ignore_ascii_case(b"private key")) {
        return Ok(hit.to);
    }
    let body = hit.to + dashes + 5;
    let rest = scan.rest(body);
    let newline = memchr::memchr(b'\n', rest);
    let line = rest.get(..newline.unwrap_or(rest.len())).unwrap_or_default();
    if line.trim_ascii().is_empty() && (newline.is_some() || scan.whole) {
        scan.open = Open::Pem { lines: LINES, others: 0 };
        return Ok(body + newline.map_or(rest.len(), |newline| newline + 1));
    }
    // No key holds a quote: a string of JSON ends with it, before whatever another string holds.
    let closes = line.iter().position(|&byte| byte == b'"');
    let own = line.get(..closes.unwrap_or(line.len())).unwrap_or_default();
    if let Some(end) = own.windows(8).position(|part| part == b"-----END") {
        scan.mask(body, body + end, "private-key");
        return Ok(body + end);
    }
    // It was cut off, or its end is still to come.
    match (closes, newline) {
        (Some(quote), _) => {
            let backslashes = own.iter().rev().take_while(|&&byte| byte == b'\\').count();
            scan.mask(body, body + quote - backslashes, "private-key");
            Ok(body + quote)
        }
        (None, Some(newline)) => {
            let end = newline - usize::from(line.ends_with(b"\r"));
            scan.mask(body, body + end, "private-key");
            // One line of each key may have more behind its label, in a log of JSON.
            scan.open = Open::Pem { lines: LINES, others: 0 };
            Ok(body + newline + 1)
        }
        (None, None) if scan.whole => {
            scan.unfinished = Some((super::value::Until::Line, "private-key"));
            scan.mask(body, scan.text.len(), "private-key");
            Ok(scan.text.len())
        }
        (None, None) => Err(More),
    }
}

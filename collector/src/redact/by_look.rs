//! Secrets that are told by their look alone: tokens, credentials in URLs, and what base64 hides.

use super::block::{self, Open};
use super::key_name::Secret;
use super::scan::{Hit, More, Scan};
use super::value::{self, Until};
use super::{encoded, format, url};

/// How often base64 within base64 is decoded.
const DEPTH: usize = 3;
/// What of a long run of base64 is decoded at most.
const DECODED: usize = 1 << 20;

impl Scan<'_> {
    pub(super) fn bootstrap_tokens(&mut self, from: usize, to: usize) -> Option<usize> {
        let quiet = self.text.get(from..to)?;
        for dot in memchr::memchr_iter(b'.', quiet) {
            if let Some(begins) = format::bootstrap_token(self.text, from + dot)
                && begins >= self.free()
            {
                let to = from + dot + 17;
                self.mask(begins, to, "bootstrap-token");
                return Some(to);
            }
        }
        None
    }

    pub(super) fn credentials(&mut self, hit: Hit) -> Result<usize, More> {
        self.need(hit.to, 600)?;
        if let Some(found) = url::user_info(self.text, hit.to) {
            let value = self.text.get(found.from..found.to).unwrap_or_default();
            if !value::harmless(value, Secret::Password) {
                self.mask(found.from, found.to, "password");
                return Ok(found.to);
            }
        }
        Ok(hit.to)
    }

    pub(super) fn format(&mut self, n: usize, hit: Hit) -> Result<usize, More> {
        let before = hit.from.checked_sub(1).and_then(|at| self.byte(at));
        let first = self.byte(hit.from).unwrap_or(b' ');
        // A token that begins with a letter begins a word; one letter may be the `n` of a written line end.
        let escaped = before == Some(b'n') && hit.from >= 2 && self.byte(hit.from - 2) == Some(b'\\');
        let joins =
            first.is_ascii_alphanumeric() && before.is_some_and(|byte| byte.is_ascii_alphanumeric()) && !escaped;
        let Some(shape) = format::FORMATS.get(n) else { return Ok(hit.to) };
        if joins && shape.begins != "q~" {
            return Ok(hit.from + 1);
        }
        self.need(hit.from, 512)?;
        let Some((from, to)) = format::find(n, self.rest(hit.from)) else { return Ok(hit.from + 1) };
        let (mut from, to) = (hit.from + from, hit.from + to);
        // What these have before their letters is a part of them: Azure's `abc8Q~…`, Telegram's `123456789:AA…`, Terraform's.
        if matches!(shape.begins, "q~" | ":aa" | ".atlasv1.") {
            let own = self.text.get(self.free()..hit.from).unwrap_or_default();
            let before = own
                .iter()
                .rev()
                .take(14)
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
                .count();
            if shape.begins == ":aa" && !(8..=12).contains(&before) {
                return Ok(hit.to);
            }
            from = if shape.begins == ".atlasv1." { hit.from - before } else { from - before };
        }
        if !self.rest(from).starts_with(b"MASKED-") {
            self.mask(from, to, shape.kind);
        }
        Ok(to)
    }

    /// A JSON Web Token, or JSON in base64.
    pub(super) fn json(&mut self, hit: Hit) -> Result<usize, More> {
        let starts = hit
            .from
            .checked_sub(1)
            .and_then(|at| self.byte(at))
            .is_none_or(|b| !value::is_base64(b) || matches!(b, b'=' | b'/' | b'-'));
        let escaped = hit.from >= 2 && self.text.get(hit.from - 2..hit.from) == Some(b"\\n");
        if self.text.get(hit.from..hit.to) != Some(b"eyJ") || !(starts || escaped) {
            return Ok(hit.from + 1);
        }
        let end = self.end(hit.from, Until::Base64, "jwt")?;
        if self.byte(end) == Some(b'.') {
            let second = self.end(end + 1, Until::Base64, "jwt")?;
            if self.byte(second) == Some(b'.') {
                let third = self.end(second + 1, Until::Base64, "jwt")?;
                self.need(third, 1)?;
            }
            if let Some(length) = format::jwt(self.rest(hit.from)) {
                self.mask(hit.from, hit.from + length, "jwt");
                return Ok(hit.from + length);
            }
        }
        self.run_of_base64(hit.from, end)
    }

    /// A word within base64: the run around it is decoded.
    pub(super) fn base64(&mut self, hit: Hit) -> Result<usize, More> {
        let before = self.text.get(self.free()..hit.from).unwrap_or_default();
        let mut from =
            hit.from - before.iter().rev().take_while(|&&byte| value::is_base64(byte) && byte != b'=').count();
        if from >= 1 && self.byte(from - 1) == Some(b'\\') && self.byte(from) == Some(b'n') {
            from += 1;
        }
        let end = self.end(hit.to, Until::Base64, "encoded")?;
        self.run_of_base64(from, end)
    }

    pub(super) fn run_of_base64(&mut self, from: usize, end: usize) -> Result<usize, More> {
        let run = self.text.get(from..end.min(from + DECODED)).unwrap_or_default();
        if self.depth >= DEPTH || !holds_secret(run, self.depth) {
            return Ok(end);
        }
        self.mask(from, end, "encoded");
        let width = end - from;
        if matches!(self.byte(end), Some(b'\n' | b'\r')) && block::WIDTHS.contains(&width) {
            self.open = Open::Encoded { width };
            let newline = self.rest(end).iter().position(|&byte| byte == b'\n').unwrap_or(0);
            return Ok(end + newline + 1);
        }
        Ok(end)
    }
}

/// Whether a run of base64 holds a secret. A path or an identifier that happens to be base64 decodes to noise, in which
/// nothing is found.
fn holds_secret(run: &[u8], depth: usize) -> bool {
    let mut run = run;
    // A path before the run belongs to it as far as its letters go; what is behind the last slash may decode.
    loop {
        let Some(decoded) = encoded::decode(run) else { return false };
        let mut scan = Scan::new(&decoded, 0, true, Open::Nothing);
        scan.depth = depth + 1;
        scan.run(decoded.len());
        let key = decoded.windows(11).any(|part| part == b"PRIVATE KEY");
        if key || !scan.edits.is_empty() {
            return true;
        }
        // `name=` and the like before a run are no base64 of its own.
        let Some(cut) =
            run.iter().take(run.len().saturating_sub(4)).position(|byte| matches!(byte, b'=' | b'/' | b'-' | b'_'))
        else {
            return false;
        };
        run = run.get(cut + 1..).unwrap_or_default();
    }
}

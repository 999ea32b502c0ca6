//! What stays open from one line to the next: a key in PEM, a block of YAML, wrapped base64, a value too long to hold.

use super::pem;
use super::scan::{Instead, More, Scan};
use super::value::{self, End, Until};

/// What is open where a line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Nothing.
    Nothing,
    /// The text may begin within a key, whose first line was cut off.
    Headless,
    /// A private key in PEM; so many lines of it may still come, and so many that are none may lie between.
    Pem {
        /// Lines of the key that may still come.
        lines: usize,
        /// Lines of others between them, so far.
        others: usize,
    },
    /// A value in YAML that goes on in lines that are indented further than this.
    Yaml {
        /// The indentation of its key.
        indent: usize,
        /// What kind of secret it is.
        kind: &'static str,
        /// Whether it is a list, whose items may be indented as far as their key.
        list: bool,
    },
    /// Base64 in lines of this width.
    Encoded {
        /// The length of a full line.
        width: usize,
    },
    /// The rest of a value whose mask is written.
    Rest(Until),
}

/// The widths to which base64 is wrapped: by gpg and others, OpenSSL, OpenSSH, and base64(1).
pub const WIDTHS: [usize; 4] = [60, 64, 70, 76];

/// Lines that others wrote between those of a key, in a log, before the key is given up.
const OTHERS: usize = 8;

impl Scan<'_> {
    /// Goes on with what is open, by one line at most.
    pub(super) fn line(&mut self, at: usize) -> Result<usize, (usize, More)> {
        if let Open::Rest(how) = self.open {
            return Ok(self.rest_of_value(at, how));
        }
        let rest = self.rest(at);
        let (end, next) = match memchr::memchr(b'\n', rest) {
            Some(newline) => (at + newline, at + newline + 1),
            None if self.whole => (self.text.len(), self.text.len()),
            None => return Err((at, More)),
        };
        let line = self.text.get(at..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.open {
            Open::Pem { lines, others } => self.line_of_key(at, line, next, (lines, others)),
            Open::Headless => {
                let Some((from, to)) = last_field(line).filter(|&(from, to)| is_line_of_key(line, from, to)) else {
                    self.open = Open::Nothing;
                    return Ok(at);
                };
                self.mask(at + from, at + to, "private-key");
                self.open = Open::Pem { lines: pem::LINES - 1, others: 0 };
                Ok(next)
            }
            Open::Yaml { indent, kind, list } => Ok(self.line_of_yaml(at, line, next, (indent, kind, list))),
            Open::Encoded { width } => {
                let alone = |from: usize| {
                    line.get(..from).is_some_and(|before| before.trim_ascii().is_empty() || before.starts_with(b"2"))
                };
                let body = last_field(line).filter(|&(from, to)| {
                    to - from <= width && alone(from) && is_all_base64(line.get(from..to).unwrap_or_default())
                });
                let Some((from, to)) = body else {
                    self.open = Open::Nothing;
                    return Ok(at);
                };
                self.replace(at + from, at + to, "encoded", Instead::Again);
                if to - from < width {
                    self.open = Open::Nothing;
                }
                Ok(next)
            }
            Open::Nothing | Open::Rest(_) => Ok(at),
        }
    }

    fn rest_of_value(&mut self, at: usize, how: Until) -> usize {
        let to = match value::end(self.text, at, how) {
            End::At(to) => {
                self.open = Open::Nothing;
                to
            }
            // Backslashes at the end belong to what comes behind them.
            End::Beyond if !self.whole => {
                let backslashes = self.rest(at).iter().rev().take_while(|&&byte| byte == b'\\').count();
                self.text.len() - backslashes.min(64)
            }
            End::Beyond => self.text.len(),
        };
        self.replace(at, to, "rest", Instead::Nothing);
        to
    }

    fn line_of_key(
        &mut self,
        at: usize,
        line: &[u8],
        next: usize,
        (lines, others): (usize, usize),
    ) -> Result<usize, (usize, More)> {
        let ends = line.windows(8).any(|part| part == b"-----END");
        if ends || lines == 0 {
            self.open = Open::Nothing;
            return Ok(at);
        }
        if let Some((from, to)) = body(line) {
            // A key is counted once, however many lines it has.
            let instead = if lines == pem::LINES { Instead::Mask } else { Instead::Again };
            self.replace(at + from, at + to, "private-key", instead);
            self.open = Open::Pem { lines: lines - 1, others: 0 };
            return Ok(next);
        }
        let header = line.is_empty() || line.contains(&b':');
        if others >= OTHERS && !header {
            self.open = Open::Nothing;
            return Ok(at);
        }
        // A line of somebody else's, in which there may be other secrets.
        self.open = Open::Nothing;
        let told = self.anchors(at, next);
        let told = match told {
            Ok(told) => told,
            Err(more) => {
                self.open = Open::Pem { lines, others };
                return Err(more);
            }
        };
        if self.open == Open::Nothing {
            self.open = Open::Pem { lines, others: others + usize::from(!header) };
        }
        Ok(told.max(next))
    }

    fn line_of_yaml(
        &mut self,
        at: usize,
        line: &[u8],
        next: usize,
        (indent, kind, list): (usize, &'static str, bool),
    ) -> usize {
        let content = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let Some(content) = content else { return next };
        let body = line.get(content..).unwrap_or_default();
        let item = body.starts_with(b"- ");
        if !(content > indent || (list && content == indent && item)) {
            self.open = Open::Nothing;
            return at;
        }
        let from = content + if item { 2 } else { 0 };
        let value = line.get(from..).unwrap_or_default();
        // An item that is a mapping is not the secret itself; its own keys say what is.
        if list && is_mapping(value) {
            self.open = Open::Nothing;
            return at;
        }
        self.replace(at + from, at + line.len(), kind, Instead::Mask);
        next
    }
}

fn is_mapping(value: &[u8]) -> bool {
    value.windows(2).any(|pair| pair == b": ") || value.ends_with(b":")
}

/// The last field of a line, where white space separates them: a log has its time before.
fn last_field(line: &[u8]) -> Option<(usize, usize)> {
    let line = line.trim_ascii_end();
    let from = line.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1);
    (from < line.len()).then_some((from, line.len()))
}

fn is_all_base64(text: &[u8]) -> bool {
    text.iter().all(|&byte| value::is_base64(byte))
}

/// Whether a line is a full one of base64, alone or behind the time and stream of a log. A checksum in hexadecimal is as
/// long, and has no capitals.
fn is_line_of_key(line: &[u8], from: usize, to: usize) -> bool {
    let text = line.get(from..to).unwrap_or_default();
    let has = |of: fn(&u8) -> bool| text.iter().any(of);
    let varied = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    let plain = text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    WIDTHS.contains(&text.len()) && varied && plain && (from == 0 || line.first().is_some_and(u8::is_ascii_digit))
}

/// Base64 of the usual alphabet with its padding, or the checksum of PGP.
fn is_part_of_key(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// The part of a line that may be one of a key's: its last field, or the longest run of base64 in a log of JSON.
fn body(line: &[u8]) -> Option<(usize, usize)> {
    if let Some((from, to)) = last_field(line)
        && is_part_of_key(line.get(from..to)?)
    {
        return Some((from, to));
    }
    let mut longest: Option<(usize, usize)> = None;
    let mut from = 0;
    for (at, &byte) in line.iter().chain(b" ").enumerate() {
        if value::is_base64(byte) {
            continue;
        }
        if at - from >= 40 && longest.is_none_or(|(a, b)| at - from > b - a) {
            longest = Some((from, at));
        }
        from = at + 1;
    }
    longest
}

//! Redaction: takes secrets out of every byte before it reaches a bundle, as a stream, in bounded memory.
//!
//! It is the second line. What is collected is decided by allow-lists (`cluster/strip`, `node/secrets`); this finds what came
//! through in texts that nobody can list: logs, configuration, what the sender attached. A mask names the kind of what it
//! hides and a number, `MASKED-password-3914027`, that is the same for the same value everywhere in a run, so that a reader
//! still sees what belongs together; only a node that was reached without exec has numbers of its own. Nothing else of the text changes: lines stay lines, JSON stays JSON, and what was
//! masked once is left alone when it is redacted again.
//!
//! [`stream`] cuts the text into windows, [`scan`] finds secrets in one, the other files each know one way in which secrets
//! are written. [`container`] unpacks and packs gzip, reads UTF-16, and refuses what cannot be looked into.

mod anchor;
mod assignment;
mod beside;
mod block;
mod by_look;
mod container;
mod encoded;
mod flag;
mod format;
mod key;
mod key_name;
mod number;
mod pem;
mod program;
mod scan;
mod secret_object;
mod stream;
mod url;
mod value;
mod zone;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bundle::ItemFilter;
use bundle::filter::FilterFactory;
use regex::bytes::Regex;

use self::container::Container;
pub use self::number::Key;
use self::number::Numbers;

/// The patterns are constants, compiled by the tests; a wrong one would end the program at its first use there.
fn pattern(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

/// One run's redaction: what is the same value gets the same number in all texts that pass it.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    numbers: Numbers,
}

impl Redaction {
    /// Redaction with numbers of its own.
    pub fn new() -> Redaction {
        Redaction::default()
    }

    /// Redaction with the numbers of another collector of the same run.
    pub fn by(key: Key) -> Redaction {
        Redaction { numbers: Numbers::by(key) }
    }

    /// What its numbers are made with.
    pub fn key(&self) -> Key {
        self.numbers.key()
    }

    /// A filter for one text.
    pub fn redactor(&self) -> Redactor {
        Redactor { container: Container::new(self.numbers.clone()) }
    }

    /// The filters of a bundle's items.
    pub fn filters(&self) -> Box<FilterFactory> {
        let redaction = self.clone();
        Box::new(move |_path| Box::new(redaction.redactor()))
    }

    /// A text without its secrets.
    ///
    /// # Errors
    /// Where it cannot be looked through; nothing of it may be shown then.
    pub fn text(&self, text: &str) -> io::Result<String> {
        let mut out = Vec::new();
        self.copy(&mut text.as_bytes(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Copies a text without its secrets. Says how many were masked, by kind.
    pub fn copy(&self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<BTreeMap<String, u64>> {
        let mut redactor = self.redactor();
        let mut buffer = vec![0; 64 << 10];
        let mut out = Vec::new();
        loop {
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let masked = if n == 0 { Some(redactor.finish(&mut out)?) } else { None };
            redactor.push(buffer.get(..n).unwrap_or_default(), &mut out)?;
            to.write_all(&out)?;
            out.clear();
            if let Some(masked) = masked {
                to.flush()?;
                return Ok(masked);
            }
        }
    }
}

/// A message for the terminal without its secrets: what a library or a server said may quote some.
pub fn message(text: &str) -> String {
    let masked = Redaction::new().text(text);
    masked.unwrap_or_else(|_| "the message cannot be searched for secrets, and is not shown".to_owned())
}

/// Redacts one text as it comes.
pub struct Redactor {
    container: Container,
}

impl ItemFilter for Redactor {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.container.push(bytes, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        self.container.finish(out)
    }
}

//! Keeps the beginning and the end of what is too long, and counts what fell out between them.

use std::collections::VecDeque;
use std::io::{self, Write};

/// How much of an item is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Bytes kept from the beginning.
    pub head: u64,
    /// Bytes kept from the end.
    pub tail: u64,
}

impl Cap {
    /// What most items get: the first 1 MB, where headers and the first error are, and the last 9 MB.
    pub const DEFAULT: Cap = Cap { head: 1_000_000, tail: 9_000_000 };

    /// The last `bytes` alone, for logs.
    pub const fn tail(bytes: u64) -> Cap {
        Cap { head: 0, tail: bytes }
    }

    /// Bytes kept in all.
    pub fn total(self) -> u64 {
        self.head + self.tail
    }
}

/// Passes the head on as it comes, holds the tail in memory, and writes it when it is [finished](Capped::finish).
pub struct Capped<W> {
    out: W,
    cap: Cap,
    head_written: u64,
    ends_line: bool,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl<W: Write> Capped<W> {
    /// Caps what goes to `out`.
    pub fn new(out: W, cap: Cap) -> Self {
        Capped { out, cap, head_written: 0, ends_line: true, tail: VecDeque::new(), dropped: 0 }
    }

    /// Says that `bytes` of the original were skipped unread here. What was held of the tail so far lies before the
    /// gap and falls out with it.
    pub fn skip(&mut self, bytes: u64) {
        self.dropped += self.tail.len() as u64 + bytes;
        self.tail.clear();
    }

    /// Writes the tail, behind a line that says how much is missing where something is. Returns how many bytes of the
    /// original are missing.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        if self.dropped > 0 {
            self.drop_partial_line();
            let newline = if self.ends_line { "" } else { "\n" };
            writeln!(self.out, "{newline}[dossier: {} bytes dropped here]", self.dropped)?;
        }
        let (first, second) = self.tail.as_slices();
        self.out.write_all(first)?;
        self.out.write_all(second)?;
        Ok((self.out, self.dropped))
    }

    /// The tail begins in the middle of a line; half a line would be read as a whole one.
    fn drop_partial_line(&mut self) {
        const LONGEST_LINE: usize = 64 * 1024;
        let newline = self.tail.iter().take(LONGEST_LINE).position(|&byte| byte == b'\n');
        if let Some(at) = newline {
            self.tail.drain(..=at);
            self.dropped += at as u64 + 1;
        }
    }
}

impl<W: Write> Write for Capped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.cap.head - self.head_written).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        if let Some(last) = head.last() {
            self.out.write_all(head)?;
            self.head_written += head.len() as u64;
            self.ends_line = *last == b'\n';
        }
        self.tail.extend(rest);
        let limit = usize::try_from(self.cap.tail).unwrap_or(usize::MAX);
        let excess = self.tail.len().saturating_sub(limit);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn capped(input: &str, head: u64, tail: u64) -> (String, u64) {
        let mut capped = Capped::new(Vec::new(), Cap { head, tail });
        for chunk in input.as_bytes().chunks(3) {
            capped.write_all(chunk).unwrap();
        }
        let (out, dropped) = capped.finish().unwrap();
        (String::from_utf8(out).unwrap(), dropped)
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(capped("a\nb\nc\n", 2, 4), ("a\nb\nc\n".to_owned(), 0));
    }

    #[test]
    fn the_middle_is_dropped_and_counted() {
        let input = "one\ntwo\nthree\nfour\nfive\n";
        let (out, dropped) = capped(input, 6, 7);
        assert_eq!(out, "one\ntw\n[dossier: 13 bytes dropped here]\nfive\n");
        assert_eq!(dropped, input.len() as u64 - 6 - 5);
    }

    #[test]
    fn a_tail_without_a_head_begins_with_the_mark() {
        assert_eq!(capped("one\ntwo\nthree\n", 0, 8).0, "[dossier: 8 bytes dropped here]\nthree\n");
    }

    #[test]
    fn what_is_skipped_unread_counts_as_dropped() {
        let mut capped = Capped::new(Vec::new(), Cap { head: 4, tail: 10 });
        capped.write_all(b"one\ntwo\n").unwrap();
        capped.skip(1_000);
        capped.write_all(b"ee\nend\n").unwrap();
        let (out, dropped) = capped.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "one\n[dossier: 1007 bytes dropped here]\nend\n");
        assert_eq!(dropped, 1_007);
    }

    #[test]
    fn a_tail_without_any_line_end_is_kept() {
        assert_eq!(capped("abcdefgh", 2, 3), ("ab\n[dossier: 3 bytes dropped here]\nfgh".to_owned(), 3));
    }
}

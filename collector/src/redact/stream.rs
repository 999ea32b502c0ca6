//! Cuts a text of any length into windows that are passed over one by one.
//!
//! A window is only told as far as enough of what comes behind is seen; the rest is looked at again with the next one. The
//! cuts depend on the text alone, not on how it is handed over. Memory is bounded by [`MOST`], whatever comes: a value that
//! is longer gets its mask when that is reached, and the rest of it is dropped as it comes.

use std::collections::BTreeMap;

use super::block::Open;
use super::number::Numbers;
use super::scan::{Instead, Scan};

/// Bytes that are looked at together.
const WINDOW: usize = 64 << 10;
/// What is seen behind everything that is told.
const AHEAD: usize = 4 << 10;
/// What is seen before.
const BEHIND: usize = 512;
/// How far a window grows for one value.
const MOST: usize = 1 << 20;

/// Redacts plain text.
pub struct Stream {
    numbers: Numbers,
    buffer: Vec<u8>,
    /// Where in the buffer the window begins; before lies what was told last.
    floor: usize,
    size: usize,
    open: Open,
    masked: BTreeMap<&'static str, u64>,
}

impl Stream {
    /// A stream at its beginning, which may lie within a key whose beginning was cut off.
    pub fn new(numbers: Numbers) -> Stream {
        Stream { numbers, buffer: Vec::new(), floor: 0, size: WINDOW, open: Open::Headless, masked: BTreeMap::new() }
    }

    /// Takes text and gives what may be written.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = (self.floor + self.size).saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= self.floor + self.size {
                self.pass(false, out);
            }
        }
    }

    /// Gives the rest, and how many values were masked.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> BTreeMap<String, u64> {
        while self.floor < self.buffer.len() {
            self.pass(true, out);
        }
        std::mem::take(&mut self.masked).into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect()
    }

    fn pass(&mut self, whole: bool, out: &mut Vec<u8>) {
        let until = if whole { self.buffer.len() } else { self.cut() };
        let buffer = std::mem::take(&mut self.buffer);
        let mut scan = Scan::new(&buffer, self.floor, whole, self.open);
        let mut told = scan.run(until).min(buffer.len());
        if told <= self.floor && !whole {
            if self.size < MOST {
                self.size *= 2;
                self.buffer = buffer;
                return;
            }
            // It asks for more than it can have: it is told what there is.
            scan = Scan::new(&buffer, self.floor, true, self.open);
            told = scan.run(self.floor + 1).min(buffer.len());
            if let Some((how, _)) = scan.unfinished {
                scan.open = Open::Rest(how);
            }
        }
        self.open = scan.open;
        let edits = scan.edits;
        let mut at = self.floor;
        for edit in edits.iter().filter(|edit| edit.to <= told) {
            out.extend_from_slice(buffer.get(at..edit.from).unwrap_or_default());
            at = edit.to;
            let value = buffer.get(edit.from..edit.to).unwrap_or_default();
            match edit.instead {
                Instead::Nothing => continue,
                Instead::Quoted(depth) => {
                    let quote = [&b"\\".repeat(depth)[..], b"\""].concat();
                    out.extend_from_slice(&quote);
                    self.numbers.mask(edit.kind, value, out);
                    out.extend_from_slice(&quote);
                }
                Instead::Mask | Instead::Again => self.numbers.mask(edit.kind, value, out),
            }
            if edit.instead != Instead::Again {
                *self.masked.entry(edit.kind).or_insert(0) += 1;
            }
        }
        out.extend_from_slice(buffer.get(at..told).unwrap_or_default());
        self.keep_behind(buffer, told);
    }

    fn keep_behind(&mut self, mut buffer: Vec<u8>, told: usize) {
        let kept = told.saturating_sub(BEHIND);
        buffer.drain(..kept);
        self.floor = told - kept;
        self.size = WINDOW.max((buffer.len() - self.floor) * 2);
        self.buffer = buffer;
    }

    /// How far a window is told: to the last line's end that has enough behind it, or in a long line to the last byte that
    /// is part of no word.
    fn cut(&self) -> usize {
        let end = self.buffer.len().saturating_sub(AHEAD).max(self.floor + 1);
        let told = self.buffer.get(self.floor..end).unwrap_or_default();
        if let Some(newline) = memchr::memrchr(b'\n', told) {
            return self.floor + newline + 1;
        }
        let near = told.len().saturating_sub(AHEAD);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-.\\%".contains(byte);
        let cut = told.get(near..).unwrap_or_default().iter().rposition(|byte| !word(byte));
        cut.map_or(end, |cut| self.floor + near + cut + 1)
    }
}

//! Takes a list response apart while it arrives: the few fields around the list, and its items one by one.

use std::io::{self, Read};

/// The longest object that is held: twenty times what etcd stores in one (its request limit is 1.5 MiB).
const LONGEST: usize = 32 << 20;
/// How much room is made before each read.
const CHUNK: usize = 64 << 10;

/// Why a list ended early.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The answer could not be read to its end.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The answer ended in the middle.
    #[error("the answer ends in the middle of the list")]
    Cut,
    /// The answer is not a list.
    #[error("the answer is not a list in JSON: {0}")]
    Malformed(&'static str),
}

/// A part of a list response.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A member of the outermost object other than the list itself: `kind`, `metadata`, `columnDefinitions`.
    Field(&'a [u8], &'a [u8]),
    /// An item (of `items` or `rows`), as it stands in the text.
    Item(&'a [u8]),
    /// An item that is longer than may be held, of this many bytes.
    TooLong(u64),
}

/// Reads a list response.
pub struct ListReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer is done with.
    done: usize,
    /// The name of the field that was given last.
    name: Vec<u8>,
    state: State,
    longest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Members { first: bool },
    Items { first: bool },
    After,
}

impl<R: Read> ListReader<R> {
    /// A reader of the response that `source` gives.
    pub fn new(source: R) -> ListReader<R> {
        ListReader { source, buffer: Vec::new(), done: 0, name: Vec::new(), state: State::Before, longest: LONGEST }
    }

    /// The next part; none behind the end of the outermost object.
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, ListError> {
        loop {
            match self.state {
                State::Before => {
                    self.expect(b'{', "it does not begin with a brace")?;
                    self.state = State::Members { first: true };
                }
                State::Members { first } => {
                    match self.byte()? {
                        b'}' => {
                            self.done += 1;
                            self.state = State::After;
                            continue;
                        }
                        b',' if !first => self.done += 1,
                        _ if first => {}
                        _ => return Err(ListError::Malformed("a comma is missing")),
                    }
                    self.byte()?;
                    let key = self.extent()?;
                    let name = self.buffer.get(key.start + 1..key.end.saturating_sub(1)).unwrap_or_default();
                    let is_list = name == b"items" || name == b"rows";
                    let name = name.to_vec();
                    self.done = key.end;
                    self.expect(b':', "a colon is missing")?;
                    self.state = State::Members { first: false };
                    match self.byte()? {
                        b'[' if is_list => {
                            self.done += 1;
                            self.state = State::Items { first: true };
                        }
                        _ => return self.field(name).map(Some),
                    }
                }
                State::Items { first } => {
                    match self.byte()? {
                        b']' => {
                            self.done += 1;
                            self.state = State::Members { first: false };
                            continue;
                        }
                        b',' if !first => self.done += 1,
                        _ if first => {}
                        _ => return Err(ListError::Malformed("a comma is missing between items")),
                    }
                    self.byte()?;
                    self.state = State::Items { first: false };
                    return self.item().map(Some);
                }
                State::After => return Ok(None),
            }
        }
    }

    fn field(&mut self, name: Vec<u8>) -> Result<Part<'_>, ListError> {
        let value = self.extent()?;
        if value.dropped > 0 {
            return Err(ListError::Malformed("a field beside the list is too long"));
        }
        self.done = value.end;
        self.name = name;
        Ok(Part::Field(&self.name, self.buffer.get(value.start..value.end).unwrap_or_default()))
    }

    fn item(&mut self) -> Result<Part<'_>, ListError> {
        let item = self.extent()?;
        self.done = item.end;
        if item.dropped > 0 {
            return Ok(Part::TooLong(item.dropped + (item.end - item.start) as u64));
        }
        Ok(Part::Item(self.buffer.get(item.start..item.end).unwrap_or_default()))
    }
}

/// Where a value lies in the buffer.
struct Extent {
    start: usize,
    end: usize,
    /// Bytes of it that were not kept because it is too long.
    dropped: u64,
}

impl<R: Read> ListReader<R> {
    /// Finds the end of the value that begins at `done`, reading as far as needed. Brackets and strings are counted;
    /// whether it is valid within is for who walks it.
    fn extent(&mut self) -> Result<Extent, ListError> {
        let mut scan = Scan::default();
        let mut at = self.done;
        let mut dropped = 0;
        loop {
            let unseen = self.buffer.get(at..).unwrap_or_default();
            if let Some(length) = scan.end_in(unseen) {
                return Ok(Extent { start: self.done, end: at + length, dropped });
            }
            at = self.buffer.len();
            if at - self.done > self.longest {
                dropped += (at - self.done) as u64;
                self.buffer.clear();
                self.done = 0;
                at = 0;
            }
            let moved = self.done;
            if !self.fill()? {
                return Err(ListError::Cut);
            }
            // Filling moved what is unfinished to the front of the buffer.
            at -= moved;
        }
    }

    /// The next byte that is not white space.
    fn byte(&mut self) -> Result<u8, ListError> {
        loop {
            while let Some(&byte) = self.buffer.get(self.done) {
                if !byte.is_ascii_whitespace() {
                    return Ok(byte);
                }
                self.done += 1;
            }
            if !self.fill()? {
                return Err(ListError::Cut);
            }
        }
    }

    fn expect(&mut self, wanted: u8, complaint: &'static str) -> Result<(), ListError> {
        if self.byte()? != wanted {
            return Err(ListError::Malformed(complaint));
        }
        self.done += 1;
        Ok(())
    }

    /// Reads more, behind what is unfinished; false at the end of the source.
    fn fill(&mut self) -> Result<bool, ListError> {
        self.buffer.drain(..self.done);
        self.done = 0;
        let kept = self.buffer.len();
        self.buffer.resize(kept + CHUNK, 0);
        let room = self.buffer.get_mut(kept..).unwrap_or_default();
        let read = loop {
            match self.source.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(kept + read.as_ref().copied().unwrap_or(0));
        Ok(read? > 0)
    }
}

/// What is known of a value that has been seen in part.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    scalar: bool,
}

impl Scan {
    /// The length of what belongs to the value, where it ends within these bytes.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let rest = bytes.get(at..).unwrap_or_default();
                let run = rest.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
                at += run;
                match rest.get(run) {
                    Some(b'"') => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => self.escaped = true,
                }
                at += 1;
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    if self.scalar && self.depth == 0 {
                        return Some(at);
                    }
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => return Some(at),
                _ if self.depth == 0 => self.scalar = true,
                _ => {}
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Gives at most `step` bytes a read, so that parts are cut at every place.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(room.len());
            room[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn parts(text: &str, step: usize) -> Result<Vec<String>, ListError> {
        let mut reader = ListReader::new(Drip(text.as_bytes(), step));
        reader.longest = 64;
        let mut parts = Vec::new();
        while let Some(part) = reader.next_part()? {
            parts.push(match part {
                Part::Field(name, value) => {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
                }
                Part::Item(item) => String::from_utf8_lossy(item).into_owned(),
                Part::TooLong(bytes) => format!("too long: {bytes}"),
            });
        }
        Ok(parts)
    }

    const PODS: &str =
        r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a":"}]\\\""}, {"b":[1,2]} ,3],"x":true}"#;

    #[test]
    fn a_list_is_the_same_however_it_arrives() {
        let expected = [
            "kind=\"PodList\"",
            "metadata={\"resourceVersion\":\"7\"}",
            r#"{"a":"}]\\\""}"#,
            "{\"b\":[1,2]}",
            "3",
            "x=true",
        ];
        for step in 1..PODS.len() {
            assert_eq!(parts(PODS, step).unwrap(), expected, "{step} bytes a read");
        }
    }

    #[test]
    fn an_empty_list_and_one_that_is_null_have_no_items() {
        assert_eq!(parts(r#"{"items":[]}"#, 3).unwrap(), [""; 0]);
        assert_eq!(parts(r#"{"items":null}"#, 3).unwrap(), ["items=null"]);
    }

    #[test]
    fn a_list_that_ends_early_is_told_from_one_that_is_wrong() {
        for end in 0..PODS.len() {
            assert!(matches!(parts(&PODS[..end], 5), Err(ListError::Cut)), "cut at {end}");
        }
        for text in ["<html>", "[]", r#"{"a" 1}"#, r#"{"items":[1 2]}"#] {
            assert!(matches!(parts(text, 2), Err(ListError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn an_item_too_long_to_hold_is_passed_over_and_the_next_one_is_not() {
        let long = format!(r#"{{"items":[{{"a":"{}"}},{{"b":1}}]}}"#, "x".repeat(200_000));
        assert_eq!(parts(&long, 1000).unwrap(), ["too long: 200008", "{\"b\":1}"]);
    }

    proptest! {
        #[test]
        fn items_come_out_as_they_went_in(items in prop::collection::vec(r#"\{"[a-z]{1,3}":("[^"\\\x00-\x1f]{0,9}"|-?[1-9][0-9]{0,3}|\[\{\}\])\}"#, 0..6), step in 1usize..40) {
            let text = format!(r#"{{"items":[{}]}}"#, items.join(","));
            prop_assert_eq!(parts(&text, step).unwrap(), items);
        }
    }
}

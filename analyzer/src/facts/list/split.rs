//! Finds the objects of a list's `items` in a JSON document that arrives in pieces, without parsing them.
//!
//! An object ends where its braces balance outside strings, so that only braces, quotes and backslashes are looked at.

use std::ops::Range;

/// Bytes of the largest object that is kept. An API server stores at most some megabytes of one.
const OBJECT_LIMIT: usize = 32_000_000;

/// What stands in a piece.
#[derive(Debug, Default)]
pub struct Found {
    /// The ranges of complete objects.
    pub objects: Vec<Range<usize>>,
    /// Bytes at the piece's beginning that are done with; the rest must come again in front of the next piece.
    pub done: usize,
    /// Why nothing behind these objects can be read.
    pub problem: Option<SplitError>,
}

/// Where the splitter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `"items": [`.
    Before,
    /// Between objects.
    Between,
    /// In an object.
    Object,
    /// In a plain value that stands where an object should: `null` for one that the collector could not read.
    Plain,
    /// After the list.
    After,
}

/// Why the rest of a list cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Something in `items` that is no object.
    #[error("`items` holds something that is no object")]
    NoObject,
    /// The document ended before `items` did.
    #[error("the document ends before its list does")]
    Unfinished,
    /// No `items`.
    #[error("the document has no list `items`")]
    NoItems,
}

/// The splitter's state between pieces.
#[derive(Debug)]
pub struct Splitter {
    place: Place,
    /// Braces and, before the items, brackets that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Before the items: the beginning of the last string directly in the document's object.
    key: Vec<u8>,
    /// Bytes of the object at hand that were looked at already and come again in front of the next piece.
    seen: usize,
    /// The object at hand is too large: its bytes are dropped, its end is still looked for.
    dropping: bool,
    /// Objects found, the dropped ones too.
    count: usize,
    /// Indexes of objects that were too large.
    pub dropped: Vec<usize>,
}

impl Default for Splitter {
    fn default() -> Self {
        Splitter {
            place: Place::Before,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            seen: 0,
            dropping: false,
            count: 0,
            dropped: Vec::new(),
        }
    }
}

impl Splitter {
    /// Looks at a piece that begins with what the last piece did not finish.
    pub fn look(&mut self, piece: &[u8]) -> Found {
        let mut found = Found::default();
        let mut at = 0;
        while at < piece.len() {
            match self.place {
                Place::Before => at = self.before(piece, at),
                Place::Between => match self.between(piece, at) {
                    Ok(next) => at = next,
                    Err(problem) => return Found { problem: Some(problem), ..found },
                },
                Place::Object => {
                    let start = at;
                    let end = self.object_end(piece, start + self.seen);
                    let Some(end) = end else {
                        self.keep_or_drop(piece.len() - start);
                        found.done = if self.dropping { piece.len() } else { start };
                        return found;
                    };
                    self.seen = 0;
                    if self.dropping {
                        self.dropped.push(self.count);
                        self.dropping = false;
                    } else {
                        found.objects.push(start..end);
                    }
                    self.count += 1;
                    self.place = Place::Between;
                    at = end;
                }
                Place::Plain => {
                    let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                    let Some(length) = piece.iter().skip(at).position(ends) else {
                        // The longest plain value is a number.
                        if piece.len() - at > 64 {
                            return Found { problem: Some(SplitError::NoObject), ..found };
                        }
                        found.done = at;
                        return found;
                    };
                    found.objects.push(at..at + length);
                    self.count += 1;
                    self.place = Place::Between;
                    at += length;
                }
                Place::After => at = piece.len(),
            }
        }
        found.done = at;
        found
    }

    /// The document has ended; tells whether the list had.
    pub fn finish(&self) -> Result<(), SplitError> {
        match self.place {
            Place::After => Ok(()),
            Place::Before => Err(SplitError::NoItems),
            Place::Between | Place::Object | Place::Plain => Err(SplitError::Unfinished),
        }
    }

    /// The index of the next object.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Looks for `"items": [` directly in the document's object; gives where to go on.
    fn before(&mut self, piece: &[u8], from: usize) -> usize {
        for (offset, &byte) in piece.iter().enumerate().skip(from) {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ if self.depth == 1 && self.key.len() < 16 => self.key.push(byte),
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => {
                    self.in_string = true;
                    if self.depth == 1 {
                        self.key.clear();
                    }
                }
                b'[' if self.depth == 1 && self.key == b"items" => {
                    self.place = Place::Between;
                    return offset + 1;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                // A value that is no string ends the key: `"items": null, "x": [`.
                b'n' | b't' | b'f' | b'0'..=b'9' if self.depth == 1 => self.key.clear(),
                _ => {}
            }
        }
        piece.len()
    }

    fn between(&mut self, piece: &[u8], from: usize) -> Result<usize, SplitError> {
        for (offset, byte) in piece.iter().enumerate().skip(from) {
            match byte {
                b',' | b' ' | b'\n' | b'\r' | b'\t' => {}
                b'{' => {
                    (self.place, self.depth, self.seen) = (Place::Object, 0, 0);
                    return Ok(offset);
                }
                b']' => {
                    self.place = Place::After;
                    return Ok(offset + 1);
                }
                b'n' | b't' | b'f' | b'-' | b'0'..=b'9' => {
                    self.place = Place::Plain;
                    return Ok(offset);
                }
                _ => return Err(SplitError::NoObject),
            }
        }
        Ok(piece.len())
    }

    /// Where the object ends that is open at `from`, if it does in this piece.
    fn object_end(&mut self, piece: &[u8], from: usize) -> Option<usize> {
        let (mut at, mut depth) = (from, self.depth);
        if self.in_string {
            at = self.string_end(piece, at)?;
        }
        while let Some(&byte) = piece.get(at) {
            at += 1;
            match byte {
                b'"' => match self.string_end(piece, at) {
                    Some(end) => at = end,
                    None => {
                        self.depth = depth;
                        return None;
                    }
                },
                b'{' => depth += 1,
                b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.depth = 0;
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        self.depth = depth;
        None
    }

    /// Where the string ends that is open at `from`: behind its quote. Without an end the state says so.
    fn string_end(&mut self, piece: &[u8], from: usize) -> Option<usize> {
        let mut at = from + usize::from(self.escaped);
        self.escaped = false;
        while let Some(&byte) = piece.get(at) {
            match byte {
                b'"' => {
                    self.in_string = false;
                    return Some(at + 1);
                }
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.in_string = true;
        self.escaped = at > piece.len();
        None
    }

    fn keep_or_drop(&mut self, bytes: usize) {
        if self.dropping || bytes > OBJECT_LIMIT {
            (self.dropping, self.seen) = (true, 0);
        } else {
            self.seen = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits a document that arrives in pieces of this size.
    fn split(document: &[u8], size: usize) -> (Vec<String>, Result<(), SplitError>) {
        let mut splitter = Splitter::default();
        let (mut objects, mut rest) = (Vec::new(), Vec::new());
        for piece in document.chunks(size.max(1)) {
            rest.extend_from_slice(piece);
            let found = splitter.look(&rest);
            objects
                .extend(found.objects.iter().map(|range| String::from_utf8_lossy(&rest[range.clone()]).into_owned()));
            if let Some(problem) = found.problem {
                return (objects, Err(problem));
            }
            rest.drain(..found.done);
        }
        (objects, splitter.finish())
    }

    #[test]
    fn objects_end_where_their_braces_balance() {
        let document = br#"{"kind":"PodList","metadata":{"items":["no"]},"items":[{"a":"}\"{"} ,
            {"b":{"c":[{}]}}],"after":[1]}"#;
        for size in [1, 2, 3, 7, 1000] {
            let (objects, end) = split(document, size);
            assert_eq!(objects, [r#"{"a":"}\"{"}"#, r#"{"b":{"c":[{}]}}"#], "pieces of {size}");
            assert_eq!(end, Ok(()));
        }
    }

    #[test]
    fn what_is_no_list_says_so() {
        assert_eq!(split(br#"{"items":null,"other":[{}]}"#, 3).1, Err(SplitError::NoItems));
        assert_eq!(split(b"", 3).1, Err(SplitError::NoItems));
        assert_eq!(split(br#"{"items":[]}"#, 3), (Vec::new(), Ok(())));
        let (objects, end) = split(br#"{"items":[{"a":1},{"b":"#, 5);
        assert_eq!((objects.len(), end), (1, Err(SplitError::Unfinished)));
        let (objects, end) = split(br#"{"items":[{"a":1},["x"]]}"#, 5);
        assert_eq!((objects.len(), end), (1, Err(SplitError::NoObject)));
        let (objects, end) = split(br#"{"items":[{"a":1},null,{"b":1}]}"#, 5);
        assert_eq!((objects.get(1).map(String::as_str), objects.len(), end), (Some("null"), 3, Ok(())));
    }

    proptest! {
        /// Whatever the strings hold and wherever the pieces end, the objects come out as they went in.
        #[test]
        fn any_strings_in_any_pieces(texts in prop::collection::vec(".{0,12}", 0..6), size in 1usize..40) {
            let items: Vec<String> =
                texts.iter().map(|text| serde_json::json!({"t": text, "n": {"m": [text]}}).to_string()).collect();
            let document = format!("{{\"kind\":\"L\",\"items\":[{}]}}", items.join(","));
            let (objects, end) = split(document.as_bytes(), size);
            prop_assert_eq!(objects, items);
            prop_assert_eq!(end, Ok(()));
        }
    }
}

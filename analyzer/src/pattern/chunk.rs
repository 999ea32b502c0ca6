//! A log as a stream of chunks that end at line ends.

use std::io::{self, Read};

/// Bytes of a chunk. Large enough that a search costs nothing to begin, small enough to stay in a core's cache.
pub const CHUNK: usize = 1 << 20;

/// A log that is being read.
pub struct Chunks<'b> {
    stream: Box<dyn Read + Send + 'b>,
    /// The beginning of a line whose end was not read yet.
    carried: Vec<u8>,
    /// Line ends so far.
    lines: u64,
    ended: bool,
}

/// A piece of a log: whole lines, except that a line longer than [`CHUNK`] is cut.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Line ends before the piece.
    pub lines_before: u64,
}

impl<'b> Chunks<'b> {
    /// A log from its beginning.
    pub fn new(stream: Box<dyn Read + Send + 'b>) -> Chunks<'b> {
        Chunks { stream, carried: Vec::new(), lines: 0, ended: false }
    }

    /// Reads the next piece into a buffer that is used again and again; false at the log's end.
    pub fn next(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        chunk.bytes.clear();
        chunk.bytes.append(&mut self.carried);
        chunk.lines_before = self.lines;
        if self.ended {
            return Ok(false);
        }
        let room = CHUNK.saturating_sub(chunk.bytes.len()) as u64;
        let read = self.stream.by_ref().take(room).read_to_end(&mut chunk.bytes)?;
        if (read as u64) < room {
            self.ended = true;
        } else if let Some(last) = chunk.bytes.iter().rposition(|byte| *byte == b'\n') {
            self.carried.extend_from_slice(chunk.bytes.get(last + 1..).unwrap_or_default());
            chunk.bytes.truncate(last + 1);
        }
        self.lines += line_ends(&chunk.bytes);
        Ok(!chunk.bytes.is_empty())
    }
}

/// The number of line ends. Counted in blocks whose sum fits a byte, which the compiler turns into vector code.
pub fn line_ends(bytes: &[u8]) -> u64 {
    let in_block = |block: &[u8]| u64::from(block.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>());
    bytes.chunks(u8::MAX as usize).map(in_block).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut chunks = Chunks::new(Box::new(text));
        let mut chunk = Chunk::default();
        let mut pieces = Vec::new();
        while chunks.next(&mut chunk).unwrap() {
            pieces.push((chunk.lines_before, chunk.bytes.clone()));
        }
        pieces
    }

    #[test]
    fn chunks_end_at_line_ends_and_know_their_lines() {
        let text: Vec<u8> = (0..300_000).flat_map(|n| format!("line {n}\n").into_bytes()).chain(*b"last").collect();
        let pieces = pieces(&text);
        assert!(pieces.len() > 2);
        let mut lines = 0;
        for (index, (before, piece)) in pieces.iter().enumerate() {
            assert_eq!(*before, lines);
            assert!(index + 1 == pieces.len() || piece.ends_with(b"\n"));
            lines += line_ends(piece);
        }
        assert_eq!(pieces.concat_bytes(), text);
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_cut() {
        let text = vec![b'x'; CHUNK * 2 + 5];
        let pieces = pieces(&text);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces.concat_bytes(), text);
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl Concat for Vec<(u64, Vec<u8>)> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, piece)| piece.clone()).collect()
        }
    }
}

//! Deflate, with compressors that serve one item after the other.
//!
//! A compressor holds 380 kB. Made anew for each item it would cost more than a short item itself; and glibc does not use
//! the place of one that was freed for the next (its alignment asks for more than the place has), so that the memory of a
//! run with hundreds of logs grew with their number.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::{Compress, Compression, FlushCompress, Status};

/// What is made room for at once where deflated bytes go.
const ROOM: usize = 32 << 10;

/// How much is tried to make an entry small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For logs. Of 30 MB of component logs 4.6 MB are left, at 268 MB/s; the usual effort leaves 4.2 MB, at 114 MB/s.
    Little,
    /// For all else. Of a list of pods a twentieth is left, at 585 MB/s; little effort leaves a sixteenth and is no faster.
    Usual,
}

impl Effort {
    /// The effort for an entry of this name.
    pub(crate) fn of(path: &str) -> Effort {
        if path.ends_with(".log") { Effort::Little } else { Effort::Usual }
    }

    fn level(self) -> Compression {
        match self {
            Effort::Little => Compression::new(3),
            Effort::Usual => Compression::default(),
        }
    }
}

/// Compressors that wait for the next item; as many as there were items at one time.
#[derive(Default)]
pub(crate) struct Compressors {
    little: Mutex<Vec<Compress>>,
    usual: Mutex<Vec<Compress>>,
}

impl Compressors {
    fn waiting(&self, effort: Effort) -> MutexGuard<'_, Vec<Compress>> {
        let waiting = match effort {
            Effort::Little => &self.little,
            Effort::Usual => &self.usual,
        };
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, effort: Effort) -> Compress {
        let waiting = self.waiting(effort).pop();
        waiting.unwrap_or_else(|| Compress::new(effort.level(), false))
    }

    fn give_back(&self, effort: Effort, mut compress: Compress) {
        compress.reset();
        self.waiting(effort).push(compress);
    }
}

impl std::fmt::Debug for Compressors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressors")
    }
}

/// A compressor that was lent, with the room that it writes into.
pub(crate) struct Compressor {
    /// None once it was given back.
    compress: Option<Compress>,
    effort: Effort,
    room: Vec<u8>,
    lender: Arc<Compressors>,
}

impl Compressor {
    /// Borrows one.
    pub(crate) fn of(lender: &Arc<Compressors>, effort: Effort) -> Compressor {
        let compress = Some(lender.take(effort));
        Compressor { compress, effort, room: Vec::with_capacity(ROOM), lender: lender.clone() }
    }

    /// Deflates bytes into `place`; some of them wait for more.
    pub(crate) fn put(&mut self, bytes: &[u8], place: &mut impl Write) -> io::Result<()> {
        match bytes {
            [] => Ok(()),
            _ => self.run(bytes, FlushCompress::None, place).map(drop),
        }
    }

    /// Deflates what waits, and tells how many bytes there are in all.
    pub(crate) fn finish(&mut self, place: &mut impl Write) -> io::Result<u64> {
        self.run(&[], FlushCompress::Finish, place)
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress, place: &mut impl Write) -> io::Result<u64> {
        let Some(compress) = &mut self.compress else { return Err(io::Error::other("the compressor was given back")) };
        loop {
            self.room.clear();
            let before = compress.total_in();
            let status = compress.compress_vec(bytes, &mut self.room, flush).map_err(io::Error::other)?;
            let used = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
            bytes = bytes.get(used..).unwrap_or_default();
            place.write_all(&self.room)?;
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                // What did not fill the room is all that is to be had for now.
                _ => bytes.is_empty() && self.room.len() < self.room.capacity(),
            };
            if is_done {
                return Ok(compress.total_out());
            }
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Some(compress) = self.compress.take() {
            self.lender.give_back(self.effort, compress);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_compressor_that_was_used_before_gives_the_same_bytes() {
        let lender = Arc::new(Compressors::default());
        let content: Vec<u8> = (0..300_000u32).flat_map(|n| (n % 977 * (n / 5_000)).to_le_bytes()).collect();
        let pack = |part: usize| {
            let (mut compressor, mut packed) = (Compressor::of(&lender, Effort::Usual), Vec::new());
            content.chunks(part).for_each(|bytes| compressor.put(bytes, &mut packed).unwrap());
            let total = compressor.finish(&mut packed).unwrap();
            assert_eq!(total, packed.len() as u64);
            packed
        };
        let first = pack(10_007);
        assert!(pack(10_007) == first);
        assert_eq!(lender.waiting(Effort::Usual).len(), 1, "one was enough");
        // One that is dropped in the middle of an entry is as good as new, too.
        let mut dropped = Compressor::of(&lender, Effort::Usual);
        dropped.put(&content, &mut Vec::new()).unwrap();
        drop(dropped);
        assert!(pack(10_007) == first);
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(first.as_slice()).read_to_end(&mut back).unwrap();
        assert!(back == content);
    }

    #[test]
    fn logs_take_little_effort_and_do_not_slow_others() {
        assert_eq!(Effort::of("nodes/n1/logs/kubelet.log"), Effort::Little);
        assert_eq!(Effort::of("cluster/core/pods.json"), Effort::Usual);
        let lender = Arc::new(Compressors::default());
        drop([Compressor::of(&lender, Effort::Little), Compressor::of(&lender, Effort::Usual)]);
        assert_eq!((lender.waiting(Effort::Little).len(), lender.waiting(Effort::Usual).len()), (1, 1));
    }
}

//! The streaming filter that every item passes before its hash is computed and before any byte reaches the disk.
//!
//! The writer offers no way round it, so that redaction, when it comes, has one place to stand.

use std::collections::BTreeMap;
use std::io;

/// A filter for the bytes of one item.
pub trait ItemFilter: Send {
    /// Takes bytes and gives what may be written of them; it may hold some back.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()>;
    /// Gives what was held back, and how many values were masked, by kind.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>>;
}

/// Makes the filter for an item with this path in the bundle.
pub type FilterFactory = dyn Fn(&str) -> Box<dyn ItemFilter> + Send + Sync;

/// Lets everything through; what there is until redaction exists.
#[derive(Debug, Default)]
pub struct Identity;

impl ItemFilter for Identity {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        Ok(BTreeMap::new())
    }
}

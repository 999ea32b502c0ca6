//! Bounds on what a reader believes of a bundle. A bundle is hostile input.

/// The bounds. `Default` is what the product uses; tests make smaller ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one entry, read as a stream.
    pub entry_streamed: u64,
    /// Bytes of one entry, held whole in memory.
    pub entry_whole: u64,
    /// Uncompressed bytes of all entries together.
    pub total: u64,
    /// Number of entries.
    pub entries: usize,
    /// Bytes of an entry's name.
    pub name: usize,
    /// Folders that an entry lies below.
    pub nesting: usize,
    /// Uncompressed over compressed size; asked only above `ratio_from` bytes, because logs repeat themselves.
    pub ratio: u64,
    /// Uncompressed size from which the ratio is asked.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MB: u64 = 1_000_000;
        Limits {
            entry_streamed: 4_000 * MB,
            entry_whole: 256 * MB,
            total: 16_000 * MB,
            entries: 200_000,
            name: 1_024,
            nesting: 16,
            ratio: 200,
            ratio_from: 64 * MB,
        }
    }
}

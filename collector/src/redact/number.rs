//! The number of a value: the same for the same value, and telling nothing about it.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Gives numbers. A number is four bytes of SHA-256 over a key, which is drawn for the run and kept nowhere, and the
/// value: so threads need not agree on who counts, and nobody can try a dictionary on the bundle.
#[derive(Debug, Clone)]
pub struct Numbers {
    key: Arc<[u8; 32]>,
}

impl Default for Numbers {
    fn default() -> Self {
        let mut key = [0; 32];
        for (n, part) in key.chunks_mut(8).enumerate() {
            // Each of these is keyed by the system's random numbers.
            let drawn = RandomState::new().hash_one(n);
            part.copy_from_slice(&drawn.to_le_bytes());
        }
        Numbers { key: Arc::new(key) }
    }
}

impl Numbers {
    /// Writes the mask of a value.
    pub fn mask(&self, kind: &str, value: &[u8], out: &mut Vec<u8>) {
        let digest = Sha256::new().chain_update(*self.key).chain_update(value).finalize();
        let number = digest.iter().take(4).fold(0u32, |number, &byte| number << 8 | u32::from(byte));
        let mut mask = String::new();
        // Writing to a string does not fail.
        let _ = write!(mask, "MASKED-{kind}-{number}");
        out.extend_from_slice(mask.as_bytes());
    }
}

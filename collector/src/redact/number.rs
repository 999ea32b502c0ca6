//! The number of a value: the same for the same value, and telling nothing about it.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, RandomState};

use sha2::{Digest, Sha256};

/// What numbers are made with. It is drawn for the run and kept nowhere, so that nobody can try a dictionary on the bundle;
/// the collectors that a run starts on nodes are told it ([`crate::reach`]).
#[derive(Clone, Copy)]
pub struct Key([u8; Key::LENGTH]);

impl Key {
    /// Its bytes.
    pub const LENGTH: usize = 32;

    /// To be told to another collector of the same run, and to nobody else.
    pub fn to_bytes(self) -> [u8; Key::LENGTH] {
        self.0
    }

    fn draw() -> Key {
        let mut key = [0; Key::LENGTH];
        for (n, part) in key.chunks_mut(8).enumerate() {
            // Each of these is keyed by the system's random numbers.
            let drawn = RandomState::new().hash_one(n);
            part.copy_from_slice(&drawn.to_le_bytes());
        }
        Key(key)
    }
}

impl From<[u8; Key::LENGTH]> for Key {
    fn from(bytes: [u8; Key::LENGTH]) -> Key {
        Key(bytes)
    }
}

/// A key is not shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Gives numbers. A number is four bytes of SHA-256 over the run's key and the value, so that threads need not agree on who
/// counts.
#[derive(Debug, Clone)]
pub struct Numbers {
    key: Key,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers::by(Key::draw())
    }
}

impl Numbers {
    /// Numbers that are made with a key.
    pub fn by(key: Key) -> Numbers {
        Numbers { key }
    }

    /// What they are made with.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Writes the mask of a value.
    pub fn mask(&self, kind: &str, value: &[u8], out: &mut Vec<u8>) {
        let digest = Sha256::new().chain_update(self.key.0).chain_update(value).finalize();
        let number = digest.iter().take(4).fold(0u32, |number, &byte| number << 8 | u32::from(byte));
        let mut mask = String::new();
        // Writing to a string does not fail.
        let _ = write!(mask, "MASKED-{kind}-{number}");
        out.extend_from_slice(mask.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_the_same_numbers_everywhere_and_is_not_shown() {
        let mask = |numbers: &Numbers, value: &str| {
            let mut out = Vec::new();
            numbers.mask("password", value.as_bytes(), &mut out);
            out
        };
        let here = Numbers::default();
        let there = Numbers::by(Key::from(here.key().to_bytes()));
        assert_eq!(mask(&here, "hunter2"), mask(&there, "hunter2"));
        assert_ne!(mask(&here, "hunter2"), mask(&here, "hunter3"));
        assert_ne!(mask(&here, "hunter2"), mask(&Numbers::default(), "hunter2"));
        assert_eq!(format!("{here:?}"), "Numbers { key: Key }");
    }
}

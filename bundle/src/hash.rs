//! SHA-256 as the manifest and `sha256sum` spell it.

use sha2::{Digest, Sha256};

/// The SHA-256 of content that lies in memory whole, as the manifest spells it.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

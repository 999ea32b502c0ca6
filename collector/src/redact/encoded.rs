//! Secrets within base64: of a key's PEM, of a Docker configuration, of any text with a password in it.
//!
//! Base64 turns three bytes into four letters, so a word within the encoded text has one of three spellings, by its
//! offset. Words that stand before secrets are looked for in all three; where one is found, the whole run of base64 is
//! decoded and looked through as any text is.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Words whose encoded spellings are looked for. The last is the beginning of a PEM block encoded once already.
const WORDS: &[&str] = &[
    "PRIVATE KEY",
    "password",
    "Password",
    "PASSWORD",
    "secret",
    "SECRET",
    "_token",
    "token",
    "TOKEN",
    "\"auth\"",
    "://",
    "TUdMS",
    "LS0tLS1CRUdJTi",
];

/// The shortest run that is decoded.
const SHORTEST: usize = 16;

/// All spellings.
pub fn spellings() -> Vec<String> {
    let mut spellings = Vec::new();
    for word in WORDS {
        for offset in 0..3 {
            let mut padded = vec![b'_'; offset];
            padded.extend_from_slice(word.as_bytes());
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&padded);
            // Letters that carry bits of what is before or behind the word are not the word's own.
            let from = (offset * 8).div_ceil(6);
            let to = (padded.len() * 8) / 6;
            // Short ones would be found by chance.
            if let Some(own) = encoded.get(from..to).filter(|own| own.len() >= 6) {
                spellings.push(own.to_owned());
            }
        }
    }
    spellings.sort();
    spellings.dedup();
    spellings
}

/// Decodes a run of base64 of either alphabet, however it is padded. Letters behind the last whole group are left out.
pub fn decode(run: &[u8]) -> Option<Vec<u8>> {
    if run.len() < SHORTEST {
        return None;
    }
    let run = run.trim_ascii_end();
    let padding = run.iter().rev().take_while(|&&byte| byte == b'=').count();
    let letters = run.get(..run.len() - padding)?;
    let letters = letters.get(..letters.len() - usize::from(letters.len() % 4 == 1))?;
    let alphabet = if letters.iter().any(|byte| matches!(byte, b'-' | b'_')) { &URL_SAFE } else { &STANDARD };
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config).decode(letters).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::engine::general_purpose::STANDARD as PLAIN;

    use super::*;

    #[test]
    fn a_word_is_found_at_every_offset() {
        let spellings = spellings();
        for before in ["", "x", "xy", "xyz"] {
            let text = PLAIN.encode(format!("{before}-----BEGIN PRIVATE KEY-----"));
            assert!(spellings.iter().any(|spelling| text.contains(spelling.as_str())), "{text}");
            assert!(decode(text.as_bytes()).unwrap().ends_with(b"PRIVATE KEY-----"));
        }
    }
}

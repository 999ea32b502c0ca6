//! Recomputing every hash of a bundle.

use std::io::Read;

use sha2::{Digest, Sha256};

use crate::hash::hex;
use crate::manifest::ItemRecord;
use crate::read::Bundle;

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its path in the bundle.
    pub path: String,
    /// What is wrong, in a sentence.
    pub problem: String,
}

/// Recomputes the hash and the length of every item that has content; gives what does not agree.
pub fn verify(bundle: &Bundle) -> Vec<Mismatch> {
    bundle.manifest().items.iter().filter_map(|item| check(bundle, item)).collect()
}

fn check(bundle: &Bundle, item: &ItemRecord) -> Option<Mismatch> {
    let path = item.path.as_deref()?;
    let wrong = |problem: String| Some(Mismatch { path: path.to_owned(), problem });
    let mut stream = match bundle.stream(path) {
        Ok(stream) => stream,
        Err(error) => return wrong(error.to_string()),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) => return wrong(error.to_string()),
        }
    }
    let found = hex(&hash.finalize());
    match &item.sha256 {
        Some(expected) if *expected == found => None,
        Some(expected) => wrong(format!("has sha256 {found}, the manifest says {expected}")),
        None => wrong("has no sha256 in the manifest".to_owned()),
    }
}

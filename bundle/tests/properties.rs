//! Properties: what is written is read; what is damaged is an error or whole, never wrong.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bundle::Bundle;
use bundle::Limits;
use proptest::prelude::*;
use support::{contents, open, write};

type Files = BTreeMap<String, Vec<u8>>;

/// A bundle with some of everything: short, long, repetitive, incompressible, empty.
static SAMPLE: LazyLock<(Vec<u8>, Files)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let noise: Vec<u8> = (0..3_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let log = "E1120 10:00:00 proxier.go:1] cannot sync\n".repeat(200);
    write(&path, &[("empty", b""), ("a/short", b"x"), ("logs/p/c.log", log.as_bytes()), ("noise", &noise)]);
    let bytes = fs::read(&path).unwrap();
    let whole = contents(&open(&path).unwrap()).into_iter().map(|(path, content)| (path, content.unwrap()));
    (bytes, whole.collect())
});

/// Opens and reads everything; each entry is an error, or what it was under that name.
fn never_wrong(bytes: &[u8]) {
    let Ok(bundle) = Bundle::from_bytes(Path::new("b.zip"), bytes.to_vec(), Limits::default()) else { return };
    for (path, content) in contents(&bundle) {
        if let (Ok(content), Some(original)) = (content, SAMPLE.1.get(&path)) {
            assert!(content == *original, "{path} is read, and wrong");
        }
    }
    bundle::verify::verify(&bundle);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_items_come_back(files in prop::collection::btree_map("[a-z]{1,8}(/[a-zA-Z0-9._ü-]{1,8}){0,3}", prop::collection::vec(any::<u8>(), 0..3_000), 0..12)) {
        // A name cannot be a folder as well, nor `.` or `..`.
        let files: BTreeMap<String, Vec<u8>> =
            files.into_iter().filter(|(name, _)| !name.split('/').any(|part| part == "." || part == "..")).collect();
        let mut folded = std::collections::BTreeSet::new();
        let list: Vec<(&str, &[u8])> = files.iter().filter(|(name, _)| folded.insert(name.to_lowercase())).map(|(n, c)| (n.as_str(), c.as_slice())).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.zip");
        write(&path, &list);
        let bundle = open(&path).unwrap();
        for (name, content) in list {
            prop_assert_eq!(bundle.read(name).unwrap(), content);
        }
        prop_assert_eq!(bundle::verify::verify(&bundle), []);
    }

    #[test]
    fn flipped_bytes_are_an_error_or_harmless(flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..6)) {
        let mut bytes = SAMPLE.0.clone();
        for (index, mask) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= mask;
        }
        never_wrong(&bytes);
    }

    #[test]
    fn flipped_bytes_of_the_directory_are_an_error_or_harmless(flips in prop::collection::vec((0usize..400, any::<u8>()), 1..6)) {
        let mut bytes = SAMPLE.0.clone();
        for (back, value) in flips {
            let at = bytes.len() - 1 - back.min(bytes.len() - 1);
            bytes[at] = value;
        }
        never_wrong(&bytes);
    }

    #[test]
    fn cut_and_joined_files_are_an_error_or_harmless(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), keep_end in any::<bool>()) {
        let bytes = &SAMPLE.0;
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let mut cut = bytes[..from].to_vec();
        if keep_end {
            cut.extend(&bytes[to..]);
        }
        never_wrong(&cut);
    }
}

//! Items sent as frames and taken into another bundle.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bundle::manifest::RunKind;
use bundle::write::frames::{self, Frame};
use bundle::{Bundle, BundleWriter, ItemDraft, ItemEnd, ItemStatus, Limits, Scope, Source, WriteOptions, verify};
use jiff::Timestamp;
use proptest::prelude::*;

/// Standard output, as a pipe to the one who asked.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn draft(id: &str) -> ItemDraft {
    ItemDraft {
        id: id.to_owned(),
        scope: Scope::Node("n1".to_owned()),
        source: Source::File(format!("/{id}")),
        plan: id.to_owned(),
    }
}

/// What a collector sends that has these contents, and one item without any.
fn sent(contents: &[Vec<u8>]) -> Vec<u8> {
    let pipe = Pipe::default();
    let writer = BundleWriter::create_framed(Box::new(pipe.clone()), WriteOptions::default());
    for (i, content) in contents.iter().enumerate() {
        let mut item = writer.begin(draft(&format!("node.{i}")), format!("nodes/n1/{i}.txt")).unwrap();
        item.write_all(content).unwrap();
        item.end(ItemEnd::new(ItemStatus::Ok)).unwrap();
    }
    writer.record(draft("node.none"), ItemEnd::because(ItemStatus::Absent, "no such file"), Timestamp::UNIX_EPOCH);
    let written = writer.finish(support::manifest(RunKind::Node)).unwrap();
    let bytes = pipe.0.lock().unwrap().clone();
    assert_eq!((written.bytes, written.sha256), (bytes.len() as u64, bundle::sha256(&bytes)));
    bytes
}

/// Takes a stream into a bundle at `target`; whether its end came.
fn take(stream: &[u8], target: &Path) -> bool {
    let writer = BundleWriter::create(target, "read me").unwrap();
    let mut stream = Cursor::new(stream);
    let mut ended = false;
    while let Ok(Some(frame)) = frames::next(&mut stream) {
        match frame {
            Frame::Record(record) => drop(writer.absorb_record(*record)),
            Frame::Item(record, content) => {
                if writer.absorb(*record, content, &mut stream).is_err() {
                    break;
                }
            }
            Frame::End(_) => ended = true,
        }
    }
    writer.finish(support::manifest(RunKind::Node)).unwrap();
    ended
}

#[test]
fn what_was_sent_lies_in_the_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("b.zip");
    let contents = [b"one\n".repeat(100_000), Vec::new(), (0..=255).collect::<Vec<u8>>()];
    assert!(take(&sent(&contents), &target));
    let bundle = Bundle::open(&target, Limits::default()).unwrap();
    assert!(verify::verify(&bundle).is_empty());
    for (i, content) in contents.iter().enumerate() {
        assert_eq!(bundle.read(&format!("nodes/n1/{i}.txt")).unwrap(), *content);
    }
    let statuses: Vec<ItemStatus> = bundle.manifest().items.iter().map(|item| item.status).collect();
    assert_eq!(statuses, [ItemStatus::Ok, ItemStatus::Empty, ItemStatus::Ok, ItemStatus::Absent]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever a stream breaks or is damaged, what was taken is a bundle that agrees with its manifest.
    #[test]
    fn a_broken_stream_leaves_a_valid_bundle(cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), damage: bool) {
        let mut stream = sent(&[b"alpha ".repeat(3_000), b"beta ".repeat(9_000)]);
        let whole = stream.len();
        if damage {
            let at = flip.index(whole);
            stream[at] ^= 0x55;
        } else {
            stream.truncate(cut.index(whole));
        }
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b.zip");
        let ended = take(&stream, &target);
        prop_assert!(damage || !ended);
        let bundle = Bundle::open(&target, Limits::default()).unwrap();
        let problems = verify::verify(&bundle);
        prop_assert!(problems.is_empty(), "{problems:?}");
    }
}

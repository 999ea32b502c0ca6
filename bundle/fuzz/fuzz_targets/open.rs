//! Opens any bytes as a bundle, and reads, verifies and merges whatever opens. Nothing may panic or run on and on.
#![no_main]

use std::io;
use std::path::Path;

use bundle::manifest::Tool;
use bundle::{Bundle, BundleWriter, Limits, WriteOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Small bounds, so that the fuzzer meets them.
    let limits = Limits {
        entry_streamed: 4_000_000,
        entry_whole: 1_000_000,
        total: 8_000_000,
        entries: 64,
        ratio_from: 1_000_000,
        ..Limits::default()
    };
    let Ok(bundle) = Bundle::from_bytes(Path::new("fuzzed.zip"), bytes.to_vec(), limits) else { return };
    for entry in bundle.entries() {
        if let Ok(mut stream) = bundle.open_entry(&entry.path) {
            let read = io::copy(&mut stream, &mut io::sink());
            assert!(read.is_err() || read.is_ok_and(|n| n == entry.bytes));
        }
        let _ = bundle.read(&entry.path);
    }
    let _ = bundle::verify::verify(&bundle);
    let tool = Tool { name: "fuzz".to_owned(), version: "0".to_owned() };
    if let Ok(writer) = BundleWriter::create_stream(Box::new(io::sink()), "", WriteOptions::default()) {
        let _ = bundle::merge::merge(&[bundle], writer, tool);
    }
});

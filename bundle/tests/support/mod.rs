//! Bundles to test with.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::io::{Read, Write};
use std::path::Path;

use bundle::manifest::{RunKind, Tool};
use bundle::{Bundle, BundleWriter, ItemDraft, ItemEnd, ItemStatus, Limits, Manifest, OpenError, Scope, Source};
use jiff::Timestamp;

pub const README: &str = "What this is.\n";

pub fn manifest(kind: RunKind) -> Manifest {
    let tool = Tool { name: "dossier-collect".into(), version: "0.1.0".into() };
    Manifest {
        finished: "2026-11-20T10:01:00Z".parse().unwrap(),
        ..Manifest::empty(tool, kind, "2026-11-20T10:00:00Z".parse().unwrap())
    }
}

pub fn draft(id: &str, scope: Scope) -> ItemDraft {
    ItemDraft { id: id.into(), scope, source: Source::File("/etc/hosts".into()), plan: id.into() }
}

pub fn node(name: &str) -> Scope {
    Scope::Node(name.into())
}

/// Writes one item with this content.
pub fn put(writer: &BundleWriter, path: &str, content: &[u8]) {
    let mut item = writer.begin(draft(&format!("node.{path}"), node("n1")), path.to_owned()).unwrap();
    item.write_all(content).unwrap();
    item.end(ItemEnd::new(ItemStatus::Ok)).unwrap();
}

/// Writes a bundle of these files.
pub fn write(target: &Path, files: &[(&str, &[u8])]) -> bundle::write::Written {
    let writer = BundleWriter::create(target, README).unwrap();
    for (path, content) in files {
        put(&writer, path, content);
    }
    let absent = ItemEnd::because(ItemStatus::Absent, "there is no such file");
    writer.record(draft("node.azure", node("n1")), absent, Timestamp::now());
    writer.finish(manifest(RunKind::Node)).unwrap()
}

pub fn open(path: &Path) -> Result<Bundle, OpenError> {
    Bundle::open(path, Limits::default())
}

/// What opening says, where it must fail.
pub fn refusal(path: &Path) -> String {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// Everything of a bundle, by path; an entry that cannot be read is its error.
pub fn contents(bundle: &Bundle) -> Vec<(String, Result<Vec<u8>, String>)> {
    let read = |path: &str| -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        bundle.stream(path).map_err(|e| e.to_string())?.read_to_end(&mut content).map_err(|e| e.to_string())?;
        Ok(content)
    };
    bundle.entries().map(|entry| (entry.path.clone(), read(&entry.path))).collect()
}

//! Reading what was written: as a zip, as a folder, and as a person or a mail gateway packed it again.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use support::{contents, open, refusal, write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const FILES: &[(&str, &[u8])] =
    &[("nodes/n1/net/link.json", b"[]"), ("logs/kube-system/p/c.log", b"one\ntwo\n"), ("nodes/n1/empty", b"")];

/// Entries of a zip in their order.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let read = |i: usize| {
        let mut file = archive.by_index(i).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (file.name().unwrap().into_owned(), content)
    };
    (0..count).map(read).collect()
}

fn unpack(zip: &Path, folder: &Path) {
    for (name, content) in entries(zip) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Packs entries again, through `rename`, with the extra entries that the packer adds.
fn pack(zip: &Path, options: SimpleFileOptions, rename: impl Fn(&str) -> String, extra: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in extra {
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(b"litter").unwrap();
        }
    }
    for (name, content) in entries(zip) {
        writer.start_file(rename(&name), options).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let bundle = open(&zip).unwrap();
    for (path, content) in FILES {
        assert_eq!(bundle.read(path).unwrap(), *content, "{path}");
    }
    assert_eq!(bundle.manifest().items.len(), 4);
    assert_eq!(bundle::verify::verify(&bundle), []);
}

#[test]
fn an_unpacked_bundle_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    for around in ["plain", "around/dossier-x"] {
        let folder = dir.path().join(around);
        unpack(&zip, &folder);
        let opened = dir.path().join(around.split('/').next().unwrap());
        assert_eq!(contents(&open(&opened).unwrap()), contents(&open(&zip).unwrap()));
    }
}

#[test]
fn a_bundle_that_was_packed_again_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let expected = contents(&open(&zip).unwrap());
    let deflate =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(9));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let again = [
        ("stored", pack(&zip, stored, str::to_owned, &[])),
        ("folder around", pack(&zip, deflate, |n| format!("dossier x/{n}"), &["dossier x/"])),
        ("macOS", pack(&zip, deflate, |n| format!("d/{n}"), &["d/.DS_Store", "__MACOSX/d/._manifest.json"])),
        ("Windows", pack(&zip, deflate, str::to_owned, &["nodes/", "Thumbs.db", "nodes/desktop.ini"])),
        ("PowerShell 5", pack(&zip, deflate, |n| format!("d\\{}", n.replace('/', "\\")), &[])),
        ("zip64", pack(&zip, deflate.large_file(true), str::to_owned, &[])),
    ];
    for (who, bytes) in again {
        let path = dir.path().join("again.zip");
        fs::write(&path, bytes).unwrap();
        let bundle = open(&path).unwrap_or_else(|e| panic!("{who}: {e}"));
        assert_eq!(contents(&bundle), expected, "{who}");
        assert_eq!(bundle::verify::verify(&bundle), [], "{who}");
    }
}

#[test]
fn a_streamed_zip_with_data_descriptors_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    let mut writer = ZipWriter::new_stream(Vec::new());
    for (name, content) in entries(&zip) {
        writer.start_file(name, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    let again = dir.path().join("again.zip");
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(bytes[6] & 8, 8, "the flag of a data descriptor");
    fs::write(&again, bytes).unwrap();
    assert_eq!(contents(&open(&again).unwrap()), contents(&open(&zip).unwrap()));
}

#[test]
fn what_is_no_bundle_is_told_in_one_line_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let whole = fs::read(&zip).unwrap();
    let stored = SimpleFileOptions::default();
    let empty = ZipWriter::new(Cursor::new(Vec::new()));
    let mut nested = ZipWriter::new(Cursor::new(Vec::new()));
    nested.start_file("bundle.zip", stored).unwrap();
    nested.write_all(&whole).unwrap();
    let newer = pack_manifest("{\"format\": 2, \"tool\": 7}");
    let broken = pack_manifest("{\"format\": 1, ");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"hello".to_vec(), "ask the sender"),
        (Vec::new(), "it is empty"),
        (b"\x1f\x8b\x08\x00".to_vec(), "gzip"),
        (whole[..whole.len() / 2].to_vec(), "its end is missing"),
        (empty.finish().unwrap().into_inner(), "no manifest.json"),
        (nested.finish().unwrap().into_inner(), "unpack it"),
        (newer, "use a newer dossier"),
        (broken, "ask the sender"),
    ];
    for (bytes, says) in cases {
        let path = dir.path().join("case.zip");
        fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        assert!(error.contains(says), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    fs::create_dir(dir.path().join("nothing")).unwrap();
    assert!(refusal(&dir.path().join("nothing")).contains("no manifest.json"));
    assert!(refusal(&dir.path().join("missing.zip")).contains("cannot read"));
}

fn pack_manifest(text: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("manifest.json", SimpleFileOptions::default()).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_link_or_a_pipe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let folder = dir.path().join("d");
    unpack(&zip, &folder);
    let link = folder.join("nodes/n1/link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("nodes/n1/link") && error.contains("symbolic link"), "{error}");
    fs::remove_file(&link).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &link, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refusal(&folder).contains("neither a file nor a folder"));
    assert!(refusal(&link).contains("neither a file nor a folder"));
}

#[test]
fn a_link_that_takes_the_place_of_a_file_later_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("b.zip");
    write(&zip, FILES);
    let folder = dir.path().join("d");
    unpack(&zip, &folder);
    let bundle = open(&folder).unwrap();
    let file = folder.join("nodes/n1/net/link.json");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(bundle.read("nodes/n1/net/link.json").is_err());
}

//! Bundles that lie. What lies in the directory refuses the file and names the entry; what one entry does wrong
//! leaves the others readable. Nothing panics, and no wrong byte is handed out as right.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/raw.rs"]
mod raw;
mod support;

use std::fs;
use std::io::Read;

use bundle::{Bundle, Limits, ReadError};
use raw::{Entry, archive, archive_announcing, deflate, manifest_entry};
use support::manifest;

fn opened(bytes: &[u8], limits: Limits) -> Result<Bundle, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    fs::write(&path, bytes).unwrap();
    Bundle::open(&path, limits).map_err(|error| error.to_string())
}

/// What opening says of an honest manifest and these entries.
fn refused(entries: &[Entry]) -> String {
    let mut all = vec![manifest_entry()];
    all.extend_from_slice(entries);
    let error = opened(&archive(&all), Limits::default()).err().expect("it was opened");
    assert!(!error.contains('\n'), "{error}");
    error
}

fn accepted(entries: &[Entry], limits: Limits) -> Bundle {
    let mut all = vec![manifest_entry()];
    all.extend_from_slice(entries);
    opened(&archive(&all), limits).unwrap()
}

fn changed(change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = Entry::new("nodes/n1/x", b"content of an entry");
    change(&mut entry);
    entry
}

#[test]
fn an_honest_zip_made_by_hand_opens() {
    let bundle = accepted(&[Entry::new("nodes/n1/x", b"content")], Limits::default());
    assert_eq!(bundle.read("nodes/n1/x").unwrap(), b"content");
}

#[test]
fn names_that_escape_are_refused_with_the_entry() {
    for name in
        ["../../etc/cron.d/x", "/etc/passwd", "C:/x", "a/../../x", "a\\..\\x", "nul\0.txt", "a//b", "esc\u{1b}[2J"]
    {
        let error = refused(&[Entry::new("ok/x", b""), Entry::new(name, b"x")]);
        assert!(error.contains(&format!("{name:?}")), "{name:?}: {error}");
    }
    // A Unicode Path field renames the entry for the programs that know it.
    let mut extra = b"\x75\x70".to_vec();
    let path = b"../evil";
    extra.extend((5 + path.len() as u16).to_le_bytes());
    extra.push(1);
    extra.extend(raw::crc(b"nodes/n1/x").to_le_bytes());
    extra.extend(path);
    let error = refused(&[changed(|e| e.extra = extra)]);
    assert!(error.contains("evil"), "{error}");
}

#[test]
fn what_no_reader_agrees_on_is_refused() {
    let cases: Vec<(&str, Entry)> = vec![
        ("is named", changed(|e| e.local_name = b"nodes/n1/y".to_vec())),
        ("compression method", changed(|e| e.local_method = 0)),
        ("other sizes", changed(|e| e.local_bytes += 1)),
        ("other sizes", changed(|e| e.local_compressed -= 1)),
        ("checksum", changed(|e| e.local_crc ^= 1)),
        ("only one of header and directory", changed(|e| e.local_flags |= 1)),
        ("is encrypted", changed(|e| e.flags |= 1)),
        ("is compressed with", changed(|e| (e.method, e.local_method) = (12, 12))),
        ("symbolic link", changed(|e| e.mode = 0o120_777)),
        ("no header where", changed(|e| e.offset = Some(3))),
        ("header outside", changed(|e| e.offset = Some(0x00ff_ffff))),
        ("two sizes", changed(|e| (e.method, e.local_method, e.bytes, e.local_bytes) = (0, 0, 7, 7))),
    ];
    for (says, entry) in cases {
        let error = refused(&[entry]);
        assert!(error.contains(says) && error.contains("nodes/n1/x"), "{says}: {error}");
    }
}

#[test]
fn zip64_sizes_that_disagree_are_refused() {
    let zip64 = |bytes: u64, compressed: u64| {
        let mut extra = vec![1, 0, 16, 0];
        extra.extend(bytes.to_le_bytes());
        extra.extend(compressed.to_le_bytes());
        extra
    };
    let both = |e: &mut Entry, local_bytes: u64| {
        let (bytes, compressed) = (u64::from(e.bytes), u64::from(e.compressed));
        e.extra = zip64(bytes, compressed);
        e.local_extra = zip64(local_bytes, compressed);
        (e.bytes, e.local_bytes, e.compressed, e.local_compressed) = (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    };
    let bundle = accepted(&[changed(|e| both(e, 19))], Limits::default());
    assert_eq!(bundle.read("nodes/n1/x").unwrap(), b"content of an entry");
    let error = refused(&[changed(|e| both(e, 20))]);
    assert!(error.contains("other sizes"), "{error}");
    let huge = changed(|e| {
        e.extra = zip64(u64::MAX, u64::MAX);
        e.local_extra = zip64(u64::MAX, u64::MAX);
        (e.bytes, e.local_bytes, e.compressed, e.local_compressed) = (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    });
    assert!(refused(&[huge]).contains("nodes/n1/x"));
}

#[test]
fn overlapping_entries_are_refused() {
    // One kernel of data under many names: how a small file claims petabytes.
    let first = Entry::new("a", &vec![0; 100_000]);
    let start = archive(&[manifest_entry()]).len() - 22 - 46 - "manifest.json".len();
    let mut second = first.clone();
    second.offset = Some(start as u32);
    let error = refused(&[first.clone(), second]);
    assert!(error.contains("overlaps") || error.contains("twice"), "{error}");
    let mut inner = Entry::new("b", b"inner");
    let nested = archive(&[inner.clone()]);
    // The second entry's header lies inside the first one's stored content.
    let mut outer = Entry::new("a", &nested);
    (outer.method, outer.local_method, outer.data) = (0, 0, nested.clone());
    (outer.compressed, outer.local_compressed) = (nested.len() as u32, nested.len() as u32);
    inner.offset = Some(start as u32 + 30 + 1);
    inner.data.clear();
    let error = refused(&[outer, inner]);
    assert!(error.contains("overlaps") && error.contains("\"b\""), "{error}");
}

#[test]
fn duplicates_are_refused_also_those_of_case() {
    let error = refused(&[Entry::new("a/x", b"1"), Entry::new("a/x", b"2")]);
    assert!(error.contains("twice") && error.contains("a/x"), "{error}");
    let error = refused(&[Entry::new("a/X", b"1"), Entry::new("A/x", b"2")]);
    assert!(error.contains("case") && error.contains("a/X"), "{error}");
    let error = refused(&[manifest_entry()]);
    assert!(error.contains("twice"), "{error}");
}

#[test]
fn counts_and_totals_are_bounded() {
    let small = Limits { entries: 3, ..Limits::default() };
    let entries: Vec<Entry> = (0..3).map(|i| Entry::new(&format!("x{i}"), b"x")).collect();
    let mut all = vec![manifest_entry()];
    all.extend(entries.clone());
    assert!(opened(&archive(&all), small).err().unwrap().contains("the bound is 3"));
    let total = Limits { total: 5_000, ..Limits::default() };
    all.push(Entry::new("large", &vec![b'x'; 5_000]));
    let error = opened(&archive(&all), total).err().unwrap();
    assert!(error.contains("large") && error.contains("5000"), "{error}");
    let deep = format!("{}x", "d/".repeat(17));
    assert!(refused(&[Entry::new(&deep, b"")]).contains("17 folders; the bound is 16"));
    assert!(refused(&[Entry::new(&"n".repeat(1_025), b"")]).contains("the bound is 1024"));
}

#[test]
fn a_count_that_lies_is_refused() {
    let all = [manifest_entry(), Entry::new("a", b"x")];
    for count in [3, 65_535] {
        let error = opened(&archive_announcing(&all, Some(count)), Limits::default()).err().unwrap();
        assert!(error.contains("ask the sender"), "{error}");
    }
    // A million entries, announced in a zip64 record that has no room for them.
    let mut bytes = archive(&all);
    let end = bytes.len() - 22;
    let start = u32::from_le_bytes(bytes[end + 16..end + 20].try_into().unwrap());
    let tail = bytes.split_off(end);
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44u64.to_le_bytes());
    record.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [1_000_000u64, 1_000_000, 46_000_000, u64::from(start)] {
        record.extend(value.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend((end as u64).to_le_bytes());
    record.extend(1u32.to_le_bytes());
    bytes.extend(record);
    bytes.extend(&tail[..8]);
    bytes.extend([0xff; 12]);
    bytes.extend([0, 0]);
    let error = opened(&bytes, Limits::default()).err().unwrap();
    assert!(error.contains("1000000") || error.contains("ask the sender"), "{error}");
}

#[test]
fn a_million_entries_are_refused_before_they_are_read() {
    let entry = Entry::new("x", b"");
    let one = archive(std::slice::from_ref(&entry));
    let (local, rest) = one.split_at(30 + 1 + entry.data.len());
    let directory = &rest[..47];
    let mut bytes = local.to_vec();
    let start = bytes.len() as u64;
    for _ in 0..1_000_000 {
        bytes.extend_from_slice(directory);
    }
    let end = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [1_000_000u64, 1_000_000, end - start, start] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(end.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([0xff; 12]);
    bytes.extend([0, 0]);
    let error = opened(&bytes, Limits::default()).err().unwrap();
    assert!(error.contains("1000000 entries; the bound is 200000"), "{error}");
}

#[test]
fn one_damaged_entry_leaves_the_others() {
    let good = Entry::new("good", b"good");
    let flipped = changed(|e| e.data[3] ^= 0x40);
    let wrong_crc = changed(|e| {
        e.name = b"crc".to_vec();
        e.local_name = b"crc".to_vec();
        (e.crc, e.local_crc) = (1, 1);
    });
    let bundle = accepted(&[flipped, wrong_crc, good], Limits::default());
    assert_eq!(bundle.read("good").unwrap(), b"good");
    for path in ["nodes/n1/x", "crc"] {
        assert!(matches!(bundle.read(path), Err(ReadError::Damaged { .. })), "{path}");
    }
    assert!(matches!(bundle.read("none"), Err(ReadError::Missing(_))));
}

#[test]
fn an_entry_that_announces_less_or_more_than_it_holds_is_damaged() {
    let content = vec![b'x'; 1_000_000];
    let bundle = accepted(
        &[Entry::new("less", &content).announcing(100), Entry::new("more", &content).announcing(2_000_000)],
        Limits::default(),
    );
    for path in ["less", "more"] {
        let mut back = Vec::new();
        let error = bundle.stream(path).unwrap().read_to_end(&mut back).unwrap_err();
        assert!(matches!(ReadError::from_io(path, error), ReadError::Damaged { .. }));
        assert!(back.len() <= content.len());
        assert!(bundle.read(path).is_err());
    }
    // A reader that asks for just the announced bytes is not handed the last of them.
    let mut exact = vec![0; 100];
    assert!(bundle.stream("less").unwrap().read_exact(&mut exact).is_err());
}

#[test]
fn a_bomb_is_met_by_the_bounds_of_its_entry_only() {
    let zeros = vec![0; 10_000_000];
    let limits = Limits { ratio_from: 1_000_000, entry_whole: 20_000_000, ..Limits::default() };
    let bundle = accepted(&[Entry::new("bomb", &zeros), Entry::new("good", b"good")], limits.clone());
    let error = bundle.stream("bomb").err().unwrap();
    assert!(matches!(&error, ReadError::Bound { bound, .. } if bound.contains("200 : 1")), "{error}");
    assert_eq!(bundle.read("good").unwrap(), b"good");
    // Logs repeat themselves: below the size from which it is asked, the same ratio is fine.
    let bundle = accepted(&[Entry::new("bomb", &zeros)], Limits { ratio_from: 64_000_000, ..limits.clone() });
    assert_eq!(bundle.read("bomb").unwrap(), zeros);
    // Held whole and streamed have bounds of their own.
    let limits = Limits { ratio_from: u64::MAX, entry_whole: 1_000, ..limits };
    let bundle = accepted(&[Entry::new("bomb", &zeros)], Limits { entry_whole: 5_000_000, ..limits.clone() });
    assert!(matches!(bundle.read("bomb"), Err(ReadError::Bound { .. })));
    assert_eq!(std::io::copy(&mut bundle.stream("bomb").unwrap(), &mut std::io::sink()).unwrap(), 10_000_000);
    let bundle =
        accepted(&[Entry::new("bomb", &zeros)], Limits { entry_streamed: 9_999_999, entry_whole: 5_000, ..limits });
    assert!(matches!(bundle.stream("bomb"), Err(ReadError::Bound { .. })));
}

#[test]
fn a_manifest_that_is_a_bomb_is_refused() {
    let limits = Limits { entry_whole: 1_000_000, ..Limits::default() };
    let bytes = archive(&[Entry::new("manifest.json", &vec![b' '; 2_000_000])]);
    let error = opened(&bytes, limits).err().unwrap();
    assert!(error.contains("manifest.json") && error.contains("1000000"), "{error}");
    let deep = format!("{{\"format\":1,\"tool\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let error = opened(&archive(&[Entry::new("manifest.json", deep.as_bytes())]), Limits::default()).err().unwrap();
    assert!(error.contains("cannot be understood"), "{error}");
}

#[test]
fn a_path_in_the_manifest_reaches_nothing_outside() {
    let mut lying = manifest(bundle::manifest::RunKind::Node);
    let json = serde_json::to_value(&lying).unwrap();
    assert!(json["items"].as_array().unwrap().is_empty());
    lying.items = serde_json::from_value(serde_json::json!([{
        "id": "node.x", "scope": "node/n1", "path": "../../../../etc/passwd", "source": {"file": "/x"}, "plan": "x",
        "status": "ok", "started": "2026-11-20T10:00:00Z", "duration_ms": 0, "bytes": 1, "sha256": "00",
    }]))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("manifest.json"), serde_json::to_vec(&lying).unwrap()).unwrap();
    let bundle = Bundle::open(dir.path(), Limits::default()).unwrap();
    assert!(matches!(bundle.read("../../../../etc/passwd"), Err(ReadError::Missing(_))));
    assert_eq!(bundle::verify::verify(&bundle).len(), 1);
}

#[test]
fn stored_bytes_after_the_deflate_stream_change_nothing() {
    let mut padded = Entry::new("x", b"content");
    padded.data = deflate(b"content");
    padded.data.extend(b"padding");
    let length = padded.data.len() as u32;
    (padded.compressed, padded.local_compressed) = (length, length);
    let bundle = accepted(&[padded], Limits::default());
    assert_eq!(bundle.read("x").unwrap(), b"content");
}

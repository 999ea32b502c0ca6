//! Writing: order, determinism, what a dead run leaves, what a full disk leaves, many threads.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bundle::filter::ItemFilter;
use bundle::manifest::RunKind;
use bundle::{BundleWriter, ItemEnd, ItemStatus, Scope, WriteError, WriteOptions};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use support::{README, draft, manifest, node, open, put, write};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn names(path: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

/// Bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn readme_is_first_manifest_last_and_the_file_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let written = write(&path, &[("b", b"2"), ("a", b"1")]);
    assert_eq!(names(&path), ["README.txt", "b", "a", "redactions.json", "manifest.json"]);
    let bytes = fs::read(&path).unwrap();
    assert_eq!((written.bytes, written.sha256), (bytes.len() as u64, sha256(&bytes)));
    assert_eq!(written.by_status, BTreeMap::from([(ItemStatus::Ok, 2), (ItemStatus::Absent, 1)]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}

/// A writer whose records say nothing of when: the manifest is made without them.
fn entries_of(target: &Path, options: WriteOptions, files: &[(&str, &[u8])]) -> Vec<u8> {
    let writer = BundleWriter::create_with(target, README, options).unwrap();
    for (path, content) in files {
        put(&writer, path, content);
    }
    writer.finish(manifest(RunKind::Node)).unwrap();
    let bytes = fs::read(target).unwrap();
    // Up to the manifest's own header; it holds start times.
    let end = bytes.windows(13).position(|w| w == b"manifest.json").unwrap();
    bytes[..end - 30].to_vec()
}

#[test]
fn the_same_items_in_the_same_order_give_the_same_bytes_with_any_budget() {
    let dir = tempfile::tempdir().unwrap();
    let large = noise(300_000, 7);
    let files: &[(&str, &[u8])] = &[("b", b"two"), ("a", &large), ("c", b"")];
    let first = entries_of(&dir.path().join("1.zip"), WriteOptions::default(), files);
    let second = entries_of(&dir.path().join("2.zip"), WriteOptions { memory: 0, ..Default::default() }, files);
    assert!(first == second);
}

#[test]
fn sorted_items_give_the_same_bytes_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = || WriteOptions { sorted: true, ..Default::default() };
    let first = entries_of(&dir.path().join("1.zip"), options(), &[("b", b"two"), ("a", b"one")]);
    let second = entries_of(&dir.path().join("2.zip"), options(), &[("a", b"one"), ("b", b"two")]);
    assert!(first == second);
    assert_eq!(names(&dir.path().join("1.zip")), ["README.txt", "a", "b", "redactions.json", "manifest.json"]);
    let bundle = open(&dir.path().join("2.zip")).unwrap();
    assert_eq!(bundle.manifest().items.iter().map(|i| i.path.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(bundle::verify::verify(&bundle), []);
}

/// A stream that others can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_gets_what_a_file_gets() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Shared::default();
    let writer = BundleWriter::create_stream(Box::new(stream.clone()), README, WriteOptions::default()).unwrap();
    put(&writer, "a", b"one");
    let written = writer.finish(manifest(RunKind::Node)).unwrap();
    let bytes = stream.0.lock().unwrap().clone();
    assert_eq!((written.path, written.bytes), (None, bytes.len() as u64));
    assert_eq!(written.sha256, sha256(&bytes));
    let path = dir.path().join("b.zip");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(open(&path).unwrap().read("a").unwrap(), b"one");
    assert_eq!(bytes[6] & 8, 0, "sizes are known in front of each entry, no data descriptors");
}

#[test]
fn a_bundle_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create(&path, README).unwrap();
    put(&writer, "a", b"one");
    assert!(dir.path().join("b.zip.partial").exists());
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let writer = BundleWriter::create(&path, README).unwrap();
    let item = writer.begin(draft("node.x", node("n")), "x".into()).unwrap();
    writer.abort();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(matches!(item.end(ItemEnd::new(ItemStatus::Ok)), Err(WriteError::Finished)));
}

#[test]
fn what_a_dead_run_left_gives_way_and_a_live_run_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    fs::write(dir.path().join("b.zip.partial"), b"half a bundle").unwrap();
    let live = BundleWriter::create(&path, README).unwrap();
    assert!(matches!(BundleWriter::create(&path, README), Err(WriteError::Busy { .. })));
    live.finish(manifest(RunKind::Node)).unwrap();
    open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn links_folders_and_devices_are_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("b.zip.partial")).unwrap();
    assert!(BundleWriter::create(&dir.path().join("b.zip"), README).is_err());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    for target in [dir.path(), Path::new("/dev/null"), Path::new("/nowhere/b.zip")] {
        let error = BundleWriter::create(target, README).err().unwrap().to_string();
        assert!(error.contains(target.to_str().unwrap()), "{error}");
    }
}

#[test]
fn paths_that_a_reader_would_refuse_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let writer = BundleWriter::create(&dir.path().join("b.zip"), README).unwrap();
    for path in ["../x", "/x", "a\\b", "a//b", ""] {
        let result = writer.begin(draft("node.x", node("n")), path.into());
        assert!(matches!(result, Err(WriteError::BadPath { .. })), "{path}");
    }
    for path in ["README.txt", "redactions.json", "manifest.json", "a", "A~2"] {
        let first = writer.begin(draft("node.x", node("n")), path.into());
        let _ = first.map(|item| item.end(ItemEnd::new(ItemStatus::Ok)).unwrap());
        let second = writer.begin(draft("node.x", node("n")), path.into());
        assert!(matches!(second, Err(WriteError::DuplicatePath(_))), "{path}");
    }
}

#[test]
fn paths_that_differ_in_case_alone_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create(&path, README).unwrap();
    for name in ["sysctl.d/A.conf", "sysctl.d/a.conf", "SYSCTL.d/a.conf"] {
        put(&writer, name, name.as_bytes());
    }
    writer.finish(manifest(RunKind::Node)).unwrap();
    let bundle = open(&path).unwrap();
    assert_eq!(bundle.read("sysctl.d/a.conf~2").unwrap(), b"sysctl.d/a.conf");
    assert_eq!(bundle.read("SYSCTL.d/a.conf~3").unwrap(), b"SYSCTL.d/a.conf");
}

#[test]
fn items_that_never_end_are_in_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create(&path, README).unwrap();
    drop(writer.begin(draft("node.dropped", node("n")), "dropped".into()).unwrap());
    let mut hanging = writer.begin(draft("node.hanging", node("n")), "hanging".into()).unwrap();
    hanging.write_all(b"so far").unwrap();
    let writer = writer.finish(manifest(RunKind::Node)).map(|w| w.by_status).unwrap();
    assert_eq!(writer, BTreeMap::from([(ItemStatus::Error, 1), (ItemStatus::NotReached, 1)]));
    assert!(matches!(hanging.end(ItemEnd::new(ItemStatus::Ok)), Err(WriteError::Finished)));
    let bundle = open(&path).unwrap();
    assert!(bundle.manifest().items.iter().all(|item| item.reason.is_some() && item.path.is_none()));
    assert_eq!(bundle::verify::verify(&bundle), []);
}

struct Refuses(&'static str);

impl ItemFilter for Refuses {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(bytes);
        if self.0 == "push" { Err(io::Error::other("cannot tell a key from text")) } else { Ok(()) }
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        if self.0 == "finish" { Err(io::Error::other("a key has no end")) } else { Ok(BTreeMap::new()) }
    }
}

#[test]
fn what_a_filter_cannot_judge_is_withheld() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let filters = Box::new(|path: &str| -> Box<dyn ItemFilter> {
        Box::new(Refuses(if path == "push" { "push" } else { "finish" }))
    });
    let writer = BundleWriter::create_filtered(&path, README, filters).unwrap();
    for name in ["push", "finish"] {
        let mut item = writer.begin(draft("node.x", node("n")), name.into()).unwrap();
        assert_eq!(item.write_all(b"secret").is_err(), name == "push");
        let error = item.end(ItemEnd::new(ItemStatus::Ok)).unwrap_err();
        assert!(matches!(error, WriteError::Withheld { .. }), "{error}");
    }
    let written = writer.finish(manifest(RunKind::Node)).unwrap();
    assert_eq!(written.by_status, BTreeMap::from([(ItemStatus::Withheld, 2)]));
    assert_eq!(names(&path), ["README.txt", "redactions.json", "manifest.json"]);
}

#[test]
fn sixteen_threads_write_and_sixteen_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    // So little memory that most items spill.
    let writer =
        BundleWriter::create_with(&path, README, WriteOptions { memory: 200_000, ..Default::default() }).unwrap();
    let content = |thread: u64, i: u64| noise((thread * 4_000 + i * 100) as usize, thread * 1_000 + i);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let writer = writer.clone();
            scope.spawn(move || (0..20).for_each(|i| put(&writer, &format!("t{thread}/{i}"), &content(thread, i))));
        }
    });
    assert_eq!(writer.bytes_in_flight(), 0);
    writer.finish(manifest(RunKind::Node)).unwrap();
    let bundle = open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let bundle = &bundle;
            scope.spawn(move || {
                for i in 0..20 {
                    let mut back = Vec::new();
                    bundle.stream(&format!("t{thread}/{i}")).unwrap().read_to_end(&mut back).unwrap();
                    assert_eq!(back, content(thread, i));
                }
            });
        }
    });
    assert_eq!(bundle::verify::verify(&bundle), []);
}

#[test]
fn more_than_65535_items_need_zip64() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create(&path, README).unwrap();
    for i in 0..66_000 {
        put(&writer, &format!("x/{i}"), b"x");
    }
    writer.finish(manifest(RunKind::Node)).unwrap();
    let bundle = open(&path).unwrap();
    assert_eq!(bundle.entries().count(), 66_003);
    assert_eq!(bundle.read("x/65999").unwrap(), b"x");
}

/// A file system of 1 MiB, where this machine lets us mount one; else none.
#[cfg(target_os = "linux")]
fn small_disk(dir: &Path, size: &str) -> Option<SmallDisk> {
    let status = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
        .arg(dir)
        .stderr(std::process::Stdio::null())
        .status();
    status.ok()?.success().then(|| SmallDisk(dir.to_owned()))
}

/// Says that a test was skipped, or fails where nothing may be (see `tests/run`).
#[cfg(target_os = "linux")]
fn skip(why: &str) {
    let must_run = std::env::var_os("DOSSIER_TESTS_MUST_RUN").is_some_and(|v| !v.is_empty() && v != "0");
    assert!(!must_run, "this test may not be skipped here, but {why}");
    let thread = std::thread::current();
    // Past the capture of the test harness, which only sees the macros.
    let _ = writeln!(io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
}

#[cfg(target_os = "linux")]
struct SmallDisk(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_a_valid_bundle_that_says_what_did_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = small_disk(dir.path(), "4m") else {
        skip("no file system can be mounted here: run the tests as root");
        return;
    };
    let path = dir.path().join("b.zip");
    // In memory until it ends, so that the archive itself meets the end of the disk.
    let writer = BundleWriter::create(&path, README).unwrap();
    put(&writer, "before", &noise(500_000, 1));
    let mut large = writer.begin(draft("node.large", Scope::Cluster), "large".into()).unwrap();
    large.write_all(&noise(3_000_000, 2)).unwrap();
    let error = large.end(ItemEnd::new(ItemStatus::Ok)).unwrap_err();
    assert!(error.is_out_of_space() && error.to_string().contains("b.zip.partial"), "{error}");
    put(&writer, "after", &noise(500_000, 3));
    writer.record(draft("node.y", node("n")), ItemEnd::new(ItemStatus::Absent), Timestamp::now());
    let written = writer.finish(manifest(RunKind::Node)).unwrap();
    assert_eq!(written.by_status.get(&ItemStatus::Error), Some(&1));
    assert_eq!(sha256(&fs::read(&path).unwrap()), written.sha256, "also after an entry was cut off");
    let bundle = open(&path).unwrap();
    assert_eq!(bundle.read("before").unwrap(), noise(500_000, 1));
    assert_eq!(bundle.read("after").unwrap(), noise(500_000, 3));
    assert_eq!(bundle::verify::verify(&bundle), []);
}

#[cfg(target_os = "linux")]
#[test]
fn an_item_that_cannot_spill_is_an_error_and_the_bundle_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = small_disk(dir.path(), "3m") else {
        skip("no file system can be mounted here: run the tests as root");
        return;
    };
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create_with(&path, README, WriteOptions { memory: 0, ..Default::default() }).unwrap();
    let mut large = writer.begin(draft("node.large", Scope::Cluster), "large".into()).unwrap();
    assert!(large.write_all(&noise(3_000_000, 2)).is_err());
    assert!(large.end(ItemEnd::new(ItemStatus::Ok)).unwrap_err().is_out_of_space());
    put(&writer, "after", b"fits");
    writer.finish(manifest(RunKind::Node)).unwrap();
    assert_eq!(open(&path).unwrap().read("after").unwrap(), b"fits");
}

/// Masks every `hush`, and refuses a text with `unreadable` in it.
struct Hush(u64);

impl ItemFilter for Hush {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        if text.contains("unreadable") {
            return Err(io::Error::other("it is broken"));
        }
        self.0 += text.matches("hush").count() as u64;
        out.extend_from_slice(text.replace("hush", "masked").as_bytes());
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        Ok(if self.0 == 0 { BTreeMap::new() } else { BTreeMap::from([("word".to_owned(), self.0)]) })
    }
}

#[test]
fn what_was_masked_is_told_and_what_others_said_is_masked_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zip");
    let writer = BundleWriter::create_filtered(&path, README, Box::new(|_| Box::new(Hush(0)))).unwrap();
    for (name, content) in [("logs/a.log", "hush hush"), ("logs/b.log", "nothing"), ("logs/c.log", "unreadable hush")] {
        let mut item = writer.begin(draft(name, node("n1")), name.to_owned()).unwrap();
        let _ = item.write_all(content.as_bytes());
        let mut end = ItemEnd::because(ItemStatus::Ok, "hush was said");
        end.stderr_tail = Some("and hush".to_owned());
        let _ = item.end(end);
    }
    writer.finish(manifest(RunKind::Node)).unwrap();
    let bundle = open(&path).unwrap();
    assert_eq!(bundle::verify::verify(&bundle), []);
    let report: serde_json::Value = serde_json::from_slice(&bundle.read("redactions.json").unwrap()).unwrap();
    assert_eq!(report["masked"], 2);
    assert_eq!(report["by_kind"]["word"], 2);
    assert_eq!(report["files"], serde_json::json!({"logs/a.log": {"word": 2}}));
    assert!(report["withheld"][0].as_str().unwrap().contains("logs/c.log"), "{report}");
    let text = String::from_utf8(bundle.read("manifest.json").unwrap()).unwrap();
    assert!(!text.contains("hush") && text.contains("masked was said") && text.contains("and masked"), "{text}");
}

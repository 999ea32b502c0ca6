//! What `dossier verify` sees.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::Read;
use std::path::Path;

use bundle::verify::{check_content, check_item, open_item, verify};
use bundle::{Bundle, Limits};
use serde_json::{Value, json};
use support::write;

/// An unpacked bundle of two items, with its manifest changed.
fn unpacked(dir: &Path, change: impl FnOnce(&mut Value)) -> Bundle {
    let zip = dir.join("b.zip");
    write(&zip, &[("a", b"one"), ("b", b"two")]);
    let bundle = Bundle::open(&zip, Limits::default()).unwrap();
    let folder = dir.join("folder");
    fs::create_dir(&folder).unwrap();
    for entry in bundle.entries() {
        fs::write(folder.join(&entry.path), bundle.read(&entry.path).unwrap()).unwrap();
    }
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    fs::write(folder.join(".DS_Store"), b"litter").unwrap();
    Bundle::open(&folder, Limits::default()).unwrap()
}

fn problems(change: impl FnOnce(&mut Value), touch: impl FnOnce(&Path)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let bundle = unpacked(dir.path(), change);
    touch(&dir.path().join("folder"));
    verify(&bundle).into_iter().map(|m| format!("{} {}", m.path, m.problem)).collect()
}

#[test]
fn an_honest_bundle_agrees_also_item_by_item_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = unpacked(dir.path(), |_| ());
    assert_eq!(verify(&bundle), []);
    for item in bundle.manifest().items.iter().filter(|item| item.path.is_some()) {
        let mut stream = open_item(&bundle, item).unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content).unwrap();
        stream.finish().unwrap();
        assert_eq!(check_content(item, &content), None);
        assert!(check_content(item, b"else").is_some());
        assert_eq!(check_item(&bundle, item), None);
    }
}

#[test]
fn each_kind_of_disagreement_is_told() {
    let found = problems(|m| m["items"][0]["sha256"] = json!("00"), |_| ());
    assert!(found.len() == 1 && found[0].contains("the manifest says 00"), "{found:?}");
    let found = problems(|m| m["items"][0]["bytes"] = json!(7), |_| ());
    assert!(found.len() == 1 && found[0].contains("has 3 bytes, the manifest says 7"), "{found:?}");
    let found = problems(|m| m["items"][0]["path"] = json!("c"), |_| ());
    assert_eq!(found, ["c there is no entry c", "a is named by no item of the manifest"]);
    let found = problems(|m| m["items"][0]["path"] = json!("b"), |_| ());
    assert!(found.iter().any(|f| f.contains("more than one item")), "{found:?}");
    let found = problems(
        |m| {
            m["items"][0].as_object_mut().unwrap().remove("sha256");
        },
        |_| (),
    );
    assert_eq!(found, ["a has no sha256 in the manifest"]);
    let found = problems(|_| (), |folder| fs::write(folder.join("a"), b"ONE").unwrap());
    assert!(found.len() == 1 && found[0].starts_with("a has sha256"), "{found:?}");
    let found = problems(|_| (), |folder| fs::remove_file(folder.join("a")).unwrap());
    assert!(found.len() == 1 && found[0].contains("cannot be read"), "{found:?}");
}

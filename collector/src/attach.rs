//! `--attach FILE`: what the sender has already, into `extra/` of the bundle. The analyzer recognizes it by its content.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;

use crate::plan::{Cost, PlanLine};
use crate::run::Run;

/// The longest file that is taken.
const LONGEST: u64 = 32 << 20;

/// A line of the plan for each file.
pub fn plan(files: &[PathBuf]) -> Vec<PlanLine> {
    let line = |(index, path): (usize, &PathBuf)| {
        let bound = format!("{} MiB", LONGEST >> 20);
        PlanLine::new(id(index), Scope::Cluster, format!("read {}", path.display()), Cost::Trivial, bound)
    };
    files.iter().enumerate().map(line).collect()
}

fn id(index: usize) -> String {
    format!("extra.{}", index + 1)
}

/// Takes every file; one that cannot be read is a record that says so. The writer masks what looks like a secret.
pub fn collect(run: &Run, files: &[PathBuf]) {
    for (index, path) in files.iter().enumerate() {
        let source = Source::Attached(path.display().to_string());
        let draft = ItemDraft { id: id(index), scope: Scope::Cluster, source, plan: id(index) };
        let started = Timestamp::now();
        match read(path) {
            Ok(text) => {
                let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                let place = layout::extra(index + 1, &name);
                let written = run.begin(draft, place).and_then(|mut item| {
                    // What cannot be written is the writer's to report when the item ends.
                    let _ = item.write_all(&text);
                    item.end(ItemEnd::new(ItemStatus::Ok))
                });
                if let Err(error) = written {
                    run.progress().say(&format!("error: {error}"));
                }
            }
            Err(end) => run.record(draft, end, started),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ItemEnd> {
    let failed = |error: io::Error| {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let status = if denied { ItemStatus::Forbidden } else { ItemStatus::Error };
        ItemEnd::because(status, format!("{} cannot be read: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        let reason = format!("{} is longer than {} MiB; attach the part that matters", path.display(), LONGEST >> 20);
        return Err(ItemEnd::because(ItemStatus::Error, reason));
    }
    searchable(bytes).map_err(|reason| ItemEnd::because(ItemStatus::Withheld, reason))
}

/// What the redaction behind this can look through: text, and no list of Secrets, which are not collected at all.
fn searchable(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err("it is not UTF-8 text, and cannot be searched for secrets".to_owned());
    };
    if holds_secret_objects(text) {
        return Err("it holds objects of kind Secret, which are never taken".to_owned());
    }
    Ok(bytes)
}

fn holds_secret_objects(json: &str) -> bool {
    let compact: String = json.split_whitespace().collect();
    ["\"kind\":\"Secret\"", "\"kind\":\"SecretList\""].iter().any(|kind| compact.contains(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn secrets_and_what_cannot_be_searched_do_not_come_along() {
        assert!(searchable(br#"{"kind":"ConfigMap"}"#.to_vec()).is_ok());
        assert!(searchable(br#"{"items":[{"kind" : "Secret","data":{}}]}"#.to_vec()).is_err());
        assert!(searchable(vec![0xff, 0xfe, 0, 1]).is_err());
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let missing = read(Path::new("/no/such/file")).unwrap_err();
        assert!(missing.reason.unwrap().contains("/no/such/file"));
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long");
        File::create(&long).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(read(&long).unwrap_err().reason.unwrap().contains("longer than 32 MiB"));
    }
}

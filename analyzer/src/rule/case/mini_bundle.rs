//! The bundle of a case: a folder with its files and a manifest.

use std::io;
use std::path::Path;

use bundle::manifest::{Cluster, RunKind, Tool};
use bundle::{Bundle, ItemRecord, ItemStatus, Limits, Manifest, Scope, Source, layout};
use jiff::Timestamp;

use super::parse::Case;

/// Opens the case's bundle in a temporary folder, which is gone when the second value is dropped.
pub fn open(case: &Case) -> Result<(Bundle, tempfile::TempDir), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder for the case: {error}"))?;
    write(case, folder.path()).map_err(|error| format!("cannot write the case's bundle: {error}"))?;
    let bundle = Bundle::open(folder.path(), Limits::default()).map_err(|error| error.to_string())?;
    Ok((bundle, folder))
}

fn write(case: &Case, folder: &Path) -> io::Result<()> {
    for (path, file) in &case.files {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(target, &file.text)?;
    }
    let manifest = serde_json::to_vec(&manifest(case))?;
    std::fs::write(folder.join(layout::MANIFEST), manifest)
}

fn manifest(case: &Case) -> Manifest {
    let of_cluster = case.files.keys().any(|path| path.starts_with("cluster/"));
    let files = case.files.iter().map(|(path, file)| ItemRecord {
        path: Some(path.clone()),
        bytes: file.text.len() as u64,
        sha256: Some(bundle::sha256(file.text.as_ref())),
        reason: file.reason.clone(),
        ..record(&file.id, scope(path), file.status, case.finished)
    });
    let lacking = case.lacking.iter().map(|lacking| ItemRecord {
        reason: lacking.reason.clone(),
        ..record(&lacking.id, lacking.scope.clone(), lacking.status, case.finished)
    });
    let tool = Tool { name: "case".to_owned(), version: "1".to_owned() };
    Manifest {
        cluster: of_cluster.then(|| Cluster { name: "case".to_owned(), server: None, version: None, uid: None }),
        symptom: case.symptom.clone(),
        items: files.chain(lacking).collect(),
        ..Manifest::empty(tool, RunKind::Cluster, case.finished)
    }
}

fn record(id: &str, scope: Scope, status: ItemStatus, at: Timestamp) -> ItemRecord {
    ItemRecord {
        id: id.to_owned(),
        scope,
        path: None,
        source: Source::Attached("case".to_owned()),
        plan: String::new(),
        status,
        reason: None,
        started: at,
        duration_ms: 0,
        exit_code: None,
        bytes: 0,
        bytes_dropped: 0,
        stderr_tail: None,
        sha256: None,
        redactions: Default::default(),
        link_target: None,
    }
}

/// Whose evidence a path is: a node's folder is the node's, a log its pod's.
fn scope(path: &str) -> Scope {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["nodes", node, _, ..] => Scope::Node((*node).to_owned()),
        ["logs", namespace, pod, _] => Scope::Pod((*namespace).to_owned(), (*pod).to_owned()),
        _ => Scope::Cluster,
    }
}

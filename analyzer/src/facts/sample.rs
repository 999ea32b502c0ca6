//! Small bundles for the tests of facts: a folder, its manifest made from what was put in.

use bundle::manifest::{Cluster, RunKind, Symptom, Tool};
use bundle::{Bundle, ItemRecord, ItemStatus, Limits, Manifest, Scope, Source, layout};
use jiff::Timestamp;
use minijinja::Value;
use serde_json::{Value as Json, json};

use super::Facts;

/// When samples are collected.
pub const COLLECTED: &str = "2026-11-21T10:00:00Z";

/// A bundle that is being put together.
pub struct Sample {
    folder: tempfile::TempDir,
    items: Vec<ItemRecord>,
    symptom: Option<Symptom>,
}

impl Sample {
    /// An empty bundle.
    pub fn new() -> Sample {
        Sample { folder: tempfile::tempdir().unwrap(), items: Vec::new(), symptom: None }
    }

    /// Adds the list of an evidence id.
    pub fn list(self, id: &str, path: &str, items: Json) -> Sample {
        self.text(id, path, &json!({"kind": "List", "items": items}).to_string())
    }

    /// Adds a file of the cluster.
    pub fn text(mut self, id: &str, path: &str, text: &str) -> Sample {
        let on_disk = self.folder.path().join(path);
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        std::fs::write(on_disk, text).unwrap();
        self.items.push(ItemRecord {
            path: Some(path.to_owned()),
            bytes: text.len() as u64,
            ..record(id, ItemStatus::Ok)
        });
        self
    }

    /// Adds a file of a node.
    pub fn on_node(self, node: &str, id: &str, below: &str, text: &str) -> Sample {
        let mut sample = self.text(id, &format!("nodes/{node}/{below}"), text);
        if let Some(item) = sample.items.last_mut() {
            item.scope = Scope::Node(node.to_owned());
        }
        sample
    }

    /// Adds an item without content.
    pub fn lacking(mut self, id: &str, status: ItemStatus) -> Sample {
        self.items.push(record(id, status));
        self
    }

    /// What its sender says is broken: `from=…,to=…`.
    pub fn symptom(self, text: &str) -> Sample {
        Sample { symptom: Some(Symptom::inline(text).unwrap()), ..self }
    }

    /// The facts. The folder is gone afterwards, so everything is read first.
    pub fn facts(self) -> Facts {
        let at: Timestamp = COLLECTED.parse().unwrap();
        let tool = Tool { name: "sample".to_owned(), version: "1".to_owned() };
        let manifest = Manifest {
            cluster: Some(Cluster {
                name: "sample".to_owned(),
                server: None,
                version: Some("v1.34.4".to_owned()),
                uid: None,
            }),
            symptom: self.symptom,
            items: self.items,
            ..Manifest::empty(tool, RunKind::Cluster, at)
        };
        std::fs::write(self.folder.path().join(layout::MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        let facts = Facts::new(Bundle::open(self.folder.path(), Limits::default()).unwrap());
        facts.unreadable();
        facts
    }
}

fn record(id: &str, status: ItemStatus) -> ItemRecord {
    ItemRecord {
        id: id.to_owned(),
        scope: Scope::Cluster,
        path: None,
        source: Source::Attached("sample".to_owned()),
        plan: String::new(),
        status,
        reason: None,
        started: COLLECTED.parse().unwrap(),
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

/// A field of a fact, by a path of names: `conditions.Ready.status`.
pub fn at(value: &Value, path: &str) -> Value {
    path.split('.').fold(value.clone(), |value, name| match name.parse::<usize>() {
        Ok(place) => value.get_item_by_index(place).unwrap(),
        Err(_) => value.get_attr(name).unwrap(),
    })
}

//! A node's items in the bundle: found by evidence id, read, and what could not be read remembered.

use std::sync::{Arc, Mutex, PoisonError};

use bundle::{ItemRecord, ItemStatus, Scope, Source};
use jiff::Timestamp;

use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::finding::Unreadable;

/// The folder of one node.
pub struct Folder {
    evidence: Arc<Evidence>,
    scope: Scope,
    unreadable: Mutex<Vec<Unreadable>>,
}

/// An item with its content.
pub struct Entry {
    /// Its path in the bundle.
    pub path: Arc<str>,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The file or link that it was read from on the host; empty where neither the record nor its place says it.
    pub host_path: String,
    /// Where the link led, where it was one.
    pub link: Option<String>,
}

impl Folder {
    /// The folder of a node.
    pub fn new(evidence: Arc<Evidence>, node: &str) -> Folder {
        Folder { evidence, scope: Scope::Node(node.to_owned()), unreadable: Mutex::default() }
    }

    /// The records with exactly this id, by path.
    pub fn records<'a>(&'a self, id: &'a str) -> Vec<&'a ItemRecord> {
        let mut records: Vec<&ItemRecord> =
            self.evidence.items(id, &self.scope).filter(|record| record.id == id).collect();
        records.sort_by(|a, b| a.path.cmp(&b.path));
        records
    }

    /// The time of collection.
    pub fn collected(&self) -> Timestamp {
        self.evidence.bundle().manifest().finished
    }

    /// Whether anything was gathered on the node itself; what its kubelet said through the API server was not.
    pub fn is_collected(&self) -> bool {
        let items = &self.evidence.bundle().manifest().items;
        let on_node = |item: &ItemRecord| !matches!(item.source, Source::Request(_));
        items.iter().any(|item| item.scope == self.scope && item.path.is_some() && on_node(item))
    }

    /// The content of the first item with this id.
    pub fn entry(&self, id: &str) -> Option<Entry> {
        self.records(id).into_iter().find_map(|record| self.read(record))
    }

    /// The content of all items with this id, by path.
    pub fn entries(&self, id: &str) -> Vec<Entry> {
        self.records(id).into_iter().filter_map(|record| self.read(record)).collect()
    }

    /// The manifest's record that proves that there is nothing: of an item that is absent or empty and has no content.
    pub fn nothing(&self, id: &str) -> Option<Citation> {
        let known_nothing = |record: &&ItemRecord| {
            matches!(record.status, ItemStatus::Absent | ItemStatus::Empty) && record.path.is_none()
        };
        let record = self.records(id).into_iter().find(known_nothing)?;
        let items = self.evidence.records();
        let index = items.iter().position(|item| std::ptr::eq(item, record))?;
        let text = match &record.reason {
            Some(reason) => format!("{}: {}, {reason}", source(record), record.status),
            None => format!("{}: {}", source(record), record.status),
        };
        Some(Citation::pointer(&Arc::from(bundle::layout::MANIFEST), format!("/items/{index}"), &text))
    }

    fn read(&self, record: &ItemRecord) -> Option<Entry> {
        let path: Arc<str> = Arc::from(record.path.as_deref()?);
        match self.evidence.bundle().read(&path) {
            Ok(bytes) => {
                let host_path = match &record.source {
                    Source::File(file) => file.clone(),
                    _ => path_on_host(&path),
                };
                Some(Entry { path, bytes, host_path, link: record.link_target.clone() })
            }
            Err(error) => {
                self.not_understood(&path, error);
                None
            }
        }
    }

    /// Remembers that an entry could not be read or understood.
    pub fn not_understood(&self, path: &Arc<str>, reason: impl ToString) {
        let unreadable = Unreadable { path: path.to_string(), reason: reason.to_string() };
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).push(unreadable);
    }

    /// The content of the first item with this id as `parse` understands it; what it does not understand is remembered.
    pub fn parsed<T, E: ToString>(&self, id: &str, parse: impl FnOnce(&Arc<str>, &[u8]) -> Result<T, E>) -> Option<T> {
        let entry = self.entry(id)?;
        match parse(&entry.path, &entry.bytes) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.not_understood(&entry.path, error);
                None
            }
        }
    }

    /// What could not be read or understood so far, in an order of its own.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let mut all = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by(|a, b| (&a.path, &a.reason).cmp(&(&b.path, &b.reason)));
        all.dedup();
        all
    }
}

/// The file that an entry's place in the bundle stands for, where the manifest does not name it: the folders that keep
/// the host's names.
fn path_on_host(path: &str) -> String {
    let below = path.splitn(3, '/').nth(2).unwrap_or_default();
    let kept = [("system/sysctl-files/", "/"), ("cni/net.d/", "/etc/cni/net.d/"), ("firewall/ufw/", "/etc/ufw/")];
    let found = kept.iter().find_map(|(folder, host)| Some(format!("{host}{}", below.strip_prefix(folder)?)));
    found.unwrap_or_default()
}

fn source(record: &ItemRecord) -> String {
    match &record.source {
        Source::Request(text) | Source::File(text) | Source::Computed(text) | Source::Attached(text) => text.clone(),
        Source::Argv(argv) => argv.join(" "),
    }
}

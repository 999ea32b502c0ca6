//! Which evidence is there for a subject, and why it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bundle::{ItemRecord, ItemStatus, Scope};

use super::Need;
use super::context::SubjectContext;
use super::evidence_id::serves;
use crate::evidence::Evidence;
use crate::finding::Missing;

/// How many pieces of missing evidence one outcome names.
const NAMED: usize = 20;

/// The evidence of a bundle, by who it belongs to.
pub struct Availability {
    evidence: Arc<Evidence>,
    /// Indexes into the manifest's items by id, so that a prefix is a range.
    by_id: BTreeMap<String, Vec<usize>>,
    nodes: Vec<Arc<str>>,
}

impl fmt::Debug for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Availability")
    }
}

/// Who an evidence id belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The cluster: one item for all.
    Cluster,
    /// Each node has its own.
    Node,
    /// Each container or pod has its own.
    Pod,
}

impl Owner {
    fn of(id: &str) -> Owner {
        match id.split('.').next() {
            // The selftest is made from outside, for each node: its items are the nodes'.
            Some("node" | "selftest") => Owner::Node,
            Some("pod") if id.starts_with("pod.netns") => Owner::Node,
            Some("log") => Owner::Pod,
            _ => Owner::Cluster,
        }
    }
}

impl Availability {
    /// Indexes a bundle's evidence; the nodes are those that the bundle knows.
    pub fn new(evidence: Arc<Evidence>, nodes: Vec<Arc<str>>) -> Availability {
        let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, item) in evidence.records().iter().enumerate() {
            by_id.entry(item.id.clone()).or_default().push(index);
        }
        Availability { evidence, by_id, nodes }
    }

    /// What of a rule's needs is missing for a subject; nothing where all is there.
    pub fn missing(&self, needs: &[Need], subject: &SubjectContext) -> Vec<Missing> {
        let ask = |id: &str| self.ask(id, subject);
        missing(needs, ask)
    }

    /// What is missing of the evidence of all nodes and pods, where the subject stands for them all: what was found on
    /// one node may convict, but only all nodes together acquit.
    pub fn missing_anywhere(&self, needs: &[Need]) -> Vec<Missing> {
        let mut all = Vec::new();
        for need in needs {
            let lacking: Vec<Vec<Missing>> = need.any.iter().map(|id| self.holes(id)).collect();
            if !lacking.iter().any(Vec::is_empty) {
                all.extend(lacking.into_iter().flatten());
            }
        }
        all.sort();
        all.dedup();
        all.truncate(NAMED);
        all
    }

    /// Whether an evidence id can be judged for a subject, or why not.
    pub fn ask(&self, id: &str, subject: &SubjectContext) -> Result<(), Missing> {
        match Owner::of(id) {
            Owner::Cluster => self.evidence.need(id, &Scope::Cluster),
            Owner::Node => match node_of(subject) {
                Some(node) => self.evidence.need(id, &Scope::Node(node)),
                None => self.anywhere(id),
            },
            Owner::Pod => {
                let own = self.evidence.items(id, &subject.scope).next().is_some();
                if own { self.evidence.need(id, &subject.scope) } else { self.anywhere(id) }
            }
        }
    }

    /// Why evidence does not suffice although some of it may be there: with the status of the first of its items that
    /// could not be had, else of the first there is.
    pub fn insufficient(&self, id: &str, subject: &SubjectContext, reason: String) -> Missing {
        let scope = match (Owner::of(id), node_of(subject)) {
            (Owner::Node, Some(node)) => Scope::Node(node),
            (Owner::Pod, _) => subject.scope.clone(),
            _ => Scope::Cluster,
        };
        let mut items = self.evidence.items(id, &scope);
        let first = items.next();
        // Of a node that could not be reached one record tells: that is the gap, and not each thing it would decide.
        if first.is_none()
            && let Err(missing) = self.evidence.need(id, &scope)
            && missing.id != id
        {
            return missing;
        }
        let unknown = first.into_iter().chain(items).find(|item| !item.status.is_known());
        let status = unknown.or(first).map_or(ItemStatus::NotRequested, |item| item.status);
        Missing { id: id.to_owned(), scope, status, reason: Some(reason) }
    }

    /// Whether an evidence id can be judged for anybody.
    pub fn anywhere(&self, id: &str) -> Result<(), Missing> {
        let mut missing = not_asked(id, Scope::Cluster);
        for item in self.items(id) {
            if item.status.is_known() {
                return Ok(());
            }
            missing = lacking(id, item);
        }
        Err(missing)
    }

    /// What of a rule's needs nobody has; nothing where somebody has each.
    pub fn missing_altogether(&self, needs: &[Need]) -> Vec<Missing> {
        missing(needs, |id| self.anywhere(id))
    }

    /// Who lacks an evidence id that others may have.
    fn holes(&self, id: &str) -> Vec<Missing> {
        match Owner::of(id) {
            Owner::Cluster => self.evidence.need(id, &Scope::Cluster).err().into_iter().collect(),
            Owner::Node => {
                let scopes = self.nodes.iter().map(|node| Scope::Node(node.to_string()));
                let holes: Vec<Missing> = scopes.filter_map(|scope| self.evidence.need(id, &scope).err()).collect();
                if self.nodes.is_empty() { vec![not_asked(id, Scope::Cluster)] } else { holes }
            }
            Owner::Pod => {
                let mut items = self.items(id).peekable();
                if items.peek().is_none() {
                    return vec![not_asked(id, Scope::Cluster)];
                }
                items.filter(|item| !item.status.is_known()).map(|item| lacking(id, item)).collect()
            }
        }
    }

    /// Logs that were asked for and could not be had, of the ids that a rule needs.
    pub fn unread_logs<'a>(&'a self, ids: impl Iterator<Item = &'a str> + 'a) -> impl Iterator<Item = Missing> + 'a {
        ids.filter(|id| Owner::of(id) == Owner::Pod || id.starts_with("node.log"))
            .flat_map(|id| self.items(id).filter(|item| !item.status.is_known()).map(|item| lacking(&item.id, item)))
    }

    fn items<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a ItemRecord> + 'a {
        let items = self.evidence.records();
        self.by_id
            .range(id.to_owned()..)
            .take_while(move |(found, _)| found.starts_with(id))
            .filter(move |(found, _)| serves(found, id))
            .flat_map(move |(_, indexes)| indexes.iter().filter_map(|&index| items.get(index)))
    }
}

/// What is missing: of each need that no alternative meets, all alternatives.
fn missing(needs: &[Need], mut ask: impl FnMut(&str) -> Result<(), Missing>) -> Vec<Missing> {
    let mut all = Vec::new();
    for need in needs {
        let mut lacking = Vec::new();
        let met = need.any.iter().any(|id| match ask(id) {
            Ok(()) => true,
            Err(missing) => {
                lacking.push(missing);
                false
            }
        });
        if !met {
            all.append(&mut lacking);
        }
    }
    all
}

/// The node whose evidence is the subject's, where it has one.
fn node_of(subject: &SubjectContext) -> Option<String> {
    match &subject.scope {
        Scope::Node(node) => Some(node.clone()),
        Scope::Pod(..) => subject.value.get_attr("node").ok()?.as_str().map(str::to_owned),
        Scope::Cluster => None,
    }
}

fn lacking(id: &str, item: &ItemRecord) -> Missing {
    Missing { id: id.to_owned(), scope: item.scope.clone(), status: item.status, reason: item.reason.clone() }
}

fn not_asked(id: &str, scope: Scope) -> Missing {
    let reason = Some("the bundle's manifest has no record of it".to_owned());
    Missing { id: id.to_owned(), scope, status: ItemStatus::NotRequested, reason }
}

//! Evidence: the items of a bundle, found by evidence id and scope, read at most once each, with the reason where one
//! cannot be had.

use std::collections::BTreeMap;

use bundle::{Bundle, ItemRecord, ItemStatus, Scope};

use crate::attachment;
use crate::finding::Missing;

/// A bundle, seen as evidence.
pub struct Evidence {
    bundle: Bundle,
    /// The manifest's records, attachments under the id of what they are.
    records: Vec<ItemRecord>,
    /// Indexes into the records, by scope and id, so that a prefix is a range.
    by_scope: BTreeMap<(Scope, String), Vec<usize>>,
}

impl Evidence {
    /// Indexes a bundle's manifest.
    pub fn new(bundle: Bundle) -> Evidence {
        let mut by_scope: BTreeMap<(Scope, String), Vec<usize>> = BTreeMap::new();
        let records = attachment::records(&bundle);
        for (index, item) in records.iter().enumerate() {
            by_scope.entry((item.scope.clone(), item.id.clone())).or_default().push(index);
        }
        Evidence { bundle, records, by_scope }
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// All items, attachments under the id of what they are.
    pub fn records(&self) -> &[ItemRecord] {
        &self.records
    }

    /// The items that serve an evidence id in a scope: the id itself, or continued behind a dot.
    pub fn items<'a>(&'a self, id: &'a str, scope: &Scope) -> impl Iterator<Item = &'a ItemRecord> + use<'a> {
        let first = (scope.clone(), id.to_owned());
        let scope = scope.clone();
        self.by_scope
            .range(first..)
            .take_while(move |((s, i), _)| *s == scope && i.starts_with(id))
            .filter(move |((_, i), _)| serves(i, id))
            .flat_map(|(_, indexes)| indexes.iter().filter_map(|&index| self.records.get(index)))
    }

    /// Whether an evidence id can be judged in a scope: at least one item serves it whose content or absence is known.
    /// Otherwise what is missing and why. Of a node that could not be reached one record tells, not one for each item.
    pub fn need(&self, id: &str, scope: &Scope) -> Result<(), Missing> {
        let mut missing = Missing {
            id: id.to_owned(),
            scope: scope.clone(),
            status: ItemStatus::NotRequested,
            reason: Some("the bundle's manifest has no record of it".to_owned()),
        };
        let mut asked = false;
        for item in self.items(id, scope) {
            if item.status.is_known() {
                return Ok(());
            }
            asked = true;
            missing.status = item.status;
            missing.reason = item.reason.clone();
        }
        if asked {
            return Err(missing);
        }
        if let Some(reach) = self.reach(scope) {
            // Named as what is missing, so that a node that is gone is one gap and not one for each of its items.
            missing.id.clone_from(&reach.id);
            missing.status = reach.status;
            missing.reason = reach.reason.clone();
        } else if let Some(all) = self.of_no_node(id, scope) {
            missing.scope = all.scope.clone();
            missing.status = all.status;
            missing.reason = all.reason.clone();
        }
        Err(missing)
    }

    /// What tells of all nodes at once why none has an item: that their list was forbidden, or that no kubelet answered.
    fn of_no_node(&self, id: &str, scope: &Scope) -> Option<&ItemRecord> {
        let Scope::Node(_) = scope else { return None };
        self.unknown(id, Scope::Cluster)
    }

    /// What came of reaching a node, where that failed.
    fn reach(&self, scope: &Scope) -> Option<&ItemRecord> {
        let Scope::Node(_) = scope else { return None };
        self.unknown("node.reach", scope.clone())
    }

    /// The first item with exactly this id, where its content and absence are unknown.
    fn unknown(&self, id: &str, scope: Scope) -> Option<&ItemRecord> {
        let indexes = self.by_scope.get(&(scope, id.to_owned()))?;
        let item = self.records.get(*indexes.first()?)?;
        (!item.status.is_known()).then_some(item)
    }
}

/// Whether an item with this id serves this evidence id.
fn serves(item: &str, id: &str) -> bool {
    item.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use bundle::manifest::{Manifest, RunKind, Tool};
    use bundle::{BundleWriter, ItemDraft, ItemEnd, Limits, Source};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_node_that_was_not_reached_says_so_for_all_its_evidence() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("b.zip");
        let writer = BundleWriter::create(&target, "").unwrap();
        let record = |id: &str, scope: &str, status, reason: &str| {
            let draft = ItemDraft {
                id: id.to_owned(),
                scope: scope.parse().unwrap(),
                source: Source::Computed(String::new()),
                plan: id.to_owned(),
            };
            writer.record(draft, ItemEnd::because(status, reason), Timestamp::UNIX_EPOCH);
        };
        record("node.reach", "node/n1", ItemStatus::Unreachable, "its kubelet is silent");
        record("node.reach", "node/n2", ItemStatus::Empty, "");
        record("node.reach", "node/n3", ItemStatus::Timeout, "it broke off");
        record("node.sysctl", "node/n3", ItemStatus::Forbidden, "permission denied");
        record("selftest.kubelet-proxy", "cluster", ItemStatus::Forbidden, "the nodes could not be listed");
        let tool = Tool { name: "dossier-collect".to_owned(), version: "0".to_owned() };
        writer.finish(Manifest::empty(tool, RunKind::Cluster, Timestamp::UNIX_EPOCH)).unwrap();
        let evidence = Evidence::new(Bundle::open(&target, Limits::default()).unwrap());
        let need = |node: &str| evidence.need("node.sysctl", &Scope::Node(node.to_owned())).unwrap_err();
        let gone = need("n1");
        assert_eq!((gone.id.as_str(), gone.status), ("node.reach", ItemStatus::Unreachable));
        assert_eq!(gone.reason.as_deref(), Some("its kubelet is silent"));
        assert_eq!(need("n2").status, ItemStatus::NotRequested);
        assert_eq!((need("n3").id.as_str(), need("n3").status), ("node.sysctl", ItemStatus::Forbidden));
        let untried = evidence.need("selftest.kubelet-proxy", &Scope::Node("n2".to_owned())).unwrap_err();
        assert_eq!((untried.scope, untried.status), (Scope::Cluster, ItemStatus::Forbidden));
        assert_eq!(untried.reason.as_deref(), Some("the nodes could not be listed"));
    }
}

//! Which hosts of several bundles are the same machine, and the one name that each goes by.

use std::collections::BTreeMap;

use super::MergeError;
use crate::layout;
use crate::manifest::{Clock, Host, Scope};
use crate::read::Bundle;

/// The hosts of all bundles, and the names that a bundle used for them where another name is kept.
pub(super) struct Hosts {
    hosts: Vec<Host>,
    /// By bundle: a node's name in it, and the name that is kept.
    renamed: Vec<BTreeMap<String, String>>,
}

impl Hosts {
    /// Knows hosts again by their machine-id, where the hostname or an address agrees as well: clones of one image
    /// often share the id. The name in the bundle of a cluster is kept, as it is the node's own; else the earliest.
    pub(super) fn join(bundles: &[&Bundle], conflicts: &mut Vec<String>) -> Result<Hosts, MergeError> {
        let mut joined = Hosts { hosts: Vec::new(), renamed: vec![BTreeMap::new(); bundles.len()] };
        let mut order: Vec<usize> = (0..bundles.len()).collect();
        order.sort_by_key(|index| bundles.get(*index).is_none_or(|bundle| bundle.manifest().cluster.is_none()));
        for index in order {
            for host in bundles.get(index).map_or(&[][..], |bundle| &bundle.manifest().hosts) {
                joined.add(index, host, conflicts)?;
            }
        }
        joined.hosts.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(joined)
    }

    fn add(&mut self, bundle: usize, host: &Host, conflicts: &mut Vec<String>) -> Result<(), MergeError> {
        if let Some(known) = self.hosts.iter_mut().find(|known| is_same(known, host)) {
            if known.node != host.node {
                let rename = (host.node.clone(), known.node.clone());
                conflicts.push(format!(
                    "host {} is called {} and {}; {} was kept",
                    host.hostname, rename.1, rename.0, rename.1
                ));
                self.renamed.get_mut(bundle).map(|renamed| renamed.insert(rename.0, rename.1));
            }
            known.privileged |= host.privileged;
            let new = host.addresses.iter().filter(|address| !known.addresses.contains(address));
            let new: Vec<String> = new.cloned().collect();
            known.addresses.extend(new);
            known.machine_id_sha256 = known.machine_id_sha256.take().or_else(|| host.machine_id_sha256.clone());
            return Ok(());
        }
        if let Some(other) = self.hosts.iter().find(|other| other.node == host.node) {
            let (node, first, second) = (host.node.clone(), other.hostname.clone(), host.hostname.clone());
            return Err(MergeError::SameNode { node, first, second });
        }
        let clone =
            |other: &&Host| host.machine_id_sha256.is_some() && other.machine_id_sha256 == host.machine_id_sha256;
        if let Some(other) = self.hosts.iter().find(clone) {
            conflicts.push(format!(
                "hosts {} and {} have the same machine-id and no name or address in common; they were taken for clones",
                other.node, host.node
            ));
        }
        self.hosts.push(host.clone());
        Ok(())
    }

    fn kept_name<'a>(&'a self, bundle: usize, node: &'a str) -> &'a str {
        self.renamed.get(bundle).and_then(|renamed| renamed.get(node)).map_or(node, String::as_str)
    }

    /// A scope of a bundle under the name that is kept.
    pub(super) fn scope(&self, bundle: usize, scope: &Scope) -> Scope {
        match scope {
            Scope::Node(node) => Scope::Node(self.kept_name(bundle, node).to_owned()),
            other => other.clone(),
        }
    }

    /// A path of a bundle under the name that is kept.
    pub(super) fn path(&self, bundle: usize, path: &str) -> String {
        let below = path.strip_prefix("nodes/").and_then(|rest| rest.split_once('/'));
        let Some((folder, below)) = below else { return path.to_owned() };
        let renamed = self.renamed.get(bundle).into_iter().flatten();
        match renamed.into_iter().find(|(old, _)| layout::component(old) == folder) {
            Some((_, new)) => layout::node_file(new, below),
            None => path.to_owned(),
        }
    }

    /// The clocks of all bundles, each once.
    pub(super) fn clocks(&self, bundles: &[&Bundle]) -> Vec<Clock> {
        let mut clocks: Vec<Clock> = Vec::new();
        for (index, bundle) in bundles.iter().enumerate() {
            for clock in &bundle.manifest().clocks {
                let clock = Clock { scope: self.scope(index, &clock.scope), ..clock.clone() };
                if !clocks.contains(&clock) {
                    clocks.push(clock);
                }
            }
        }
        clocks
    }

    pub(super) fn into_hosts(self) -> Vec<Host> {
        self.hosts
    }
}

/// Whether two records are of one machine. Without a machine-id on both sides the node's name has to do.
fn is_same(a: &Host, b: &Host) -> bool {
    let alike = a.hostname == b.hostname || a.addresses.iter().any(|address| b.addresses.contains(address));
    match (&a.machine_id_sha256, &b.machine_id_sha256) {
        (Some(first), Some(second)) => first == second && (alike || a.node == b.node),
        _ => a.node == b.node,
    }
}

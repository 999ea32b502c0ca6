//! Which hosts of several bundles are the same machine, and the one name that each goes by.

use std::collections::BTreeMap;

use super::{KnownNode, MergeError};
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
    pub(super) fn join(
        bundles: &[&Bundle],
        nodes: &[KnownNode],
        conflicts: &mut Vec<String>,
    ) -> Result<Hosts, MergeError> {
        let mut joined = Hosts { hosts: Vec::new(), renamed: vec![BTreeMap::new(); bundles.len()] };
        let mut order: Vec<usize> = (0..bundles.len()).collect();
        order.sort_by_key(|index| bundles.get(*index).is_none_or(|bundle| bundle.manifest().cluster.is_none()));
        for index in order {
            for host in bundles.get(index).map_or(&[][..], |bundle| &bundle.manifest().hosts) {
                let name = node_name(host, nodes, conflicts);
                joined.add(index, host, name, conflicts)?;
            }
        }
        joined.hosts.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(joined)
    }

    /// Adds a host under the name of its node, which may be another than its bundle gave it.
    fn add(&mut self, bundle: usize, host: &Host, name: String, conflicts: &mut Vec<String>) -> Result<(), MergeError> {
        let original = host.node.clone();
        let host = &Host { node: name, ..host.clone() };
        if original != host.node {
            self.renamed.get_mut(bundle).map(|renamed| renamed.insert(original.clone(), host.node.clone()));
        }
        if let Some(known) = self.hosts.iter_mut().find(|known| is_same(known, host)) {
            if known.node != host.node {
                let rename = (original, known.node.clone());
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

/// The name of the node that a host is, where the cluster's nodes are known; its own otherwise. What cannot be told is
/// said.
fn node_name(host: &Host, nodes: &[KnownNode], conflicts: &mut Vec<String>) -> String {
    if nodes.is_empty() {
        return host.node.clone();
    }
    let by_id: Vec<&KnownNode> = nodes
        .iter()
        .filter(|node| host.machine_id_sha256.is_some() && node.machine_id_sha256 == host.machine_id_sha256)
        .collect();
    let by_address: Vec<&KnownNode> =
        nodes.iter().filter(|node| node.addresses.iter().any(|address| host.addresses.contains(address))).collect();
    let (node, means) = match (&by_id[..], &by_address[..]) {
        ([node], _) => (*node, "machine-id"),
        // Clones of one image share their id; their addresses tell them apart.
        (_, [node]) => (*node, "InternalIP"),
        _ => {
            if let Some(node) = nodes.iter().find(|node| node.name == host.node) {
                conflicts.push(format!(
                    "host {} was taken for node {} by its name alone: neither machine-id nor InternalIP agrees with one node",
                    host.hostname, node.name
                ));
            } else {
                conflicts.push(format!(
                    "host {} is none of the cluster's nodes, by machine-id, InternalIP or name; it stays {}",
                    host.hostname, host.node
                ));
            }
            return host.node.clone();
        }
    };
    if node.name != host.node {
        conflicts
            .push(format!("host {} is node {} by its {means}; it was called {}", host.hostname, node.name, host.node));
    }
    node.name.clone()
}

/// Whether two records are of one machine. Without a machine-id on both sides the node's name has to do.
fn is_same(a: &Host, b: &Host) -> bool {
    let alike = a.hostname == b.hostname || a.addresses.iter().any(|address| b.addresses.contains(address));
    match (&a.machine_id_sha256, &b.machine_id_sha256) {
        (Some(first), Some(second)) => first == second && (alike || a.node == b.node),
        _ => a.node == b.node,
    }
}

//! Which hosts of several bundles are the same machine, and the one name that each goes by.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Knows hosts again by their machine-id, where the hostname or the addresses agree as well: clones of one image
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
                "hosts {} and {} have the same machine-id and not the same name or addresses; they were taken for clones",
                other.node, host.node
            ));
        }
        self.say_what_is_shared(host, conflicts);
        self.hosts.push(host.clone());
        Ok(())
    }

    /// Says that a host that is kept apart has all addresses of another and another machine-id.
    fn say_what_is_shared(&self, host: &Host, conflicts: &mut Vec<String>) {
        let is_other = |other: &&Host| {
            let ids = (&other.machine_id_sha256, &host.machine_id_sha256);
            matches!(ids, (Some(one), Some(two)) if one != two) && is_alike(other, host)
        };
        if let Some(other) = self.hosts.iter().find(is_other) {
            conflicts.push(format!(
                "hosts {} and {} have the same name or addresses and different machine-ids; they were taken for two machines",
                other.node, host.node
            ));
        }
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
    let has_address = |node: &&KnownNode| node.addresses.iter().any(|address| host.addresses.contains(address));
    let by_id = names(nodes.iter().filter(|node| agrees(host, node) == Some(true)));
    // An address that another machine has now, or a cluster with the same addresses, must not pass for the node.
    let by_address = names(nodes.iter().filter(has_address).filter(|node| agrees(host, node) != Some(false)));
    let (node, means) = match (&by_id[..], &by_address[..]) {
        ([node], _) => (*node, "machine-id"),
        // Clones of one image share their id; their addresses tell them apart.
        (_, [node]) => (*node, "InternalIP"),
        _ => {
            let taken = nodes.iter().find(|node| node.name == host.node);
            let end = match taken {
                Some(node) => format!("it was taken for node {} by its name alone", node.name),
                None => format!("it stays {}", host.node),
            };
            let why = match nodes.iter().find(has_address) {
                Some(node) if agrees(host, node) == Some(false) => format!(
                    "has the InternalIP of node {} and another machine-id: another machine, or one that was installed anew",
                    node.name
                ),
                Some(_) => "has the InternalIP of more than one node".to_owned(),
                None if by_id.len() > 1 => {
                    format!("has the machine-id of {} and no InternalIP of theirs", by_id.join(", "))
                }
                None => "is none of the cluster's nodes, by machine-id or InternalIP".to_owned(),
            };
            conflicts.push(format!("host {} {why}; {end}", host.hostname));
            return host.node.clone();
        }
    };
    if node != host.node {
        conflicts.push(format!("host {} is node {node} by its {means}; it was called {}", host.hostname, host.node));
    }
    node.to_owned()
}

/// Whether a host and a node have the same machine-id; nothing where one of them is not known.
fn agrees(host: &Host, node: &KnownNode) -> Option<bool> {
    Some(host.machine_id_sha256.as_ref()? == node.machine_id_sha256.as_ref()?)
}

/// The names of nodes, each once: two bundles of a cluster list the same nodes.
fn names<'a>(nodes: impl Iterator<Item = &'a KnownNode>) -> Vec<&'a str> {
    nodes.map(|node| node.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether two records are of one machine. Without a machine-id on both sides the node's name has to do.
fn is_same(a: &Host, b: &Host) -> bool {
    match (&a.machine_id_sha256, &b.machine_id_sha256) {
        (Some(first), Some(second)) => first == second && (a.node == b.node || is_alike(a, b)),
        _ => a.node == b.node,
    }
}

/// Whether hosts with one machine-id are one machine and no clones. One address in common says nothing: every host has the
/// same one on Docker's bridge, for node-local DNS, for kube-proxy's Services.
fn is_alike(a: &Host, b: &Host) -> bool {
    let (few, many) = if a.addresses.len() <= b.addresses.len() { (a, b) } else { (b, a) };
    let all_in = !few.addresses.is_empty() && few.addresses.iter().all(|address| many.addresses.contains(address));
    a.hostname == b.hostname || all_in
}

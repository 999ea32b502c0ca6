//! Folding several bundles into one: a cluster's, and those of nodes that were collected by hand, say.
//!
//! Entries are copied compressed as they are. The result is sorted and does not depend on the order in which the
//! bundles are given. What the bundles disagree on is never silent: it refuses the merge ([`MergeError`]), or is a
//! sentence in [`Merged::conflicts`](crate::manifest::Merged).

mod hosts;
mod items;

use jiff::Timestamp;

use crate::manifest::{Cluster, Ended, FORMAT, Manifest, Merged, MergedBundle, RunKind, Tool};
use crate::read::{Bundle, ReadError};
use crate::write::{BundleWriter, WriteError, Written};

use hosts::Hosts;

/// Why bundles cannot be folded together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("no bundle was given to merge")]
    Nothing,
    /// The bundles are of different clusters.
    #[error("the bundles are of two clusters, {first} and {second}; merge those of one cluster at a time")]
    TwoClusters {
        /// The first cluster: name and uid of its kube-system namespace.
        first: String,
        /// The other.
        second: String,
    },
    /// Two hosts go by the name of one node.
    #[error(
        "two hosts are called node {node}: {first} and {second}; collect one of them again with another --node-name"
    )]
    SameNode {
        /// The node's name in both bundles.
        node: String,
        /// Hostname of the first.
        first: String,
        /// Hostname of the other.
        second: String,
    },
    /// An entry of one bundle cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new bundle cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What was written, and what the bundles disagreed on.
#[derive(Debug)]
pub struct MergeOutcome {
    /// The new bundle.
    pub written: Written,
    /// The sentences that stand in its manifest, too.
    pub conflicts: Vec<String>,
}

/// A node as the cluster knows it, whoever read its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Its name.
    pub name: String,
    /// SHA-256, in hexadecimal, of its machine-id, as [`Host`](crate::manifest::Host) keeps it.
    pub machine_id_sha256: Option<String>,
    /// Its InternalIPs.
    pub addresses: Vec<String>,
}

/// Folds bundles into one, through a writer that has no items yet. `tool` is the program that merges.
pub fn merge(bundles: &[Bundle], writer: BundleWriter, tool: Tool) -> Result<MergeOutcome, MergeError> {
    merge_with_nodes(bundles, &[], writer, tool)
}

/// The same, where the cluster's nodes are known: a host that was read by hand goes by the name of the node that it is, by
/// its machine-id, then by an InternalIP. A host that is none of them is a sentence among the conflicts.
pub fn merge_with_nodes(
    bundles: &[Bundle],
    nodes: &[KnownNode],
    writer: BundleWriter,
    tool: Tool,
) -> Result<MergeOutcome, MergeError> {
    let bundles = in_order(bundles);
    let (first, last) = match (bundles.first(), bundles.iter().map(|b| b.manifest().finished).max()) {
        (Some(first), Some(last)) => (first.manifest().started, last),
        _ => return Err(MergeError::Nothing),
    };
    let mut conflicts = Vec::new();
    let cluster = one_cluster(&bundles, &mut conflicts)?;
    if nodes.is_empty() && cluster.is_some() && bundles.iter().any(|bundle| bundle.manifest().cluster.is_none()) {
        let why =
            "the cluster's list of nodes is in no bundle, so that hosts keep the names that they were collected under";
        conflicts.push(why.to_owned());
    }
    let hosts = Hosts::join(&bundles, nodes, &mut conflicts)?;
    let chosen = items::choose(&bundles, &hosts, &mut conflicts);
    items::write(&bundles, chosen, &writer, &mut conflicts)?;
    let manifest = manifest(&bundles, tool, (first, last), cluster, hosts, &mut conflicts);
    let written = writer.finish(manifest)?;
    Ok(MergeOutcome { written, conflicts })
}

/// The bundles by the time at which they began, each once.
fn in_order(bundles: &[Bundle]) -> Vec<&Bundle> {
    let mut bundles: Vec<&Bundle> = bundles.iter().collect();
    bundles.sort_by_cached_key(|bundle| {
        let manifest = bundle.manifest();
        // The text decides between bundles that began at once; it cannot fail for what was parsed.
        (manifest.started, manifest.finished, serde_json::to_string(manifest).unwrap_or_default())
    });
    bundles.dedup_by(|a, b| a.manifest() == b.manifest());
    bundles
}

fn one_cluster(bundles: &[&Bundle], conflicts: &mut Vec<String>) -> Result<Option<Cluster>, MergeError> {
    let mut kept: Option<&Cluster> = None;
    for found in bundles.iter().filter_map(|bundle| bundle.manifest().cluster.as_ref()) {
        let Some(known) = kept else {
            kept = Some(found);
            continue;
        };
        match (&known.uid, &found.uid) {
            (Some(a), Some(b)) if a != b => {
                let shown = |cluster: &Cluster, uid: &str| format!("{} ({uid})", cluster.name);
                return Err(MergeError::TwoClusters { first: shown(known, a), second: shown(found, b) });
            }
            (Some(_), Some(_)) => {}
            _ if known == found => {}
            _ => conflicts.push(format!(
                "clusters {} and {} were taken for the same; the identity of at least one is not known",
                known.name, found.name
            )),
        }
        if known.uid.is_none() && found.uid.is_some() {
            kept = Some(found);
        }
    }
    Ok(kept.cloned())
}

fn manifest(
    bundles: &[&Bundle],
    tool: Tool,
    (started, finished): (Timestamp, Timestamp),
    cluster: Option<Cluster>,
    hosts: Hosts,
    conflicts: &mut Vec<String>,
) -> Manifest {
    let manifests = || bundles.iter().map(|bundle| bundle.manifest());
    let mut limits = Vec::new();
    for limit in manifests().flat_map(|m| &m.limits) {
        if !limits.contains(limit) {
            limits.push(limit.clone());
        }
    }
    let mut symptoms = manifests().filter_map(|m| m.symptom.as_ref());
    let symptom = symptoms.next().cloned();
    if symptoms.any(|other| Some(other) != symptom.as_ref()) {
        conflicts.push("the bundles name different symptoms; the one of the earliest was kept".to_owned());
    }
    let clocks = hosts.clocks(bundles);
    Manifest {
        format: FORMAT,
        tool,
        kind: RunKind::Merged,
        started,
        finished,
        ended: manifests().map(|m| m.ended).find(|ended| *ended != Ended::Done).unwrap_or(Ended::Done),
        cluster,
        hosts: hosts.into_hosts(),
        clocks,
        limits,
        symptom,
        merged: Some(Merged { bundles: manifests().flat_map(sources).collect(), conflicts: conflicts.clone() }),
        items: Vec::new(),
    }
}

/// A bundle as a line of the merged one; one that was merged itself is what it was made of.
fn sources(manifest: &Manifest) -> Vec<MergedBundle> {
    match &manifest.merged {
        Some(merged) => merged.bundles.clone(),
        None => vec![MergedBundle {
            tool: manifest.tool.clone(),
            kind: manifest.kind,
            started: manifest.started,
            finished: manifest.finished,
            ended: manifest.ended,
            nodes: manifest.hosts.iter().map(|host| host.node.clone()).collect(),
        }],
    }
}

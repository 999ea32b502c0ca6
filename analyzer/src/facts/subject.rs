//! What rules range over, and the root variables that their expressions see.

use bundle::Scope;
use minijinja::Value;

use super::node::certificate::Certificate;
use super::{Facts, cluster, log, node, node_root};
use crate::finding::{Subject, SubjectKind};
use crate::shape::RecordShape;

/// The kinds of subjects that rules can range over so far.
pub const KINDS: &[SubjectKind] =
    &[SubjectKind::Cluster, SubjectKind::Node, SubjectKind::Log, SubjectKind::Certificate];

/// The name of the root variable of a kind of subject.
pub fn root_name(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Cluster => "cluster",
        SubjectKind::Node => "node",
        SubjectKind::Pod => "pod",
        SubjectKind::Service => "service",
        SubjectKind::Workload => "workload",
        SubjectKind::NodeNetworkConfig => "nnc",
        SubjectKind::Log => "log",
        SubjectKind::Certificate => "certificate",
    }
}

/// The shape of the root variable of a kind of subject.
pub fn root(kind: SubjectKind) -> &'static RecordShape {
    match kind {
        SubjectKind::Node => &node_root::SHAPE,
        SubjectKind::Log => &log::SHAPE,
        SubjectKind::Certificate => &node::CERTIFICATE,
        _ => &cluster::SHAPE,
    }
}

/// The subjects of one kind. Cheap to make and to share; values are made when they are asked for.
#[derive(Debug, Clone)]
pub struct Subjects {
    facts: Facts,
    kind: SubjectKind,
    len: usize,
}

impl Subjects {
    pub(super) fn new(facts: Facts, kind: SubjectKind) -> Subjects {
        let len = match kind {
            SubjectKind::Cluster => 1,
            SubjectKind::Node => facts.node_names().len(),
            SubjectKind::Log => facts.logs().len(),
            SubjectKind::Certificate => certificates(&facts).count(),
            _ => 0,
        };
        Subjects { facts, kind, len }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none. That may be because the list was not collected: a rule's `needs` tell.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the subject at this place is called; the cluster where there is no such place.
    pub fn subject(&self, index: usize) -> Subject {
        let name = match self.kind {
            SubjectKind::Cluster => None,
            SubjectKind::Node => self.facts.node_names().get(index).map(|name| name.to_string()),
            SubjectKind::Log => self.facts.logs().get(index).map(|log| log.path().to_string()),
            SubjectKind::Certificate => {
                certificates(&self.facts).nth(index).map(|(node, certificate)| format!("{node}/{}", certificate.name()))
            }
            _ => None,
        };
        Subject { kind: self.kind, name: name.unwrap_or_default() }
    }

    /// The root variable that the kind names; undefined where there is no such place.
    pub fn value(&self, index: usize) -> Value {
        let value = match self.kind {
            SubjectKind::Cluster => Some(cluster::value(&self.facts)),
            SubjectKind::Node => self.facts.node_names().get(index).map(|name| node_root::value(&self.facts, name)),
            SubjectKind::Log => self.facts.logs().get(index).map(log::LogFile::value),
            SubjectKind::Certificate => certificates(&self.facts)
                .nth(index)
                .map(|(node, certificate)| certificate.value(node, self.facts.collected())),
            _ => None,
        };
        value.unwrap_or_default()
    }

    /// Whose evidence a rule over this subject needs, beside the cluster's: `node.*` is looked up here, `api.*` in
    /// [`Scope::Cluster`].
    pub fn scope(&self, index: usize) -> Scope {
        let scope = match self.kind {
            SubjectKind::Node => self.facts.node_names().get(index).map(|name| Scope::Node(name.to_string())),
            SubjectKind::Log => self.facts.logs().get(index).map(|log| log.scope().clone()),
            SubjectKind::Certificate => {
                certificates(&self.facts).nth(index).map(|(node, _)| Scope::Node(node.to_owned()))
            }
            _ => None,
        };
        scope.unwrap_or(Scope::Cluster)
    }
}

/// All certificates, each with the node that it lies on.
fn certificates(facts: &Facts) -> impl Iterator<Item = (&str, &Certificate)> {
    let files = facts.node_names().iter().filter_map(|node| facts.node_files(node));
    files.flat_map(|files| files.certificates().iter().map(|certificate| (files.node(), certificate)))
}

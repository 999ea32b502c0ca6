//! What rules range over, and the root variables that their expressions see.

use bundle::Scope;
use minijinja::Value;

use super::certificates::Placed;
use super::{Facts, cluster, log, nnc, node, node_root, pod, service, workload};
use crate::finding::{Subject, SubjectKind};
use crate::shape::RecordShape;

/// The kinds of subjects that rules can range over.
pub const KINDS: &[SubjectKind] = &[
    SubjectKind::Cluster,
    SubjectKind::Node,
    SubjectKind::Pod,
    SubjectKind::Service,
    SubjectKind::Workload,
    SubjectKind::NodeNetworkConfig,
    SubjectKind::Log,
    SubjectKind::Certificate,
];

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
        SubjectKind::Cluster => &cluster::SHAPE,
        SubjectKind::Node => &node_root::SHAPE,
        SubjectKind::Pod => &pod::fact::SHAPE,
        SubjectKind::Service => &service::SHAPE,
        SubjectKind::Workload => &workload::SHAPE,
        SubjectKind::NodeNetworkConfig => &nnc::SHAPE,
        SubjectKind::Log => &log::SHAPE,
        SubjectKind::Certificate => &node::CERTIFICATE,
    }
}

/// The evidence that tells which subjects of a kind there are. Where it is missing, no subjects means nothing.
pub fn enumerated_by(kind: SubjectKind) -> &'static [&'static str] {
    match kind {
        SubjectKind::Pod => &[pod::EVIDENCE],
        SubjectKind::Service => &[service::EVIDENCE],
        SubjectKind::Workload => &[workload::EVIDENCE],
        SubjectKind::NodeNetworkConfig => &[nnc::EVIDENCE],
        // The cluster is always there; nodes come of any evidence; logs and certificates of many.
        SubjectKind::Cluster | SubjectKind::Node | SubjectKind::Log | SubjectKind::Certificate => &[],
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
            SubjectKind::Pod => facts.pods().all().len(),
            SubjectKind::Service => facts.services().all.len(),
            SubjectKind::Workload => facts.workloads().all().len(),
            SubjectKind::NodeNetworkConfig => facts.node_network_configs().len(),
            SubjectKind::Log => facts.logs().len(),
            SubjectKind::Certificate => facts.certificates().len(),
        };
        Subjects { facts, kind, len }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none. That may be because the list was not collected: [`enumerated_by`] and a rule's `needs`
    /// tell.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the subject at this place is called; nothing where there is no such place.
    pub fn subject(&self, index: usize) -> Subject {
        let facts = &self.facts;
        let name = match self.kind {
            SubjectKind::Cluster => None,
            SubjectKind::Node => facts.node_names().get(index).map(|name| name.to_string()),
            SubjectKind::Pod => facts.pods().all().get(index).map(pod::Pod::full_name),
            SubjectKind::Service => facts.services().all.get(index).map(service::Service::full_name),
            SubjectKind::Workload => facts.workloads().all().get(index).map(workload::Workload::full_name),
            SubjectKind::NodeNetworkConfig => facts.node_network_configs().get(index).map(|nnc| nnc.name.to_string()),
            SubjectKind::Log => facts.logs().get(index).map(|log| log.path().to_string()),
            SubjectKind::Certificate => facts.certificates().get(index).map(Placed::name),
        };
        Subject { kind: self.kind, name: name.unwrap_or_default() }
    }

    /// The root variable that the kind names; undefined where there is no such place.
    pub fn value(&self, index: usize) -> Value {
        let facts = &self.facts;
        // Kinds that exist by the thousand are kept by places of 32 bits.
        let place = (index < self.len).then(|| u32::try_from(index).ok()).flatten();
        let value = match self.kind {
            SubjectKind::Cluster => Some(cluster::value(facts)),
            SubjectKind::Node => facts.node_names().get(index).map(|name| node_root::value(facts, name)),
            SubjectKind::Pod => place.map(|place| pod::fact::value(facts, place)),
            SubjectKind::Service => place.map(|place| service::fact::value(facts, place)),
            SubjectKind::Workload => place.map(|place| workload::value(facts, place)),
            SubjectKind::NodeNetworkConfig => Some(nnc::value(facts, index)),
            SubjectKind::Log => facts.logs().get(index).map(log::LogFile::value),
            SubjectKind::Certificate => {
                let placed = facts.certificates().get(index);
                placed.map(|placed| placed.certificate.value(placed.node.as_deref(), facts.collected()))
            }
        };
        value.unwrap_or_default()
    }

    /// Whose evidence a rule over this subject needs, beside the cluster's: `node.*` is looked up here, `api.*` in
    /// [`Scope::Cluster`].
    pub fn scope(&self, index: usize) -> Scope {
        let facts = &self.facts;
        let node = |name: &str| (!name.is_empty()).then(|| Scope::Node(name.to_owned()));
        let scope = match self.kind {
            SubjectKind::Node => facts.node_names().get(index).and_then(|name| node(name)),
            SubjectKind::Pod => facts.pods().all().get(index).and_then(|pod| node(&pod.node)),
            SubjectKind::NodeNetworkConfig => facts.node_network_configs().get(index).and_then(|nnc| node(&nnc.name)),
            SubjectKind::Log => facts.logs().get(index).map(|log| log.scope().clone()),
            SubjectKind::Certificate => facts.certificates().get(index).and_then(|placed| node(placed.node.as_ref()?)),
            SubjectKind::Cluster | SubjectKind::Service | SubjectKind::Workload => None,
        };
        scope.unwrap_or(Scope::Cluster)
    }
}

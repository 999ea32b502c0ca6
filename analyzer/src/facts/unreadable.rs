//! What no parser could read. It is evidence too: a rule must not say "there is none" of what could not be read.

use super::{Facts, Part};
use crate::finding::{SubjectKind, Unreadable};

/// What of one kind's evidence could not be read.
pub fn of(facts: &Facts, kind: SubjectKind) -> Vec<Unreadable> {
    let store = &facts.0;
    match kind {
        SubjectKind::Node => {
            facts.node_objects();
            let files = facts.node_names().iter().filter_map(|name| facts.node_files(name));
            let of_files = files.flat_map(super::node::NodeFacts::unreadable);
            parsed(&store.node_objects).into_iter().chain(of_files).collect()
        }
        SubjectKind::Pod => {
            facts.pods();
            parsed(&store.pods)
        }
        SubjectKind::Service => {
            facts.services();
            facts.slices();
            [parsed(&store.services), parsed(&store.slices)].concat()
        }
        SubjectKind::Workload => {
            facts.workloads();
            parsed(&store.workloads)
        }
        SubjectKind::NodeNetworkConfig => {
            facts.node_network_configs();
            parsed(&store.node_network_configs)
        }
        SubjectKind::Cluster => {
            facts.events();
            facts.subnet_states();
            facts.config_maps();
            facts.usage();
            facts.policies();
            facts.namespaces();
            facts.clouds();
            let lists = [parsed(&store.events), parsed(&store.subnet_states)];
            let others = [parsed(&store.config_maps), parsed(&store.usage)];
            let policies = [parsed(&store.policies), parsed(&store.namespaces), parsed(&store.clouds)];
            [lists.concat(), others.concat(), policies.concat()].concat()
        }
        // Of the certificates on nodes, Node answers for the files.
        SubjectKind::Certificate => {
            facts.certificates();
            parsed(&store.certificates)
        }
        // Logs are not parsed.
        SubjectKind::Log => Vec::new(),
    }
}

/// Everything that could not be read.
pub fn all(facts: &Facts) -> Vec<Unreadable> {
    super::subject::KINDS.iter().flat_map(|kind| of(facts, *kind)).collect()
}

fn parsed<T>(part: &Part<T>) -> Vec<Unreadable> {
    part.get().map(|(_, unreadable)| unreadable.clone()).unwrap_or_default()
}

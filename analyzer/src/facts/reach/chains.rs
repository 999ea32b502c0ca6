//! The chains that somebody added to a node's iptables rule sets, and whose they are by the names that programs give.

use std::collections::BTreeSet;

use minijinja::Value;
use netpath::answer::{Owner, owner_of_chain};
use netpath::iptables::{Chain, Table};
use netpath::node::Node;
use netpath::targets::Target;

use super::walk;
use crate::fact::Record;
use crate::shape::{Field, RecordShape};

/// The shape of a chain.
pub static SHAPE: RecordShape = RecordShape {
    name: "chain",
    doc: "A chain that somebody added to an iptables rule set.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("table", "Its table."),
        Field::scalar("backend", "`nft` or `legacy`."),
        Field::scalar("family", "4 or 6."),
        Field::scalar("owner", "Whose it is by its name: `kube-proxy`, `ufw`, `docker` … `unknown`."),
        Field::scalar("of_kubernetes", "Whether that is a part of Kubernetes or of its network."),
        Field::scalar("rules", "How many rules it has."),
        Field::scalar("used", "Whether a rule leads to it."),
        Field::scalar("drops", "Whether a rule of it drops or rejects."),
    ],
};

/// All of them, in the order of the dumps.
pub fn values(node: &Node) -> Value {
    let mut all = Vec::new();
    for ruleset in &node.rulesets {
        for table in &ruleset.tables {
            let used = led_to(table);
            for chain in table.chains.iter().filter(|chain| chain.policy.is_none() && chain.line > 0) {
                let owner = owner_of_chain(&chain.name);
                let record = Record::cited(walk::cite(&ruleset.cite_chain(chain)))
                    .with("name", &*chain.name)
                    .with("table", &*table.name)
                    .with("backend", ruleset.backend.name())
                    .with("family", if ruleset.family == netpath::address::Family::V4 { 4 } else { 6 })
                    .with("owner", walk::name(&owner))
                    .with("of_kubernetes", is_of_kubernetes(owner))
                    .with("rules", chain.rules.len())
                    .with("used", used.contains(&*chain.name))
                    .with(
                        "drops",
                        chain.rules.iter().any(|rule| matches!(rule.target, Target::Drop | Target::Reject(_))),
                    );
                all.push(record.into_value());
            }
        }
    }
    Value::from(all)
}

fn is_of_kubernetes(owner: Owner) -> bool {
    matches!(
        owner,
        Owner::KubeProxy
            | Owner::KubeRouter
            | Owner::Calico
            | Owner::Cilium
            | Owner::Flannel
            | Owner::Cni
            | Owner::AzureNpm
            | Owner::MasqAgent
            | Owner::Istio
    )
}

/// The names of the chains that rules of the table lead to.
fn led_to(table: &Table) -> BTreeSet<&str> {
    let rules = table.chains.iter().flat_map(|chain: &Chain| &chain.rules);
    rules
        .filter_map(|rule| match &rule.target {
            Target::Jump { chain, .. } => Some(&**chain),
            _ => None,
        })
        .collect()
}

//! What kube-proxy made of the Services on a node, beside what it should have made of them.
//!
//! Lists and dumps are not of one instant. Services that changed less than [`SETTLE`] before the node's dump, or after it,
//! are not judged. What changed between the lists and a later dump, nothing in the bundle shows: `lag` says how long that
//! was, so that a rule can tell one endpoint that came meanwhile from a kube-proxy that does not work.

use jiff::Timestamp;
use minijinja::Value;
use netpath::address::Family;
use netpath::service::{self as told, Comparison, Difference, Leftover, Mode, Place, PortComparison, State};
use netpath::source::Cited;

use super::fact;
use crate::citation::Citation;
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::node::NodeFacts;
use crate::shape::{Field, RecordShape, Shape};

/// Seconds in which kube-proxy has written what changed: two of its periods of 30 s.
const SETTLE: i64 = 60;

/// Differing ports and leftovers that are named; the counts are complete.
const NAMED: usize = 50;

/// The dumps that show what kube-proxy wrote.
const DUMPS: [&str; 8] = [
    "node.iptables.nft-v4",
    "node.iptables.nft-v6",
    "node.iptables.legacy-v4",
    "node.iptables.legacy-v6",
    "node.iptables.plain-v4",
    "node.iptables.plain-v6",
    "node.nft.ruleset",
    "node.ipvs.services",
];

/// The shape of what kube-proxy made of the Services, in one family.
pub static SHAPE: RecordShape = RecordShape {
    name: "proxy chains",
    doc: "What kube-proxy made of the Services on a node, beside what the API says, in one family.",
    fields: &[
        Field::scalar("mode", "`iptables`, `nftables` or `ipvs`."),
        Field::scalar("family", "4 or 6."),
        Field::scalar(
            "traces",
            "Whether anything of kube-proxy is there; without traces the mode is what it was told.",
        ),
        Field::scalar("judged", "How many ports of Services it should serve, without those that changed just now."),
        Field::scalar("present", "How many of them are as they should be."),
        Field::scalar("missing", "Of how many there is nothing."),
        Field::scalar("partial", "Of how many a part is missing."),
        Field::scalar("stale", "How many lead to endpoints that the API no longer has, and lack nothing."),
        Field::scalar("wrong", "How many lead elsewhere, or are refused though they have endpoints, or the reverse."),
        Field::scalar("recent", "How many changed too shortly before the dump to be judged."),
        Field::scalar(
            "lag",
            "Seconds from the list of EndpointSlices to the node's dump; below 0 the dump came first.",
        ),
        Field::scalars("base", "Parts that all Services need and that are missing."),
        Field::scalars("doubts", "Why something that is not found may be there all the same: a dump that is cut off."),
        Field::of("differing", Shape::List(&Shape::Record(&PORT)), "The first 50 ports that differ, the worst first."),
        Field::of(
            "leftovers",
            Shape::List(&Shape::Record(&LEFTOVER)),
            "The first 50 things that belong to no Service.",
        ),
        Field::scalar("leftover", "How many things belong to no Service."),
    ],
};

/// The shape of a port that differs.
pub static PORT: RecordShape = RecordShape {
    name: "differing port",
    doc: "A port of a Service that a node does not serve as the API says.",
    fields: &[
        Field::scalar("name", "Its name: `kube-system/kube-dns:dns`."),
        Field::scalar("protocol", "`tcp`, `udp`, `sctp`."),
        Field::record("service", &fact::SHAPE, "The Service."),
        Field::scalar("state", "`missing`, `wrong`, `partial` or `stale`."),
        Field::of("differences", Shape::List(&Shape::Record(&DIFFERENCE)), "What differs."),
    ],
};

/// The shape of a difference.
pub static DIFFERENCE: RecordShape = RecordShape {
    name: "difference",
    doc: "What differs in a port.",
    fields: &[
        Field::scalar("text", "What differs, in words."),
        Field::scalar("endpoint", "The endpoint that is missing or stale."),
    ],
};

/// The shape of what belongs to no Service.
pub static LEFTOVER: RecordShape = RecordShape {
    name: "leftover",
    doc: "Something on the node that belongs to no Service of the API.",
    fields: &[
        Field::scalar("what", "An address and port, or a chain."),
        Field::scalar("service", "The Service that its comment names."),
        Field::scalar("reachable", "Whether packets can get there; a chain that nothing leads to does no harm."),
    ],
};

/// What was found on a node in one family, without the ports that are as they should be.
#[derive(Debug)]
pub struct Checked {
    mode: Mode,
    family: Family,
    traces: bool,
    counts: [usize; 5],
    recent: usize,
    lag: Option<i64>,
    base: Vec<String>,
    doubts: Vec<String>,
    differing: Vec<PortComparison>,
    leftovers: Vec<Leftover>,
}

const STATES: [State; 5] = [State::Present, State::Missing, State::Partial, State::Stale, State::Wrong];

/// Compares both families. A family of which nothing was collected, or in which kube-proxy has nothing to do, is left
/// out; none at all where the lists are missing or something else does kube-proxy's work.
pub fn check(facts: &Facts, node: &NodeFacts) -> Option<Vec<Checked>> {
    let listed = listed_at(facts)?;
    let kernel = node.kernel()?;
    let dumped = DUMPS.iter().flat_map(|id| node.folder.records(id)).map(|record| record.started).min();
    let object = facts.node_object(node.node());
    let place = Place {
        node: node.node(),
        zone: object.and_then(|node| node.labels.get("topology.kubernetes.io/zone")).map(|zone| &**zone),
        settled_before: dumped.map(|time| time.as_second() - SETTLE),
    };
    let check = |family: Family| {
        let found = told::detect(kernel, family);
        let mode = found.or_else(|| mode_told(facts, node))?;
        let compared = told::compare(kernel, facts.told_services(), place, family, mode)?;
        // A cluster of one family has no Services of the other, and its kube-proxy may not look at that at all.
        (!compared.ports.is_empty()).then(|| {
            let lag = dumped.map(|time| time.as_second() - listed.as_second());
            Checked::of(compared, found.is_some(), lag)
        })
    };
    Some([Family::V4, Family::V6].into_iter().filter_map(check).collect())
}

/// When the EndpointSlices were listed; none where they or the Services were not.
fn listed_at(facts: &Facts) -> Option<Timestamp> {
    let items = &facts.evidence().bundle().manifest().items;
    let listed = |id: &str| items.iter().find(|item| item.id == id && item.path.is_some()).map(|item| item.started);
    listed(super::EVIDENCE).and(listed(super::slice::EVIDENCE))
}

/// The mode that kube-proxy was told, where it runs on the node and left no traces.
fn mode_told(facts: &Facts, node: &NodeFacts) -> Option<Mode> {
    let runs = facts.kube_proxy_replacement().is_none() && facts.kube_proxy_as_pods();
    runs.then_some(())?;
    let on_node = facts.pods().on_node(node.node()).iter().filter_map(|place| facts.pods().get(*place));
    let mut proxies = on_node.filter(|pod| crate::facts::component::of_pod(pod) == Some("kube-proxy"));
    proxies.any(|pod| pod.is_ready()).then(|| configured(facts).unwrap_or(Mode::Iptables))
}

/// `mode:` of the ConfigMap that kubeadm makes.
fn configured(facts: &Facts) -> Option<Mode> {
    let config_map = facts.config_map("kube-system", "kube-proxy")?;
    let word = config_map.data.get("config.conf")?.lines().find_map(|line| line.strip_prefix("mode:"))?;
    let word = word.trim().trim_matches(['"', '\'']);
    [Mode::Iptables, Mode::Nftables, Mode::Ipvs].into_iter().find(|mode| mode.name() == word)
}

impl Checked {
    fn of(compared: Comparison, traces: bool, lag: Option<i64>) -> Self {
        let counts = STATES.map(|state| compared.count(state));
        let recent = compared.ports.iter().filter(|port| port.recent).count();
        let base = compared.base.iter().map(Difference::to_string).collect();
        let Comparison { mode, family, ports, leftovers, doubts, .. } = compared;
        let mut differing: Vec<_> =
            ports.into_iter().filter(|port| !port.recent && port.state != State::Present).collect();
        differing.sort_by_key(|port| std::cmp::Reverse(port.state));
        differing.truncate(NAMED);
        Self { mode, family, traces, counts, recent, lag, base, doubts, differing, leftovers }
    }

    /// The fact, as expressions see it.
    pub fn value(&self, facts: &Facts) -> Value {
        let [present, missing, partial, stale, wrong] = self.counts;
        let differing: Vec<Value> = self.differing.iter().map(|port| port_value(facts, port)).collect();
        Record::derived()
            .with("mode", self.mode.name())
            .with("family", if self.family == Family::V4 { 4 } else { 6 })
            .with("traces", self.traces)
            .with("judged", self.counts.iter().sum::<usize>())
            .with("present", present)
            .with("missing", missing)
            .with("partial", partial)
            .with("stale", stale)
            .with("wrong", wrong)
            .with("recent", self.recent)
            .with_any("lag", self.lag)
            .with("base", self.base.clone())
            .with("doubts", self.doubts.clone())
            .with("differing", differing)
            .with("leftovers", self.leftovers.iter().take(NAMED).map(leftover_value).collect::<Vec<Value>>())
            .with("leftover", self.leftovers.len())
            .into_value()
    }
}

fn port_value(facts: &Facts, port: &PortComparison) -> Value {
    let service = u32::try_from(port.service).ok().map(|place| fact::value(facts, place));
    Record::derived()
        .with("name", port.name.to_string())
        .with("protocol", netpath::protocol::name(port.name.protocol))
        .with_any("service", service)
        .with("state", port.state.name())
        .with("differences", port.differences.iter().map(difference_value).collect::<Vec<Value>>())
        .into_value()
}

fn difference_value(difference: &Difference) -> Value {
    let record = difference.cited().map_or_else(Record::derived, |cited| Record::cited(citation(cited)));
    let endpoint = difference.endpoint().map(|endpoint| endpoint.to_string());
    record.with("text", difference.to_string()).with_any("endpoint", endpoint).into_value()
}

fn leftover_value(left: &Leftover) -> Value {
    Record::cited(citation(&left.cited))
        .with("what", left.what.as_str())
        .with_any("service", left.service.as_deref())
        .with("reachable", left.reachable)
        .into_value()
}

/// A line of a dump as a citation; of JSON, the place in it.
fn citation(cited: &Cited) -> Citation {
    let origin = &cited.origin;
    match &origin.pointer {
        Some(pointer) => Citation::pointer(&origin.file, pointer.to_string(), &cited.text),
        None => Citation::line(&origin.file, u64::from(origin.line), &cited.text),
    }
}

#[cfg(test)]
#[path = "proxy_chains_tests.rs"]
mod tests;

//! What a node has, beside what it should have.

mod chains;
mod ipvs;
mod leftovers;

use crate::address::Family;
use crate::node::Node;
use crate::service::{Difference, ExpectedPort, Leftover, Mode, Place, PortName, Service, State, expected};

/// A node's kube-proxy in one family.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In which mode it works.
    pub mode: Mode,
    /// The family.
    pub family: Family,
    /// Parts that all Services need and that are missing.
    pub base: Vec<Difference>,
    /// Every port of every Service that kube-proxy should serve, in the order of the Services.
    pub ports: Vec<PortComparison>,
    /// What belongs to no Service of the API.
    pub leftovers: Vec<Leftover>,
    /// Why something that is not found may be there all the same: the dump is cut off, or was not understood.
    pub doubts: Vec<String>,
}

/// One port of a Service.
#[derive(Clone, Debug)]
pub struct PortComparison {
    /// Its name.
    pub name: PortName,
    /// The place of its Service among those that were given.
    pub service: usize,
    /// How the node serves it.
    pub state: State,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Whether what stands behind it changed so recently that a difference proves nothing.
    pub recent: bool,
}

impl Comparison {
    /// How many ports are in this state. Those that changed recently do not count.
    pub fn count(&self, state: State) -> usize {
        self.settled().filter(|port| port.state == state).count()
    }

    /// The ports that can be judged.
    pub fn settled(&self) -> impl Iterator<Item = &PortComparison> {
        self.ports.iter().filter(|port| !port.recent)
    }

    /// The ports that can be judged and differ.
    pub fn differing(&self) -> impl Iterator<Item = &PortComparison> {
        self.settled().filter(|port| port.state != State::Present)
    }
}

/// Compares what a node has with what its kube-proxy should have written; `None` where nothing was collected that could
/// show it ([`super::has_evidence`]).
pub fn compare(node: &Node, services: &[Service], place: Place<'_>, family: Family, mode: Mode) -> Option<Comparison> {
    let ports = expected(services, place, family);
    match mode {
        Mode::Iptables => Some(chains::compare(&super::programmed::read_iptables(node, family)?, ports, mode, family)),
        Mode::Nftables => Some(chains::compare(&super::programmed::read_nftables(node, family)?, ports, mode, family)),
        Mode::Ipvs => ipvs::compare(node, ports, family),
    }
}

impl PortComparison {
    fn of(port: ExpectedPort, differences: Vec<Difference>, nothing_there: bool) -> Self {
        let worst = differences.iter().map(Difference::state).max().unwrap_or(State::Present);
        let state = if nothing_there && worst != State::Present { State::Missing } else { worst };
        Self { name: port.name, service: port.service, state, differences, recent: port.recent }
    }
}

/// The differences between the endpoints that a chain or virtual server has and those it should have.
fn endpoints<'a>(
    wanted: &super::Selection,
    found: &std::collections::BTreeMap<std::net::SocketAddr, super::programmed::Line<'a>>,
    within: &str,
    start: super::programmed::Line<'a>,
) -> Vec<Difference> {
    if wanted.is(&found.keys().copied().collect()) {
        return Vec::new();
    }
    let missing = wanted.endpoints.iter().filter(|endpoint| !found.contains_key(endpoint));
    let missing = missing.map(|endpoint| Difference::EndpointMissing {
        endpoint: *endpoint,
        within: within.to_owned(),
        cited: Some(start.cite()),
    });
    let stale = found.iter().filter(|(endpoint, _)| !wanted.may_hold(endpoint));
    let stale = stale.map(|(endpoint, line)| Difference::EndpointStale {
        endpoint: *endpoint,
        within: within.to_owned(),
        cited: line.cite(),
    });
    missing.chain(stale).collect()
}

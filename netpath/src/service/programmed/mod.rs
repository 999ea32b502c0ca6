//! What a node's dumps say that kube-proxy has written.

mod iptables;
mod nftables;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

pub(super) use self::iptables::read as read_iptables;
pub(super) use self::nftables::read as read_nftables;

use crate::address::{AddrRange, Family};
use crate::iptables::{Rule, Ruleset};
use crate::nft::NativeRule;
use crate::node::Node;
use crate::service::{Frontend, Mode};
use crate::source::Cited;

/// A frontend without its kind: address (none for a port of the node), protocol, port.
pub(super) type Key = (Option<IpAddr>, u8, u16);

impl Frontend {
    pub(super) fn key(&self) -> Key {
        (self.address, self.protocol, self.port)
    }
}

/// A line of a dump, not yet copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<'a> {
    Rule(&'a Ruleset, &'a Rule),
    Chain(&'a Ruleset, &'a crate::iptables::Chain),
    Native(&'a NativeRule),
    Cited(&'a Cited),
}

impl<'a> Line<'a> {
    pub fn cite(self) -> Cited {
        match self {
            Self::Rule(ruleset, rule) => ruleset.cite(rule),
            Self::Chain(ruleset, chain) => ruleset.cite_chain(chain),
            Self::Native(rule) => rule.cited.clone(),
            Self::Cited(cited) => cited.clone(),
        }
    }

    /// The Service that the line's comment names: `ns/name:port cluster IP`, `masquerade traffic for ns/name:port …`.
    pub fn service(self) -> Option<String> {
        let Self::Rule(_, rule) = self else { return None };
        rule.comments().flat_map(str::split_whitespace).find(|word| word.contains('/')).map(str::to_owned)
    }
}

/// Where packets to a frontend go.
#[derive(Clone, Copy, Debug)]
pub(super) enum To<'a> {
    /// To a chain.
    Chain(&'a str),
    /// Nowhere: they are rejected or dropped for want of endpoints.
    Refused,
}

/// A line that takes packets to a frontend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead<'a> {
    pub to: To<'a>,
    pub line: Line<'a>,
}

/// A chain of a Service or an endpoint.
#[derive(Debug)]
pub(super) struct ChainView<'a> {
    /// Its declaration.
    pub line: Line<'a>,
    /// Chains it leads to.
    pub jumps: Vec<(&'a str, Line<'a>)>,
    /// Endpoints that it translates to.
    pub endpoints: Vec<(SocketAddr, Line<'a>)>,
    /// Sources that it admits.
    pub sources: Vec<AddrRange>,
}

impl ChainView<'_> {
    pub fn is_empty(&self) -> bool {
        self.jumps.is_empty() && self.endpoints.is_empty()
    }
}

/// What kube-proxy has written, in either form of chains.
#[derive(Debug)]
pub(super) struct Programmed<'a> {
    /// Where packets to each frontend go.
    pub leads: HashMap<Key, Vec<Lead<'a>>>,
    /// The chains of Services and endpoints.
    pub chains: BTreeMap<&'a str, ChainView<'a>>,
    /// Frontends whose packets are dropped unless they came in by an admitted source.
    pub firewalled: HashSet<Key>,
    /// Ports at which health checks are accepted; `None` where nothing needs to accept them.
    pub health_checks: Option<HashSet<u16>>,
    /// Parts that all Services need and that are missing.
    pub base_missing: Vec<String>,
    /// Whether the chains are those of kube-proxy before 1.24, which has others for packets from outside.
    pub old_layout: bool,
    /// Why something that is not found may be there all the same.
    pub doubts: Vec<String>,
}

impl<'a> Programmed<'a> {
    fn lead(&mut self, key: Key, to: To<'a>, line: Line<'a>) {
        self.leads.entry(key).or_default().push(Lead { to, line });
    }

    /// The endpoints that a chain leads to, directly or by chains of endpoints, each with the chain and line that does it.
    pub fn endpoints(&self, chain: &str) -> BTreeMap<SocketAddr, (&'a str, Line<'a>)> {
        let mut found = BTreeMap::new();
        let Some((&name, view)) = self.chains.get_key_value(chain) else { return found };
        for (address, line) in &view.endpoints {
            found.entry(*address).or_insert((name, *line));
        }
        for (next, _) in &view.jumps {
            let Some((&name, view)) = self.chains.get_key_value(next) else { continue };
            for (address, line) in &view.endpoints {
                found.entry(*address).or_insert((name, *line));
            }
        }
        found
    }

    /// The chains that packets can get to.
    pub fn reachable(&self) -> HashSet<&'a str> {
        let mut reached = HashSet::new();
        let mut open: Vec<&'a str> = self
            .leads
            .values()
            .flatten()
            .filter_map(|lead| match lead.to {
                To::Chain(chain) => Some(chain),
                To::Refused => None,
            })
            .collect();
        while let Some(chain) = open.pop() {
            if reached.insert(chain) {
                open.extend(self.chains.get(chain).into_iter().flat_map(|view| &view.jumps).map(|(next, _)| *next));
            }
        }
        reached
    }
}

/// Whether the node's dumps can show what kube-proxy wrote in this mode.
pub fn has_evidence(node: &Node, family: Family, mode: Mode) -> bool {
    match mode {
        Mode::Iptables => node.rulesets.iter().any(|ruleset| ruleset.family == family),
        Mode::Nftables => node.nft.is_some(),
        Mode::Ipvs => node.ipvs.is_some(),
    }
}

/// The mode whose traces the node has. Where there are none, or those of several, the caller has to know the mode.
pub fn detect(node: &Node, family: Family) -> Option<Mode> {
    let of_family = |address: &IpAddr| Family::of(*address) == family;
    let traces = [
        (Mode::Nftables, nftables::table(node, family).is_some()),
        (
            Mode::Ipvs,
            node.link("kube-ipvs0").is_some()
                || node
                    .ipvs
                    .as_ref()
                    .is_some_and(|ipvs| ipvs.servers.iter().any(|server| of_family(&server.address.ip()))),
        ),
        (Mode::Iptables, iptables::has_chains(node, family)),
    ];
    let mut found = traces.into_iter().filter(|(_, found)| *found).map(|(mode, _)| mode);
    found.next().filter(|_| found.next().is_none())
}

//! Virtual servers of IPVS, each of which has its endpoints itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::address::Family;
use crate::ipset::Element;
use crate::ipvs::VirtualServer;
use crate::node::Node;
use crate::protocol;
use crate::service::compare::{Comparison, PortComparison, endpoints};
use crate::service::programmed::Line;
use crate::service::{Difference, ExpectedPort, Frontend, FrontendKind, Leftover, Mode, Selection};

/// kube-proxy's interface that holds the addresses of all frontends.
const INTERFACE: &str = "kube-ipvs0";

pub(super) fn compare(node: &Node, ports: Vec<ExpectedPort>, family: Family) -> Option<Comparison> {
    let found = node.ipvs.as_ref()?;
    let own = |server: &&VirtualServer| Family::of(server.address.ip()) == family;
    let servers: Vec<&VirtualServer> = found.servers.iter().filter(own).collect();
    let view = View::new(node, &servers, family);
    let leftovers = view.leftovers(&servers, &ports);
    let ports = ports.into_iter().map(|port| view.port(port)).collect();
    let unread = found.unread.len();
    let doubts = if unread == 0 { Vec::new() } else { vec![format!("{unread} lines about IPVS could not be read")] };
    let base = view.base.into_iter().map(|what| Difference::BaseMissing { what }).collect();
    Some(Comparison { mode: Mode::Ipvs, family, base, ports, leftovers, doubts })
}

/// The node's IPVS, with what finds its parts.
struct View<'a> {
    servers: HashMap<(u8, SocketAddr), &'a VirtualServer>,
    by_port: HashMap<(u8, u16), Vec<&'a VirtualServer>>,
    /// The addresses of the interface; `None` where interfaces were not collected.
    bound: Option<HashSet<IpAddr>>,
    /// The addresses of the node's other interfaces.
    own: HashSet<IpAddr>,
    /// What is in the set of cluster addresses; `None` where sets were not collected.
    allowed: Option<HashSet<(u8, SocketAddr)>>,
    base: Vec<String>,
}

impl<'a> View<'a> {
    fn new(node: &Node, servers: &[&'a VirtualServer], family: Family) -> Self {
        let mut base = Vec::new();
        let addresses = |wanted: bool| {
            let links = node.links.iter().filter(move |link| (&*link.name == INTERFACE) == wanted);
            links.flat_map(|link| &link.addresses).map(|address| address.local).collect::<HashSet<IpAddr>>()
        };
        if !node.links.is_empty() && node.link(INTERFACE).is_none() {
            base.push(format!("the interface {INTERFACE}"));
        }
        let mut by_port: HashMap<_, Vec<_>> = HashMap::new();
        for server in servers {
            by_port.entry((server.protocol, server.address.port())).or_default().push(*server);
        }
        let allowed = cluster_set(node, family, &mut base);
        Self {
            servers: servers.iter().map(|server| ((server.protocol, server.address), *server)).collect(),
            by_port,
            bound: (!node.links.is_empty()).then(|| addresses(true)),
            own: addresses(false),
            allowed,
            base,
        }
    }

    fn port(&self, port: ExpectedPort) -> PortComparison {
        let mut differences = Vec::new();
        let mut found = 0;
        for frontend in &port.frontends {
            let servers = self.of(frontend);
            found += servers.len();
            if servers.is_empty() {
                differences.push(Difference::FrontendMissing { frontend: frontend.clone() });
            }
            let wanted = wanted(&port, frontend);
            differences.extend(servers.into_iter().flat_map(|server| reals(server, &wanted)));
            if frontend.kind == FrontendKind::ClusterIp {
                differences.extend(self.cluster_address(frontend));
            }
        }
        PortComparison::of(port, differences, found == 0)
    }

    /// The virtual servers of a frontend: of a port of the node there is one on each of its addresses.
    fn of(&self, frontend: &Frontend) -> Vec<&'a VirtualServer> {
        match frontend.address {
            Some(address) => {
                let key = (frontend.protocol, SocketAddr::new(address, frontend.port));
                self.servers.get(&key).copied().into_iter().collect()
            }
            None => {
                let all = self.by_port.get(&(frontend.protocol, frontend.port)).into_iter().flatten().copied();
                all.filter(|server| self.own.is_empty() || self.own.contains(&server.address.ip())).collect()
            }
        }
    }

    fn cluster_address(&self, frontend: &Frontend) -> Vec<Difference> {
        let Some(address) = frontend.address else { return Vec::new() };
        let mut differences = Vec::new();
        if self.bound.as_ref().is_some_and(|bound| !bound.contains(&address)) {
            differences.push(Difference::AddressMissing { frontend: frontend.clone() });
        }
        let key = (frontend.protocol, SocketAddr::new(address, frontend.port));
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&key)) {
            let what = format!("{frontend} in the ipset KUBE-CLUSTER-IP");
            differences.push(Difference::BaseMissing { what });
        }
        differences
    }

    fn leftovers(&self, servers: &[&VirtualServer], ports: &[ExpectedPort]) -> Vec<Leftover> {
        let expected = ports.iter().flat_map(|port| &port.frontends);
        let known: BTreeSet<(Option<IpAddr>, u8, u16)> = expected.map(Frontend::key).collect();
        let is_known = |server: &&&VirtualServer| {
            let (address, port) = (server.address.ip(), server.address.port());
            let of_node = self.own.is_empty() || self.own.contains(&address);
            known.contains(&(Some(address), server.protocol, port))
                || (of_node && known.contains(&(None, server.protocol, port)))
        };
        let strange = servers.iter().filter(|server| !is_known(server));
        let leftover = |server: &&VirtualServer| Leftover {
            what: format!("{}/{}", server.address, protocol::name(server.protocol)),
            service: None,
            reachable: true,
            cited: server.cited.clone(),
        };
        strange.map(leftover).collect()
    }
}

/// The endpoints of a virtual server. Where the policy is Local and the node has none, it gets all
/// (pkg/proxy/ipvs/proxier.go, `syncEndpoint`).
fn wanted(port: &ExpectedPort, frontend: &Frontend) -> Selection {
    let local = port.is_local(frontend) && !port.local.endpoints.is_empty();
    if local { port.local.clone() } else { port.cluster.clone() }
}

/// A server that is taken out gets weight 0 until its connections have ended, so that it is not stale, nor is it there.
fn reals(server: &VirtualServer, wanted: &Selection) -> Vec<Difference> {
    let live = server.reals.iter().filter(|real| real.weight > 0);
    let found: BTreeMap<SocketAddr, Line<'_>> = live.map(|real| (real.address, Line::Cited(&real.cited))).collect();
    let within = format!("{}/{}", server.address, protocol::name(server.protocol));
    endpoints(wanted, &found, &within, Line::Cited(&server.cited))
}

/// The entries of the ipset of all cluster addresses.
fn cluster_set(node: &Node, family: Family, base: &mut Vec<String>) -> Option<HashSet<(u8, SocketAddr)>> {
    let sets = node.ipsets.as_ref()?;
    let name = if family == Family::V4 { "KUBE-CLUSTER-IP" } else { "KUBE-6-CLUSTER-IP" };
    let Some(set) = sets.by_name.get(name) else {
        base.push(format!("the ipset {name}"));
        return None;
    };
    let entry = |element: &Vec<Element>| match element.as_slice() {
        [Element::Range(address), Element::Port(Some(protocol), port)] => {
            Some((*protocol, SocketAddr::new(address.first, port.first)))
        }
        _ => None,
    };
    Some(set.elements.as_ref()?.iter().filter_map(|member| entry(&member.element)).collect())
}

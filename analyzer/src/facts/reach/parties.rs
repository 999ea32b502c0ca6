//! Who sends to a node: its peers, the API server, pods here and elsewhere.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpath::address::{AddrMask, Family};
use netpath::matches::Match;
use netpath::node::Node;
use netpath::route::RouteType;

use crate::facts::Facts;

/// Somebody with an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Who it is, in a few words.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// Who sends to a node, of one family each.
#[derive(Debug, Default)]
pub struct Parties {
    /// The node's own address in its network.
    pub own: Option<IpAddr>,
    /// Other nodes; of those that the node's rules do not tell apart, the first.
    pub peers: Vec<Party>,
    /// The API server's addresses with their ports.
    pub api_servers: Vec<(Party, u16)>,
    /// A pod on the node.
    pub pod: Option<Party>,
    /// Pods of other nodes; of those that the node's rules do not tell apart, the first.
    pub remote_pods: Vec<Party>,
}

/// Where a host was read alone, somebody who is surely outside of it.
const SOMEBODY: &str = "another host of its network";

impl Parties {
    /// Finds them.
    pub fn of(facts: &Facts, name: &str, node: &Node) -> Parties {
        let internal = facts.node_object(name).and_then(|object| object.internal_addresses().next());
        let own = internal.filter(|own| node.holds(*own)).or_else(|| uplink_address(node));
        let Some(own_address) = own else { return Parties::default() };
        let masks = Masks::of(node);
        let mut peers = peers(facts, name, own_address);
        if peers.is_empty() {
            peers.extend(neighbour(node, own_address).map(|address| Party { name: SOMEBODY.to_owned(), address }));
        }
        let family = Family::of(own_address);
        Parties {
            own,
            peers: masks.one_of_each(peers),
            api_servers: api_servers(facts, family),
            pod: local_pod(facts, name, node, family),
            remote_pods: masks.one_of_each(remote_pods(facts, name, node, family)),
        }
    }
}

/// The interface by which an address is reached, so that what it sends comes in there: the longest prefix of the main
/// table.
pub fn interface_towards(node: &Node, address: IpAddr) -> Option<Arc<str>> {
    let leads = |route: &&netpath::route::Route| {
        &*route.table == "main" && route.kind == RouteType::Unicast && route.destination.contains(address)
    };
    let best = node
        .routes
        .routes()
        .iter()
        .filter(leads)
        .max_by_key(|route| (route.destination.prefix_len(), std::cmp::Reverse(route.metric)))?;
    best.hops.iter().find(|hop| !hop.dead).or(best.hops.first())?.interface.clone()
}

/// The address on the interface of the default route.
fn uplink_address(node: &Node) -> Option<IpAddr> {
    [IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])].into_iter().find_map(|outside| {
        let interface = interface_towards(node, outside)?;
        let link = node.link(&interface)?;
        let of_family = |address: &&netpath::link::Address| {
            address.local.is_ipv4() == outside.is_ipv4() && &*address.scope == "global" && !address.secondary
        };
        link.addresses.iter().find(of_family).map(|address| address.local)
    })
}

/// The gateway, or else another address of the node's network.
fn neighbour(node: &Node, own: IpAddr) -> Option<IpAddr> {
    let gateways =
        node.routes.routes().iter().filter(|route| &*route.table == "main" && route.kind == RouteType::Unicast);
    let mut gateway = gateways.flat_map(|route| &route.hops).filter_map(|hop| hop.gateway);
    let on_link = |address: &IpAddr| {
        let own_link = node.links.iter().flat_map(|link| &link.addresses).find(|known| known.local == own);
        own_link.is_some_and(|known| known.network().contains(*address))
    };
    if let Some(gateway) = gateway.find(on_link) {
        return Some(gateway);
    }
    let known = node.links.iter().flat_map(|link| &link.addresses).find(|known| known.local == own)?;
    let network = IpNet::new(own, known.prefix_len).ok()?;
    network.hosts().take(3).find(|address| *address != own)
}

fn peers(facts: &Facts, name: &str, own: IpAddr) -> Vec<Party> {
    let others = facts.node_objects().iter().filter(|object| &*object.name != name);
    let mut all: Vec<Party> = others
        .filter_map(|object| {
            let address = object.internal_addresses().find(|address| address.is_ipv4() == own.is_ipv4())?;
            Some(Party { name: format!("node {}", object.name), address })
        })
        .collect();
    all.retain(|peer| peer.address != own);
    all
}

/// The endpoints of default/kubernetes, which are the API servers' own addresses.
fn api_servers(facts: &Facts, family: Family) -> Vec<(Party, u16)> {
    let (namespace, name) = (Arc::from("default"), Arc::from("kubernetes"));
    let mut all = Vec::new();
    for slice in facts.slices().of_service(&namespace, &name) {
        let port = slice.ports.first().map_or(0, |port| port.number);
        let addresses = slice.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter());
        all.extend(
            addresses
                .filter_map(|address| address.parse().ok())
                .filter(|a| Family::of(*a) == family)
                .map(|address| (Party { name: "the API server".to_owned(), address }, port)),
        );
    }
    all
}

/// A pod on the node: of the API, else an address that host-local gave out, else the second of the podCIDR.
fn local_pod(facts: &Facts, name: &str, node: &Node, family: Family) -> Option<Party> {
    let of_family = |address: &IpAddr| Family::of(*address) == family;
    let reached = |address: &IpAddr| !node.holds(*address) && interface_towards(node, *address).is_some();
    let mut pods = facts.networked_pods(name);
    if let Some(found) = pods.find_map(|(_, pod)| {
        let address = pod.addresses().find(|address| of_family(address) && reached(address))?;
        Some(Party { name: format!("pod {}", pod.full_name()), address })
    }) {
        return Some(found);
    }
    let given = facts.node_files(name).and_then(|files| files.host_local()).unwrap_or_default();
    let mut addresses = given.iter().flat_map(|network| &network.allocations).map(|allocation| allocation.address);
    if let Some(address) = addresses.find(|address| of_family(address) && reached(address)) {
        return Some(Party { name: "a pod that host-local gave an address".to_owned(), address });
    }
    let network = facts.node_object(name)?.pod_networks().find(|network| of_family(&network.addr()))?;
    let address = network.hosts().nth(1).filter(reached)?;
    Some(Party { name: format!("a pod of {network}"), address })
}

/// One pod of each other node, or an address of its podCIDR; where the API is not known, of what the node routes
/// through somebody else, the default aside.
fn remote_pods(facts: &Facts, name: &str, node: &Node, family: Family) -> Vec<Party> {
    if facts.node_objects().is_empty() {
        return routed_through_others(node, family);
    }
    let others = facts.node_objects().iter().filter(|object| &*object.name != name);
    let of_family = |address: &IpAddr| Family::of(*address) == family;
    others
        .filter_map(|object| {
            let pod = facts.networked_pods(&object.name).find_map(|(_, pod)| {
                let address = pod.addresses().find(of_family)?;
                Some(Party { name: format!("pod {} on {}", pod.full_name(), object.name), address })
            });
            let of_range = || {
                let network = object.pod_networks().find(|network| of_family(&network.addr()))?;
                Some(Party { name: format!("a pod on {}", object.name), address: network.hosts().nth(1)? })
            };
            pod.or_else(of_range)
        })
        .collect()
}

fn routed_through_others(node: &Node, family: Family) -> Vec<Party> {
    let routes = node.routes.routes().iter().filter(|route| {
        let length = route.destination.prefix_len().unwrap_or(0);
        &*route.table == "main"
            && route.kind == RouteType::Unicast
            && route.destination.family() == family
            && length > 0
            && length < family.bits()
            && route.hops.iter().any(|hop| hop.gateway.is_some())
    });
    let second = |network: IpNet| network.hosts().nth(1).map(|address| (network, address));
    routes
        .filter_map(|route| second(route.destination.network()?))
        .map(|(network, address)| Party { name: format!("a pod of {network}"), address })
        .collect()
}

/// What a node's rules can tell addresses apart by.
struct Masks {
    /// Networks that some rule, route or set names.
    wide: Vec<AddrMask>,
    /// Single addresses that some rule or set names.
    hosts: BTreeSet<IpAddr>,
    /// Whether something tells addresses apart in a way that is not looked into here.
    opaque: bool,
}

impl Masks {
    fn of(node: &Node) -> Masks {
        let mut masks = Masks { wide: Vec::new(), hosts: BTreeSet::new(), opaque: false };
        for rule in
            node.rulesets.iter().flat_map(|set| &set.tables).flat_map(|table| &table.chains).flat_map(|c| &c.rules)
        {
            let header = [&rule.header.source, &rule.header.destination];
            header.into_iter().flatten().for_each(|test| masks.add(test.value));
            let by_more = |m: &Match| matches!(m, Match::IpRange(_) | Match::Set(_) | Match::Opaque { .. });
            masks.opaque |= rule.unread.is_some() || rule.matches.iter().any(by_more);
        }
        node.routes.routes().iter().for_each(|route| masks.add(route.destination));
        node.rules.iter().filter_map(|rule| rule.source).for_each(|source| masks.add(source));
        masks.opaque |= node.nft.as_ref().is_some_and(|tables| !tables.tables.is_empty());
        masks.wide.sort_by_key(|mask| (mask.first(), mask.last()));
        masks.wide.dedup();
        masks
    }

    fn add(&mut self, mask: AddrMask) {
        match mask.first() == mask.last() {
            true => {
                self.hosts.insert(mask.first());
            }
            false => self.wide.push(mask),
        }
    }

    /// Of those that nothing tells apart, the first; at most a few hundred where that is not known.
    fn one_of_each(&self, parties: Vec<Party>) -> Vec<Party> {
        const MOST: usize = 200;
        let mut seen = BTreeSet::new();
        let mut kept: Vec<Party> = parties
            .into_iter()
            .filter(|party| {
                let single = (self.opaque || self.hosts.contains(&party.address)).then_some(party.address);
                let within: Vec<bool> = self.wide.iter().map(|mask| mask.contains(party.address)).collect();
                seen.insert((single, within))
            })
            .collect();
        kept.truncate(MOST);
        kept
    }
}

//! Who sends to a node: its peers, the API server, pods here and elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpath::address::Family;
use netpath::node::Node;
use netpath::route::RouteType;

use super::bounds::Bounds;
use crate::facts::Facts;
use crate::facts::node::kernel;

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
    /// Other nodes; of those that the node does not tell apart, the first, under the names of all.
    pub peers: Vec<Party>,
    /// The API server's addresses with their ports.
    pub api_servers: Vec<(Party, u16)>,
    /// A pod on the node.
    pub pod: Option<Party>,
    /// Pods of other nodes, likewise.
    pub remote_pods: Vec<Party>,
}

/// Where a host was read alone, somebody who is surely outside of it.
const SOMEBODY: &str = "another host of its network";

impl Parties {
    /// Finds them.
    pub fn of(facts: &Facts, name: &str, node: &Node) -> Parties {
        let internal = facts.node_object(name).and_then(|object| object.internal_addresses().next());
        let own = internal
            .filter(|own| node.holds(*own))
            .or_else(|| [false, true].into_iter().find_map(|v6| kernel::address_in_network(node, v6)));
        let Some(own_address) = own else { return Parties::default() };
        let bounds = Bounds::of(node);
        let mut peers = peers(facts, name, own_address);
        if peers.is_empty() {
            peers.extend(neighbour(node, own_address).map(|address| Party { name: SOMEBODY.to_owned(), address }));
        }
        let family = Family::of(own_address);
        Parties {
            own,
            peers: one_of_each(&bounds, peers),
            api_servers: api_servers(facts, family),
            pod: local_pod(facts, name, node, family),
            remote_pods: one_of_each(&bounds, remote_pods(facts, name, node, family)),
        }
    }
}

/// The interface at which a sender's packets come in: the network brings them to where the main table's longest prefix
/// leads. The policy rules that [`Node::interface_towards`] obeys choose how answers leave, which may be another way;
/// that is what a strict reverse-path filter drops.
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

/// Of those that the node does not tell apart, the first, which speaks for the others; at most a few hundred where the
/// node tells many apart.
fn one_of_each(bounds: &Bounds, parties: Vec<Party>) -> Vec<Party> {
    const MOST: usize = 200;
    let mut groups: Vec<Vec<Party>> = Vec::new();
    let mut places = BTreeMap::new();
    for party in parties {
        let place = *places.entry(bounds.group(party.address)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(party),
            None => groups.push(vec![party]),
        }
    }
    groups.truncate(MOST);
    groups.into_iter().filter_map(|group| speaker(&group)).collect()
}

/// The first of them under the names of all.
fn speaker(group: &[Party]) -> Option<Party> {
    const NAMED: usize = 3;
    let names: Vec<&str> = group.iter().take(NAMED).map(|party| party.name.as_str()).collect();
    let mut name = names.join(", ");
    if let Some(more) = group.len().checked_sub(NAMED).filter(|more| *more > 0) {
        name += &format!(" and {more} more");
    }
    Some(Party { name, address: group.first()?.address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_told_apart_is_named_and_asked_once() {
        let nobody = Node::default();
        let party = |number: u8| Party { name: format!("node n{number}"), address: IpAddr::from([10, 0, 0, number]) };
        let one = |parties: Vec<Party>| one_of_each(&Bounds::of(&nobody), parties);
        let two = one(vec![party(1), party(2)]);
        assert_eq!(two, [Party { name: "node n1, node n2".to_owned(), address: party(1).address }]);
        let many = one((1..=100).map(party).collect());
        assert_eq!(many[0].name, "node n1, node n2, node n3 and 97 more");
    }
}

//! Who has which address, and the nodes to walk through.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use netpath::node::Node;
use rayon::prelude::*;

use crate::facts::Facts;
use crate::facts::node::kernel;
use crate::facts::node::sockets::Listening;
use crate::facts::pod::Pod;

/// Whose an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A pod's of the pod network, by its place in the list.
    Pod(u32),
    /// A node's.
    Node(Arc<str>),
}

/// The cluster as far as a way depends on it.
pub struct World<'a> {
    facts: &'a Facts,
    addresses: Arc<HashMap<IpAddr, Place>>,
    api_servers: Arc<[(IpAddr, u16)]>,
    /// Nodes with a change that is being tried.
    changed: BTreeMap<Arc<str>, Arc<Node>>,
    /// Gates with a change that is being tried, which was judged again and lets the packet pass.
    opened: BTreeSet<String>,
}

impl<'a> World<'a> {
    /// Indexes who has which address.
    pub fn new(facts: &'a Facts) -> World<'a> {
        World {
            facts,
            addresses: Arc::new(index(facts)),
            api_servers: api_servers(facts),
            changed: BTreeMap::new(),
            opened: BTreeSet::new(),
        }
    }

    /// The same world with one node changed.
    pub fn with(&self, name: &Arc<str>, node: Node) -> World<'a> {
        let mut changed = self.changed.clone();
        changed.insert(name.clone(), Arc::new(node));
        World { changed, ..self.with_nothing() }
    }

    /// The same world with one gate opened.
    pub fn opening(&self, gate: &str) -> World<'a> {
        let mut opened = self.opened.clone();
        opened.insert(gate.to_owned());
        World { opened, ..self.with_nothing() }
    }

    /// Whether it is the cluster as it was found: what was tried then says nothing about it once something is changed.
    pub fn is_as_found(&self) -> bool {
        self.changed.is_empty() && self.opened.is_empty()
    }

    /// Whether a change of this gate is being tried.
    pub fn has_opened(&self, gate: &str) -> bool {
        self.opened.contains(gate)
    }

    /// The same world, to be changed.
    pub fn with_nothing(&self) -> World<'a> {
        World {
            facts: self.facts,
            addresses: self.addresses.clone(),
            api_servers: self.api_servers.clone(),
            changed: self.changed.clone(),
            opened: self.opened.clone(),
        }
    }

    /// The facts.
    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// The node of that name, where its folder tells enough to walk through it.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.changed.get(name).map(AsRef::as_ref).or_else(|| self.facts.node_files(name)?.kernel())
    }

    /// Whose an address is. An address that several nodes have is nobody's.
    pub fn place_of(&self, address: IpAddr) -> Option<&Place> {
        self.addresses.get(&address)
    }

    /// The addresses and ports of the API servers.
    pub fn api_servers(&self) -> &[(IpAddr, u16)] {
        &self.api_servers
    }

    /// The node whose pod network an address is in, by the API.
    pub fn node_of_network(&self, address: IpAddr) -> Option<&'a Arc<str>> {
        let mut nodes = self.facts.node_objects().iter();
        nodes.find(|node| node.pod_networks().any(|network| network.contains(&address))).map(|node| &node.name)
    }

    /// A pod by its place.
    pub fn pod(&self, place: u32) -> Option<&'a Pod> {
        self.facts.pods().get(place)
    }

    /// The node's own address of a family: the API's, else the one from which the node speaks to the rest of the world.
    pub fn address_of_node(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let object = self.facts.node_object(name);
        let internal = object.and_then(|node| node.internal_addresses().find(|address| address.is_ipv6() == v6));
        internal.or_else(|| kernel::address_in_network(self.node(name)?, v6))
    }

    /// The only node there is, where there is only one.
    pub fn only_node(&self) -> Option<&'a Arc<str>> {
        match self.facts.node_names() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether the pods of the cluster are known, so that an address without one is nobody's.
    pub fn knows_pods(&self) -> bool {
        !self.facts.pods().all().is_empty()
    }

    /// Who takes a packet on a node itself. None where its sockets were not collected.
    pub fn listening_on_node(&self, node: &str, protocol: &str, address: IpAddr, port: u16) -> Option<Listening> {
        Some(self.facts.node_files(node)?.sockets()?.listening(protocol, address, port))
    }

    /// Who takes a packet in a pod. None where the sockets of its network namespace were not collected.
    pub fn listening_in_pod(&self, pod: &Pod, protocol: &str, address: IpAddr, port: u16) -> Option<Listening> {
        Some(self.facts.node_files(&pod.node)?.pod_sockets(pod.uid)?.listening(protocol, address, port))
    }
}

/// The endpoints of default/kubernetes are the API servers' own addresses.
fn api_servers(facts: &Facts) -> Arc<[(IpAddr, u16)]> {
    let slices = facts.slices().of_service(&Arc::from("default"), &Arc::from("kubernetes"));
    let of_slice = slices.flat_map(|slice| {
        let port = slice.ports.first().map_or(6443, |port| port.number);
        let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
        addresses.filter_map(move |text| Some((text.parse().ok()?, port)))
    });
    of_slice.collect()
}

fn index(facts: &Facts) -> HashMap<IpAddr, Place> {
    // Each node's interfaces are files of its own.
    facts.node_names().par_iter().filter_map(|name| facts.node_files(name)).for_each(|files| {
        files.links();
    });
    let mut all: HashMap<IpAddr, Option<Place>> = HashMap::new();
    for name in facts.node_names() {
        let links = facts.node_files(name).and_then(|files| files.links()).unwrap_or_default();
        for address in links.iter().flat_map(|link| &link.addresses).map(ipnet::IpNet::addr) {
            if address.is_loopback() {
                continue;
            }
            let known = all.entry(address).or_insert_with(|| Some(Place::Node(name.clone())));
            // What several nodes have, as bridges of Docker do, says nothing about which of them is meant.
            if *known != Some(Place::Node(name.clone())) {
                *known = None;
            }
        }
    }
    let mut all: HashMap<IpAddr, Place> = all.into_iter().filter_map(|(at, place)| Some((at, place?))).collect();
    for node in facts.node_objects() {
        all.extend(node.internal_addresses().map(|address| (address, Place::Node(node.name.clone()))));
    }
    for (place, pod) in (0u32..).zip(facts.pods().all()) {
        if pod.is_networked() {
            all.extend(pod.addresses().map(|address| (address, Place::Pod(place))));
        }
    }
    all
}

//! Endpoints of Services that a node does not let a pod reach, although it lets pods reach others: the reason why one of
//! three requests fails.
//!
//! Of endpoints that a node's rules cannot tell apart one is walked to, so that the cost is that of what the rules name
//! and not that of endpoints times nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use netpath::node::Node;
use netpath::packet::Packet;
use netpath::protocol;
use netpath::source::Cited;

use super::bounds::{Bounds, PortBounds};
use super::flows::{CLIENT_PORT, POD_PORT, from_outside};
use super::parties::{Parties, Party};
use super::walk::{Flow, Walked};
use crate::facts::Facts;
use crate::facts::service::endpoints;

/// An endpoint: its address, protocol and port.
pub type Key = (IpAddr, u8, u16);

/// A node that stops what is sent to an endpoint.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The node.
    pub node: Arc<str>,
    /// The packet that stands for it.
    pub walked: Arc<Walked>,
    /// What the line that decides is about.
    pub about: About,
}

/// What a line is about that stops what is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// This endpoint, or its port.
    Endpoint,
    /// Any pod there: no matter of this endpoint.
    Everything,
    /// Who is let in by policies, which a network plugin carries out there.
    Policies,
}

/// What nodes make of packets to endpoints.
#[derive(Debug, Default)]
pub struct EndpointReach {
    stops: HashMap<Key, Vec<Stop>>,
    doubts: BTreeMap<Arc<str>, String>,
}

/// More groups than this are not walked to on one node.
const MOST: usize = 256;

impl EndpointReach {
    /// Walks on all nodes whose rules are known.
    pub(in crate::facts) fn new(facts: &Facts) -> EndpointReach {
        let known = endpoints_on_nodes(facts);
        let mut reach = EndpointReach::default();
        for name in facts.node_names() {
            let node = facts.node_files(name).and_then(|files| files.kernel());
            let parties = super::of(facts, name).map(|reach| &reach.parties);
            if let (Some(node), Some(parties)) = (node, parties) {
                let on = OnNode { facts, name, node, parties };
                on.walk_to(&known, &mut reach);
            }
        }
        reach
    }

    /// The nodes that surely stop what is sent to an endpoint.
    pub fn stops(&self, endpoint: &Key) -> &[Stop] {
        self.stops.get(endpoint).map_or(&[], Vec::as_slice)
    }

    /// The nodes of which not all is sure, and why.
    pub fn doubts(&self) -> impl Iterator<Item = String> + '_ {
        self.doubts.iter().map(|(node, why)| format!("on {node}, {why}"))
    }
}

/// The ready endpoints that are pods of the pod network, and the nodes that they are on.
fn endpoints_on_nodes(facts: &Facts) -> BTreeMap<Key, Arc<str>> {
    let mut all = BTreeMap::new();
    for service in &facts.services().all {
        for port in &service.ports {
            let Some(number) = protocol::number(&port.protocol) else { continue };
            for ready in endpoints::ready(facts, service, port) {
                if let Some(pod) = ready.pod(facts).filter(|pod| pod.is_networked()) {
                    all.insert((ready.address, number, ready.port), pod.node.clone());
                }
            }
        }
    }
    all
}

/// One node, on which packets to endpoints are walked.
struct OnNode<'a> {
    facts: &'a Facts,
    name: &'a Arc<str>,
    node: &'a Node,
    parties: &'a Parties,
}

/// Endpoints that the node's rules cannot tell apart, with the nodes that they are on.
type Groups<'k> = BTreeMap<((u64, Option<IpAddr>), u8, usize, bool), Vec<(&'k Key, &'k Arc<str>)>>;

impl OnNode<'_> {
    fn walk_to(&self, known: &BTreeMap<Key, Arc<str>>, reach: &mut EndpointReach) {
        let Some(pod) = &self.parties.pod else { return };
        let groups = self.groups(known, pod.address);
        if groups.len() > MOST {
            let why = format!("its rules tell {} endpoints apart, of which {MOST} are walked to", groups.len());
            reach.doubts.insert(self.name.clone(), why);
        }
        for ((.., here), endpoints) in groups.iter().take(MOST) {
            let inward = self.parties.remote_pods.first().filter(|_| *here);
            for sender in [Some(pod), inward].into_iter().flatten() {
                self.walk_from(sender, endpoints, reach);
            }
        }
    }

    /// By what the node's rules name, and by whether they are here.
    fn groups<'k>(&self, known: &'k BTreeMap<Key, Arc<str>>, like: IpAddr) -> Groups<'k> {
        let (bounds, ports) = (Bounds::of_single_pods(self.node), PortBounds::of(self.node));
        let mut groups = Groups::new();
        for (key, at) in known.iter().filter(|(key, _)| key.0.is_ipv4() == like.is_ipv4()) {
            let told = (bounds.group(key.0), key.1, ports.group(key.2), at == self.name);
            groups.entry(told).or_default().push((key, at));
        }
        groups
    }

    /// One packet for all of them. Where a line about endpoints stops it, one for those of each other node too, because
    /// routes tell nodes apart.
    fn walk_from(&self, sender: &Party, endpoints: &[(&Key, &Arc<str>)], reach: &mut EndpointReach) {
        let others: Vec<_> = endpoints.iter().filter(|(key, _)| key.0 != sender.address).collect();
        let Some((first, at)) = others.first() else { return };
        let Some(walked) = self.walked(sender, first).filter(|walked| !walked.is_open()) else { return };
        if !walked.is_blocked() {
            let unknowns: Vec<&str> = walked.answer.unknowns.iter().map(|unknown| &*unknown.what).collect();
            let why = format!("it depends on {}", unknowns.join("; "));
            reach.doubts.entry(self.name.clone()).or_insert(why);
            return;
        }
        let about = self.about(sender, at, &walked);
        if about != About::Endpoint {
            let keys: Vec<&Key> = others.iter().map(|(key, _)| *key).collect();
            return self.put(&keys, walked, about, reach);
        }
        let mut by_node: BTreeMap<&Arc<str>, Vec<&Key>> = BTreeMap::new();
        others.into_iter().for_each(|(key, at)| by_node.entry(*at).or_default().push(*key));
        for (at, keys) in by_node {
            let walked = keys.first().and_then(|to| self.walked(sender, to)).filter(Walked::is_blocked);
            if let Some(walked) = walked {
                let about = self.about(sender, at, &walked);
                self.put(&keys, walked, about, reach);
            }
        }
    }

    fn about(&self, sender: &Party, at: &str, walked: &Walked) -> About {
        if walked.owner().enforces_policies() {
            About::Policies
        } else if self.stops_any(sender, at, walked) {
            About::Everything
        } else {
            About::Endpoint
        }
    }

    fn put(&self, keys: &[&Key], walked: Walked, about: About, reach: &mut EndpointReach) {
        let walked = Arc::new(walked);
        for key in keys {
            let stops = reach.stops.entry(**key).or_default();
            if stops.iter().all(|stop| stop.node != *self.name) {
                stops.push(Stop { node: self.name.clone(), walked: walked.clone(), about });
            }
        }
    }

    fn walked(&self, sender: &Party, (address, number, port): &Key) -> Option<Walked> {
        let (from, to) = ((sender.address, CLIENT_PORT), (*address, *port));
        let packet = match *number {
            protocol::TCP => Packet::tcp_syn(from, to),
            protocol::UDP => Packet::udp(from, to),
            _ => return None,
        };
        let flow: Flow = from_outside(self.node, "an endpoint", sender, packet)?;
        Some(Walked::new(self.node, flow))
    }

    /// Whether the line that decides stops what is sent to an address there that no endpoint has, at the port with which
    /// all nodes are asked what they forward.
    fn stops_any(&self, sender: &Party, at: &str, walked: &Walked) -> bool {
        let line = |walked: &Walked| -> Option<Cited> { Some(walked.answer.deciding.as_ref()?.cited.clone()) };
        let like = walked.flow.packet.destination;
        let probe = self.unused_address(at, like).map(|address| (address, protocol::TCP, POD_PORT));
        let probe = probe.and_then(|key| self.walked(sender, &key));
        probe.is_some_and(|probe| probe.is_blocked() && line(&probe) == line(walked))
    }

    /// An address of a node's pod network that no pod has.
    fn unused_address(&self, at: &str, like: IpAddr) -> Option<IpAddr> {
        let network = self.facts.node_object(at)?.pod_networks().find(|network| network.contains(&like))?;
        let used: BTreeSet<IpAddr> = self.facts.networked_pods(at).flat_map(|(_, pod)| pod.addresses()).collect();
        network.hosts().skip(200).take(1000).chain(network.hosts().skip(1).take(1000)).find(|one| !used.contains(one))
    }
}

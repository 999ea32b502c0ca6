//! The packets that a cluster lives by, as one node meets them.

use std::net::IpAddr;

use netpath::node::Node;
use netpath::packet::Packet;
use netpath::protocol;
use netpath::walk::Entry;

use super::parties::{Parties, Party, interface_towards};
use super::walk::Flow;
use crate::facts::Facts;
use crate::facts::service::Service;

/// Makes the packets of a kind.
type Make = fn(&Facts, &Node, &Parties) -> Vec<Flow>;

/// The kinds, by the names of `node.reach`'s fields.
pub const KINDS: &[(&str, Make); 6] =
    &[("kubelet", kubelet), ("ports", ports), ("forwarded", forwarded), ("dns", dns), ("api", api), ("egress", egress)];

/// A port that the kernel may have given to a client.
pub(super) const CLIENT_PORT: u16 = 40_000;

/// The port with which nodes are asked what they forward between pods.
pub(super) const POD_PORT: u16 = 8080;

/// An address of nobody (RFC 5737, RFC 3849), for what lies outside of every network of the cluster.
fn outside(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([203, 0, 113, 10]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10]),
    }
}

fn kubelet(_: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let servers = parties.api_servers.iter().map(|(server, _)| server);
    let Some(own) = parties.own else { return Vec::new() };
    servers
        .chain(&parties.peers)
        .filter(|sender| sender.address != own)
        .filter_map(|sender| from_outside(node, "the kubelet", sender, tcp(sender.address, (own, 10250))))
        .collect()
}

fn ports(facts: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let Some(own) = parties.own else { return Vec::new() };
    let mut all = Vec::new();
    for peer in &parties.peers {
        for (purpose, packet) in overlays(node, peer.address, own) {
            let flow = from_outside(node, &purpose, peer, packet);
            all.extend(flow.map(|flow| Flow { one_way: true, ..flow }));
        }
    }
    let Some(peer) = parties.peers.first() else { return all };
    let mut add = |purpose: &str, packet: Packet| all.extend(from_outside(node, purpose, peer, packet));
    if facts.kube_proxy_replacement().is_none() && facts.kube_proxy_as_pods() {
        add("kube-proxy's health check", tcp(peer.address, (own, 10256)));
    }
    let exposed = facts.services().all.iter().filter(|service| &*service.external_traffic_policy != "Local");
    let with_endpoints = exposed.filter(|service| {
        let mut slices = facts.slices().of_service(&service.namespace, &service.name);
        slices.any(|slice| slice.endpoints.iter().any(|endpoint| endpoint.ready))
    });
    let mut node_ports = with_endpoints.flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    if let Some((service, port)) = node_ports.find(|(_, port)| port.node_port != 0 && port.protocol == "TCP") {
        let purpose = format!("NodePort {} of {}", port.node_port, service.full_name());
        add(&purpose, tcp(peer.address, (own, port.node_port)));
    }
    all
}

/// The outer packets of the overlays whose interfaces the node has.
fn overlays(node: &Node, from: IpAddr, own: IpAddr) -> Vec<(String, Packet)> {
    let tunnel = |link: &netpath::link::Link| {
        let udp = |what: &str, port: u16| {
            Some((format!("{what} of {}, UDP {port}", link.name), Packet::udp((from, CLIENT_PORT), (own, port))))
        };
        match link.kind.as_deref()? {
            // The kernel's default (drivers/net/vxlan/vxlan_core.c) where the listing does not say the port.
            "vxlan" => udp("VXLAN", link.vxlan_port.unwrap_or(8472)),
            "geneve" => udp("Geneve", 6081),
            "ipip" if link.up => Some((format!("IP in IP of {}", link.name), Packet::other(from, own, 4))),
            _ => None,
        }
    };
    node.links.iter().filter(|link| link.up).filter_map(tunnel).collect()
}

fn forwarded(_: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let Some(pod) = &parties.pod else { return Vec::new() };
    let mut all = Vec::new();
    for remote in &parties.remote_pods {
        let out = tcp(pod.address, (remote.address, POD_PORT));
        all.extend(from_outside(node, &format!("pods to {}", remote.name), pod, out));
        let back = tcp(remote.address, (pod.address, POD_PORT));
        all.extend(from_outside(node, &format!("{} to pods here", remote.name), remote, back));
    }
    all
}

fn dns(facts: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let (Some(pod), Some(service)) = (&parties.pod, dns_service(facts)) else { return Vec::new() };
    let mut all = Vec::new();
    for address in cluster_addresses(service, pod.address) {
        // Only what the Service offers: that it lacks a port is no matter of this node.
        let offers = |protocol: &str| service.ports.iter().any(|port| port.number == 53 && port.protocol == protocol);
        if offers("UDP") {
            let udp = Packet::udp((pod.address, CLIENT_PORT), (address, 53));
            all.extend(from_outside(node, "DNS over UDP", pod, udp));
        }
        if offers("TCP") {
            all.extend(from_outside(node, "DNS over TCP", pod, tcp(pod.address, (address, 53))));
        }
    }
    all
}

/// The Service that pods ask for names: kubeadm's, and its name on other platforms.
fn dns_service(facts: &Facts) -> Option<&Service> {
    let named = |name: &str| {
        facts.services().all.iter().find(|s| &*s.namespace == "kube-system" && &*s.name == name && !s.is_headless())
    };
    named("kube-dns").or_else(|| named("coredns")).or_else(|| named("rke2-coredns-rke2-coredns"))
}

fn cluster_addresses(service: &Service, like: IpAddr) -> impl Iterator<Item = IpAddr> {
    let addresses = service.cluster_ips.iter().filter_map(|address| address.parse().ok());
    addresses.filter(move |address: &IpAddr| address.is_ipv4() == like.is_ipv4())
}

fn api(facts: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let mut all = Vec::new();
    let kubernetes = facts.services().all.iter().find(|s| &*s.namespace == "default" && &*s.name == "kubernetes");
    if let (Some(pod), Some(service)) = (&parties.pod, kubernetes) {
        let port = service.ports.first().map_or(443, |port| port.number);
        for address in cluster_addresses(service, pod.address) {
            all.extend(from_outside(node, "the kubernetes Service", pod, tcp(pod.address, (address, port))));
        }
    }
    let Some(own) = parties.own else { return all };
    for (server, port) in parties.api_servers.iter().filter(|(server, port)| server.address != own && *port != 0) {
        all.push(Flow {
            purpose: "the API server".to_owned(),
            sender: "the node itself".to_owned(),
            packet: tcp(own, (server.address, *port)),
            entry: Entry::Local,
            one_way: false,
        });
    }
    all
}

fn egress(_: &Facts, node: &Node, parties: &Parties) -> Vec<Flow> {
    let Some(pod) = &parties.pod else { return Vec::new() };
    let far = Party { name: "an address outside of the cluster".to_owned(), address: outside(pod.address) };
    parties
        .peers
        .iter()
        .chain([&far])
        .filter_map(|to| from_outside(node, &format!("pods to {}", to.name), pod, tcp(pod.address, (to.address, 443))))
        .collect()
}

/// A packet that comes in by the interface at which its sender is.
pub(super) fn from_outside(node: &Node, purpose: &str, sender: &Party, packet: Packet) -> Option<Flow> {
    debug_assert!(packet.protocol != protocol::TCP || packet.source_port().is_some());
    let interface = interface_towards(node, sender.address)?;
    Some(Flow {
        purpose: purpose.to_owned(),
        sender: sender.name.clone(),
        packet,
        entry: Entry::Interface(interface),
        one_way: false,
    })
}

fn tcp(from: IpAddr, to: (IpAddr, u16)) -> Packet {
    Packet::tcp_syn((from, CLIENT_PORT), to)
}

//! From the ends as they were written to a packet, its sender, and the place where its way begins.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use netpath::node::Node;
use netpath::packet::Packet;
use netpath::walk::Entry;

use super::endpoint::{Endpoint, Port, Who};
use super::flight::Station;
use super::journey::{Sender, bridge_ports};
use super::world::{Place, World};
use crate::facts::service::{Service, ServicePort};

/// The source port of a question that names none: one of those that clients use.
pub(super) const CLIENT_PORT: u16 = 40_000;

/// A protocol that can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// TCP: the first packet of a connection.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP: the first chunk of an association.
    Sctp,
    /// ICMP or ICMPv6: an echo request.
    Icmp,
}

impl Protocol {
    pub(super) fn of_service(text: &str) -> Protocol {
        match text.to_ascii_uppercase().as_str() {
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => Protocol::Tcp,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
            Protocol::Icmp => "icmp",
        })
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The source.
    pub from: Endpoint,
    /// The destination.
    pub to: Endpoint,
    /// The protocol; without one, the Service's, else TCP.
    pub protocol: Option<Protocol>,
    /// The one node to walk.
    pub via: Option<String>,
    /// By which interface the packet enters it.
    pub interface: Option<String>,
}

/// A question that can be walked.
pub(super) struct Asked {
    /// What was asked.
    pub question: Question,
    /// The protocol's name.
    pub protocol: String,
    /// Each packet with its place of departure; several where the destination is several addresses.
    pub packets: Vec<Departure>,
    /// Whether only the first node is walked.
    pub one_node: bool,
}

/// A packet about to begin its way.
pub(super) struct Departure {
    pub packet: Packet,
    pub start: Station,
}

/// Why a question cannot be answered, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// There is no such thing.
    #[error("there is no {0} in the bundle{1}")]
    NotThere(String, String),
    /// The question lacks something, or has too much.
    #[error("{0}")]
    Incomplete(String),
}

fn incomplete(text: impl Into<String>) -> QuestionError {
    QuestionError::Incomplete(text.into())
}

/// ` (there are a, b, …)`.
fn choice<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = names.collect();
    match all.as_slice() {
        [] => String::new(),
        few if few.len() <= 8 => format!("; there are {}", few.join(", ")),
        many => format!("; there are {} and {} more", many[..8.min(many.len())].join(", "), many.len() - 8),
    }
}

/// One end, found.
struct Source {
    sender: Sender,
    /// None where it is the node's own, and the route decides.
    address: Option<IpAddr>,
    port: Option<u16>,
}

/// The other end, found.
struct Target {
    addresses: Vec<IpAddr>,
    port: Option<u16>,
    protocol: Option<Protocol>,
}

impl Question {
    /// Finds the ends in the bundle.
    pub(super) fn resolve(&self, world: &World<'_>) -> Result<Asked, QuestionError> {
        if let Some(via) = &self.via {
            known_node(world, via)?;
        } else if self.interface.is_some() && world.only_node().is_none() {
            return Err(incomplete("--in names an interface of one node: say which with --via node/NAME"));
        }
        let source = self.source(world)?;
        let target = self.target(world, &source)?;
        let protocol = self.protocol.or(target.protocol).unwrap_or(Protocol::Tcp);
        self.check_ports(protocol, &source, &target)?;
        let one_node =
            self.via.is_some() || self.interface.is_some() || (world.only_node().is_some() && !world.knows_pods());
        let packets = target
            .addresses
            .iter()
            .map(|address| self.departure(world, &source, *address, target.port, protocol, one_node))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Asked { question: self.clone(), protocol: protocol.to_string(), packets, one_node })
    }

    fn check_ports(&self, protocol: Protocol, source: &Source, target: &Target) -> Result<(), QuestionError> {
        let given = target.port.is_some() || source.port.is_some();
        match protocol {
            Protocol::Icmp if given => Err(incomplete("icmp takes no port: leave it away")),
            Protocol::Icmp => Ok(()),
            _ if target.port.is_none() => {
                Err(incomplete(format!("which port of {}? Write --to {}:PORT", self.to, self.to)))
            }
            _ => Ok(()),
        }
    }

    fn source(&self, world: &World<'_>) -> Result<Source, QuestionError> {
        let port = match &self.from.port {
            Some(Port::Number(number)) => Some(*number),
            Some(Port::Name(name)) => return Err(incomplete(format!("the source port `{name}` is no number"))),
            None => None,
        };
        match &self.from.who {
            Who::Service(..) => {
                Err(incomplete("a Service sends nothing: let --from be one of its pods, as pod/NAMESPACE/NAME"))
            }
            Who::Pod(namespace, name) => {
                let place = known_pod(world, namespace, name)?;
                let pod = world.pod(place).filter(|pod| !pod.node.is_empty());
                let pod = pod.ok_or_else(|| incomplete(format!("pod {namespace}/{name} runs on no node yet")))?;
                if pod.template.host_network {
                    return Ok(Source { sender: Sender::Process(pod.node.clone()), address: None, port });
                }
                let address = pod.addresses[0];
                address.ok_or_else(|| incomplete(format!("pod {namespace}/{name} has no address")))?;
                Ok(Source { sender: Sender::Pod(place), address, port })
            }
            Who::Node(name) => {
                let name = known_node(world, name)?;
                Ok(Source { sender: Sender::Process(name), address: None, port })
            }
            Who::Address(address) => {
                let sender = match world.place_of(*address) {
                    Some(Place::Pod(place)) => Sender::Pod(*place),
                    Some(Place::Node(name)) => Sender::Process(name.clone()),
                    None => Sender::Outside,
                };
                Ok(Source { sender, address: Some(*address), port })
            }
        }
    }

    fn target(&self, world: &World<'_>, source: &Source) -> Result<Target, QuestionError> {
        let v6 = source.address.is_some_and(|address| address.is_ipv6());
        let number = || match &self.to.port {
            Some(Port::Name(name)) => Err(incomplete(format!("the port `{name}` of {} is no number", self.to.who))),
            Some(Port::Number(number)) => Ok(Some(*number)),
            None => Ok(None),
        };
        match &self.to.who {
            Who::Address(address) => Ok(Target { addresses: vec![*address], port: number()?, protocol: None }),
            Who::Node(name) => {
                let name = known_node(world, name)?;
                let address = world.address_of_node(&name, v6);
                let kind = if v6 { "IPv6" } else { "IPv4" };
                let address = address
                    .ok_or_else(|| incomplete(format!("node {name} has no {kind} address that the bundle tells")))?;
                Ok(Target { addresses: vec![address], port: number()?, protocol: None })
            }
            Who::Pod(namespace, name) => pod_target(world, namespace, name, self.to.port.as_ref(), source),
            Who::Service(namespace, name) => self.service_target(world, namespace, name, source),
        }
    }

    fn service_target(
        &self,
        world: &World<'_>,
        namespace: &str,
        name: &str,
        source: &Source,
    ) -> Result<Target, QuestionError> {
        let found = world.facts().services().named(namespace, name);
        let (_, service) = found.ok_or_else(|| {
            let near = world.facts().services().in_namespace(namespace).iter();
            let names = near.filter_map(|place| world.facts().services().get(*place)).map(|service| &*service.name);
            QuestionError::NotThere(format!("Service {namespace}/{name}"), choice(names))
        })?;
        if &*service.kind == "ExternalName" {
            return Err(incomplete(format!(
                "Service {namespace}/{name} is only another name (ExternalName): ask about the address it stands for"
            )));
        }
        let asked = self.protocol.filter(|protocol| *protocol != Protocol::Icmp);
        let port = service_port(service, self.to.port.as_ref(), asked)?;
        let of_family = |address: &IpAddr| source.address.is_none_or(|own| own.is_ipv6() == address.is_ipv6());
        let parsed: Vec<IpAddr> = service.cluster_ips.iter().filter_map(|text| text.parse().ok()).collect();
        let first = parsed.iter().copied().find(of_family).or_else(|| parsed.first().copied());
        let protocol = Some(port.map_or(Protocol::Tcp, |port| Protocol::of_service(&port.protocol)));
        if let Some(address) = first {
            return Ok(Target { addresses: vec![address], port: port.map(|port| port.number), protocol });
        }
        let (addresses, number) = headless(world, service, port);
        if addresses.is_empty() {
            return Err(incomplete(format!("Service {namespace}/{name} is headless and has no ready endpoint")));
        }
        Ok(Target { addresses, port: number.or(port.map(|port| port.number)), protocol })
    }

    fn departure(
        &self,
        world: &World<'_>,
        source: &Source,
        destination: IpAddr,
        port: Option<u16>,
        protocol: Protocol,
        one_node: bool,
    ) -> Result<Departure, QuestionError> {
        let node = self.first_node(world, source, destination)?;
        let walked = world.node(&node);
        if one_node && walked.is_none() {
            return Err(QuestionError::NotThere(
                format!("account of the interfaces and routes of node {node}"),
                ": collect it with `dossier-collect --nodes`, or on the host with `dossier-collect node`".to_owned(),
            ));
        }
        let address = source_address(world, source, &node, walked, destination)?;
        if address.is_ipv6() != destination.is_ipv6() {
            return Err(incomplete(format!("{address} and {destination} are of two families: no packet has both")));
        }
        let packet = packet(protocol, address, source.port, destination, port);
        let entry = self.entry(walked, source, &node, &packet)?;
        let start = Station { node, entry, packet: packet.clone() };
        Ok(Departure { packet, start })
    }

    /// The node where the way begins.
    fn first_node(&self, world: &World<'_>, source: &Source, to: IpAddr) -> Result<Arc<str>, QuestionError> {
        if let Some(via) = &self.via {
            return known_node(world, via);
        }
        let by_target = || match world.place_of(to) {
            Some(Place::Node(name)) => Some(name.clone()),
            Some(Place::Pod(place)) => world.pod(*place).map(|pod| pod.node.clone()),
            None => world.node_of_network(to).cloned(),
        };
        match &source.sender {
            Sender::Pod(place) => Ok(world.pod(*place).map(|pod| pod.node.clone()).unwrap_or_default()),
            Sender::Process(name) => Ok(name.clone()),
            Sender::Outside => by_target().or_else(|| world.only_node().cloned()).ok_or_else(|| {
                let nodes = choice(world.facts().node_names().iter().map(|name| &**name));
                incomplete(format!(
                    "neither {} nor {to} is a node or a pod of the bundle: say by which node the packet goes, with --via node/NAME{nodes}",
                    self.from.who
                ))
            }),
        }
    }

    /// Where the packet enters the first node.
    fn entry(
        &self,
        walked: Option<&Node>,
        source: &Source,
        node: &Arc<str>,
        packet: &Packet,
    ) -> Result<Entry, QuestionError> {
        if let Some(interface) = &self.interface {
            let link = walked.and_then(|node| node.link(interface));
            let names = walked.map(|node| choice(node.links.iter().map(|link| &*link.name))).unwrap_or_default();
            let link =
                link.ok_or_else(|| QuestionError::NotThere(format!("interface {interface} of node {node}"), names))?;
            return Ok(Entry::Interface(link.name.clone()));
        }
        let own = walked.is_some_and(|walked| walked.holds(packet.source));
        if own || source.sender == Sender::Process(node.clone()) {
            return Ok(Entry::Local);
        }
        let Some(walked) = walked else { return Ok(Entry::Local) };
        let interface = walked.interface_towards(packet.source).ok_or_else(|| {
            let names = choice(walked.links.iter().map(|link| &*link.name));
            incomplete(format!(
                "the routes of node {node} do not tell by which interface {} comes in: name it with --via node/{node} --in IFACE{names}",
                packet.source
            ))
        })?;
        Ok(bridge_ports(walked, &interface, packet).unwrap_or(Entry::Interface(interface)))
    }
}

fn source_address(
    world: &World<'_>,
    source: &Source,
    node: &str,
    walked: Option<&Node>,
    destination: IpAddr,
) -> Result<IpAddr, QuestionError> {
    let v6 = destination.is_ipv6();
    let owner = match &source.sender {
        Sender::Process(name) => name.clone(),
        _ => Arc::from(node),
    };
    let pod = match &source.sender {
        Sender::Pod(place) => world.pod(*place),
        _ => None,
    };
    // A pod of two families sends from the one that the destination has.
    let of_pod = || pod?.addresses().find(|address| address.is_ipv6() == v6);
    let by_route = || if &*owner == node { walked?.source_towards(destination) } else { None };
    let given = source.address.filter(|address| address.is_ipv6() == v6);
    let found =
        given.or_else(of_pod).or(source.address).or_else(by_route).or_else(|| world.address_of_node(&owner, v6));
    found.ok_or_else(|| incomplete(format!("no address of node {owner} is known: give --from as an address")))
}

/// The first packet that a client sends.
pub(super) fn packet(
    protocol: Protocol,
    from: IpAddr,
    from_port: Option<u16>,
    to: IpAddr,
    port: Option<u16>,
) -> Packet {
    let source = (from, from_port.unwrap_or(CLIENT_PORT));
    let destination = (to, port.unwrap_or_default());
    match protocol {
        Protocol::Tcp => Packet::tcp_syn(source, destination),
        Protocol::Udp => Packet::udp(source, destination),
        Protocol::Sctp => Packet::sctp_init(source, destination),
        Protocol::Icmp => Packet::icmp_echo(from, to),
    }
}

/// `NAME` or `node/NAME`.
fn known_node(world: &World<'_>, name: &str) -> Result<Arc<str>, QuestionError> {
    let name = name.strip_prefix("node/").unwrap_or(name);
    let mut names = world.facts().node_names().iter();
    names.find(|known| &***known == name).cloned().ok_or_else(|| {
        let all = world.facts().node_names().iter().map(|name| &**name);
        QuestionError::NotThere(format!("node {name}"), choice(all))
    })
}

fn known_pod(world: &World<'_>, namespace: &str, name: &str) -> Result<u32, QuestionError> {
    let pods = world.facts().pods();
    pods.named(namespace, name).ok_or_else(|| {
        let near = pods.in_namespace(namespace);
        let names = near.iter().filter_map(|place| pods.get(*place)).map(|pod| &*pod.name);
        QuestionError::NotThere(format!("pod {namespace}/{name}"), choice(names))
    })
}

fn pod_target(
    world: &World<'_>,
    namespace: &str,
    name: &str,
    port: Option<&Port>,
    source: &Source,
) -> Result<Target, QuestionError> {
    let place = known_pod(world, namespace, name)?;
    let no_address = || incomplete(format!("pod {namespace}/{name} has no address"));
    let pod = world.pod(place).ok_or_else(no_address)?;
    let of_family = |address: &IpAddr| source.address.is_none_or(|own| own.is_ipv6() == address.is_ipv6());
    let address = pod.addresses().find(of_family).or(pod.addresses[0]).ok_or_else(no_address)?;
    let declared = || pod.template.containers.iter().flat_map(|container| &container.ports);
    let (number, protocol) = match port {
        None => (None, None),
        Some(Port::Number(number)) => (Some(*number), None),
        Some(Port::Name(wanted)) => {
            let found = declared().find(|port| *port.name == **wanted).ok_or_else(|| {
                let names = choice(declared().map(|port| &*port.name).filter(|name| !name.is_empty()));
                QuestionError::NotThere(format!("port {wanted} of pod {namespace}/{name}"), names)
            })?;
            (Some(found.number), Some(Protocol::of_service(&found.protocol)))
        }
    };
    Ok(Target { addresses: vec![address], port: number, protocol })
}

fn service_port<'s>(
    service: &'s Service,
    port: Option<&Port>,
    protocol: Option<Protocol>,
) -> Result<Option<&'s ServicePort>, QuestionError> {
    let Some(wanted) = port else { return Ok(None) };
    let is = |port: &&ServicePort| match wanted {
        Port::Number(number) => port.number == *number,
        Port::Name(name) => port.name == *name,
    };
    let of_protocol =
        |port: &&ServicePort| protocol.is_none_or(|protocol| Protocol::of_service(&port.protocol) == protocol);
    let found = service.ports.iter().filter(is).find(of_protocol);
    found.map(Some).ok_or_else(|| {
        let all: Vec<String> =
            service.ports.iter().map(|port| format!("{}/{} {}", port.number, port.protocol, port.name)).collect();
        let what = protocol.map_or(String::new(), |protocol| format!(" of {protocol}"));
        QuestionError::NotThere(
            format!("port {wanted}{what} of Service {}", service.full_name()),
            choice(all.iter().map(|text| text.trim_end())),
        )
    })
}

/// The ready endpoints of a headless Service, and their port.
fn headless(world: &World<'_>, service: &Service, port: Option<&ServicePort>) -> (Vec<IpAddr>, Option<u16>) {
    let mut addresses = Vec::new();
    let mut number = None;
    for slice in world.facts().slices().of_service(&service.namespace, &service.name) {
        let own = slice.ports.iter().find(|own| port.is_some_and(|port| *own.name == *port.name));
        number = number.or(own.map(|own| own.number));
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready || service.publish_not_ready);
        addresses.extend(ready.flat_map(|endpoint| &endpoint.addresses).filter_map(|text| text.parse::<IpAddr>().ok()));
    }
    addresses.sort();
    addresses.dedup();
    (addresses, number)
}

//! A security rule of an NSG, configured (`az network nsg show`) or effective (`az network nic list-effective-nsg`).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::address::AddrRange;
use crate::cloud::extent::{Marks, stand_in};
use crate::cloud::{CloudFlow, Way, addresses, field, network, protocol_spelling, text, texts};
use crate::held::Held;
use crate::json::Place;
use crate::port::PortRange;
use crate::protocol;
use crate::source::Cited;

/// The host that health probes and the platform's services come from, and where its DNS is.
pub(super) const PLATFORM: &str = "168.63.129.16";

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct SecurityRule {
    pub name: String,
    pub priority: u32,
    pub way: Option<Way>,
    pub allows: Option<bool>,
    pub cited: Cited,
    protocol: String,
    source: Prefixes,
    destination: Prefixes,
    source_ports: Vec<String>,
    ports: Vec<String>,
}

/// Prefixes, tags and application security groups of one side.
#[derive(Clone, Debug, Default)]
struct Prefixes {
    written: Vec<String>,
    groups: Vec<String>,
    /// What Azure expanded them to; in effective rules alone.
    expanded: Vec<IpNet>,
}

impl SecurityRule {
    /// Reads a rule; none where it has no priority, by which it would have its place.
    pub fn parse(place: &Place<'_>) -> Option<Self> {
        let value = place.value();
        let priority = u32::try_from(field(&value, "priority")?.as_u64()?).ok()?;
        let way = match text(&value, "direction").map(str::to_ascii_lowercase).as_deref() {
            Some("inbound") => Some(Way::Inbound),
            Some("outbound") => Some(Way::Outbound),
            _ => None,
        };
        let allows = match text(&value, "access").map(str::to_ascii_lowercase).as_deref() {
            Some("allow") => Some(true),
            Some("deny") => Some(false),
            _ => None,
        };
        Some(Self {
            name: text(&value, "name").unwrap_or("without a name").to_owned(),
            priority,
            way,
            allows,
            cited: place.cited(),
            protocol: text(&value, "protocol").unwrap_or_default().to_ascii_lowercase(),
            source: Prefixes::of(&value, "source"),
            destination: Prefixes::of(&value, "destination"),
            source_ports: either(&value, "sourcePortRange"),
            ports: either(&value, "destinationPortRange"),
        })
    }

    /// A rule that allows a flow, for trying it out.
    pub fn allowing(flow: &CloudFlow, way: Way, priority: u32, name: &str, cited: Cited) -> Self {
        let one = |address: IpAddr| Prefixes { written: vec![address.to_string()], ..Prefixes::default() };
        Self {
            name: name.to_owned(),
            priority,
            way: Some(way),
            allows: Some(true),
            cited,
            protocol: protocol_spelling(flow.protocol).to_ascii_lowercase(),
            source: one(flow.source),
            destination: one(flow.destination),
            source_ports: vec!["*".to_owned()],
            ports: vec![flow.port.map_or_else(|| "*".to_owned(), |port| port.to_string())],
        }
    }

    /// Whether it names a tag of the platform's own services, which are exempt otherwise.
    pub fn names_platform(&self) -> bool {
        let names = |prefixes: &Prefixes| {
            prefixes.written.iter().any(|token| token.to_ascii_lowercase().starts_with("azureplatform"))
        };
        names(&self.source) || names(&self.destination)
    }

    /// Whether it matches a flow. `virtual_network` is the address space of the group's own network, where it is known.
    pub fn matches(&self, flow: &CloudFlow, virtual_network: &[IpNet]) -> Held {
        self.protocol_matches(flow.protocol)
            .and(ports_match(&self.ports, flow.port, flow, "destination"))
            .and(ports_match(&self.source_ports, flow.source_port, flow, "source"))
            .and(self.source.matches(flow.source, virtual_network))
            .and(self.destination.matches(flow.destination, virtual_network))
    }

    /// Adds the sources and destination ports that it names.
    pub fn mark(&self, marks: &mut Marks) {
        marks.addresses.extend(self.source.written.iter().filter_map(|text| addresses(text)));
        let expanded = self.source.expanded.iter();
        marks.addresses.extend(expanded.map(|one| AddrRange { first: one.network(), last: one.broadcast() }));
        marks.ports.extend(self.ports.iter().filter_map(|range| PortRange::parse(range, '-')));
    }

    /// Whether it is about a machine as the destination: `y`, `n`, or `?` where that is not known.
    pub fn is_towards(&self, machine: IpAddr, virtual_network: &[IpNet]) -> char {
        match self.destination.matches(machine, virtual_network) {
            Held::Yes => 'y',
            Held::No => 'n',
            Held::Perhaps(_) => '?',
        }
    }

    fn protocol_matches(&self, number: u8) -> Held {
        match self.protocol.as_str() {
            "*" | "all" | "any" => Held::Yes,
            "icmp" | "icmpv6" => matches!(number, protocol::ICMP | protocol::ICMPV6).into(),
            name => match protocol::number(name) {
                Some(own) => (own == number).into(),
                None => Held::perhaps(format!("protocol {name}"), format!("what the protocol \"{name}\" is")),
            },
        }
    }
}

/// A member in its singular and plural forms.
fn either(value: &Value, singular: &str) -> Vec<String> {
    let mut all = texts(value, singular);
    for more in texts(value, &format!("{singular}s")) {
        if !all.contains(&more) {
            all.push(more);
        }
    }
    all.retain(|text| !text.is_empty());
    all
}

impl Prefixes {
    fn of(value: &Value, side: &str) -> Self {
        let mut written = texts(value, &format!("{side}AddressPrefix"));
        for more in texts(value, &format!("{side}AddressPrefixes")) {
            if !written.contains(&more) {
                written.push(more);
            }
        }
        written.retain(|text| !text.is_empty());
        let groups = field(value, &format!("{side}ApplicationSecurityGroups")).and_then(Value::as_array);
        let groups = groups.into_iter().flatten().map(last_of_id).collect();
        let expanded = texts(value, &format!("expanded{side}AddressPrefix"));
        let expanded = expanded.iter().filter_map(|text| network(text)).collect();
        Self { written, groups, expanded }
    }

    fn matches(&self, address: IpAddr, virtual_network: &[IpNet]) -> Held {
        if self.expanded.iter().any(|network| network.contains(&address)) {
            return Held::Yes;
        }
        if self.written.is_empty() && self.groups.is_empty() {
            return Held::perhaps("no prefixes", "which addresses a rule without prefixes is about");
        }
        let is_expanded = !self.expanded.is_empty();
        let of_token = |token: &String| token_matches(token, address, virtual_network, is_expanded);
        let of_group = |group: &String| {
            if is_expanded {
                return Held::No;
            }
            let what = format!("whether {address} is in the application security group {group}");
            Held::perhaps(what.clone(), what)
        };
        Held::any(self.written.iter().map(of_token).chain(self.groups.iter().map(of_group)))
    }
}

/// `*`, an address, a prefix, a range, or a service tag. Of tags, `AzureLoadBalancer` is one address
/// (<https://learn.microsoft.com/azure/virtual-network/service-tags-overview>), and what lies in the own network's
/// address space is in `VirtualNetwork` and not in `Internet`; the address that stands for somebody on the Internet is the
/// other way round. Beyond that, peerings and routes decide.
fn token_matches(token: &str, address: IpAddr, virtual_network: &[IpNet], is_expanded: bool) -> Held {
    if matches!(token, "*" | "Any" | "any") {
        return Held::Yes;
    }
    if let Some(network) = network(token) {
        // `0.0.0.0/0` is how effective rules spell `*`.
        return (network.contains(&address) || (network.prefix_len() == 0 && is_expanded)).into();
    }
    if let Some(range) = crate::address::AddrRange::parse(token) {
        return range.contains(address).into();
    }
    if is_expanded {
        return Held::No;
    }
    let inside = virtual_network.iter().any(|network| network.contains(&address));
    let platform = address.to_string() == PLATFORM;
    let on_the_internet = address == stand_in(address.is_ipv6());
    match token.to_ascii_lowercase().as_str() {
        "internet" if on_the_internet => Held::Yes,
        "virtualnetwork" if on_the_internet => Held::No,
        "azureloadbalancer" if address.is_ipv4() => platform.into(),
        "virtualnetwork" if inside || platform => Held::Yes,
        "internet" if inside => Held::No,
        _ => {
            let what = format!("whether {address} is in the service tag {token}");
            Held::perhaps(what.clone(), what)
        }
    }
}

fn ports_match(ranges: &[String], port: Option<u16>, flow: &CloudFlow, which: &str) -> Held {
    let everything = |range: &String| matches!(range.as_str(), "*" | "0-65535");
    if ranges.iter().any(everything) {
        return Held::Yes;
    }
    let has_ports = matches!(flow.protocol, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDPLITE);
    let Some(port) = port.filter(|_| has_ports) else {
        return Held::perhaps(format!("{which} port"), format!("the {which} port, which a rule names"));
    };
    if ranges.is_empty() {
        return Held::perhaps(format!("no {which} ports"), format!("which {which} ports a rule without any is about"));
    }
    Held::any(ranges.iter().map(|range| match PortRange::parse(range, '-') {
        Some(range) => range.contains(port).into(),
        None => Held::perhaps(format!("ports {range}"), format!("which ports \"{range}\" are")),
    }))
}

/// The name at the end of a resource id.
pub(super) fn last_of_id(value: &Value) -> String {
    let id = text(value, "id").unwrap_or_default();
    id.rsplit('/').next().filter(|name| !name.is_empty()).map_or_else(|| value.to_string(), str::to_owned)
}

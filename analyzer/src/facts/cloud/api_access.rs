//! To TKE's API server: from the Internet, from the subnet of the VPC that was chosen for it, and between masters, as far as
//! security groups decide. The ports of masters are those of Tencent's documentation
//! (<https://www.tencentcloud.com/document/product/457/9084>).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::Value;
use netpath::cloud::Way;
use netpath::cloud::extent::{Clients, Span, is_public};
use netpath::protocol;

use super::machine::{self, Asked, Site};
use super::tke::{Balancer, Cluster, Endpoints};
use crate::fact::Record;
use crate::facts::Facts;
use crate::facts::node::{CITED_LINE, cited_line};
use crate::facts::service::Service;
use crate::facts::symptom::endpoint::Who;
use crate::shape::{Field, RecordShape};

/// The shape of `cluster.tke`.
pub static SHAPE: RecordShape = RecordShape {
    name: "TKE",
    doc: "What Tencent Cloud says of the cluster, and who reaches its API server as far as security groups decide.",
    fields: &[
        Field::scalar("id", "The cluster's id."),
        Field::scalar("type", "`MANAGED_CLUSTER` or `INDEPENDENT_CLUSTER`."),
        Field::scalar("unclear", "Why it is not known which cluster this is; undefined where it is."),
        Field::scalar(
            "internet",
            "The API server's address on the Internet; undefined where access from there is off.",
        ),
        Field::scalar("intranet", "Its address in the VPC; undefined where access from there is off."),
        Field::record("endpoint", &CITED_LINE, "What is said of these."),
        Field::scalar("other_range", "Whether Services have node ports outside of 30000 to 32767."),
        Field::scalar("chosen", "The subnet that was chosen for access from the VPC."),
        Field::scalar("chosen_whole", "Whether the subnet's addresses are known, and not that of the endpoint alone."),
        Field::of("nodes", machine::LIST, "From the chosen subnet to the node ports of nodes that are no masters."),
        Field::of("masters", machine::LIST, "From the chosen subnet to the node ports of masters."),
        Field::scalar("masters_known", "How many masters are known."),
        Field::of("master_peers", machine::LIST, "From masters and nodes to the ports of masters."),
        Field::of("master_node_ports", machine::LIST, "From nodes to the node ports of masters."),
        Field::scalar("client", "The client on the Internet that the symptom names."),
        Field::scalar("client_v6", "Whether it was named by an IPv6 address."),
        Field::scalar("lacks_client", "Why no client is known; undefined where one is."),
        Field::scalars("allowed", "The networks that the endpoint on the Internet is for."),
        Field::scalar("allowed_holds", "Whether these hold the client; undefined without a client or a list."),
        Field::of("gate", machine::LIST, "From the client to TCP 443 by the group of the endpoint on the Internet."),
        Field::scalar("kubelb", "Whether there is the Service default/kubelb-internet."),
        Field::scalar("balancer", "The load balancer behind it, where it is known."),
        Field::record("balancer_line", &CITED_LINE, "What is said of that."),
        Field::scalar("balancer_groups", "How many security groups it has; without any it takes everything."),
        Field::of("balancer_gate", machine::LIST, "From the client, or from the Internet, to its TCP 443."),
    ],
};

/// The node ports that Kubernetes gives out by default.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// Ports of masters for all nodes.
const API: [u16; 2] = [60001, 60002];
/// Ports of masters for one another: etcd and the kubelet.
const BETWEEN_MASTERS: [u16; 3] = [2379, 2380, 10250];
/// As many machines with groups of their own are asked about.
const MOST: usize = 64;

/// The fact; none where nothing of Tencent Cloud is known.
pub fn value(facts: &Facts) -> Option<Value> {
    let tke = &facts.clouds().tke;
    if tke.clusters.is_empty() && tke.endpoints.is_empty() {
        return None;
    }
    let cluster = cluster(facts);
    let endpoints = endpoints(facts, cluster);
    let record = match endpoints {
        Some(endpoints) => Record::cited(endpoints.citation.clone()),
        None => Record::derived(),
    };
    let record = record
        .with_any("id", cluster.map(|cluster| cluster.id.as_str()))
        .with_any("type", cluster.map(|cluster| cluster.kind.as_str()))
        .with_any("unclear", unclear(facts, cluster, endpoints))
        .with_any("internet", endpoints.and_then(|known| known.internet.as_deref()))
        .with_any("intranet", endpoints.and_then(|known| known.intranet.as_deref()))
        .with_any("endpoint", endpoints.map(|known| cited_line(&known.citation)))
        .with("other_range", has_other_range(facts));
    let record = of_network(facts, endpoints, record);
    Some(of_internet(facts, endpoints, record).into_value())
}

/// The cluster, where it is known which it is: the only one, or that whose id the kubeconfig names.
fn cluster(facts: &Facts) -> Option<&Cluster> {
    let clusters = &facts.clouds().tke.clusters;
    if let [only] = clusters.as_slice() {
        return Some(only);
    }
    let said = facts.evidence().bundle().manifest().cluster.as_ref()?;
    let server = said.server.as_deref().unwrap_or_default();
    clusters.iter().find(|known| said.name.contains(&known.id) || server.contains(&known.id))
}

/// The answer about endpoints that is the cluster's: the only one, or that whose names hold its id.
fn endpoints<'a>(facts: &'a Facts, cluster: Option<&Cluster>) -> Option<&'a Endpoints> {
    let all = &facts.clouds().tke.endpoints;
    if let [only] = all.as_slice() {
        return Some(only);
    }
    let id = &cluster?.id;
    all.iter().find(|known| known.domains.iter().any(|domain| domain.contains(id)))
}

fn unclear(facts: &Facts, cluster: Option<&Cluster>, endpoints: Option<&Endpoints>) -> Option<String> {
    let tke = &facts.clouds().tke;
    match (cluster, endpoints) {
        (Some(_), Some(_)) => None,
        (None, _) if tke.clusters.is_empty() => Some("what DescribeClusters says of it".to_owned()),
        (None, _) => Some(format!("which of {} clusters this is", tke.clusters.len())),
        (Some(cluster), None) => Some(format!("what DescribeClusterEndpoints says of {}", cluster.id)),
    }
}

fn has_other_range(facts: &Facts) -> bool {
    let ports = facts.services().all.iter().flat_map(|service| &service.ports).map(|port| port.node_port);
    ports.into_iter().any(|port| port != 0 && !NODE_PORTS.contains(&port))
}

/// A machine of the cluster, in words and by its address.
type Machine = (String, IpAddr);

/// Access from within the VPC.
fn of_network(facts: &Facts, endpoints: Option<&Endpoints>, record: Record) -> Record {
    let (masters, nodes) = machines(facts);
    let chosen = endpoints.and_then(|known| chosen(facts, known));
    let from_chosen = |machines: &[Machine]| -> Vec<Value> {
        let Some((_, network, _)) = &chosen else { return Vec::new() };
        let clients = Clients::Networks(vec![*network]);
        machines.iter().flat_map(|machine| extent(facts, machine, clients.clone(), NODE_PORTS)).collect()
    };
    let all: Vec<IpAddr> = masters.iter().chain(&nodes).map(|(_, address)| *address).collect();
    let own: Vec<IpAddr> = masters.iter().map(|(_, address)| *address).collect();
    let others = |all: &[IpAddr], machine: &Machine| {
        let others = all.iter().filter(|address| **address != machine.1 && address.is_ipv4() == machine.1.is_ipv4());
        Clients::Networks(others.map(|address| IpNet::from(*address)).collect())
    };
    let peers = masters.iter().flat_map(|machine| {
        let api = API.iter().map(|port| (others(&all, machine), *port));
        let between = BETWEEN_MASTERS.iter().map(|port| (others(&own, machine), *port));
        let asked: Vec<_> = api.chain(between).collect();
        asked.into_iter().flat_map(|(clients, port)| extent(facts, machine, clients, port..=port)).collect::<Vec<_>>()
    });
    let node_ports =
        masters.iter().flat_map(|machine| extent(facts, machine, others(&all, machine), NODE_PORTS)).collect::<Value>();
    record
        .with_any("chosen", chosen.as_ref().map(|(text, ..)| text.as_str()))
        .with_any("chosen_whole", chosen.as_ref().map(|(.., whole)| *whole))
        .with("nodes", from_chosen(&nodes))
        .with("masters", from_chosen(&masters))
        .with("masters_known", masters.len())
        .with("master_peers", peers.collect::<Value>())
        .with("master_node_ports", node_ports)
}

/// The chosen subnet, its network, and whether that is all of it.
fn chosen(facts: &Facts, endpoints: &Endpoints) -> Option<(String, IpNet, bool)> {
    let subnet = endpoints.subnet.as_deref();
    if let Some((id, network)) = subnet.and_then(|id| Some((id, facts.clouds().tke.subnets.get(id)?))) {
        return Some((format!("{id} ({network})"), *network, true));
    }
    let address: IpAddr = endpoints.intranet.as_deref()?.parse().ok()?;
    let text = format!("{} (of which {address} alone is known)", subnet.unwrap_or("the chosen subnet"));
    Some((text, IpNet::from(address), false))
}

/// Masters and other nodes, one for those that have the same groups.
fn machines(facts: &Facts) -> (Vec<Machine>, Vec<Machine>) {
    let tke = &facts.clouds().tke;
    let tencent = &facts.clouds().tencent;
    let mut masters: BTreeMap<IpAddr, String> = BTreeMap::new();
    for (id, address) in &tke.masters {
        let known = address.iter().chain(tencent.addresses_of(id)).next();
        masters.extend(known.map(|address| (*address, format!("master {id}"))));
    }
    let mut nodes: Vec<Machine> = Vec::new();
    for node in facts.node_objects().iter().filter(|node| !node.is_virtual()) {
        let Some(address) = node.internal_addresses().next() else { continue };
        let of_master = ["node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"];
        if of_master.iter().any(|label| node.labels.get(label).is_some()) {
            masters.insert(address, format!("master {}", node.name));
        } else if !masters.contains_key(&address) {
            nodes.push((machine::of_node(node), address));
        }
    }
    let key =
        |address: &IpAddr| tencent.groups_of(*address).map_or_else(|| address.to_string(), |groups| groups.join(" "));
    let mut seen = std::collections::BTreeSet::new();
    nodes.retain(|(_, address)| seen.insert(key(address)));
    nodes.truncate(MOST);
    let masters = masters.into_iter().map(|(address, name)| (name, address)).take(MOST);
    (masters.collect(), nodes)
}

fn extent(
    facts: &Facts,
    (at, address): &Machine,
    clients: Clients,
    ports: std::ops::RangeInclusive<u16>,
) -> Vec<Value> {
    if clients == Clients::Networks(Vec::new()) {
        return Vec::new();
    }
    let span = Span { clients, destination: *address, protocol: protocol::TCP, ports };
    Asked { at: at.clone(), site: Site::Machine(*address), way: Way::Inbound, span }.values(facts)
}

/// Access from the Internet.
fn of_internet(facts: &Facts, endpoints: Option<&Endpoints>, record: Record) -> Record {
    let client = client(facts, endpoints);
    let address = client.as_ref().ok().copied();
    let gate = match (address, endpoints.and_then(|known| Some((known, known.group.clone()?)))) {
        (Some(address), Some((known, group))) => {
            let at = format!("the endpoint {}", known.internet.as_deref().unwrap_or_default());
            through(facts, &at, &[group], Clients::Networks(vec![IpNet::from(address)]))
        }
        _ => Vec::new(),
    };
    let allowed = endpoints.map(|known| known.allowed.clone()).unwrap_or_default();
    let holds = address.filter(|_| !allowed.is_empty()).map(|address| {
        let networks = allowed
            .iter()
            .filter_map(|text| text.parse::<IpNet>().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into())));
        networks.into_iter().any(|network| network.contains(&address))
    });
    let service = facts.services().named("default", "kubelb-internet").map(|(_, service)| service);
    let balancer = service.and_then(|service| balancer_of(facts, service));
    let everybody = || Clients::Internet { v6: false };
    let balancer_gate = match balancer {
        Some(balancer) if !balancer.groups.is_empty() => {
            let clients = address.map_or_else(everybody, |address| Clients::Networks(vec![IpNet::from(address)]));
            through(facts, &format!("load balancer {}", balancer.id), &balancer.groups, clients)
        }
        _ => Vec::new(),
    };
    record
        .with_any("client", address.map(|address| address.to_string()))
        .with("client_v6", address.is_some_and(|address| address.is_ipv6()))
        .with_any("lacks_client", client.err())
        .with("allowed", allowed)
        .with_any("allowed_holds", holds)
        .with("gate", gate)
        .with("kubelb", service.is_some())
        .with_any("balancer", balancer.map(|balancer| balancer.id.as_str()))
        .with_any("balancer_line", balancer.map(|balancer| cited_line(&balancer.citation)))
        .with_any("balancer_groups", balancer.map(|balancer| balancer.groups.len()))
        .with("balancer_gate", balancer_gate)
}

fn through(facts: &Facts, at: &str, groups: &[String], clients: Clients) -> Vec<Value> {
    // Groups of Tencent Cloud look at no destination for what enters.
    let destination = netpath::cloud::extent::stand_in(false);
    let span = Span { clients, destination, protocol: protocol::TCP, ports: 443..=443 };
    Asked { at: at.to_owned(), site: Site::Groups(groups), way: Way::Inbound, span }.values(facts)
}

fn balancer_of<'a>(facts: &'a Facts, service: &Service) -> Option<&'a Balancer> {
    let id = service.annotations.get("service.kubernetes.io/loadbalance-id");
    facts.clouds().tke.balancer(id.map(|id| &**id), &service.load_balancer)
}

/// The symptom's client on the Internet, where it does not get to the API server; else why none is known.
fn client(facts: &Facts, endpoints: Option<&Endpoints>) -> Result<IpAddr, String> {
    let ends = facts.symptom_ends();
    let sender = ends.sender().ok_or_else(|| ends.lacks_sender().unwrap_or("no symptom says who").to_owned())?;
    let address = match sender {
        Who::Address(address) if is_public(*address) => *address,
        other => return Err(format!("the symptom's sender, {other}, is not on the Internet")),
    };
    let api = |to: &IpAddr| {
        let own = endpoints.iter().flat_map(|known| [&known.internet, &known.intranet]).flatten();
        own.into_iter().any(|text| text.contains(&to.to_string()))
    };
    match ends.receiver().map(|end| &end.who) {
        None => Ok(address),
        Some(Who::Address(to)) if api(to) => Ok(address),
        Some(Who::Service(namespace, name)) if is_api_service(namespace, name) => Ok(address),
        Some(Who::Address(to)) => match super::super::symptom::target::service_at(facts, *to) {
            Some(service) if is_api_service(&service.namespace, &service.name) => Ok(address),
            _ => Err(format!("the symptom is about {to}, not about the API server")),
        },
        Some(other) => Err(format!("the symptom is about {other}, not about the API server")),
    }
}

fn is_api_service(namespace: &str, name: &str) -> bool {
    namespace == "default" && matches!(name, "kubernetes" | "kubelb-internet" | "kubelb-intranet")
}

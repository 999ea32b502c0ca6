//! The two ends of a flow, as policies see them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::label::Labels;
use crate::protocol;

/// A container port that a pod declares (sidecars included), by which policies name ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: Arc<str>,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

/// A pod at one end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// The labels of its namespace; `None` where the evidence does not hold them.
    pub namespace_labels: Option<Labels>,
    /// The node it is bound to.
    pub node: Option<Arc<str>>,
    /// The labels of that node; `None` where the evidence does not hold them. They count for pods on the host's network.
    pub node_labels: Option<Labels>,
    /// Whether it uses the host's network: policies then see the node.
    pub host_network: bool,
    /// Whether it has ended (`Succeeded`, `Failed`): its address may be somebody else's by now.
    pub ended: bool,
    /// The ports that its containers declare.
    pub ports: Vec<ContainerPort>,
}

/// A node at one end of a flow: its kubelet, its processes, or traffic that it masqueraded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Host {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels; `None` where the evidence does not hold them.
    pub labels: Option<Labels>,
}

/// Who sends or receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A pod.
    Pod(Box<Pod>),
    /// A node.
    Node(Host),
    /// Known to be neither a pod nor a node of the cluster.
    Outside,
    /// The evidence does not say whose address it is.
    Unidentified,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Who it is.
    pub party: Party,
    /// The address in the packet, as the other end sees it.
    pub address: IpAddr,
}

impl Endpoint {
    /// A pod by the address that the flow uses of it.
    pub fn pod(pod: Pod, address: IpAddr) -> Self {
        Self { party: Party::Pod(Box::new(pod)), address }
    }

    /// A node.
    pub fn node(host: Host, address: IpAddr) -> Self {
        Self { party: Party::Node(host), address }
    }

    /// An address outside the cluster.
    pub fn outside(address: IpAddr) -> Self {
        Self { party: Party::Outside, address }
    }

    /// An address of which nobody knows whose it is.
    pub fn unidentified(address: IpAddr) -> Self {
        Self { party: Party::Unidentified, address }
    }

    /// The node whose network it uses: of nodes themselves and of pods on the host's network.
    pub(super) fn as_node(&self) -> Option<(&str, Option<&Labels>)> {
        match &self.party {
            Party::Node(host) => Some((&host.name, host.labels.as_ref())),
            Party::Pod(pod) if pod.host_network => Some((pod.node.as_deref().unwrap_or(""), pod.node_labels.as_ref())),
            _ => None,
        }
    }

    /// The pod, where policies see it as one: on the pod network, not ended.
    pub(super) fn as_networked_pod(&self) -> Option<&Pod> {
        match &self.party {
            Party::Pod(pod) if !pod.host_network && !pod.ended => Some(pod),
            _ => None,
        }
    }
}

impl Pod {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether both are the same pod.
    pub(super) fn is(&self, other: &Pod) -> bool {
        self.namespace == other.namespace && self.name == other.name
    }

    /// Whether it declares this port under this name.
    pub(super) fn declares(&self, name: &str, protocol: &str, number: u16) -> bool {
        let same = |port: &ContainerPort| {
            &*port.name == name && port.number == number && port.protocol.eq_ignore_ascii_case(protocol)
        };
        self.ports.iter().any(same)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.party {
            Party::Pod(pod) => write!(f, "pod {}", pod.full_name()),
            Party::Node(host) => write!(f, "node {}", host.name),
            Party::Outside | Party::Unidentified => write!(f, "{}", self.address),
        }
    }
}

/// Which side of a flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Leaving the source: its egress policies.
    Egress,
    /// Entering the destination: its ingress policies.
    Ingress,
}

impl Side {
    /// The field of a policy that holds its rules.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The field of a rule that holds its peers.
    pub(super) fn peers(self) -> &'static str {
        match self {
            Self::Egress => "to",
            Self::Ingress => "from",
        }
    }
}

/// The first packet of a connection, as policies judge it: after a Service's address was translated to that of its
/// endpoint. Replies of connections that were allowed are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who sends; where the node masquerades, the node.
    pub source: Endpoint,
    /// Who receives, after translation.
    pub destination: Endpoint,
    /// The Service's address that the client used, if it was translated.
    pub service: Option<IpAddr>,
    /// The IP protocol's number.
    pub protocol: u8,
    /// The destination port after translation; `None` for protocols without ports.
    pub port: Option<u16>,
}

impl Flow {
    /// The end whose policies are judged.
    pub fn subject(&self, side: Side) -> &Endpoint {
        match side {
            Side::Egress => &self.source,
            Side::Ingress => &self.destination,
        }
    }

    /// The end that the rules' peers are compared with.
    pub fn peer(&self, side: Side) -> &Endpoint {
        match side {
            Side::Egress => &self.destination,
            Side::Ingress => &self.source,
        }
    }

    /// Whether policies define what happens to its protocol: TCP, UDP and SCTP only
    /// (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).
    pub(super) fn has_defined_protocol(&self) -> bool {
        protocol_name(self.protocol).is_some()
    }

    /// `TCP 53`, or the protocol alone.
    pub(super) fn what(&self) -> String {
        let name = protocol::name(self.protocol).to_ascii_uppercase();
        match self.port {
            Some(port) => format!("{name} {port}"),
            None => name,
        }
    }
}

/// The protocol as the API spells it.
pub(super) fn protocol_name(number: u8) -> Option<&'static str> {
    match number {
        protocol::TCP => Some("TCP"),
        protocol::UDP => Some("UDP"),
        protocol::SCTP => Some("SCTP"),
        _ => None,
    }
}

//! Does a node do with Services what the API says? What kube-proxy should have written is computed from Services and
//! EndpointSlices and compared with what stands in the node's dumps.
//!
//! ```text
//! input.rs       Services, EndpointSlices, and the node
//! expected.rs    which frontends and endpoints each port should have
//! chain_name.rs  what kube-proxy calls its chains
//! programmed/    what the node has: from iptables, nftables or IPVS
//! compare/       the two side by side
//! difference.rs  what can differ
//! ```
//!
//! Dumps and API objects are not of one instant. A difference is therefore a fact about the evidence; how much it proves
//! says [`PortComparison::recent`] for one port, and [`Comparison::count`] for the node: a kube-proxy that stopped
//! differs in much, one that is at work in little.

mod chain_name;
mod compare;
mod difference;
mod expected;
mod input;
mod programmed;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

pub use self::compare::{Comparison, PortComparison, compare};
pub use self::difference::{Difference, Leftover, State};
pub use self::expected::{ExpectedPort, Selection, expected};
pub use self::input::{Endpoint, EndpointSlice, Place, Service, ServicePort, SlicePort};
pub use self::programmed::{detect, has_evidence};

use crate::protocol;

/// How kube-proxy writes what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Chains of iptables' nat and filter tables.
    Iptables,
    /// The nftables table `kube-proxy`.
    Nftables,
    /// Virtual servers of IPVS.
    Ipvs,
}

impl Mode {
    /// The word of kube-proxy's `mode`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
            Self::Ipvs => "ipvs",
        }
    }
}

/// A port of a Service by name: `kube-system/kube-dns:dns`, and its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortName {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub service: Arc<str>,
    /// The port's name; may be empty.
    pub port: Arc<str>,
    /// The number of its protocol.
    pub protocol: u8,
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Where clients reach a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frontend {
    /// What kind of address it is.
    pub kind: FrontendKind,
    /// The address; `None` for a port of every node.
    pub address: Option<IpAddr>,
    /// The number of its protocol.
    pub protocol: u8,
    /// Its port.
    pub port: u16,
}

/// What kind of address a frontend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontendKind {
    /// `clusterIPs`.
    ClusterIp,
    /// `externalIPs`.
    ExternalIp,
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
    /// `nodePort`.
    NodePort,
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", std::net::SocketAddr::new(address, self.port))?,
            None => write!(f, "node port {}", self.port)?,
        }
        write!(f, "/{}", protocol::name(self.protocol))
    }
}

//! How what a node has can differ from what it should have.

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::service::Frontend;
use crate::source::Cited;

/// How the node serves one port of a Service, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should.
    Present,
    /// Endpoints are there that the API no longer has; everything that it has is there.
    Stale,
    /// Part of it is missing.
    Partial,
    /// It leads elsewhere, or refuses what it should forward, or the other way round.
    Wrong,
    /// Nothing of it is there.
    Missing,
}

impl State {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A part that all Services need is missing: a chain, a table, a jump, a set.
    BaseMissing {
        /// What is missing.
        what: String,
    },
    /// Nothing takes packets to this address.
    FrontendMissing {
        /// The address.
        frontend: Frontend,
    },
    /// Packets to this address are refused for want of endpoints, and there are endpoints.
    FrontendRefuses {
        /// The address.
        frontend: Frontend,
        /// The line that refuses.
        cited: Cited,
    },
    /// Packets to this address should be refused for want of endpoints, and are not.
    RefusalMissing {
        /// The address.
        frontend: Frontend,
    },
    /// Packets to this address are forwarded, and there is no endpoint.
    FrontendForwards {
        /// The address.
        frontend: Frontend,
        /// The line that forwards.
        cited: Cited,
    },
    /// Packets to this address lead to a chain that is not the one for it.
    FrontendElsewhere {
        /// The address.
        frontend: Frontend,
        /// The chain that should be there.
        wanted: String,
        /// The line.
        cited: Cited,
    },
    /// A chain is not there, or holds nothing that leads to an endpoint.
    ChainMissing {
        /// Its name.
        chain: String,
    },
    /// A chain does not lead to another one.
    JumpMissing {
        /// The chain.
        chain: String,
        /// Where it should lead.
        to: String,
    },
    /// An endpoint gets no packets.
    EndpointMissing {
        /// The endpoint.
        endpoint: SocketAddr,
        /// The chain or virtual server that should lead to it.
        within: String,
        /// The line where that begins.
        cited: Option<Cited>,
    },
    /// An endpoint gets packets, and the API does not have it.
    EndpointStale {
        /// The endpoint.
        endpoint: SocketAddr,
        /// The chain or virtual server that leads to it.
        within: String,
        /// The line that sends packets there.
        cited: Cited,
    },
    /// The chain of one endpoint leads to another.
    EndpointElsewhere {
        /// The chain.
        chain: String,
        /// Where it leads.
        endpoint: SocketAddr,
        /// The line that sends packets there.
        cited: Cited,
    },
    /// A source range is not admitted.
    SourceMissing {
        /// The range.
        range: IpNet,
        /// The chain that should admit it.
        chain: String,
    },
    /// Nothing lets the load balancer ask for the node's health.
    HealthCheckMissing {
        /// The port.
        port: u16,
    },
    /// An address that IPVS needs is not on its interface.
    AddressMissing {
        /// The address.
        frontend: Frontend,
    },
}

/// Something on the node that belongs to no Service of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is: an address and port, or a chain's name.
    pub what: String,
    /// The Service that its comment names, where it has one.
    pub service: Option<String>,
    /// Whether packets can get there. A chain that nothing leads to is harmless.
    pub reachable: bool,
    /// The line.
    pub cited: Cited,
}

impl Difference {
    /// The line that shows it, where there is one.
    pub fn cited(&self) -> Option<&Cited> {
        match self {
            Self::FrontendRefuses { cited, .. }
            | Self::FrontendForwards { cited, .. }
            | Self::FrontendElsewhere { cited, .. }
            | Self::EndpointStale { cited, .. }
            | Self::EndpointElsewhere { cited, .. } => Some(cited),
            Self::EndpointMissing { cited, .. } => cited.as_ref(),
            _ => None,
        }
    }

    /// The endpoint that it is about.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        match self {
            Self::EndpointMissing { endpoint, .. }
            | Self::EndpointStale { endpoint, .. }
            | Self::EndpointElsewhere { endpoint, .. } => Some(*endpoint),
            _ => None,
        }
    }

    /// The state of a port that differs by this alone.
    pub fn state(&self) -> State {
        match self {
            Self::EndpointStale { .. } => State::Stale,
            Self::FrontendRefuses { .. }
            | Self::FrontendForwards { .. }
            | Self::FrontendElsewhere { .. }
            | Self::EndpointElsewhere { .. } => State::Wrong,
            _ => State::Partial,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseMissing { what } => write!(f, "{what} is missing"),
            Self::FrontendMissing { frontend } => write!(f, "nothing takes packets to {frontend}"),
            Self::FrontendRefuses { frontend, .. } => {
                write!(f, "packets to {frontend} are refused, although there are endpoints")
            }
            Self::RefusalMissing { frontend } => {
                write!(f, "nothing refuses packets to {frontend}, which has no endpoints here")
            }
            Self::FrontendForwards { frontend, .. } => {
                write!(f, "packets to {frontend} are forwarded, although there are no endpoints")
            }
            Self::FrontendElsewhere { frontend, wanted, .. } => {
                write!(f, "packets to {frontend} do not go to {wanted}")
            }
            Self::ChainMissing { chain } => write!(f, "the chain {chain} is missing or empty"),
            Self::JumpMissing { chain, to } => write!(f, "the chain {chain} does not lead to {to}"),
            Self::EndpointMissing { endpoint, within, .. } => write!(f, "{within} does not lead to {endpoint}"),
            Self::EndpointStale { endpoint, within, .. } => {
                write!(f, "{within} leads to {endpoint}, which is no endpoint any more")
            }
            Self::EndpointElsewhere { chain, endpoint, .. } => write!(f, "{chain} leads to {endpoint}"),
            Self::SourceMissing { range, chain } => write!(f, "{chain} does not admit {range}"),
            Self::HealthCheckMissing { port } => write!(f, "nothing accepts the health check at port {port}"),
            Self::AddressMissing { frontend } => write!(f, "the address of {frontend} is not on kube-ipvs0"),
        }
    }
}

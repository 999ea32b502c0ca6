//! Would the cloud's security groups let this flow pass, and if not, which of their rules denies it?
//!
//! ```text
//! azure           NSGs, NICs, subnets as `az network …` prints them: which groups a flow meets, a rule, a fix
//! tencent.rs      security groups and instances as `tccli vpc|cvm Describe…` prints them
//! extent.rs       all packets from some clients to some ports
//! first_match.rs  ordered rules, of which some match perhaps
//! ```
//!
//! Both clouds' groups are stateful: replies of a connection that was allowed need no rule. A service tag, application
//! security group or template that the evidence does not expand is a named unknown, never an empty set.

mod azure;
pub mod extent;
mod first_match;
mod tencent;

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

pub use azure::Azure;
pub use tencent::Tencent;

use crate::answer::Decision;
use crate::source::Cited;
use crate::unknown::Unknown;

/// Which side of the flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Leaving the source.
    Outbound,
    /// Entering the destination.
    Inbound,
}

/// The first packet of a connection, as the cloud sees it: a node's address after masquerading, an overlay's outer
/// packet, a load balancer's frontend where it keeps the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudFlow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port, where it is known.
    pub source_port: Option<u16>,
    /// Destination port; `None` for protocols without ports.
    pub port: Option<u16>,
}

impl CloudFlow {
    fn own(&self, way: Way) -> IpAddr {
        match way {
            Way::Outbound => self.source,
            Way::Inbound => self.destination,
        }
    }

    fn other(&self, way: Way) -> IpAddr {
        match way {
            Way::Outbound => self.destination,
            Way::Inbound => self.source,
        }
    }
}

/// A change of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudChange {
    /// The group.
    pub group: String,
    /// The command, in the cloud's own language.
    pub command: String,
    /// The rule that it answers.
    pub answers: Option<Cited>,
}

/// The changes that turn a drop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudFix {
    /// All of them together.
    pub changes: Vec<CloudChange>,
    /// Whether judging again with them accepts.
    pub verified: bool,
}

/// What the groups make of a flow on one side.
#[derive(Clone, Debug, Serialize)]
pub struct CloudJudgement {
    /// Accept, drop or depends. Groups never reject: a client sees a timeout.
    pub verdict: Decision,
    /// Which side was judged.
    pub way: Way,
    /// Why, in a sentence.
    pub why: String,
    /// The rule that denies, or for an accepted flow the last that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Cited>,
    /// What the answer depends on.
    pub unknowns: Vec<Unknown>,
    /// What turns a drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<CloudFix>,
}

/// A member by its name in any spelling, of the object or of its `properties`: the clouds' programs differ in both.
fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let within = |value: &'v Value| {
        let fields = value.as_object()?;
        let found = fields.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
        found.map(|(_, value)| value)
    };
    within(value)
        .or_else(|| value.as_object()?.iter().find(|(key, _)| *key == "properties").and_then(|(_, p)| within(p)))
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    field(value, name)?.as_str().filter(|text| !text.is_empty())
}

/// A member that holds a text, or texts; what is neither is kept as its JSON.
fn texts(value: &Value, name: &str) -> Vec<String> {
    let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match field(value, name) {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(of).collect(),
        Some(one) => vec![of(one)],
    }
}

/// An address, or a prefix of any spelling of its host bits.
fn network(text: &str) -> Option<ipnet::IpNet> {
    let text = text.trim();
    match text.parse::<ipnet::IpNet>() {
        Ok(network) => Some(network.trunc()),
        Err(_) => text.parse::<IpAddr>().ok().map(ipnet::IpNet::from),
    }
}

/// The addresses of a prefix or range; none where it is neither.
fn addresses(text: &str) -> Option<crate::address::AddrRange> {
    match network(text) {
        Some(network) => Some(crate::address::AddrRange { first: network.network(), last: network.broadcast() }),
        None => crate::address::AddrRange::parse(text),
    }
}

/// `tcp`, `udp` … in a rule's spelling, or none for any.
fn protocol_spelling(number: u8) -> &'static str {
    match number {
        crate::protocol::TCP => "Tcp",
        crate::protocol::UDP => "Udp",
        crate::protocol::ICMP | crate::protocol::ICMPV6 => "Icmp",
        _ => "*",
    }
}

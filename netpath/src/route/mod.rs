//! Routes, routing rules, and the lookup that the kernel makes with them.

mod fib;
mod lookup;
mod parse;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde::Serialize;

pub use self::fib::Fib;
pub use self::lookup::{Flow, Found, Lookup};
pub(crate) use self::lookup::{ONE_TRIE, lookup};
pub use self::parse::{parse_routes, parse_rules};

use crate::address::{AddrMask, Family};
use crate::port::PortRange;
use crate::source::Cited;

/// What a route says about its destinations (rtm_type).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteType {
    /// No route's type; `addrtype` knows it for 0.0.0.0.
    Unspec,
    /// To a host or gateway.
    Unicast,
    /// An address of the node itself.
    Local,
    /// A broadcast address.
    Broadcast,
    /// An anycast address.
    Anycast,
    /// A group.
    Multicast,
    /// Dropped silently.
    Blackhole,
    /// Answered with host unreachable.
    Unreachable,
    /// Answered with administratively prohibited.
    Prohibit,
    /// The lookup goes on with the next rule.
    Throw,
    /// Obsolete.
    Nat,
}

impl RouteType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "unicast" => Self::Unicast,
            "local" => Self::Local,
            "broadcast" => Self::Broadcast,
            "anycast" => Self::Anycast,
            "multicast" => Self::Multicast,
            "blackhole" => Self::Blackhole,
            "unreachable" => Self::Unreachable,
            "prohibit" => Self::Prohibit,
            "throw" => Self::Throw,
            "nat" => Self::Nat,
            _ => return None,
        })
    }
}

/// One way out of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The gateway; `None` when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub interface: Option<Arc<str>>,
    /// Whether the kernel considers it dead or its link down.
    pub dead: bool,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The table: `local`, `main`, `default`, or a number or name.
    pub table: Box<str>,
    /// The destinations.
    pub destination: AddrMask,
    /// What it says about them.
    pub kind: RouteType,
    /// The ways out; more than one is multipath.
    pub hops: Vec<NextHop>,
    /// Lower is preferred.
    pub metric: u32,
    /// The TOS it is for.
    pub tos: u8,
    /// The source address it proposes.
    pub source: Option<IpAddr>,
    /// `host`, `link`, `global`.
    pub scope: Option<Box<str>>,
    /// Whether the kernel made it by itself, from an interface's address.
    pub by_kernel: bool,
    /// Where it was read.
    pub cited: Cited,
}

impl Route {
    /// Whether an IPv6 address that this route leads to belongs to no single node: an anycast address of the node's own, or
    /// the subnet-router address of a network it is on (ipv6_anycast_destination).
    pub(crate) fn is_anycast(&self, addr: Ipv6Addr) -> bool {
        let direct = !self.hops.is_empty() && self.hops.iter().all(|hop| hop.gateway.is_none());
        let subnet = self.destination.prefix_len().is_some_and(|length| length < 127);
        self.kind == RouteType::Anycast || (direct && subnet && self.destination.first() == IpAddr::V6(addr))
    }
}

/// What a routing rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Looks in a table.
    Table(Box<str>),
    /// Drops silently.
    Blackhole,
    /// Answers host unreachable.
    Unreachable,
    /// Answers administratively prohibited.
    Prohibit,
    /// Goes on at another rule.
    Goto(u32),
    /// Goes on.
    Nop,
    /// Something that is not understood.
    Unknown(Box<str>),
}

/// One routing rule.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// The family.
    pub family: Family,
    /// Lower is earlier.
    pub priority: u32,
    /// Whether the selector is inverted.
    pub inverted: bool,
    /// `from`.
    pub source: Option<AddrMask>,
    /// `to`.
    pub destination: Option<AddrMask>,
    /// `iif`; `lo` stands for the node's own packets.
    pub in_interface: Option<Box<str>>,
    /// `oif`.
    pub out_interface: Option<Box<str>>,
    /// `fwmark`: value and mask.
    pub mark: Option<(u32, u32)>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `ipproto`.
    pub protocol: Option<u8>,
    /// `sport`.
    pub source_ports: Option<PortRange>,
    /// `dport`.
    pub destination_ports: Option<PortRange>,
    /// `uidrange`.
    pub users: Option<(u32, u32)>,
    /// Routes of at most this prefix length are passed over.
    pub suppress_prefix_len: Option<u8>,
    /// Selectors that are not understood, so that whether the rule applies is unknown.
    pub unknown: Vec<Box<str>>,
    /// What it does.
    pub action: RuleAction,
    /// Where it was read.
    pub cited: Option<Cited>,
}

impl PolicyRule {
    /// The rules of a kernel that nobody configured.
    pub fn defaults(family: Family) -> Vec<Self> {
        let tables: &[(u32, &str)] = match family {
            Family::V4 => &[(0, ONE_TRIE), (32767, "default")],
            Family::V6 => &[(0, "local"), (32766, "main")],
        };
        tables
            .iter()
            .map(|(priority, table)| Self::plain(family, *priority, RuleAction::Table((*table).into())))
            .collect()
    }

    fn plain(family: Family, priority: u32, action: RuleAction) -> Self {
        Self {
            family,
            priority,
            inverted: false,
            source: None,
            destination: None,
            in_interface: None,
            out_interface: None,
            mark: None,
            tos: None,
            protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            suppress_prefix_len: None,
            unknown: Vec::new(),
            action,
            cited: None,
        }
    }
}

//! A packet on its way through the node (struct sk_buff, as far as rules see it).

use std::sync::Arc;

use crate::conntrack::{Connection, CtState};
use crate::packet::Packet;

/// The packet with everything that the node attaches to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Skb {
    /// The headers as they are at this point.
    pub packet: Packet,
    /// The packet's mark.
    pub mark: u32,
    /// The state of its connection.
    pub state: CtState,
    /// Whether it goes in the answers' direction.
    pub reply: bool,
    /// Its connection; meaningless while the state is INVALID or UNTRACKED.
    pub connection: Connection,
    /// The interface it came in by, as rules see it.
    pub in_interface: Option<Arc<str>>,
    /// The interface it leaves by, once routed.
    pub out_interface: Option<Arc<str>>,
    /// The bridge port it came in by.
    pub physical_in: Option<Arc<str>>,
    /// The bridge port it leaves by.
    pub physical_out: Option<Arc<str>>,
    /// Which socket of this node sends it.
    pub socket: Socket,
    /// Whether it came in an Ethernet frame.
    pub has_ethernet_header: bool,
}

/// The socket that sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// None: the packet came from outside, or is a RST of a REJECT.
    None,
    /// The kernel's own for ICMP errors, which exists and has no owner.
    Kernel,
    /// A process's.
    Process,
}

/// Where netfilter calls the base chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Hook {
    /// Every packet from outside, before it is routed.
    Prerouting,
    /// Packets for the node itself.
    Input,
    /// Packets that pass through.
    Forward,
    /// Packets of the node itself.
    Output,
    /// Every packet that leaves, after it was routed.
    Postrouting,
}

impl Hook {
    /// The name that iptables gives to the hook's chain.
    pub fn chain_name(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }
}

/// What a test of a rule can look at.
pub(crate) struct Context<'a> {
    /// The node's facts.
    pub node: &'a crate::node::Node,
    /// The packet.
    pub skb: &'a Skb,
    /// Where it is.
    pub hook: Hook,
}

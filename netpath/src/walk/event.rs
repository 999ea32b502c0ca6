//! What happened to a packet, step by step, in a form that is cheap to record.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::iptables::Policy;
use crate::source::Cited;
use crate::targets::RejectKind;
use crate::walk::{ChainRef, Hook, NativeRef};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A rule of an iptables table matched.
    Rule {
        /// The hook that called its table.
        hook: Hook,
        /// Its chain.
        chain: ChainRef,
        /// Its index in the chain.
        rule: usize,
        /// What it did.
        effect: Effect,
    },
    /// A base chain was left at its end.
    Policy {
        /// The hook.
        hook: Hook,
        /// The chain.
        chain: ChainRef,
        /// What the policy did.
        policy: Policy,
    },
    /// A rule of a native nft table did something.
    Native {
        /// The hook that called its table.
        hook: Hook,
        /// Its chain.
        chain: NativeRef,
        /// Its index in the chain.
        rule: usize,
        /// What it did.
        effect: Effect,
    },
    /// A base chain of a native nft table was left at its end.
    NativePolicy {
        /// The hook.
        hook: Hook,
        /// The chain.
        chain: NativeRef,
        /// What the policy did.
        policy: Policy,
    },
    /// The kernel did something that no rule asked for.
    Kernel {
        /// Where, in words: `route`, `rp_filter`, …
        what: &'static str,
        /// What, in a sentence.
        detail: String,
        /// The line of the evidence it follows from.
        cited: Option<Cited>,
    },
    /// The node answers with a packet of its own, whose way begins here.
    Answer {
        /// The answer.
        kind: RejectKind,
    },
}

/// What a rule did to the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing but counting.
    None,
    /// It ended the walk of its base chain, or of everything.
    Verdict(Verdict),
    /// The walk went on in another chain.
    Jump,
    /// Back to the calling chain.
    Return,
    /// The mark changed.
    Mark(u32),
    /// The connection's mark changed.
    Connmark(u32),
    /// The packet is not tracked.
    NoTrack,
    /// The destination changed.
    Destination(String),
    /// The source changed.
    Source(String),
    /// A header field changed.
    Header(String),
    /// Nobody knows.
    Unknown,
}

/// The end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "kind")]
pub enum Verdict {
    /// Delivered to the node itself or sent on.
    Accept,
    /// Gone without a word.
    Drop,
    /// Refused with an answer.
    Reject(RejectKind),
}

/// Where an accepted packet went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// To the node's own sockets.
    Local,
    /// Out of an interface.
    Sent {
        /// The interface.
        interface: Option<Arc<str>>,
        /// The next hop: the gateway, or the destination itself.
        next_hop: IpAddr,
    },
}

//! What a rule looks at: header fields, meta data, connection tracking, routing.

use serde_json::Value as Json;

use crate::matches::icmp_named;
use crate::nft::Value;
use crate::protocol;

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A header field: protocol and field.
    Payload(Box<str>, Box<str>),
    /// Meta data: `mark`, `l4proto`, `iifname`, …
    Meta(Box<str>),
    /// Connection tracking: `state`, `status`, `mark`, …
    Ct(Box<str>),
    /// The routing table's word about an address: result and flags.
    Fib(Box<str>, Vec<Box<str>>),
    /// A number drawn at random below a modulus, plus an offset.
    Random {
        /// The modulus.
        modulus: u32,
        /// The offset.
        offset: u32,
    },
    /// Several, part by part.
    Concat(Vec<Expression>),
    /// Bits of another under a mask.
    And(Box<Expression>, u64),
    /// Bits set.
    Or(Box<Expression>, u64),
    /// Bits flipped.
    Xor(Box<Expression>, u64),
    /// A constant.
    Constant(Value),
}

/// What words mean in an expression's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A protocol's name.
    Protocol,
    /// An interface's name, with `*`.
    Interface,
    /// An ICMP type.
    IcmpType,
    /// An ICMPv6 type.
    Icmp6Type,
    /// A connection's state, as a bit.
    CtState,
    /// A connection's status, as bits.
    CtStatus,
    /// TCP flags.
    TcpFlags,
    /// Plain numbers and words.
    Plain,
}

impl Expression {
    pub(super) fn read(json: &Json) -> Option<Self> {
        if let Some(number) = json.as_u64() {
            return Some(Self::Constant(Value::Number(number)));
        }
        let (key, inner) = json.as_object()?.iter().next()?;
        let text = |key: &str| inner.get(key).and_then(Json::as_str).map(Box::from);
        match key.as_str() {
            "payload" => Some(Self::Payload(text("protocol")?, text("field")?)),
            "meta" => Some(Self::Meta(text("key")?)),
            "ct" if inner.get("dir").is_none() => Some(Self::Ct(text("key")?)),
            "fib" => {
                let flags = match inner.get("flags")? {
                    Json::Array(flags) => flags.iter().filter_map(Json::as_str).map(Box::from).collect(),
                    one => vec![Box::from(one.as_str()?)],
                };
                Some(Self::Fib(text("result")?, flags))
            }
            "numgen" if inner.get("mode")?.as_str()? == "random" => Some(Self::Random {
                modulus: u32::try_from(inner.get("mod")?.as_u64()?).ok()?,
                offset: inner.get("offset").and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            }),
            "concat" => inner.as_array()?.iter().map(Self::read).collect::<Option<_>>().map(Self::Concat),
            "&" | "|" | "^" => {
                let [left, right] = inner.as_array()?.as_slice() else { return None };
                let (left, right) = (Box::new(Self::read(left)?), right.as_u64()?);
                Some(match key.as_str() {
                    "&" => Self::And(left, right),
                    "|" => Self::Or(left, right),
                    _ => Self::Xor(left, right),
                })
            }
            _ => None,
        }
    }

    /// What words mean beside this expression.
    pub fn domain(&self) -> Domain {
        match self {
            Self::Payload(protocol, field) => match (&**protocol, &**field) {
                ("ip", "protocol") | ("ip6", "nexthdr") => Domain::Protocol,
                ("icmp", "type") => Domain::IcmpType,
                ("icmpv6", "type") => Domain::Icmp6Type,
                ("tcp", "flags") => Domain::TcpFlags,
                _ => Domain::Plain,
            },
            Self::Meta(key) => match &**key {
                "l4proto" => Domain::Protocol,
                "iifname" | "oifname" | "iif" | "oif" => Domain::Interface,
                _ => Domain::Plain,
            },
            Self::Ct(key) => match &**key {
                "state" => Domain::CtState,
                "status" => Domain::CtStatus,
                _ => Domain::Plain,
            },
            Self::And(inner, _) | Self::Or(inner, _) | Self::Xor(inner, _) => inner.domain(),
            _ => Domain::Plain,
        }
    }
}

/// nft's own names of ICMP types where they differ from iptables'.
const NFT_ICMP6: &[(&str, u8)] = &[
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("mld2-listener-report", 143),
];

impl Domain {
    /// A word's number; `None` when it has none that is known.
    pub(crate) fn number(self, word: &str) -> Option<u64> {
        let bit = |names: &[&str]| names.iter().position(|name| *name == word).map(|at| 1u64 << at);
        match self {
            Self::Protocol => protocol::number(word).map(u64::from),
            Self::IcmpType => icmp_named(false, word).map(|(kind, _)| u64::from(kind)),
            Self::Icmp6Type => NFT_ICMP6
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, kind)| u64::from(*kind))
                .or_else(|| icmp_named(true, word).map(|(kind, _)| u64::from(kind))),
            // The kernel's bits (NF_CT_STATE_BIT, enum ip_conntrack_status).
            Self::CtState => bit(&["invalid", "established", "related", "new", "", "", "untracked"]),
            Self::CtStatus => bit(&["expected", "seen-reply", "assured", "confirmed", "snat", "dnat"]),
            Self::TcpFlags => bit(&["fin", "syn", "rst", "psh", "ack", "urg"]),
            Self::Interface | Self::Plain => None,
        }
    }
}

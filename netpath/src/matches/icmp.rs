//! `-m icmp` and `-m icmp6`: type and code.

use std::fmt;

use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::packet::Transport;
use crate::protocol;
use crate::unknown::Truth;
use crate::walk::Context;

/// The test of an ICMP or ICMPv6 header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Whether it is ICMPv6's module.
    pub v6: bool,
    /// Type and code; a type without code takes all codes.
    pub test: Option<Negatable<IcmpTest>>,
}

/// What type and code are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpTest {
    /// The type; `None` is `any`.
    pub kind: Option<u8>,
    /// The code; `None` takes all.
    pub code: Option<u8>,
}

pub(super) fn knows(option: &str) -> bool {
    matches!(option, "--icmp-type" | "--icmpv6-type")
}

impl Icmp {
    pub(super) fn read(v6: bool, options: &[Opt<'_>]) -> Option<Self> {
        let test = match options {
            [] => None,
            [option] if knows(option.name) => {
                Some(Negatable { negated: option.negated, value: parse_test(v6, option.value()?)? })
            }
            _ => return None,
        };
        Some(Self { v6, test })
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let packet = &context.skb.packet;
        let wanted = if self.v6 { protocol::ICMPV6 } else { protocol::ICMP };
        let Transport::Icmp { kind, code } = packet.transport else { return Truth::No };
        if packet.protocol != wanted {
            return Truth::No;
        }
        let Some(test) = &self.test else { return Truth::Yes };
        test.apply(test.value.kind.is_none_or(|want| want == kind) && test.value.code.is_none_or(|want| want == code))
            .into()
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.v6 { "-m icmp6" } else { "-m icmp" })?;
        let Some(test) = &self.test else { return Ok(()) };
        write!(f, " {}{} ", bang(test.negated), if self.v6 { "--icmpv6-type" } else { "--icmp-type" })?;
        match (test.value.kind, test.value.code) {
            (None, _) => f.write_str("any"),
            (Some(kind), None) => write!(f, "{kind}"),
            (Some(kind), Some(code)) => write!(f, "{kind}/{code}"),
        }
    }
}

fn parse_test(v6: bool, text: &str) -> Option<IcmpTest> {
    if text == "any" && !v6 {
        return Some(IcmpTest { kind: None, code: None });
    }
    if let Some((kind, code)) = named(v6, text) {
        return Some(IcmpTest { kind: Some(kind), code });
    }
    let (kind, code) = match text.split_once('/') {
        Some((kind, code)) => (kind, Some(code.parse().ok()?)),
        None => (text, None),
    };
    // The kernel's v4 module keeps `any` as type 255.
    match kind.parse().ok()? {
        255 if !v6 => Some(IcmpTest { kind: None, code: None }),
        kind => Some(IcmpTest { kind: Some(kind), code }),
    }
}

/// Type and code of a name.
pub(crate) fn named(v6: bool, name: &str) -> Option<(u8, Option<u8>)> {
    codes(v6).find(|(known, _, _)| *known == name).map(|(_, kind, code)| (kind, code))
}

/// Names of types and codes that hand-written rules use (IANA ICMP parameters, in iptables' spelling).
fn codes(v6: bool) -> impl Iterator<Item = (&'static str, u8, Option<u8>)> {
    if v6 { V6 } else { V4 }.iter().copied()
}

const V4: &[(&str, u8, Option<u8>)] = &[
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-route-failed", 3, Some(5)),
    ("network-unknown", 3, Some(6)),
    ("host-unknown", 3, Some(7)),
    ("network-prohibited", 3, Some(9)),
    ("host-prohibited", 3, Some(10)),
    ("TOS-network-unreachable", 3, Some(11)),
    ("TOS-host-unreachable", 3, Some(12)),
    ("communication-prohibited", 3, Some(13)),
    ("host-precedence-violation", 3, Some(14)),
    ("precedence-cutoff", 3, Some(15)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("network-redirect", 5, Some(0)),
    ("host-redirect", 5, Some(1)),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("ttl-zero-during-transit", 11, Some(0)),
    ("ttl-zero-during-reassembly", 11, Some(1)),
    ("parameter-problem", 12, None),
    ("ip-header-bad", 12, Some(0)),
    ("required-option-missing", 12, Some(1)),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

const V6: &[(&str, u8, Option<u8>)] = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("beyond-scope", 1, Some(2)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("failed-policy", 1, Some(5)),
    ("reject-route", 1, Some(6)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("ttl-zero-during-transit", 3, Some(0)),
    ("ttl-zero-during-reassembly", 3, Some(1)),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("pong", 129, None),
    ("mld-listener-query", 130, None),
    ("mld-listener-report", 131, None),
    ("mld-listener-done", 132, None),
    ("mld-listener-reduction", 132, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
    ("redirect", 137, None),
];

//! REJECT and the answers it sends.

use serde::Serialize;

use crate::address::Family;
use crate::iptables::Opt;

/// The answer of a REJECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectKind {
    /// ICMP network unreachable, ICMPv6 no route.
    NetUnreachable,
    /// ICMP host unreachable, ICMPv6 address unreachable.
    HostUnreachable,
    /// ICMP protocol unreachable.
    ProtocolUnreachable,
    /// ICMP port unreachable.
    PortUnreachable,
    /// ICMP network prohibited.
    NetProhibited,
    /// ICMP host prohibited.
    HostProhibited,
    /// ICMP or ICMPv6 administratively prohibited.
    AdminProhibited,
    /// ICMPv6 policy failed.
    PolicyFail,
    /// ICMPv6 reject route.
    RejectRoute,
    /// A TCP RST.
    TcpReset,
}

/// The option's words, IPv4 and IPv6 apart, in iptables' spelling; the long and the short one.
const WORDS: &[(Family, RejectKind, &str, &str)] = &[
    (Family::V4, RejectKind::NetUnreachable, "icmp-net-unreachable", "net-unreach"),
    (Family::V4, RejectKind::HostUnreachable, "icmp-host-unreachable", "host-unreach"),
    (Family::V4, RejectKind::ProtocolUnreachable, "icmp-proto-unreachable", "proto-unreach"),
    (Family::V4, RejectKind::PortUnreachable, "icmp-port-unreachable", "port-unreach"),
    (Family::V4, RejectKind::NetProhibited, "icmp-net-prohibited", "net-prohib"),
    (Family::V4, RejectKind::HostProhibited, "icmp-host-prohibited", "host-prohib"),
    (Family::V4, RejectKind::AdminProhibited, "icmp-admin-prohibited", "admin-prohib"),
    (Family::V4, RejectKind::TcpReset, "tcp-reset", "tcp-rst"),
    (Family::V6, RejectKind::NetUnreachable, "icmp6-no-route", "no-route"),
    (Family::V6, RejectKind::AdminProhibited, "icmp6-adm-prohibited", "adm-prohibited"),
    (Family::V6, RejectKind::HostUnreachable, "icmp6-addr-unreachable", "addr-unreach"),
    (Family::V6, RejectKind::PortUnreachable, "icmp6-port-unreachable", "port-unreach"),
    (Family::V6, RejectKind::PolicyFail, "icmp6-policy-fail", "policy-fail"),
    (Family::V6, RejectKind::RejectRoute, "icmp6-reject-route", "reject-route"),
    (Family::V6, RejectKind::TcpReset, "tcp-reset", "tcp-reset"),
];

/// A kind with the family whose words it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reject {
    /// The answer.
    pub kind: RejectKind,
    /// The family of the rule.
    pub family: Family,
}

impl RejectKind {
    /// Type and code of the ICMP (or ICMPv6) answer; `None` for a TCP RST.
    pub fn icmp(self, family: Family) -> Option<(u8, u8)> {
        let (v4, v6) = match self {
            Self::TcpReset => return None,
            Self::NetUnreachable => (0, 0),
            Self::HostUnreachable => (1, 3),
            Self::ProtocolUnreachable => (2, 4),
            Self::PortUnreachable => (3, 4),
            Self::NetProhibited => (9, 1),
            Self::HostProhibited => (10, 1),
            Self::AdminProhibited => (13, 1),
            Self::PolicyFail => (13, 5),
            Self::RejectRoute => (13, 6),
        };
        Some(match family {
            Family::V4 => (3, v4),
            Family::V6 => (1, v6),
        })
    }
}

impl RejectKind {
    /// The word after `--reject-with` for a family; a kind that the family cannot name has a word of the other's.
    pub fn word(self, family: Family) -> &'static str {
        let named = |own: bool| {
            WORDS.iter().find(|(known, kind, _, _)| *kind == self && (!own || *known == family)).map(|word| word.2)
        };
        named(true).or_else(|| named(false)).unwrap_or("icmp-port-unreachable")
    }
}

impl Reject {
    pub(super) fn read(options: &[Opt<'_>], family: Family) -> Option<Self> {
        let word = match options {
            [] => return Some(Self { kind: RejectKind::PortUnreachable, family }),
            [option] if option.name == "--reject-with" && !option.negated => option.value()?,
            _ => return None,
        };
        WORDS
            .iter()
            .find(|(known, _, long, short)| *known == family && (*long == word || *short == word))
            .map(|(_, kind, _, _)| Self { kind: *kind, family })
    }

    /// The word after `--reject-with`.
    pub fn option(self) -> &'static str {
        self.kind.word(self.family)
    }
}

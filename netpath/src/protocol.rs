//! IP protocol numbers and the names iptables and nft print for them.

use std::fmt;

/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP.
pub const ICMP: u8 = 1;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;
/// UDP-Lite.
pub const UDPLITE: u8 = 136;
/// DCCP.
pub const DCCP: u8 = 33;

/// Names and numbers (IANA; the spellings of `/etc/protocols` and of xtables' own list).
const NAMES: &[(&str, u8)] = &[
    ("tcp", TCP),
    ("udp", UDP),
    ("udplite", UDPLITE),
    ("icmp", ICMP),
    ("icmpv6", ICMPV6),
    ("ipv6-icmp", ICMPV6),
    ("sctp", SCTP),
    ("dccp", DCCP),
    ("esp", 50),
    ("ah", 51),
    ("gre", 47),
    ("igmp", 2),
    ("ipencap", 4),
    ("ipip", 94),
    ("ipv6", 41),
    ("ospf", 89),
    ("vrrp", 112),
    ("pim", 103),
    ("ipv6-mh", 135),
    ("mh", 135),
    ("mobility-header", 135),
    ("mobile", 55),
    ("l2tp", 115),
    ("rsvp", 46),
    ("ipcomp", 108),
    ("egp", 8),
    ("igp", 9),
    ("hopopt", 0),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("isis", 124),
    ("fc", 133),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];

/// The number of a protocol's name or of a number written out.
pub fn number(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number)
}

/// The usual name of a protocol, or its number.
pub fn name(number: u8) -> String {
    NAMES.iter().find(|(_, n)| *n == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// A protocol as a rule names it. The spelling is kept, because which names are printed depends on the host's
/// `/etc/protocols`; a name we do not know has no number and is an unknown, never a mismatch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The protocol number, if the name is known.
    pub number: Option<u8>,
    spelling: Box<str>,
}

impl Protocol {
    /// Reads a name or number; `None` for `all` and 0, which match everything.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" || text.eq_ignore_ascii_case("all") {
            return None;
        }
        let number = number(text);
        let spelling = match text.to_ascii_lowercase().as_str() {
            "icmpv6" => "ipv6-icmp".into(),
            lower => match number {
                // iptables prints the chain-list names for numbers that have one.
                Some(n) if text.bytes().all(|byte| byte.is_ascii_digit()) => name_printed_for_number(n).into(),
                _ => lower.into(),
            },
        };
        Some(Self { number, spelling })
    }
}

fn name_printed_for_number(number: u8) -> String {
    match number {
        ICMPV6 => "ipv6-icmp".to_owned(),
        _ => name(number),
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(Protocol::parse("4").unwrap().to_string(), "ipencap");
        assert_eq!(Protocol::parse("253").unwrap().to_string(), "253");
        assert_eq!(Protocol::parse("icmpv6").unwrap().to_string(), "ipv6-icmp");
        assert!(Protocol::parse("all").is_none());
        assert_eq!(Protocol::parse("made-up").unwrap().number, None);
    }
}

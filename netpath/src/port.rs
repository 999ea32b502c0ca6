//! Port numbers and ranges.

use std::fmt;

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };

    /// One port.
    pub fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Reads `53`, `53:`, `:53`, `1:5`; the separator is `:` in matches and `-` in NAT targets.
    pub fn parse(text: &str, separator: char) -> Option<Self> {
        match text.split_once(separator) {
            None => parse_port(text).map(Self::single),
            Some((first, last)) => {
                let first = if first.is_empty() { 0 } else { parse_port(first)? };
                let last = if last.is_empty() { u16::MAX } else { parse_port(last)? };
                Some(Self { first, last })
            }
        }
    }

    /// Whether the port lies in the range. A reversed range (which old dumps hold) holds nothing.
    pub fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether the range is one port.
    pub fn is_single(&self) -> bool {
        self.first == self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.first) } else { write!(f, "{}:{}", self.first, self.last) }
    }
}

/// Names that hand-written rule files use; iptables-save prints numbers (IANA's service names).
const NAMES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("imap2", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("syslog", 514),
    ("imaps", 993),
    ("nfs", 2049),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("mdns", 5353),
];

fn parse_port(text: &str) -> Option<u16> {
    if let Ok(port) = text.parse() {
        return Some(port);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u16::from_str_radix(hex, 16).ok();
    }
    NAMES.iter().find(|(name, _)| *name == text).map(|(_, port)| *port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn open_ranges() {
        assert_eq!(PortRange::parse("53:", ':').unwrap().to_string(), "53:65535");
        assert_eq!(PortRange::parse(":53", ':').unwrap().to_string(), "0:53");
        assert!(PortRange::parse("x", ':').is_none());
    }
}

//! DNAT, SNAT, MASQUERADE, REDIRECT.

use std::fmt;

use crate::address::AddrRange;
use crate::iptables::Opt;
use crate::port::PortRange;

/// The new end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatTarget {
    /// The new address; `None` keeps it, or takes the interface's.
    pub addresses: Option<AddrRange>,
    /// The new port; `None` keeps it where it is free.
    pub ports: Option<PortRange>,
    /// The base port of a shifted range (`:80-90/8080`).
    shift: Option<u16>,
    /// `--random`, `--random-fully`, `--persistent`, as they stand.
    flags: Box<str>,
}

/// Which port a translation chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// The port stays.
    Keep,
    /// This port.
    Fixed(u16),
    /// Any port of a range, or any at all.
    Any,
}

impl NatTarget {
    pub(super) fn read(options: &[Opt<'_>], to: &str) -> Option<Self> {
        let (first, rest) = options.split_first()?;
        // Old binaries print newer rules without the address and with the option twice; such a line tells nothing.
        if first.name != to || rest.iter().any(|option| option.name == to) {
            return None;
        }
        let mut target = Self::parse(first.value()?)?;
        target.flags = read_flags(rest)?;
        Some(target)
    }

    pub(super) fn read_ports(options: &[Opt<'_>]) -> Option<Self> {
        let mut target = Self::default();
        let rest = match options {
            [first, rest @ ..] if first.name == "--to-ports" => {
                target.ports = Some(PortRange::parse(first.value()?, '-')?);
                rest
            }
            all => all,
        };
        target.flags = read_flags(rest)?;
        Some(target)
    }

    /// `1.2.3.4`, `1.2.3.4-1.2.3.9:80-90`, `:8080`, `[fd00::1]:80`.
    fn parse(text: &str) -> Option<Self> {
        let (addresses, ports) = split_endpoint(text);
        let (ports, shift) = match ports.and_then(|ports| ports.split_once('/')) {
            Some((ports, shift)) => (Some(ports), Some(shift.parse().ok()?)),
            None => (ports, None),
        };
        let ports = match ports {
            // Port 0 is what old binaries print for `no port`, and no packet can be sent to it.
            Some(ports) => Some(PortRange::parse(ports, '-').filter(|range| range.first != 0)?),
            None => None,
        };
        let addresses = match addresses {
            "" => None,
            text => Some(AddrRange::parse(text)?),
        };
        (addresses.is_some() || ports.is_some()).then(|| Self { addresses, ports, shift, flags: "".into() })
    }

    /// The translation that an nft rule asks for.
    pub(crate) fn to(addresses: Option<AddrRange>, ports: Option<PortRange>, random: bool) -> Self {
        Self { addresses, ports, shift: None, flags: if random { " --random".into() } else { "".into() } }
    }

    /// Whether ports are drawn at random.
    pub fn is_random(&self) -> bool {
        self.flags.contains("--random")
    }

    /// The port that a connection gets instead of `port`, as far as the rule tells.
    pub fn port(&self, port: u16) -> PortChoice {
        match self.ports {
            None if self.is_random() => PortChoice::Any,
            None => PortChoice::Keep,
            Some(range) if range.is_single() => PortChoice::Fixed(range.first),
            Some(range) => match self.shift {
                Some(base) => PortChoice::Fixed(range.first.wrapping_add(port.wrapping_sub(base))),
                None if range.contains(port) && !self.is_random() => PortChoice::Keep,
                None => PortChoice::Any,
            },
        }
    }

    pub(super) fn ports_text(&self) -> String {
        match self.ports {
            Some(range) => format!(" --to-ports {}{}", dashed(range), self.flags),
            None => self.flags.to_string(),
        }
    }
}

fn read_flags(options: &[Opt<'_>]) -> Option<Box<str>> {
    let mut text = String::new();
    for option in options {
        let known = ["--random", "--random-fully", "--persistent"].iter().any(|flag| option.is_flag(flag));
        known.then(|| option.write_raw(&mut text))?;
    }
    Some(text.into())
}

fn split_endpoint(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((addr, port)) => (addr, port.strip_prefix(':')),
            None => (rest, None),
        };
    }
    // More than one colon without brackets is an IPv6 address without a port.
    match text.rsplit_once(':') {
        Some((addr, port)) if !addr.contains(':') => (addr, Some(port)),
        _ => (text, None),
    }
}

fn dashed(range: PortRange) -> String {
    if range.is_single() { range.first.to_string() } else { format!("{}-{}", range.first, range.last) }
}

impl fmt::Display for NatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(range) = &self.addresses {
            match (range.first.is_ipv6(), self.ports) {
                (true, Some(_)) if range.is_single() => write!(f, "[{range}]")?,
                (true, Some(_)) => write!(f, "[{}]-[{}]", range.first, range.last)?,
                _ => write!(f, "{range}")?,
            }
        }
        if let Some(ports) = self.ports {
            write!(f, ":{}", dashed(ports))?;
        }
        if let Some(base) = self.shift {
            write!(f, "/{base}")?;
        }
        f.write_str(&self.flags)
    }
}

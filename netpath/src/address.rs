//! Addresses as the packet filter compares them: by bits under a mask that need not be contiguous.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::Serialize;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(addr: IpAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The number of bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The mask whose bits are all set.
    pub(crate) fn full_mask(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }

    /// The mask of a prefix length; lengths beyond the family's are cut.
    pub(crate) fn prefix_mask(self, length: u8) -> u128 {
        let length = length.min(self.bits());
        if length == 0 {
            return 0;
        }
        (self.full_mask() << (self.bits() - length)) & self.full_mask()
    }

    /// The address with these bits.
    pub(crate) fn address(self, bits: u128) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }
}

/// The bits of an address; an IPv4 address occupies the lower 32.
pub(crate) fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// An address under a mask, as `-s 10.0.0.0/255.0.255.0` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddrMask {
    family: Family,
    network: u128,
    mask: u128,
}

impl AddrMask {
    /// Every address of the family.
    pub fn any(family: Family) -> Self {
        Self { family, network: 0, mask: 0 }
    }

    /// One address.
    pub fn host(addr: IpAddr) -> Self {
        Self::prefix(addr, 128)
    }

    /// A prefix; host bits are cleared, as the kernel does.
    pub fn prefix(addr: IpAddr, length: u8) -> Self {
        let family = Family::of(addr);
        let mask = family.prefix_mask(length);
        Self { family, network: bits(addr) & mask, mask }
    }

    /// Reads `ADDR`, `ADDR/LENGTH` or `ADDR/MASK`, also the short `10/8`.
    pub fn parse(text: &str, family: Family) -> Option<Self> {
        let (addr, mask) = match text.split_once('/') {
            Some((addr, mask)) => (parse_address(addr, family)?, Some(mask)),
            None => (parse_address(text, family)?, None),
        };
        let mask = match mask {
            None => family.full_mask(),
            Some(mask) => match mask.parse::<u8>() {
                Ok(length) if length <= family.bits() => family.prefix_mask(length),
                Ok(_) => return None,
                Err(_) => bits(parse_address(mask, family)?),
            },
        };
        Some(Self { family, network: bits(addr) & mask, mask })
    }

    /// Whether the address lies under the mask.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Family::of(addr) == self.family && bits(addr) & self.mask == self.network
    }

    /// The address, where it is only one.
    pub fn only(&self) -> Option<IpAddr> {
        (self.mask == self.family.full_mask()).then(|| self.family.address(self.network))
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The prefix length, when the mask is contiguous.
    pub fn prefix_len(&self) -> Option<u8> {
        let ones = u8::try_from(self.mask.count_ones()).ok()?;
        (self.mask == self.family.prefix_mask(ones)).then_some(ones)
    }

    /// The network as a CIDR, when the mask is contiguous.
    pub fn network(&self) -> Option<IpNet> {
        IpNet::new(self.family.address(self.network), self.prefix_len()?).ok()
    }

    /// The lowest address under the mask.
    pub fn first(&self) -> IpAddr {
        self.family.address(self.network)
    }

    /// The highest address under the mask.
    pub fn last(&self) -> IpAddr {
        self.family.address(self.network | (self.family.full_mask() & !self.mask))
    }

    /// The same host bits under this network: what NETMAP makes of an address.
    pub(crate) fn remap(&self, addr: IpAddr) -> IpAddr {
        self.family.address(self.network | (bits(addr) & self.family.full_mask() & !self.mask))
    }
}

impl fmt::Display for AddrMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = self.family.address(self.network);
        match self.prefix_len() {
            Some(length) => write!(f, "{addr}/{length}"),
            None => write!(f, "{addr}/{}", self.family.address(self.mask)),
        }
    }
}

/// An address of the given family; IPv4 may be shortened (`10`, `172.16`), as iptables allows before a mask.
fn parse_address(text: &str, family: Family) -> Option<IpAddr> {
    match family {
        Family::V6 => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        Family::V4 => match text.parse::<Ipv4Addr>() {
            Ok(addr) => Some(IpAddr::V4(addr)),
            Err(_) => parse_short_v4(text).map(IpAddr::V4),
        },
    }
}

fn parse_short_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        match parts.next() {
            Some(part) => *octet = part.parse().ok()?,
            None => break,
        }
    }
    parts.next().is_none().then_some(Ipv4Addr::from(octets))
}

/// An inclusive range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddrRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

impl AddrRange {
    /// Reads `FIRST-LAST` or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: first.parse().ok()?, last: last.parse().ok()? };
        (range.first.is_ipv4() == range.last.is_ipv4()).then_some(range)
    }

    /// Whether the address lies in the range.
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.first.is_ipv4() && bits(self.first) <= bits(addr) && bits(addr) <= bits(self.last)
    }

    /// Whether the range is one address.
    pub fn is_single(&self) -> bool {
        self.first == self.last
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mask(text: &str) -> AddrMask {
        AddrMask::parse(text, if text.contains(':') { Family::V6 } else { Family::V4 }).unwrap()
    }

    #[test]
    fn host_bits_are_cleared_and_masks_need_not_be_contiguous() {
        assert_eq!(mask("10.0.0.1/255.0.255.0").to_string(), "10.0.0.0/255.0.255.0");
        assert!(mask("10.0.0.1/255.0.255.0").contains("10.9.0.7".parse().unwrap()));
        assert!(!mask("10.0.0.1/255.0.255.0").contains("10.9.1.7".parse().unwrap()));
    }

    #[test]
    fn short_networks_and_both_families() {
        assert_eq!(mask("10/8").to_string(), "10.0.0.0/8");
        assert_eq!(mask("fd00::1/64").to_string(), "fd00::/64");
        assert!(mask("0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!mask("::/0").contains("1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn a_range_holds_its_ends() {
        let range = AddrRange::parse("1.1.1.1-1.1.1.9").unwrap();
        assert!(range.contains("1.1.1.1".parse().unwrap()) && range.contains("1.1.1.9".parse().unwrap()));
        assert!(!range.contains("1.1.1.10".parse().unwrap()));
    }
}

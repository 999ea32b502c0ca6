//! host-local's address ranges and how many addresses they can give.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::json;

/// A range, with the bounds that host-local computes where the configuration does not give them: from the first
/// address after the network's to the last before the broadcast address (IPv6 has none), without the gateway, which
/// is the first address (plugins/ipam/host-local/backend/allocator/range.go).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRange {
    /// The subnet.
    pub subnet: IpNet,
    start: u128,
    end: u128,
    gateway: u128,
}

impl AddressRange {
    /// The range of a whole subnet.
    pub fn of(subnet: IpNet) -> AddressRange {
        let subnet = subnet.trunc();
        let first = number(subnet.network());
        let last = number(subnet.broadcast());
        let end = if subnet.addr().is_ipv4() { last.saturating_sub(1) } else { last };
        let start = first.saturating_add(1);
        AddressRange { subnet, start, end, gateway: start }
    }

    /// A range of a configuration: `{"subnet", "rangeStart", "rangeEnd", "gateway"}`.
    pub fn parse(json: &Json) -> Option<AddressRange> {
        let mut range = AddressRange::of(json::text(json, "subnet")?.parse().ok()?);
        let address = |name: &str| json::text(json, name).and_then(|text| text.parse::<IpAddr>().ok()).map(number);
        range.start = address("rangeStart").unwrap_or(range.start);
        range.end = address("rangeEnd").unwrap_or(range.end);
        range.gateway = address("gateway").unwrap_or(range.gateway);
        Some(range)
    }

    /// All ranges of a host-local configuration: `subnet` and bounds in its old form, `ranges` in its new one.
    pub fn parse_all(ipam: &Json) -> Vec<AddressRange> {
        let new = json::items(ipam, "ranges").flat_map(|(_, set)| set.as_array().into_iter().flatten());
        std::iter::once(ipam).chain(new).filter_map(AddressRange::parse).collect()
    }

    /// 4 or 6.
    pub fn family(&self) -> u8 {
        if self.subnet.addr().is_ipv4() { 4 } else { 6 }
    }

    /// How many addresses the range can give.
    pub fn capacity(&self) -> u64 {
        let all = (self.end.saturating_add(1)).saturating_sub(self.start);
        let gateway = u128::from((self.start..=self.end).contains(&self.gateway));
        u64::try_from(all.saturating_sub(gateway)).unwrap_or(u64::MAX)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(json: &str) -> u64 {
        AddressRange::parse(&serde_json::from_str(json).unwrap()).unwrap().capacity()
    }

    /// Each number is how often host-local 1.7.1 gave an address before it said "no IP addresses available".
    #[test]
    fn capacities_are_those_of_the_program() {
        assert_eq!(capacity(r#"{"subnet":"10.244.1.0/29"}"#), 5);
        assert_eq!(capacity(r#"{"subnet":"10.244.1.0/30"}"#), 1);
        assert_eq!(capacity(r#"{"subnet":"fd00:1::/125"}"#), 6);
        assert_eq!(capacity(r#"{"subnet":"10.244.1.0/28","rangeStart":"10.244.1.4","rangeEnd":"10.244.1.9"}"#), 6);
        assert_eq!(capacity(r#"{"subnet":"10.244.1.0/28","rangeStart":"10.244.1.1","rangeEnd":"10.244.1.4"}"#), 3);
        let gateway =
            r#"{"subnet":"10.244.1.0/28","rangeStart":"10.244.1.4","rangeEnd":"10.244.1.9","gateway":"10.244.1.5"}"#;
        assert_eq!(capacity(gateway), 5);
    }

    #[test]
    fn a_node_s_24_has_253_and_odd_ranges_do_not_panic() {
        assert_eq!(AddressRange::of("10.244.1.0/24".parse().unwrap()).capacity(), 253);
        assert_eq!(AddressRange::of("10.244.1.1/32".parse().unwrap()).capacity(), 0);
        assert_eq!(AddressRange::of("::/0".parse().unwrap()).capacity(), u64::MAX);
        assert_eq!(capacity(r#"{"subnet":"10.0.0.0/24","rangeStart":"10.0.0.9","rangeEnd":"10.0.0.4"}"#), 0);
    }
}

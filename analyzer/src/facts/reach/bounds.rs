//! Senders that a node's rules, routes and sets cannot tell apart, so that one packet stands for all of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use netpath::address::{AddrMask, Family};
use netpath::iptables::Backend;
use netpath::matches::Match;
use netpath::nft::TableFamily;
use netpath::node::Node;

/// Modules whose tests netpath does not evaluate and that look at no address.
const BLIND: &[&str] = &["nfacct", "rt", "string", "time", "quota", "ah", "esp", "frag", "cpu", "nth"];

/// The ranges that something on a node names: two addresses that the same ranges hold are the same to it.
pub struct Bounds {
    /// Where the set of ranges that hold an address changes, with a number that stands for the set from there on.
    bounds: Vec<(IpAddr, u64)>,
    /// Whether something tells addresses apart in a way that is not looked into here.
    opaque: bool,
}

impl Bounds {
    /// Of everything by which a node can tell addresses apart.
    pub fn of(node: &Node) -> Bounds {
        let mut all = Vec::new();
        let mut opaque = has_native_rules(node);
        let chains = node.rulesets.iter().flat_map(|set| &set.tables).flat_map(|table| &table.chains);
        for rule in chains.flat_map(|chain| &chain.rules) {
            let header = [&rule.header.source, &rule.header.destination];
            header.into_iter().flatten().for_each(|test| opaque |= !add_mask(&mut all, test.value));
            opaque |= rule.unread.is_some();
            for test in &rule.matches {
                match test {
                    Match::IpRange(range) => {
                        let ends = [&range.source, &range.destination];
                        ends.into_iter().flatten().for_each(|test| add(&mut all, test.value.first, test.value.last));
                    }
                    Match::Set(_) => opaque = true,
                    Match::Opaque { module, .. } => opaque |= !BLIND.contains(&&**module),
                    _ => {}
                }
            }
        }
        node.routes.routes().iter().for_each(|route| opaque |= !add_mask(&mut all, route.destination));
        node.rules.iter().filter_map(|rule| rule.source).for_each(|source| opaque |= !add_mask(&mut all, source));
        node.neighbours
            .iter()
            .filter(|known| known.failed())
            .for_each(|known| add(&mut all, known.address, known.address));
        // The same range twice would take itself out again.
        all.sort_unstable();
        all.dedup();
        Bounds { bounds: swept(&all), opaque }
    }

    /// What an address has in common with those that the node cannot tell from it.
    pub fn group(&self, address: IpAddr) -> (u64, Option<IpAddr>) {
        let behind = self.bounds.partition_point(|(bound, _)| *bound <= address);
        let within = behind.checked_sub(1).and_then(|at| self.bounds.get(at)).map_or(0, |(_, set)| *set);
        (within, self.opaque.then_some(address))
    }
}

/// Goes over all ranges in order. A range's hash is added to the set's number where it begins, and taken out behind it.
fn swept(ranges: &[(IpAddr, IpAddr)]) -> Vec<(IpAddr, u64)> {
    let mut changes: Vec<(IpAddr, u64)> = Vec::with_capacity(2 * ranges.len());
    for (first, last) in ranges {
        let mut hasher = DefaultHasher::new();
        (first, last).hash(&mut hasher);
        let hash = hasher.finish();
        changes.push((*first, hash));
        changes.extend(behind(*last).map(|behind| (behind, hash)));
    }
    changes.sort_unstable();
    let mut bounds: Vec<(IpAddr, u64)> = Vec::with_capacity(changes.len());
    let mut set = 0;
    for (bound, change) in changes {
        set ^= change;
        match bounds.last_mut() {
            Some((last, of_last)) if *last == bound => *of_last = set,
            _ => bounds.push((bound, set)),
        }
    }
    bounds
}

/// Adds the range of a mask; `false` where its addresses are not one range.
fn add_mask(all: &mut Vec<(IpAddr, IpAddr)>, mask: AddrMask) -> bool {
    add(all, mask.first(), mask.last());
    mask.prefix_len().is_some()
}

fn add(all: &mut Vec<(IpAddr, IpAddr)>, first: IpAddr, last: IpAddr) {
    all.push((first, last));
}

/// The address after this one; none behind the last of its family.
fn behind(last: IpAddr) -> Option<IpAddr> {
    match last {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
    }
}

/// Whether tables of nftables have rules that iptables-nft does not save.
fn has_native_rules(node: &Node) -> bool {
    let saved = |family: TableFamily, name: &str| {
        let own = match family {
            TableFamily::Ip => Family::V4,
            TableFamily::Ip6 => Family::V6,
            TableFamily::Inet => return false,
            TableFamily::Bridge | TableFamily::Other => return true,
        };
        let of_nft =
            |set: &&std::sync::Arc<netpath::iptables::Ruleset>| set.family == own && set.backend == Backend::Nft;
        node.rulesets.iter().filter(of_nft).any(|set| set.table(name).is_some())
    };
    let tables = node.nft.iter().flat_map(|nft| &nft.tables);
    tables
        .filter(|table| !saved(table.family, &table.name))
        .any(|table| table.chains.iter().any(|chain| !chain.rules.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_same_ranges_are_one_group() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let ranges = [("10.0.0.0", "10.0.0.255"), ("10.0.0.7", "10.0.0.7"), ("10.0.0.16", "10.0.0.31")];
        let ranges: Vec<_> = ranges.into_iter().map(|(first, last)| (at(first), at(last))).collect();
        let bounds = Bounds { bounds: swept(&ranges), opaque: false };
        let group = |text: &str| bounds.group(at(text));
        assert_eq!(group("10.0.0.6"), group("10.0.0.8"));
        assert_eq!(group("10.0.0.6"), group("10.0.0.255"));
        assert_ne!(group("10.0.0.6"), group("10.0.0.7"));
        assert_ne!(group("10.0.0.6"), group("10.0.0.20"));
        assert_ne!(group("10.0.0.6"), group("10.0.1.0"));
        assert_eq!(group("10.0.1.0"), group("9.255.255.255"));
    }
}

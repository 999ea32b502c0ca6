//! Senders that a node's rules, routes and sets cannot tell apart, so that one packet stands for all of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netpath::address::{AddrMask, Family};
use netpath::iptables::Backend;
use netpath::matches::Match;
use netpath::nft::TableFamily;
use netpath::node::Node;

/// Where a node begins to see another network: between two neighbouring bounds, all addresses are the same to it.
pub struct Bounds {
    /// The first address of each range that something names, and the first behind it.
    bounds: Vec<IpAddr>,
    /// Whether something tells addresses apart in a way that is not looked into here.
    opaque: bool,
}

impl Bounds {
    /// Of everything by which a node can tell addresses apart.
    pub fn of(node: &Node) -> Bounds {
        let mut all = BTreeSet::new();
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
                    Match::Set(_) | Match::Opaque { .. } => opaque = true,
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
        Bounds { bounds: all.into_iter().collect(), opaque }
    }

    /// What an address has in common with those that the node cannot tell from it.
    pub fn group(&self, address: IpAddr) -> (usize, Option<IpAddr>) {
        (self.bounds.partition_point(|bound| *bound <= address), self.opaque.then_some(address))
    }
}

/// Adds the range of a mask; `false` where its addresses are not one range.
fn add_mask(all: &mut BTreeSet<IpAddr>, mask: AddrMask) -> bool {
    add(all, mask.first(), mask.last());
    mask.prefix_len().is_some()
}

fn add(all: &mut BTreeSet<IpAddr>, first: IpAddr, last: IpAddr) {
    all.insert(first);
    let behind = match last {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
    };
    all.extend(behind);
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

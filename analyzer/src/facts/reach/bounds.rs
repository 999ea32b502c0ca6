//! Addresses and ports that a node's rules, routes and sets cannot tell apart, so that one packet stands for all of them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use netpath::address::{AddrMask, Family};
use netpath::answer::{Owner, owner_of_chain};
use netpath::ipset::{Dimension, Element, Set};
use netpath::iptables::{Backend, Rule};
use netpath::matches::Match;
use netpath::nft::TableFamily;
use netpath::node::Node;
use netpath::port::PortRange;

/// Modules whose tests netpath does not evaluate and that look at no address.
const BLIND: &[&str] = &["nfacct", "rt", "string", "time", "quota", "ah", "esp", "frag", "cpu", "nth"];

/// The ranges that something on a node names: two addresses that the same ranges hold are the same to it.
pub struct Bounds {
    /// Where the set of ranges that hold an address changes, with a number that stands for the set from there on.
    bounds: Vec<(IpAddr, u64)>,
    /// Whether something tells addresses apart in a way that is not looked into here.
    opaque: bool,
}

/// A range, with a number that tells it from all others: those of one ipset have the same.
type Range = (IpAddr, IpAddr, u64);

impl Bounds {
    /// Of everything by which a node can tell addresses apart.
    pub fn of(node: &Node) -> Bounds {
        let mut all = Vec::new();
        let mut opaque = has_native_rules(node, |_| true);
        for rule in rules(node, |_| true) {
            opaque |= add_rule(&mut all, rule) || rule.matches.iter().any(|test| matches!(test, Match::Set(_)));
        }
        node.routes.routes().iter().for_each(|route| opaque |= !add_mask(&mut all, route.destination));
        node.rules.iter().filter_map(|rule| rule.source).for_each(|source| opaque |= !add_mask(&mut all, source));
        add_failed(&mut all, node);
        Bounds::over(all, opaque)
    }

    /// Of what can tell one pod from another of the same node: everything but the routes of whole networks, and but the
    /// chains in which kube-proxy names every endpoint.
    pub fn of_single_pods(node: &Node) -> Bounds {
        let mut all = Vec::new();
        let mut opaque = has_native_rules(node, |name| name != "kube-proxy");
        let mut sets = BTreeSet::new();
        for rule in rules(node, |chain| owner_of_chain(chain) != Owner::KubeProxy) {
            opaque |= add_rule(&mut all, rule);
            sets.extend(rule.matches.iter().filter_map(|test| match test {
                Match::Set(test) => Some(&*test.set),
                _ => None,
            }));
        }
        for name in sets {
            // Of a set that was not listed the walk says that it does not know it, whatever the address.
            let set = node.ipsets.as_ref().and_then(|sets| sets.by_name.get(name));
            opaque |= set.is_some_and(|set| set.dimensions.contains(&Dimension::Set));
            all.extend(set.into_iter().flat_map(|set| merged(name, set)));
        }
        let single = |route: &&netpath::route::Route| route.destination.only().is_some();
        node.routes.routes().iter().filter(single).for_each(|route| {
            add_mask(&mut all, route.destination);
        });
        add_failed(&mut all, node);
        Bounds::over(all, opaque)
    }

    fn over(mut all: Vec<Range>, opaque: bool) -> Bounds {
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

/// Where rules begin and end to name destination ports, kube-proxy's chains aside.
pub struct PortBounds(Vec<u16>);

impl PortBounds {
    /// Of a node's rules and sets.
    pub fn of(node: &Node) -> PortBounds {
        let mut starts = BTreeSet::new();
        let mut add = |range: &PortRange| {
            starts.insert(range.first);
            starts.extend(range.last.checked_add(1));
        };
        for rule in rules(node, |chain| owner_of_chain(chain) != Owner::KubeProxy) {
            for test in &rule.matches {
                match test {
                    Match::Tcp(tcp) => tcp.destination.iter().for_each(|test| add(&test.value)),
                    Match::Ports(ports) => ports.destination.iter().for_each(|test| add(&test.value)),
                    Match::Multiport(list) => list.ports.iter().for_each(&mut add),
                    _ => {}
                }
            }
        }
        let sets = node.ipsets.iter().flat_map(|sets| sets.by_name.values());
        let elements = sets.flat_map(|set| set.elements.iter().flatten()).flat_map(|member| &member.element);
        elements.for_each(|element| {
            if let Element::Port(_, range) = element {
                add(range);
            }
        });
        PortBounds(starts.into_iter().collect())
    }

    /// What a port has in common with those that the node's rules do not tell from it.
    pub fn group(&self, port: u16) -> usize {
        self.0.partition_point(|start| *start <= port)
    }
}

/// The rules of the chains whose names are wanted.
fn rules(node: &Node, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &Rule> {
    let chains = node.rulesets.iter().flat_map(|set| &set.tables).flat_map(|table| &table.chains);
    chains.filter(move |chain| wanted(&chain.name)).flat_map(|chain| &chain.rules)
}

/// Adds what a rule names; whether it tells addresses apart in a way that is not looked into here, sets aside.
fn add_rule(all: &mut Vec<Range>, rule: &Rule) -> bool {
    let mut opaque = rule.unread.is_some();
    let header = [&rule.header.source, &rule.header.destination];
    header.into_iter().flatten().for_each(|test| opaque |= !add_mask(all, test.value));
    for test in &rule.matches {
        match test {
            Match::IpRange(range) => {
                let ends = [&range.source, &range.destination];
                ends.into_iter().flatten().for_each(|test| add(all, test.value.first, test.value.last));
            }
            Match::Opaque { module, .. } => opaque |= !BLIND.contains(&&**module),
            _ => {}
        }
    }
    opaque
}

fn add_failed(all: &mut Vec<Range>, node: &Node) {
    let failed = node.neighbours.iter().filter(|known| known.failed());
    failed.for_each(|known| add(all, known.address, known.address));
}

/// The ranges of a set's elements, those that overlap as one.
fn merged(name: &str, set: &Set) -> Vec<Range> {
    let ends = |element: &Element| match element {
        Element::Range(range) => Some((range.first, range.last)),
        Element::Net(net) => Some((net.first(), net.last())),
        _ => None,
    };
    let elements = set.elements.iter().flatten().flat_map(|member| &member.element);
    let mut ranges: Vec<(IpAddr, IpAddr)> = elements.filter_map(ends).collect();
    ranges.sort_unstable();
    let id = hash(&name);
    let mut all: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match all.last_mut() {
            Some((_, known, _)) if known.is_ipv4() == first.is_ipv4() && first <= *known => *known = last.max(*known),
            _ => all.push((first, last, id)),
        }
    }
    all
}

/// Goes over all ranges in order. A range's number is added to the set's where it begins, and taken out behind it.
fn swept(ranges: &[Range]) -> Vec<(IpAddr, u64)> {
    let mut changes: Vec<(IpAddr, u64)> = Vec::with_capacity(2 * ranges.len());
    for (first, last, id) in ranges {
        changes.push((*first, *id));
        changes.extend(behind(*last).map(|behind| (behind, *id)));
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

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Adds the range of a mask; `false` where its addresses are not one range.
fn add_mask(all: &mut Vec<Range>, mask: AddrMask) -> bool {
    add(all, mask.first(), mask.last());
    mask.prefix_len().is_some()
}

fn add(all: &mut Vec<Range>, first: IpAddr, last: IpAddr) {
    all.push((first, last, hash(&(first, last))));
}

/// The address after this one; none behind the last of its family.
fn behind(last: IpAddr) -> Option<IpAddr> {
    match last {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::from(next.to_be_bytes())),
    }
}

/// Whether tables of nftables with a name that counts have rules that iptables-nft does not save.
fn has_native_rules(node: &Node, counts: impl Fn(&str) -> bool) -> bool {
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
        .filter(|table| counts(&table.name) && !saved(table.family, &table.name))
        .any(|table| table.chains.iter().any(|chain| !chain.rules.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_same_ranges_are_one_group() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let ranges = [("10.0.0.0", "10.0.0.255"), ("10.0.0.7", "10.0.0.7"), ("10.0.0.16", "10.0.0.31")];
        let mut all = Vec::new();
        ranges.into_iter().for_each(|(first, last)| add(&mut all, at(first), at(last)));
        let bounds = Bounds::over(all, false);
        let group = |text: &str| bounds.group(at(text));
        assert_eq!(group("10.0.0.6"), group("10.0.0.8"));
        assert_eq!(group("10.0.0.6"), group("10.0.0.255"));
        assert_ne!(group("10.0.0.6"), group("10.0.0.7"));
        assert_ne!(group("10.0.0.6"), group("10.0.0.20"));
        assert_ne!(group("10.0.0.6"), group("10.0.1.0"));
        assert_eq!(group("10.0.1.0"), group("9.255.255.255"));
    }
}

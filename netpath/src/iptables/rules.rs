//! The rules of one chain, and which of them can meet a packet by its destination alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use super::Rule;

/// Chains of fewer rules are gone through one by one: that costs less than a look-up.
const WORTH_AN_INDEX: usize = 16;

/// The rules of a chain, in order. kube-proxy's chains have a rule for each Service's address, which a walk need not
/// test one by one: [`Rules::next`] passes over those of other addresses.
#[derive(Debug, Default)]
pub struct Rules {
    all: Vec<Rule>,
    /// Made by the first walk that comes by, and dropped by every change of the rules.
    index: OnceLock<Index>,
}

/// The positions of rules by what they ask of the destination, each list in order.
#[derive(Debug, Default)]
struct Index {
    /// Of rules with `-d` of one address, by it.
    of_one: HashMap<IpAddr, Vec<usize>>,
    /// Of all others.
    others: Vec<usize>,
}

impl Rules {
    /// The first rule from that position on that a packet to the address may match, with its position. Those passed over
    /// are for one other address each, so none of them matches whatever else it tests.
    pub(crate) fn next(&self, from: usize, destination: IpAddr) -> Option<(usize, &Rule)> {
        let at = match self.all.len() < WORTH_AN_INDEX {
            true => from,
            false => self.index.get_or_init(|| Index::of(&self.all)).next(from, destination)?,
        };
        Some((at, self.all.get(at)?))
    }

    /// Adds a rule at the end.
    pub fn push(&mut self, rule: Rule) {
        self.changed().push(rule);
    }

    /// Adds a rule before that position.
    pub fn insert(&mut self, at: usize, rule: Rule) {
        self.changed().insert(at, rule);
    }

    /// Takes out the rule at that position.
    pub fn remove(&mut self, at: usize) -> Rule {
        self.changed().remove(at)
    }

    /// Gives back the room that was kept for further rules: most of a node's chains have one rule or two.
    pub(super) fn shrink(&mut self) {
        self.all.shrink_to_fit();
    }

    fn changed(&mut self) -> &mut Vec<Rule> {
        self.index = OnceLock::new();
        &mut self.all
    }
}

impl Index {
    fn of(rules: &[Rule]) -> Index {
        let mut index = Index::default();
        for (at, rule) in rules.iter().enumerate() {
            let one = rule.header.destination.as_ref().filter(|test| !test.negated).and_then(|test| test.value.only());
            match one {
                Some(address) => index.of_one.entry(address).or_default().push(at),
                None => index.others.push(at),
            }
        }
        index
    }

    fn next(&self, from: usize, destination: IpAddr) -> Option<usize> {
        let first = |places: &[usize]| places.get(places.partition_point(|at| *at < from)).copied();
        let own = self.of_one.get(&destination).and_then(|places| first(places));
        [own, first(&self.others)].into_iter().flatten().min()
    }
}

/// The copy makes its own index, when it is walked.
impl Clone for Rules {
    fn clone(&self) -> Rules {
        Rules { all: self.all.clone(), index: OnceLock::new() }
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.all
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut [Rule] {
        self.changed()
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl<'a> IntoIterator for &'a mut Rules {
    type Item = &'a mut Rule;
    type IntoIter = std::slice::IterMut<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.changed().iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Backend, parse};
    use super::*;
    use crate::address::Family;

    /// A chain of `-d` of all kinds, longer than what is gone through one by one.
    fn rules() -> Rules {
        let mut text = String::from("*nat\n:KUBE-SERVICES - [0:0]\n");
        for number in 0..40 {
            let test = match number % 8 {
                0 => format!("! -d 10.96.0.{number}/32 "),
                1 => "-d 10.96.0.0/16 ".to_owned(),
                2 => String::new(),
                3 => "-d 10.96.0.3/32 ".to_owned(),
                _ => format!("-d 10.96.0.{number}/32 "),
            };
            text += &format!("-A KUBE-SERVICES {test}-j RETURN\n");
        }
        let ruleset = parse("save", format!("{text}COMMIT\n").as_bytes(), Family::V4, Backend::Nft);
        ruleset.table("nat").unwrap().chain("KUBE-SERVICES").unwrap().rules.clone()
    }

    fn by_one(rules: &Rules, from: usize, destination: IpAddr) -> Option<usize> {
        let may = |rule: &Rule| {
            let test = rule.header.destination.as_ref();
            test.is_none_or(|test| test.apply(test.value.contains(destination)))
        };
        (from..rules.len()).find(|at| may(&rules[*at]))
    }

    /// What is passed over never matches, and what may match is never passed over.
    #[test]
    fn only_rules_for_another_address_are_passed_over() {
        let rules = rules();
        for host in 0..=41 {
            let destination = IpAddr::from([10, 96, 0, host]);
            for from in 0..=rules.len() {
                let wanted = by_one(&rules, from, destination);
                let mut found = rules.next(from, destination);
                // Ranges and negations are left for the walk to test.
                while let Some((at, _)) = found.filter(|(at, _)| Some(*at) < wanted || wanted.is_none()) {
                    assert!(matches!(at % 8, 0 | 1), "{at}");
                    found = rules.next(at + 1, destination);
                }
                assert_eq!(found.map(|(at, _)| at), wanted, "{host} from {from}");
            }
        }
    }

    /// An index of before a change is not used after it.
    #[test]
    fn a_change_is_seen_at_once() {
        let mut rules = rules();
        let destination = IpAddr::from([10, 96, 0, 4]);
        let at = |rules: &Rules, from: usize| rules.next(from, destination).map(|(at, _)| at);
        assert_eq!(at(&rules, 3), Some(4));
        rules.remove(4);
        assert_eq!(at(&rules, 3), Some(7));
        let copy = rules[3].clone();
        let mut other = copy;
        other.header = rules[1].header.clone();
        rules.insert(3, other);
        assert_eq!(at(&rules, 3), Some(3));
    }
}

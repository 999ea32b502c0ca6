//! What a rule says, apart from where it stands and what it counted: kept once for all the nodes that have it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Counters, Header};
use crate::address::Family;
use crate::matches::Match;
use crate::targets::Target;

/// Threads that read different nodes meet at one of so many locks.
const SHARDS: usize = 16;

/// The rule-specification of iptables(8).
#[derive(Clone, Debug)]
pub struct Specification {
    /// The line's text, without the counters that iptables-save puts before it.
    pub text: Box<str>,
    /// The tests without a module.
    pub header: Header,
    /// The modules' tests, in order.
    pub matches: Vec<Match>,
    /// What happens when all of them hold.
    pub target: Target,
    /// What could not be read at all; the whole rule is an unknown then.
    pub unread: Option<Box<str>>,
    /// The counters that the specification itself sets (`-c`).
    pub(super) set_counters: Option<Counters>,
}

impl Specification {
    /// One that stands in no file.
    pub fn of(text: String, header: Header, matches: Vec<Match>, target: Target) -> Specification {
        Specification { text: text.into(), header, matches, target, unread: None, set_counters: None }
    }
}

/// The specifications that were read so far.
///
/// kube-proxy writes the same rules on every node, ten thousand of them in a cluster of a thousand Services. A bundle of
/// many nodes is read with one of these, so that each is parsed and kept once.
#[derive(Debug, Default)]
pub struct Specifications {
    v4: Shards,
    v6: Shards,
}

type Shards = [Mutex<HashSet<ByText>>; SHARDS];

impl Specifications {
    /// The specification of that text, which is read where it is the first of its kind.
    pub(super) fn get(&self, family: Family, text: &str, read: impl FnOnce() -> Specification) -> Arc<Specification> {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let shards = if family == Family::V4 { &self.v4 } else { &self.v6 };
        let Some(shard) = shards.get(hasher.finish() as usize % SHARDS) else { return Arc::new(read()) };
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(text) {
            return Arc::clone(&known.0);
        }
        // Read without the lock; where two threads come by at once, the first one's stays.
        let new = ByText(Arc::new(read()));
        let mut shard = lock();
        match shard.get(text) {
            Some(known) => Arc::clone(&known.0),
            None => {
                let specification = Arc::clone(&new.0);
                shard.insert(new);
                specification
            }
        }
    }
}

/// A specification that is found by its text.
#[derive(Debug)]
struct ByText(Arc<Specification>);

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

#[cfg(test)]
mod tests {
    use super::super::{Backend, parse, parse_shared};
    use super::*;

    const SAVE: &str = "*filter\n:INPUT ACCEPT [0:0]\n[1:2] -A INPUT -s 10.0.0.1/32 -j DROP\n\
                        [3:4] -A INPUT -s 10.0.0.1/32 -j DROP\nCOMMIT\n";

    #[test]
    fn equal_rules_of_two_nodes_are_kept_once() {
        let known = Specifications::default();
        let read = |file: &str, text: &str| parse_shared(&known, file, text.as_bytes(), Family::V4, Backend::Nft);
        let (first, second) = (read("n1", SAVE), read("n2", &SAVE.replace("[1:2]", "[7:8]")));
        let rules = |set: &super::super::Ruleset| set.tables[0].chains[0].rules.to_vec();
        let (first, second) = (rules(&first), rules(&second));
        assert!(Arc::ptr_eq(&first[0].specification, &second[0].specification));
        assert!(Arc::ptr_eq(&first[0].specification, &first[1].specification));
        assert_eq!(second[0].counters, Some(Counters { packets: 7, bytes: 8 }));
        assert_eq!(second[0].verbatim(), "[7:8] -A INPUT -s 10.0.0.1/32 -j DROP");
        assert_eq!((second[1].line, &*second[1].verbatim()), (4, "[3:4] -A INPUT -s 10.0.0.1/32 -j DROP"));
    }

    #[test]
    fn a_change_of_one_rule_is_a_change_of_no_other() {
        let mut set = parse("n1", SAVE.as_bytes(), Family::V4, Backend::Nft);
        let rules = &mut set.tables[0].chains[0].rules;
        rules[0].target = Target::Accept;
        assert_eq!((&rules[0].target, &rules[1].target), (&Target::Accept, &Target::Drop));
    }

    #[test]
    fn a_family_does_not_get_the_rules_of_the_other() {
        let known = Specifications::default();
        let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p icmp -j REJECT\nCOMMIT\n";
        let read = |family| parse_shared(&known, "n1", text.as_bytes(), family, Backend::Nft);
        let target = |family| read(family).tables[0].chains[0].rules[0].target.clone();
        assert_ne!(target(Family::V4), target(Family::V6), "what REJECT answers differs");
    }

    #[test]
    fn a_line_is_verbatim_whatever_its_counters_look_like() {
        for line in ["[01:2] -A INPUT -j DROP", "[1:2]  -A INPUT -j DROP", "[x] -A INPUT", " [1:2] -A INPUT -j DROP"] {
            let text = format!("*filter\n:INPUT ACCEPT [0:0]\n{line}\nCOMMIT\n");
            let set = parse("n1", text.as_bytes(), Family::V4, Backend::Nft);
            assert_eq!(set.tables[0].chains[0].rules[0].verbatim(), line);
        }
    }
}

//! The check that shows that the comparison can fail: the walk is given a rule set or a node that was changed in one named
//! way, and what the kernel did must then differ from what the walk says.

use std::collections::HashMap;

use netpath::iptables::Policy;
use netpath::matches::Match;
use netpath::route::RouteType;
use netpath::targets::{ConnmarkAction, Target};

use crate::changes::*;
use crate::compare::{Case, Recording};
use crate::connect::Connections;
use crate::expect::agrees;

/// One way to be wrong.
pub struct Mutation {
    pub name: &'static str,
    apply: fn(&mut Recording),
}

pub const MUTATIONS: [Mutation; 35] = [
    Mutation { name: "the sense of -s is turned", apply: |r| headers(r, |rule| flip(&mut rule.header.source)) },
    Mutation { name: "the sense of -d is turned", apply: |r| headers(r, |rule| flip(&mut rule.header.destination)) },
    Mutation { name: "-i is not looked at", apply: |r| headers(r, |rule| rule.header.in_interface = None) },
    Mutation { name: "-o is not looked at", apply: |r| headers(r, |rule| rule.header.out_interface = None) },
    Mutation { name: "-p is not looked at", apply: |r| headers(r, |rule| rule.header.protocol = None) },
    Mutation {
        name: "an unknown protocol is no match",
        apply: |r| rules(r, |rule| rule.header.protocol.is_some(), drop_rule),
    },
    Mutation { name: "TCP flags are not looked at", apply: |r| matches(r, no_flags) },
    Mutation { name: "a port range ends one too early", apply: |r| matches(r, short_range) },
    Mutation { name: "the sense of multiport is turned", apply: |r| matches(r, flip_multiport) },
    Mutation { name: "the sense of a mark is turned", apply: |r| matches(r, flip_mark) },
    Mutation {
        name: "connection states are not looked at",
        apply: |r| without(r, |m| matches!(m, Match::Conntrack(_) | Match::State(_))),
    },
    Mutation { name: "UNTRACKED is taken for NEW", apply: |r| matches(r, untracked_is_new) },
    Mutation { name: "the sense of a set is turned", apply: |r| matches(r, flip_set) },
    Mutation {
        name: "rules with addrtype never match",
        apply: |r| rules(r, |rule| rule.matches.iter().any(|m| matches!(m, Match::AddrType(_))), drop_rule),
    },
    Mutation { name: "RETURN is dropped", apply: |r| rules(r, |rule| rule.target == Target::Return, drop_rule) },
    Mutation {
        name: "goto returns like a jump",
        apply: |r| {
            targets(r, |target| {
                if let Target::Jump { goto, .. } = target {
                    *goto = false
                }
            })
        },
    },
    Mutation {
        name: "a jump never returns",
        apply: |r| {
            targets(r, |target| {
                if let Target::Jump { goto, .. } = target {
                    *goto = true
                }
            })
        },
    },
    Mutation { name: "DROP policies accept", apply: |r| policies(r, Policy::Accept) },
    Mutation { name: "policies drop", apply: |r| policies(r, Policy::Drop) },
    Mutation {
        name: "REJECT is silent",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Reject(_)) {
                    *target = Target::Drop
                }
            })
        },
    },
    Mutation { name: "REJECT sends another kind", apply: |r| targets(r, other_kind) },
    Mutation {
        name: "MARK does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Mark(_)) {
                    *target = Target::None
                }
            })
        },
    },
    Mutation { name: "MARK sets another bit", apply: |r| targets(r, other_mark) },
    Mutation {
        name: "CONNMARK does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Connmark(_)) {
                    *target = Target::None
                }
            })
        },
    },
    Mutation {
        name: "CONNMARK only saves",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Connmark(ConnmarkAction::Restore { .. })) {
                    *target = Target::None
                }
            })
        },
    },
    Mutation {
        name: "NOTRACK does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::NoTrack(_)) {
                    *target = Target::None
                }
            })
        },
    },
    Mutation {
        name: "DNAT does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Dnat(_)) {
                    *target = Target::Accept
                }
            })
        },
    },
    Mutation {
        name: "SNAT does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Snat(_)) {
                    *target = Target::Accept
                }
            })
        },
    },
    Mutation {
        name: "MASQUERADE does nothing",
        apply: |r| {
            targets(r, |target| {
                if matches!(target, Target::Masquerade(_)) {
                    *target = Target::Accept
                }
            })
        },
    },
    Mutation {
        name: "REDIRECT keeps the port",
        apply: |r| {
            targets(r, |target| {
                if let Target::Redirect(nat) = target {
                    nat.ports = None
                }
            })
        },
    },
    Mutation {
        name: "the table security is not walked",
        apply: |r| sets(r, |set| set.tables.retain(|table| &*table.name != "security")),
    },
    Mutation { name: "mangle is walked after filter", apply: |r| sets(r, swap_tables) },
    Mutation {
        name: "answers belong to no connection",
        apply: |r| r.cases.iter_mut().for_each(|case| case.known.clear()),
    },
    Mutation { name: "errors are about nothing that is known", apply: |r| r.cases.iter_mut().for_each(other_quote) },
    Mutation {
        name: "translation is not undone for answers",
        apply: |r| r.cases.iter_mut().for_each(forget_translation),
    },
];

/// Those of them that concern what client and server of a real connection see, in the rule sets of `generate_sockets`.
pub const SEEN_BY_SOCKETS: [&str; 22] = [
    "the sense of -s is turned",
    "the sense of -d is turned",
    "-i is not looked at",
    "-o is not looked at",
    "-p is not looked at",
    "an unknown protocol is no match",
    "TCP flags are not looked at",
    "the sense of a mark is turned",
    "connection states are not looked at",
    "UNTRACKED is taken for NEW",
    "a jump never returns",
    "DROP policies accept",
    "policies drop",
    "REJECT is silent",
    "REJECT sends another kind",
    "MARK does nothing",
    "NOTRACK does nothing",
    "DNAT does nothing",
    "SNAT does nothing",
    "MASQUERADE does nothing",
    "REDIRECT keeps the port",
    "mangle is walked after filter",
];

/// Ways to be wrong about a bridge.
pub const BRIDGE_MUTATIONS: [Mutation; 4] = [
    Mutation { name: "bridged frames meet no IP rule", apply: |r| bridge_calls(r, "0") },
    Mutation { name: "every bridged frame meets the IP rules", apply: |r| bridge_calls(r, "1") },
    Mutation {
        name: "the ports of a bridge are not looked at",
        apply: |r| without(r, |m| matches!(m, Match::Physdev(_))),
    },
    Mutation {
        name: "rules see a bridge's port as the way in",
        apply: |r| headers(r, |rule| rename(&mut rule.header.in_interface)),
    },
];

/// Ways to be wrong about the node's routes and settings, for rule sets that do not matter.
pub const NODE_MUTATIONS: [Mutation; 6] = [
    Mutation { name: "every interface forwards", apply: |r| set(r, "net.ipv4.conf.eth0.forwarding", "1") },
    Mutation { name: "nothing is forwarded", apply: |r| set(r, "net.ipv4.conf.eth0.forwarding", "0") },
    Mutation { name: "rp_filter is strict", apply: |r| set(r, "net.ipv4.conf.all.rp_filter", "1") },
    Mutation { name: "routing rules are not looked at", apply: |r| r.node.rules.clear() },
    Mutation {
        name: "routes that refuse are not there",
        apply: |r| {
            routes(r, |kind| !matches!(kind, RouteType::Unreachable | RouteType::Prohibit | RouteType::Blackhole))
        },
    },
    Mutation { name: "metrics are not looked at", apply: |r| metrics(&mut r.node) },
];

impl Mutation {
    /// How many cases differ, of the first recording of which some do, when the walk is wrong in this way.
    pub fn differences(&self, recordings: &[Recording]) -> usize {
        let differs = |recording: &Recording| {
            let mut wrong = recording.clone();
            (self.apply)(&mut wrong);
            differences(&wrong)
        };
        recordings.iter().map(differs).find(|count| *count > 0).unwrap_or(0)
    }

    /// The same of connections of real sockets; only the node is changed.
    pub fn connections(&self, connections: &[Connections]) -> usize {
        let differs = |connections: &Connections| {
            let node = connections.node.clone();
            let mut wrong = Recording { node, cases: Vec::new(), seen: HashMap::new() };
            (self.apply)(&mut wrong);
            Connections { node: wrong.node, ..connections.clone() }.differences()
        };
        connections.iter().map(differs).find(|count| *count > 0).unwrap_or(0)
    }
}

/// How many cases of a recording fare otherwise than the walk says.
pub fn differences(recording: &Recording) -> usize {
    let differs = |case: &&Case| {
        let found = recording.seen.get(&case.number).map(Vec::as_slice).unwrap_or_default();
        !case.explore(&recording.node).outcomes.iter().any(|outcome| agrees(outcome, found))
    };
    recording.cases.iter().filter(differs).count()
}

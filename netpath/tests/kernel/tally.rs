//! What a run has compared so far, and whether that is enough.

use std::collections::BTreeMap;

/// Modules that the walk claims to be exact about (header, state and marks; then those that need the node's facts).
pub const MODULES: [&str; 24] = [
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "conntrack",
    "state",
    "multiport",
    "comment",
    "mark",
    "connmark",
    "iprange",
    "length",
    "ttl",
    "hl",
    "tos",
    "dscp",
    "pkttype",
    "addrtype",
    "mac",
    "owner",
    "physdev",
    "rpfilter",
    "set",
];

/// Targets that can change a packet's fate.
pub const TARGETS: [&str; 15] = [
    "ACCEPT",
    "DROP",
    "REJECT",
    "RETURN",
    "jump",
    "goto",
    "MARK",
    "CONNMARK",
    "NOTRACK",
    "CT",
    "DNAT",
    "SNAT",
    "MASQUERADE",
    "REDIRECT",
    "NETMAP",
];

/// How many comparisons each of them must have decided.
pub const FLOOR: u64 = 1000;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Packets: hooks reached, verdict and its kind, translation.
    pub comparisons: u64,
    /// Of these, answers and later packets of a connection.
    pub follow_ups: u64,
    pub differences: u64,
    pub rulesets: u64,
    /// Counters of rules and policies that were compared besides.
    pub counters: u64,
    /// How often a module or a target decided: without its rule, the packet's fate would have been another. Only every
    /// few packets are asked, so that the figures are lower bounds.
    pub deciding: BTreeMap<String, u64>,
    /// How many packets met each fate.
    pub fates: BTreeMap<String, u64>,
    /// Connections that real sockets tried, by what the client saw.
    pub connections: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.comparisons += other.comparisons;
        self.follow_ups += other.follow_ups;
        self.differences += other.differences;
        self.rulesets += other.rulesets;
        self.counters += other.counters;
        for (name, count) in &other.deciding {
            *self.deciding.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &other.fates {
            *self.fates.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &other.connections {
            *self.connections.entry(name.clone()).or_default() += count;
        }
    }

    pub fn decided(&mut self, name: impl Into<String>) {
        *self.deciding.entry(name.into()).or_default() += 1;
    }

    /// How many connections real sockets tried.
    pub fn connected(&self) -> u64 {
        self.connections.values().sum()
    }

    pub fn print(&self, what: &str) {
        println!(
            "{what}: {} comparisons ({} of them answers and later packets) over {} rule sets, {} counters, {} connections \
            of real sockets, {} differences",
            self.comparisons,
            self.follow_ups,
            self.rulesets,
            self.counters,
            self.connected(),
            self.differences
        );
    }

    /// The modules and targets that decided less often than they must.
    pub fn seldom(&self) -> Vec<String> {
        let count = |name: &str| self.deciding.get(name).copied().unwrap_or(0);
        let names = MODULES.iter().chain(&TARGETS);
        names.filter(|name| count(name) < FLOOR).map(|name| format!("{name} {}", count(name))).collect()
    }

    /// Prints how often each module and target decided, and names those below the floor.
    pub fn print_deciding(&self) -> Vec<String> {
        println!("fates: {:?}", self.fates);
        println!("what clients with real sockets saw: {:?}", self.connections);
        println!("decided (at least):");
        let count = |name: &str| self.deciding.get(name).copied().unwrap_or(0);
        for names in [&MODULES[..], &TARGETS[..]] {
            let row: Vec<String> = names.iter().map(|name| format!("{name} {}", count(name))).collect();
            println!("  {}", row.join(", "));
        }
        self.seldom()
    }
}

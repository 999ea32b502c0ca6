//! Native nftables rule sets, from `nft -j list ruleset` or from the text of `nft list ruleset`.
//!
//! Read are the constructs that kube-proxy, firewalld, Calico and Docker emit; everything else is kept verbatim and is
//! an unknown to the walk. Tables that iptables-nft manages lose their matches here (`xt`), so the walk takes those
//! from iptables-nft-save.

mod expression;
mod operand;
mod parse;
mod statement;
mod text;

use std::sync::Arc;

pub use self::expression::{Domain, Expression};
pub(crate) use self::operand::holds as operand_holds;
pub use self::operand::{Operand, Value};
pub use self::parse::parse;
pub(crate) use self::statement::read_verdict_of;
pub use self::statement::{Nat, NatKind, Statement, VerdictMap, VerdictWord};
pub use self::text::parse_text;

use crate::address::Family;
use crate::iptables::Policy;
use crate::source::Cited;
use crate::walk::Hook;

/// The family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableFamily {
    /// `ip`.
    Ip,
    /// `ip6`.
    Ip6,
    /// `inet`: both.
    Inet,
    /// `bridge`: called for frames that a bridge forwards, not for packets that are routed.
    Bridge,
    /// `arp`, `netdev`: not called at the IP hooks.
    Other,
}

impl TableFamily {
    /// Whether packets of the family meet the table.
    pub fn covers(self, family: Family) -> bool {
        match self {
            Self::Ip => family == Family::V4,
            Self::Ip6 => family == Family::V6,
            Self::Inet => true,
            Self::Bridge | Self::Other => false,
        }
    }

    /// The family of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "inet" => Self::Inet,
            "bridge" => Self::Bridge,
            "arp" | "netdev" => Self::Other,
            _ => return None,
        })
    }

    /// The priority that a name stands for (nft(8), "Standard priority names").
    pub(crate) fn priority(self, name: &str) -> Option<i32> {
        Some(match (self, name) {
            (Self::Bridge, "dstnat") => -300,
            (Self::Bridge, "filter") => -200,
            (Self::Bridge, "out") => 100,
            (Self::Bridge, "srcnat") => 300,
            (_, "filter") => 0,
            (Self::Ip | Self::Ip6 | Self::Inet, name) => match name {
                "raw" => -300,
                "mangle" => -150,
                "dstnat" => -100,
                "security" => 50,
                "srcnat" => 100,
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// All tables of a node.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The tables in the file's order.
    pub tables: Vec<NativeTable>,
    /// Objects that could not be read.
    pub unread: Vec<Cited>,
}

/// One table.
#[derive(Clone, Debug)]
pub struct NativeTable {
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub name: Box<str>,
    /// Whether it is switched off: its chains are not registered anywhere.
    pub dormant: bool,
    /// Its chains.
    pub chains: Vec<NativeChain>,
    /// Its named sets and maps.
    pub sets: Vec<NativeSet>,
}

/// Where a base chain is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The hook.
    pub hook: Hook,
    /// The priority; lower runs earlier.
    pub priority: i32,
    /// Whether it is of type `nat`, which NAT itself calls.
    pub nat: bool,
    /// What happens at its end.
    pub policy: Policy,
}

impl Base {
    /// `ingress` and `egress` chains are not called at the hooks that are walked.
    pub(crate) fn of(hook: &str, priority: i32, kind: &str, policy: Policy) -> Option<Self> {
        let hook = match hook {
            "prerouting" => Hook::Prerouting,
            "input" => Hook::Input,
            "forward" => Hook::Forward,
            "output" => Hook::Output,
            "postrouting" => Hook::Postrouting,
            _ => return None,
        };
        Some(Self { hook, priority, nat: kind == "nat", policy })
    }
}

/// One chain.
#[derive(Clone, Debug)]
pub struct NativeChain {
    /// Its name.
    pub name: Box<str>,
    /// Where it is registered, if anywhere.
    pub base: Option<Base>,
    /// Its rules.
    pub rules: Vec<NativeRule>,
    /// Where it was read.
    pub cited: Cited,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct NativeRule {
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// Its comment.
    pub comment: Option<Box<str>>,
    /// Where it was read.
    pub cited: Cited,
}

/// A named set or verdict map.
#[derive(Clone, Debug)]
pub struct NativeSet {
    /// Its name.
    pub name: Arc<str>,
    /// The elements of a set.
    pub elements: Vec<Operand>,
    /// The elements of a verdict map.
    pub verdicts: Vec<(Operand, VerdictWord)>,
    /// Whether packets add elements, so that its content was only true when it was listed.
    pub dynamic: bool,
    /// Whether all elements could be read.
    pub complete: bool,
    /// Where it was read, without its elements.
    pub cited: Cited,
    /// Where each of the elements was read, in their order.
    pub places: Vec<Cited>,
}

impl NativeTable {
    /// The set or map of that name.
    pub fn set(&self, name: &str) -> Option<&NativeSet> {
        self.sets.iter().find(|set| &*set.name == name)
    }

    /// The index of the chain of that name.
    pub fn chain_index(&self, name: &str) -> Option<usize> {
        self.chains.iter().position(|chain| &*chain.name == name)
    }
}

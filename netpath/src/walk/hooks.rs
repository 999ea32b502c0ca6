//! Which base chains a hook calls, and in which order.

use crate::address::Family;
use crate::iptables::{Backend, Ruleset};
use crate::nft::TableFamily;
use crate::node::Node;
use crate::walk::Hook;

/// Something that a hook calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Connection tracking looks the packet up.
    Track,
    /// A base chain that is not of NAT.
    Chain(BaseChain),
    /// NAT: the nat chains are called by it, at its own place, in the order of their priorities.
    Nat,
}

/// A base chain of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BaseChain {
    /// Of an iptables table.
    Table(ChainRef),
    /// Of a native nft table.
    Native(NativeRef),
}

/// A chain of a native nft table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeRef {
    /// Index among the node's nft tables.
    pub table: usize,
    /// Index among its chains.
    pub chain: usize,
}

/// A chain of an iptables table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainRef {
    /// Index among the node's rule sets.
    pub ruleset: usize,
    /// Index among its tables.
    pub table: usize,
    /// Index among its chains.
    pub chain: usize,
}

/// The order of one hook: equal priorities stand together, because their order is not in any dump.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookOrder {
    pub calls: Vec<(i32, Vec<Call>)>,
    pub nat: Vec<(i32, Vec<BaseChain>)>,
}

/// The orders of all hooks of one family.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookOrders {
    by_hook: [HookOrder; 5],
}

const HOOKS: [Hook; 5] = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];

impl HookOrders {
    /// The orders of a node's family.
    pub fn of(node: &Node, family: Family) -> Self {
        let mut orders = Self::default();
        for (order, hook) in orders.by_hook.iter_mut().zip(HOOKS) {
            let mut calls: Vec<(i32, Call)> = Vec::new();
            if matches!(hook, Hook::Prerouting | Hook::Output) {
                calls.push((-200, Call::Track));
            }
            if hook != Hook::Forward {
                calls.push((nat_priority(hook), Call::Nat));
            }
            for (at, ruleset) in node.rulesets.iter().enumerate().filter(|(_, r)| r.family == family) {
                add_tables(order, &mut calls, at, ruleset, hook);
            }
            add_native(order, &mut calls, node, family, hook);
            order.calls = grouped(calls);
            order.nat.sort_by_key(|(priority, _)| *priority);
        }
        orders
    }

    /// The order of a hook.
    pub fn order(&self, hook: Hook) -> &HookOrder {
        let at = HOOKS.iter().position(|known| *known == hook).unwrap_or_default();
        &self.by_hook[at.min(4)]
    }
}

fn add_tables(order: &mut HookOrder, calls: &mut Vec<(i32, Call)>, at: usize, ruleset: &Ruleset, hook: Hook) {
    let mut nat = Vec::new();
    for (table_at, table) in ruleset.tables.iter().enumerate() {
        if !has_hook(&table.name, hook) {
            continue;
        }
        let Some(chain) = table.chains.iter().position(|chain| &*chain.name == hook.chain_name()) else { continue };
        let reference = ChainRef { ruleset: at, table: table_at, chain };
        match priority(&table.name) {
            None if &*table.name == "nat" => nat.push((nat_priority(hook), BaseChain::Table(reference))),
            // A table of another name has no base chains in x_tables.
            None => {}
            Some(priority) => calls.push((priority, Call::Chain(BaseChain::Table(reference)))),
        }
    }
    nat.into_iter().for_each(|(priority, chain)| add_nat(order, priority, chain));
}

fn add_nat(order: &mut HookOrder, priority: i32, chain: BaseChain) {
    match order.nat.iter_mut().find(|(known, _)| *known == priority) {
        Some((_, group)) => group.push(chain),
        None => order.nat.push((priority, vec![chain])),
    }
}

fn add_native(order: &mut HookOrder, calls: &mut Vec<(i32, Call)>, node: &Node, family: Family, hook: Hook) {
    let Some(nft) = &node.nft else { return };
    for (table_at, table) in nft.tables.iter().enumerate() {
        if !table.family.covers(family) || is_saved_otherwise(node, &table.name, table.family, family) {
            continue;
        }
        for (chain, declared) in table.chains.iter().enumerate() {
            let Some(base) = declared.base.filter(|base| base.hook == hook) else { continue };
            let chain = BaseChain::Native(NativeRef { table: table_at, chain });
            if base.nat {
                add_nat(order, base.priority, chain)
            } else {
                calls.push((base.priority, Call::Chain(chain)))
            }
        }
    }
}

/// iptables-nft's own tables are taken from iptables-nft-save, which tells more, unless that could not print them.
fn is_saved_otherwise(node: &Node, name: &str, table: TableFamily, family: Family) -> bool {
    table != TableFamily::Inet
        && node
            .rulesets
            .iter()
            .any(|ruleset| ruleset.family == family && ruleset.backend == Backend::Nft && ruleset.table(name).is_some())
}

fn grouped(mut calls: Vec<(i32, Call)>) -> Vec<(i32, Vec<Call>)> {
    calls.sort_by_key(|(priority, _)| *priority);
    let mut groups: Vec<(i32, Vec<Call>)> = Vec::new();
    for (priority, call) in calls {
        match groups.last_mut() {
            Some((known, group)) if *known == priority => group.push(call),
            _ => groups.push((priority, vec![call])),
        }
    }
    groups
}

/// Which hooks a table has (the valid_hooks of iptable_raw.c and its like).
fn has_hook(table: &str, hook: Hook) -> bool {
    match table {
        "raw" => matches!(hook, Hook::Prerouting | Hook::Output),
        "nat" => hook != Hook::Forward,
        "filter" | "security" => matches!(hook, Hook::Input | Hook::Forward | Hook::Output),
        _ => true,
    }
}

/// Priorities of the tables (include/uapi/linux/netfilter_ipv4.h).
fn priority(table: &str) -> Option<i32> {
    Some(match table {
        "raw" => -300,
        "mangle" => -150,
        "filter" => 0,
        "security" => 50,
        _ => return None,
    })
}

/// NAT of destinations comes before filters, of sources after them.
fn nat_priority(hook: Hook) -> i32 {
    match hook {
        Hook::Prerouting | Hook::Output => -100,
        _ => 100,
    }
}

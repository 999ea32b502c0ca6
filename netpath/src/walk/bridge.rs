//! nft tables of the family bridge: what frames meet between the ports of a bridge, and between a bridge and its host.
//!
//! The order is that of net/bridge and br_netfilter: with `bridge-nf-call-iptables` the IP hooks are called from within
//! the bridge's, PREROUTING at priority 0, FORWARD right before it, POSTROUTING after everything else
//! (include/uapi/linux/netfilter_bridge.h).

use std::ops::ControlFlow;
use std::ops::RangeInclusive;

use crate::address::Family;
use crate::nft::TableFamily;
use crate::node::Node;
use crate::walk::Hook;
use crate::walk::hooks::{BaseChain, NativeRef};
use crate::walk::walker::{Flow, Walker};

/// Priorities before the bridge calls the IP hook PREROUTING (`NF_BR_PRI_BRNF`).
pub(super) const BEFORE_PREROUTING: RangeInclusive<i32> = i32::MIN..=-1;
/// Priorities from there on.
pub(super) const AFTER_PREROUTING: RangeInclusive<i32> = 0..=i32::MAX;
/// Priorities before the bridge calls the IP hook FORWARD (`NF_BR_PRI_BRNF - 1`).
pub(super) const BEFORE_FORWARD: RangeInclusive<i32> = i32::MIN..=-2;
/// Priorities from there on.
pub(super) const AFTER_FORWARD: RangeInclusive<i32> = -1..=i32::MAX;
/// Every priority.
pub(super) const ALL: RangeInclusive<i32> = i32::MIN..=i32::MAX;

impl Walker<'_> {
    /// Calls the bridge's own chains of a hook. They see the ports, where IP chains see the bridge.
    pub(super) fn bridge(&mut self, hook: Hook, priorities: RangeInclusive<i32>) -> Flow {
        let chains = chains(self.node, hook, &priorities);
        if chains.is_empty() {
            return Flow::Continue(());
        }
        let seen = (self.skb.in_interface.clone(), self.skb.out_interface.clone());
        let leaves = matches!(hook, Hook::Output | Hook::Postrouting);
        let enters = matches!(hook, Hook::Prerouting | Hook::Input);
        self.skb.in_interface = self.skb.physical_in.clone().filter(|_| !leaves);
        self.skb.out_interface = self.skb.physical_out.clone().filter(|_| !enters);
        self.in_bridge = Some(hook);
        let flow = self.bridge_chains(hook, &chains);
        self.in_bridge = None;
        (self.skb.in_interface, self.skb.out_interface) = seen;
        flow
    }

    fn bridge_chains(&mut self, hook: Hook, chains: &[(i32, NativeRef)]) -> Flow {
        self.hooks_called += 1;
        if self.hooks_called == 1 {
            self.unseen_rules()?;
        }
        for group in chains.chunk_by(|(one, _), (other, _)| one == other) {
            let mut group: Vec<NativeRef> = group.iter().map(|(_, chain)| *chain).collect();
            if self.reversed(group.iter().map(|chain| BaseChain::Native(*chain))) {
                group.reverse();
            }
            for chain in group {
                self.native(hook, chain)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether a bridge calls the IP hooks for frames of the packet's family, as far as the settings were collected.
    pub(super) fn bridge_calls_ip(&self) -> bool {
        self.node.sysctls.number(call_setting(self.skb.packet.family())) != Some(0)
    }

    /// Whether packets that go out of this interface leave by a port of a bridge.
    pub(super) fn leaves_by_bridge(&self) -> bool {
        let link = self.skb.out_interface.as_deref().and_then(|name| self.node.link(name));
        link.is_some_and(|link| link.kind.as_deref() == Some("bridge"))
    }
}

/// The setting by which a bridge calls the IP hooks.
pub(super) fn call_setting(family: Family) -> &'static str {
    match family {
        Family::V4 => "net.bridge.bridge-nf-call-iptables",
        Family::V6 => "net.bridge.bridge-nf-call-ip6tables",
    }
}

/// The chains of a hook among these priorities, in their order.
fn chains(node: &Node, hook: Hook, priorities: &RangeInclusive<i32>) -> Vec<(i32, NativeRef)> {
    let tables = node.nft.iter().flat_map(|nft| nft.tables.iter().enumerate());
    let of_bridge = tables.filter(|(_, table)| table.family == TableFamily::Bridge);
    let mut found: Vec<(i32, NativeRef)> = of_bridge
        .flat_map(|(at, table)| table.chains.iter().enumerate().map(move |(chain, declared)| (at, chain, declared)))
        .filter_map(|(table, chain, declared)| {
            let base = declared.base.filter(|base| base.hook == hook && priorities.contains(&base.priority))?;
            Some((base.priority, NativeRef { table, chain }))
        })
        .collect();
    found.sort_by_key(|(priority, _)| *priority);
    found
}

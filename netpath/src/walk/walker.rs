//! The state of one walk: the packet, what was decided, what happened.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::conntrack::Connection;
use crate::iptables::Policy;
use crate::node::{GapKind, Node};
use crate::source::Cited;
use crate::sysctl::interface_setting;
use crate::unknown::Unknown;
use crate::walk::choices::Choices;
use crate::walk::event::{Event, Verdict};
use crate::walk::hooks::{BaseChain, Call, HookOrders};
use crate::walk::{Context, Hook, Skb};

/// One walk along one path.
pub(crate) struct Walker<'a> {
    pub node: &'a Node,
    pub orders: &'a HookOrders,
    pub known: &'a [Connection],
    pub choices: &'a mut Choices,
    pub skb: Skb,
    /// Whether connection tracking has looked at the packet, or was told not to.
    pub tracked: bool,
    /// Whether NOTRACK does nothing to the packet: an answer to an untracked packet is marked as related to no connection
    /// at all (nf_conntrack_attach), and the target leaves alone what has any such mark (xt_CT.c, notrack_tg).
    pub past_exemption: bool,
    /// The next hop that routing chose.
    pub next_hop: Option<IpAddr>,
    /// Whether the packet gets its source from the route, so that rules by source do not see it yet.
    pub unbound: bool,
    /// The source address that the last route proposed.
    pub proposed_source: Option<IpAddr>,
    pub events: Vec<Event>,
    /// Things that happened to the packet and that nobody can tell: the outcome depends on them however it ends.
    pub doubts: Vec<Unknown>,
    /// Counts hooks, so that the same state in another hook is another state.
    pub hooks_called: u32,
    /// The hook of a bridge whose own chains are being walked; they see ports.
    pub in_bridge: Option<Hook>,
}

/// The way on, or the end of it.
pub(crate) type Flow = ControlFlow<Verdict>;

impl Walker<'_> {
    /// Calls everything that is registered at a hook.
    pub fn hook(&mut self, hook: Hook) -> Flow {
        self.hooks_called += 1;
        if self.hooks_called == 1 {
            self.unseen_rules()?;
        }
        let orders = self.orders;
        for (_, group) in &orders.order(hook).calls {
            let reversed = self.reversed(group.iter().filter_map(|call| match call {
                Call::Chain(chain) => Some(*chain),
                _ => None,
            }));
            let calls: Box<dyn Iterator<Item = &Call>> =
                if reversed { Box::new(group.iter().rev()) } else { Box::new(group.iter()) };
            for call in calls {
                match call {
                    Call::Track => self.track(),
                    Call::Nat => self.nat(hook)?,
                    Call::Chain(BaseChain::Table(chain)) => self.table(hook, *chain)?,
                    Call::Chain(BaseChain::Native(chain)) => self.native(hook, *chain)?,
                }
            }
        }
        Flow::Continue(())
    }

    /// Rules that were not collected may let the packet pass or not.
    pub(super) fn unseen_rules(&mut self) -> Flow {
        let node = self.node;
        for gap in node.gaps_of(GapKind::Rules, self.skb.packet.family()) {
            let what = format!("whether {} let the packet pass", gap.what);
            if !self.decide(&Unknown::deterministic(what.clone(), what)) {
                self.kernel("rules that were not collected", format!("{} may stop it", gap.what), None);
                return Flow::Break(Verdict::Drop);
            }
        }
        Flow::Continue(())
    }

    /// Whether chains of equal priority run in the other order. The one registered last runs first, and no dump tells
    /// which that was; it only matters when more than one of them does anything.
    pub fn reversed(&mut self, chains: impl Iterator<Item = BaseChain>) -> bool {
        let busy: Vec<BaseChain> = chains.filter(|chain| !self.is_idle(*chain)).collect();
        let [first, .., last] = busy.as_slice() else { return false };
        let (first, last) = (self.chain_name(*first), self.chain_name(*last));
        !self.decide(&super::orders::question(&first, &last))
    }

    fn chain_name(&self, chain: BaseChain) -> String {
        match chain {
            BaseChain::Table(at) => {
                let ruleset = self.node.rulesets.get(at.ruleset);
                let table = ruleset.and_then(|r| r.tables.get(at.table)).map_or("", |table| &table.name);
                let backend = ruleset.map_or("", |r| r.backend.name());
                format!("the table {table} ({backend})")
            }
            BaseChain::Native(at) => {
                let table = self.node.nft.as_ref().and_then(|nft| nft.tables.get(at.table));
                let chain = table.and_then(|table| table.chains.get(at.chain)).map_or("", |chain| &chain.name);
                format!("the chain {chain} of the nft table {}", table.map_or("", |table| &table.name))
            }
        }
    }

    /// An empty chain with an accepting policy.
    fn is_idle(&self, chain: BaseChain) -> bool {
        match chain {
            BaseChain::Table(at) => {
                let chain =
                    self.node.rulesets.get(at.ruleset).and_then(|r| r.tables.get(at.table)?.chains.get(at.chain));
                chain.is_some_and(|chain| chain.rules.is_empty() && chain.policy == Some(Policy::Accept))
            }
            BaseChain::Native(at) => {
                let table = self.node.nft.as_ref().and_then(|nft| nft.tables.get(at.table));
                let chain = table.and_then(|table| table.chains.get(at.chain));
                chain.is_some_and(|chain| {
                    chain.rules.is_empty() && chain.base.is_some_and(|base| base.policy == Policy::Accept)
                })
            }
        }
    }

    /// Decides a question on this path.
    pub fn decide(&mut self, unknown: &Unknown) -> bool {
        let place = self.place(0);
        self.choices.holds(unknown, || place)
    }

    /// Chooses one of several possibilities on this path.
    pub fn choose(&mut self, unknown: &Unknown, weights: &[f64]) -> usize {
        let place = self.place(1);
        self.choices.pick(unknown, weights, || place)
    }

    /// Identifies the walk's state, so that paths that meet are walked on once.
    pub fn place(&self, position: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.hooks_called, &self.skb, self.tracked, position).hash(&mut hasher);
        hasher.finish()
    }

    pub fn context(&self, hook: Hook) -> Context<'_> {
        Context { node: self.node, skb: &self.skb, hook }
    }

    /// Notes something that no rule did.
    pub fn kernel(&mut self, what: &'static str, detail: String, cited: Option<Cited>) {
        self.events.push(Event::Kernel { what, detail, cited });
    }

    /// The value of a setting; when it was not collected, each of `values` is possible.
    pub fn setting(&mut self, name: &str, values: &[i64]) -> i64 {
        if let Some(value) = self.node.sysctls.number(name) {
            return value;
        }
        let unknown = Unknown::deterministic(format!("sysctl {name}"), format!("the setting {name}"));
        let picked = self.choose(&unknown, &vec![1.0; values.len()]);
        values.get(picked).copied().unwrap_or_default()
    }

    /// The value of an interface's setting, and its name.
    pub fn interface_setting(&mut self, family: &str, interface: &str, setting: &str, values: &[i64]) -> (i64, String) {
        let name = interface_setting(family, interface, setting);
        (self.setting(&name, values), name)
    }

    /// The line of a setting.
    pub fn cite_setting(&self, name: &str) -> Option<Cited> {
        self.node.sysctls.cite(name).cloned()
    }
}

//! The chains of a native nft table.

use crate::iptables::Policy;
use crate::nft::{Nat, NatKind, NativeTable, Statement, VerdictMap, VerdictWord};
use crate::targets::{NatTarget, Target};
use crate::unknown::Unknown;
use crate::walk::Hook;
use crate::walk::event::{Effect, Event, Verdict};
use crate::walk::hooks::NativeRef;
use crate::walk::walker::{Flow, Walker};

/// What a rule's statements made of it.
enum Next {
    Rule,
    Jump(usize),
    Goto(usize),
    Return,
    Accept,
    End(Verdict),
}

/// The kernel's limit is 16; a damaged dump may hold a loop.
const MAX_DEPTH: usize = 64;

impl<'a> Walker<'a> {
    /// Walks a base chain of a native table.
    pub(super) fn native(&mut self, hook: Hook, at: NativeRef) -> Flow {
        let node: &'a crate::node::Node = self.node;
        let Some(table) = node.nft.as_ref().and_then(|nft| nft.tables.get(at.table)) else {
            return Flow::Continue(());
        };
        let mut frames = vec![(at.chain, 0usize)];
        while let Some((chain_at, rule_at)) = frames.pop() {
            let Some(rule) = table.chains.get(chain_at).and_then(|chain| chain.rules.get(rule_at)) else { continue };
            frames.push((chain_at, rule_at + 1));
            let place = NativeRef { chain: chain_at, ..at };
            match self.statements(table, &rule.statements, hook, (place, rule_at)) {
                Next::Rule => {}
                Next::Jump(chain) if frames.len() < MAX_DEPTH => frames.push((chain, 0)),
                Next::Goto(chain) if frames.len() < MAX_DEPTH => {
                    frames.pop();
                    frames.push((chain, 0));
                }
                Next::Jump(_) | Next::Goto(_) => {
                    self.doubt(format!("where a loop of chains in the table {} ends", table.name));
                    return Flow::Break(Verdict::Drop);
                }
                Next::Return => {
                    frames.pop();
                }
                Next::Accept => return Flow::Continue(()),
                Next::End(verdict) => return Flow::Break(verdict),
            }
        }
        let policy = table.chains.get(at.chain).and_then(|chain| chain.base).map_or(Policy::Accept, |base| base.policy);
        self.events.push(Event::NativePolicy { hook, chain: at, policy });
        match policy {
            Policy::Accept => Flow::Continue(()),
            Policy::Drop => Flow::Break(Verdict::Drop),
        }
    }

    /// The statements of one rule, until one of them does not hold or ends it.
    fn statements(
        &mut self,
        table: &NativeTable,
        statements: &[Statement],
        hook: Hook,
        at: (NativeRef, usize),
    ) -> Next {
        let inert =
            statements.iter().all(|s| matches!(s, Statement::Match { .. } | Statement::Inert | Statement::Limit(_)));
        if inert {
            return Next::Rule;
        }
        for statement in statements {
            let (effect, next) = match statement {
                Statement::Match { negated, bits, left, right } => {
                    if !self.compare(table, hook, left, right, (*negated, *bits)) {
                        return Next::Rule;
                    }
                    continue;
                }
                Statement::Inert => continue,
                Statement::Limit(text) => {
                    if !self.decide(&Unknown::stateful(format!("whether {text} lets the rule go on"))) {
                        return Next::Rule;
                    }
                    continue;
                }
                Statement::Mark(value) => match self.number(hook, value) {
                    Some(mark) => {
                        self.skb.mark = mark;
                        (Effect::Mark(mark), None)
                    }
                    None => return self.any_end(statement, hook, at),
                },
                Statement::ConnectionMark(value) => match self.number(hook, value) {
                    Some(mark) => {
                        self.skb.connection.mark = mark;
                        (Effect::Connmark(mark), None)
                    }
                    None => return self.any_end(statement, hook, at),
                },
                Statement::NoTrack => {
                    self.exempt();
                    (Effect::NoTrack, None)
                }
                Statement::Reject(kind) => {
                    let verdict = Verdict::Reject(*kind);
                    (Effect::Verdict(verdict), Some(Next::End(verdict)))
                }
                Statement::Nat(nat) => match self.native_nat(nat, hook) {
                    Ok(effect) => (effect, Some(Next::Accept)),
                    Err(verdict) => (Effect::Verdict(verdict), Some(Next::End(verdict))),
                },
                Statement::Verdict(word) => self.follow(table, word),
                Statement::VerdictMap(map) => match self.look_up(table, hook, map) {
                    Some(word) => self.follow(table, &word),
                    None => return Next::Rule,
                },
                Statement::Unknown(_) => return self.any_end(statement, hook, at),
            };
            self.events.push(Event::Native { hook, chain: at.0, rule: at.1, effect });
            if let Some(next) = next {
                return next;
            }
        }
        Next::Rule
    }

    fn follow(&mut self, table: &NativeTable, word: &VerdictWord) -> (Effect, Option<Next>) {
        match word {
            VerdictWord::Accept => (Effect::Verdict(Verdict::Accept), Some(Next::Accept)),
            VerdictWord::Drop => (Effect::Verdict(Verdict::Drop), Some(Next::End(Verdict::Drop))),
            VerdictWord::Continue => (Effect::None, Some(Next::Rule)),
            VerdictWord::Return => (Effect::Return, Some(Next::Return)),
            VerdictWord::Jump(name) | VerdictWord::Goto(name) => match table.chain_index(name) {
                Some(chain) if matches!(word, VerdictWord::Jump(_)) => (Effect::Jump, Some(Next::Jump(chain))),
                Some(chain) => (Effect::Jump, Some(Next::Goto(chain))),
                None => {
                    self.doubt(format!("what the chain {name} does, which is not in the dump"));
                    (Effect::Unknown, Some(Next::Rule))
                }
            },
        }
    }

    /// A statement of which nobody knows what it does.
    fn any_end(&mut self, statement: &Statement, hook: Hook, at: (NativeRef, usize)) -> Next {
        let text = match statement {
            Statement::Unknown(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        self.events.push(Event::Native { hook, chain: at.0, rule: at.1, effect: Effect::Unknown });
        self.doubt(format!("what the statement {text} does"));
        let what = format!("whether the statement {text} accepts, drops or continues");
        match self.choose(&Unknown::stateful(what), &[1.0, 1.0, 1.0]) {
            0 => Next::Accept,
            1 => Next::End(Verdict::Drop),
            _ => Next::Rule,
        }
    }

    fn look_up(&mut self, table: &NativeTable, hook: Hook, map: &VerdictMap) -> Option<VerdictWord> {
        let key = self.values(hook, &map.key)?;
        let named = map.named.as_ref().map(|name| (name, table.set(name)));
        let elements = match &named {
            Some((name, None)) => {
                self.doubt(format!("what the map {name} holds, which is not in the dump"));
                return None;
            }
            Some((name, Some(set))) => {
                if !set.complete {
                    self.doubt(format!("what the map {name} holds"));
                }
                &set.verdicts
            }
            None => &map.elements,
        };
        for (element, word) in elements {
            match super::native_values::matches(&key, element) {
                Some(true) => return Some(word.clone()),
                Some(false) => {}
                None => {
                    let what = format!("whether the packet is the element {element:?} of a map");
                    if self.decide(&Unknown::deterministic(what.clone(), what)) {
                        return Some(word.clone());
                    }
                }
            }
        }
        None
    }

    fn native_nat(&mut self, nat: &Nat, hook: Hook) -> Result<Effect, Verdict> {
        let target = NatTarget::to(nat.addresses, nat.ports, nat.random);
        let target = match nat.kind {
            NatKind::Destination => Target::Dnat(target),
            NatKind::Source => Target::Snat(target),
            NatKind::Masquerade => Target::Masquerade(target),
            NatKind::Redirect => Target::Redirect(target),
        };
        self.translate(&target, hook)
    }
}

//! The chains of one iptables table.

use crate::iptables::{Header, Negatable, Policy, Rule, Table};
use crate::packet::{Packet, Transport};
use crate::targets::{ConnmarkAction, HeaderChange, Target};
use crate::unknown::{Truth, Unknown};
use crate::walk::event::{Effect, Event, Verdict};
use crate::walk::hooks::ChainRef;
use crate::walk::walker::{Flow, Walker};
use crate::walk::{Hook, Skb};

/// The kernel allows no loops; a dump edited by hand may hold one.
const MAX_DEPTH: usize = 256;

/// What a rule made the walk do.
enum Next {
    Rule,
    Jump(usize),
    Goto(usize),
    Return,
    Accept,
    End(Verdict),
}

impl<'a> Walker<'a> {
    /// Walks a base chain. Its ACCEPT ends it alone; DROP and REJECT end everything.
    pub(super) fn table(&mut self, hook: Hook, at: ChainRef) -> Flow {
        let node: &'a crate::node::Node = self.node;
        let Some(ruleset) = node.rulesets.get(at.ruleset) else { return Flow::Continue(()) };
        let Some(table) = ruleset.tables.get(at.table) else { return Flow::Continue(()) };
        let mut frames = vec![(at.chain, 0usize)];
        while let Some((chain_at, rule_at)) = frames.pop() {
            let destination = self.skb.packet.destination;
            let rule = table.chains.get(chain_at).and_then(|chain| chain.rules.next(rule_at, destination));
            let Some((rule_at, rule)) = rule else { continue };
            frames.push((chain_at, rule_at + 1));
            let place = ChainRef { chain: chain_at, ..at };
            if !self.rule_matches(rule, hook, &frames) {
                continue;
            }
            match self.apply(rule, hook, (place, rule_at)) {
                Next::Rule => {}
                Next::Jump(chain) if frames.len() < MAX_DEPTH => frames.push((chain, 0)),
                Next::Goto(chain) if frames.len() < MAX_DEPTH => {
                    frames.pop();
                    frames.push((chain, 0));
                }
                Next::Jump(_) | Next::Goto(_) => {
                    self.doubt(format!("where a loop of chains through `{}` ends", rule.verbatim().trim()));
                    return Flow::Break(Verdict::Drop);
                }
                Next::Return => {
                    frames.pop();
                }
                Next::Accept => return Flow::Continue(()),
                Next::End(verdict) => return Flow::Break(verdict),
            }
        }
        self.policy(table, hook, at)
    }

    fn policy(&mut self, table: &Table, hook: Hook, at: ChainRef) -> Flow {
        let Some(chain) = table.chains.get(at.chain) else { return Flow::Continue(()) };
        let policy = match chain.policy {
            Some(policy) => policy,
            None => {
                let what = format!("the policy of the chain {} in the table {}", chain.name, table.name);
                let accepts = self.decide(&Unknown::deterministic(what.clone(), what));
                if accepts { Policy::Accept } else { Policy::Drop }
            }
        };
        self.events.push(Event::Policy { hook, chain: at, policy });
        match policy {
            Policy::Accept => Flow::Continue(()),
            Policy::Drop => Flow::Break(Verdict::Drop),
        }
    }

    /// Whether all tests of a rule hold. Unknowns are only decided when nothing else fails, and not at all before a
    /// target that changes nothing.
    fn rule_matches(&mut self, rule: &Rule, hook: Hook, frames: &[(usize, usize)]) -> bool {
        let mut unknowns = Vec::new();
        {
            let context = self.context(hook);
            match header_matches(&rule.header, context.skb) {
                Truth::No => return false,
                Truth::Yes => {}
                Truth::Unknown(unknown) => unknowns.push(unknown),
            }
            for test in &rule.matches {
                match test.evaluate(&context) {
                    Truth::No => return false,
                    Truth::Yes => {}
                    Truth::Unknown(unknown) => unknowns.push(unknown),
                }
            }
        }
        if let Some(unread) = &rule.unread {
            let what = format!("what `{}` means", unread.trim());
            unknowns.push(Unknown::deterministic(what.clone(), what));
        } else if rule.target.is_inert() && !unknowns.is_empty() {
            return false;
        }
        unknowns.iter().all(|unknown| {
            let place = self.place(frames);
            self.choices.holds(unknown, || place)
        })
    }

    fn apply(&mut self, rule: &Rule, hook: Hook, at: (ChainRef, usize)) -> Next {
        if rule.unread.is_some() {
            return self.anything(rule.verbatim().trim(), hook, at);
        }
        let (effect, next) = match &rule.target {
            Target::None | Target::Continue { .. } => (Effect::None, Next::Rule),
            Target::Accept => (Effect::Verdict(Verdict::Accept), Next::Accept),
            Target::Drop => (Effect::Verdict(Verdict::Drop), Next::End(Verdict::Drop)),
            Target::Reject(reject) => {
                let verdict = Verdict::Reject(reject.kind);
                (Effect::Verdict(verdict), Next::End(verdict))
            }
            Target::Return => (Effect::Return, Next::Return),
            Target::Jump { chain, goto } => match (rule.jump, goto) {
                (Some(chain), false) => (Effect::Jump, Next::Jump(chain)),
                (Some(chain), true) => (Effect::Jump, Next::Goto(chain)),
                (None, _) => return self.anything(&format!("{chain} (its chain is not in the dump)"), hook, at),
            },
            Target::Mark(set) => {
                self.skb.mark = set.apply(self.skb.mark);
                (Effect::Mark(self.skb.mark), Next::Rule)
            }
            Target::Connmark(action) => (self.connmark(*action), Next::Rule),
            Target::NoTrack(_) => {
                self.exempt();
                (Effect::NoTrack, Next::Rule)
            }
            Target::Header { change, .. } => (self.change_header(*change), Next::Rule),
            Target::Dnat(_) | Target::Snat(_) | Target::Masquerade(_) | Target::Redirect(_) | Target::Netmap(_) => {
                match self.translate(&rule.target, hook) {
                    Ok(effect) => (effect, Next::Accept),
                    Err(verdict) => (Effect::Verdict(verdict), Next::End(verdict)),
                }
            }
            Target::Unknown { name, text } => return self.anything(&format!("{name}{text}"), hook, at),
        };
        self.events.push(Event::Rule { hook, chain: at.0, rule: at.1, effect });
        next
    }

    /// A target of which nobody knows what it does: it may accept, drop, or let the packet go on, changed or not.
    fn anything(&mut self, target: &str, hook: Hook, at: (ChainRef, usize)) -> Next {
        self.events.push(Event::Rule { hook, chain: at.0, rule: at.1, effect: Effect::Unknown });
        self.doubt(format!("what the target {target} does"));
        let what = format!("whether the target {target} accepts, drops or continues");
        match self.choose(&Unknown::stateful(what), &[1.0, 1.0, 1.0]) {
            0 => Next::Accept,
            1 => Next::End(Verdict::Drop),
            _ => Next::Rule,
        }
    }

    pub(super) fn doubt(&mut self, what: String) {
        let doubt = Unknown::deterministic(what.clone(), what);
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }

    fn connmark(&mut self, action: ConnmarkAction) -> Effect {
        if !self.has_connection() {
            return Effect::None;
        }
        let connection_mark = self.skb.connection.mark;
        match action {
            ConnmarkAction::Set(set) => self.skb.connection.mark = set.apply(connection_mark),
            ConnmarkAction::Save { packet_mask, connection_mask } => {
                self.skb.connection.mark = (connection_mark & !connection_mask) ^ (self.skb.mark & packet_mask);
            }
            ConnmarkAction::Restore { packet_mask, connection_mask } => {
                self.skb.mark = (self.skb.mark & !packet_mask) ^ (connection_mark & connection_mask);
                return Effect::Mark(self.skb.mark);
            }
        }
        Effect::Connmark(self.skb.connection.mark)
    }

    fn change_header(&mut self, change: HeaderChange) -> Effect {
        let packet = &mut self.skb.packet;
        match change {
            HeaderChange::Tos { value, mask } => {
                packet.tos = packet.tos.map(|tos| (tos & !mask) ^ value).or((mask == 0xff).then_some(value));
            }
            HeaderChange::TtlSet(value) => packet.ttl = Some(value),
            HeaderChange::TtlAdd(difference) => {
                packet.ttl =
                    packet.ttl.map(|ttl| u8::try_from((i16::from(ttl) + difference).clamp(0, 255)).unwrap_or(0));
            }
        }
        Effect::Header(format!("{change:?}"))
    }
}

/// The tests without a module (ip_packet_match).
fn header_matches(header: &Header, skb: &Skb) -> Truth {
    let packet = &skb.packet;
    let address = |test: &Option<Negatable<crate::address::AddrMask>>, addr| {
        test.as_ref().is_none_or(|test| test.apply(test.value.contains(addr)))
    };
    if !address(&header.source, packet.source) || !address(&header.destination, packet.destination) {
        return Truth::No;
    }
    let interface = |test: &Option<Negatable<crate::interface::IfacePattern>>, name: Option<&str>| {
        test.as_ref().is_none_or(|test| test.apply(test.value.matches(name)))
    };
    if !interface(&header.in_interface, skb.in_interface.as_deref())
        || !interface(&header.out_interface, skb.out_interface.as_deref())
    {
        return Truth::No;
    }
    if header.fragment.is_some_and(|wanted| wanted != (packet.fragment_offset != 0)) {
        return Truth::No;
    }
    let Some(protocol) = &header.protocol else { return Truth::Yes };
    match protocol.value.number {
        Some(number) => protocol.apply(number == packet.protocol).into(),
        None => {
            let what = format!("which protocol number the name {} has on the host", protocol.value);
            Truth::Unknown(Unknown::deterministic(what.clone(), what)).negated_if(protocol.negated)
        }
    }
}

/// Whether the packet is an error that must not be answered with another (RFC 1122, 3.2.2).
pub(super) fn is_icmp_error(packet: &Packet) -> bool {
    match (packet.protocol, packet.transport) {
        (crate::protocol::ICMP, Transport::Icmp { kind, .. }) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (crate::protocol::ICMPV6, Transport::Icmp { kind, .. }) => kind < 128,
        _ => false,
    }
}

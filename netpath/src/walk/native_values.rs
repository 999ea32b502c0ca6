//! What nft expressions see of the walking packet, and comparisons with it.

use crate::address::Family;
use crate::conntrack::CtState;
use crate::nft::{Domain, Expression, NativeTable, Operand, Value, operand_holds};
use crate::packet::{PacketKind, Transport};
use crate::protocol;
use crate::unknown::{Unknown, UnknownKind};
use crate::walk::walker::Walker;
use crate::walk::{Hook, Socket};

/// The parts of a key, with what words mean beside each.
pub(super) type Key = Vec<(Value, Domain)>;

/// Whether an element is the key; `None` when that is not known.
pub(super) fn matches(key: &Key, element: &Operand) -> Option<bool> {
    match (element, key.as_slice()) {
        (Operand::Concat(parts), _) if parts.len() == key.len() => {
            let mut unknown = false;
            for ((value, domain), part) in key.iter().zip(parts) {
                match operand_holds(value, part, *domain) {
                    Some(true) => {}
                    Some(false) => return Some(false),
                    None => unknown = true,
                }
            }
            (!unknown).then_some(true)
        }
        (Operand::Set(items), _) => {
            let all: Vec<Option<bool>> = items.iter().map(|item| matches(key, item)).collect();
            if all.contains(&Some(true)) {
                return Some(true);
            }
            (!all.contains(&None)).then_some(false)
        }
        (element, [(value, domain)]) => operand_holds(value, element, *domain),
        _ => None,
    }
}

impl Walker<'_> {
    /// Whether a comparison holds. A part that the packet does not have ends the rule, inverted or not.
    pub(super) fn compare(
        &mut self,
        table: &NativeTable,
        hook: Hook,
        left: &Expression,
        right: &Operand,
        (negated, bits): (bool, bool),
    ) -> bool {
        let Some(key) = self.values(hook, left) else { return false };
        let plain = match right {
            Operand::Named(name) => match table.set(name) {
                Some(set) if set.complete && !set.dynamic => {
                    let all: Vec<Option<bool>> = set.elements.iter().map(|element| matches(&key, element)).collect();
                    if all.contains(&Some(true)) { Some(true) } else { (!all.contains(&None)).then_some(false) }
                }
                _ => None,
            },
            Operand::Value(_) if bits => match (key.as_slice(), number_of(right, &key)) {
                ([(Value::Number(number), _)], Some(wanted)) => Some(number & wanted != 0),
                _ => None,
            },
            other => matches(&key, other),
        };
        match plain {
            Some(plain) => plain != negated,
            None => {
                let what = format!("whether {left:?} is {right:?} for the packet");
                self.decide(&Unknown::deterministic(format!("{what} {key:?}"), what)) != negated
            }
        }
    }

    /// The value of an expression as a 32-bit number.
    pub(super) fn number(&mut self, hook: Hook, expression: &Expression) -> Option<u32> {
        match self.value(hook, expression)? {
            Value::Number(number) => u32::try_from(number).ok(),
            _ => None,
        }
    }

    /// The parts of an expression; `None` when the packet lacks one of them.
    pub(super) fn values(&mut self, hook: Hook, expression: &Expression) -> Option<Key> {
        match expression {
            Expression::Concat(parts) => {
                parts.iter().map(|part| Some((self.value(hook, part)?, part.domain()))).collect()
            }
            one => Some(vec![(self.value(hook, one)?, one.domain())]),
        }
    }

    fn value(&mut self, hook: Hook, expression: &Expression) -> Option<Value> {
        let number =
            |value: Option<u64>, what: &str| Some(value.map_or_else(|| Value::Unknown(what.into()), Value::Number));
        match expression {
            Expression::Constant(value) => Some(value.clone()),
            Expression::Payload(protocol, field) => self.payload(protocol, field),
            Expression::Meta(key) => self.meta(key),
            Expression::Ct(key) => self.tracking(key),
            Expression::Fib(result, flags) => Some(self.fib(hook, result, flags)),
            Expression::Random { modulus, offset } => {
                let weights = vec![1.0 / f64::from((*modulus).max(1)); *modulus as usize];
                let what = format!("chance (one of {modulus})");
                let unknown = Unknown { kind: UnknownKind::Chance, key: what.clone(), what, inverted: false };
                let picked = self.choose(&unknown, &weights);
                Some(Value::Number(picked as u64 + u64::from(*offset)))
            }
            Expression::And(inner, mask) | Expression::Or(inner, mask) | Expression::Xor(inner, mask) => {
                let Value::Number(value) = self.value(hook, inner)? else { return number(None, "bits") };
                Some(Value::Number(match expression {
                    Expression::And(..) => value & mask,
                    Expression::Or(..) => value | mask,
                    _ => value ^ mask,
                }))
            }
            Expression::Concat(_) => Some(Value::Unknown("a concatenation within an expression".into())),
        }
    }

    fn payload(&self, wanted: &str, field: &str) -> Option<Value> {
        let packet = &self.skb.packet;
        let v4 = packet.family() == Family::V4;
        let unknown = || Some(Value::Unknown(format!("{wanted} {field}").into()));
        let has = |number: u8| packet.protocol == number;
        match (wanted, field) {
            ("ip", _) if !v4 => None,
            ("ip6", _) if v4 => None,
            ("ip" | "ip6", "saddr") => Some(Value::Address(packet.source)),
            ("ip" | "ip6", "daddr") => Some(Value::Address(packet.destination)),
            ("ip", "protocol") | ("ip6", "nexthdr") => Some(Value::Number(u64::from(packet.protocol))),
            ("ip", "ttl") | ("ip6", "hoplimit") => packet.ttl.map(|ttl| Value::Number(u64::from(ttl))).or_else(unknown),
            ("ip", "length") => packet.length.map(|length| Value::Number(u64::from(length))).or_else(unknown),
            ("tcp", _) if !has(protocol::TCP) => None,
            ("udp", _) if !has(protocol::UDP) => None,
            ("sctp", _) if !has(protocol::SCTP) => None,
            ("icmp", _) if !has(protocol::ICMP) => None,
            ("icmpv6", _) if !has(protocol::ICMPV6) => None,
            // A later fragment and a packet that ends before have no such field, and the rule does not match.
            ("tcp" | "udp" | "sctp" | "icmp" | "icmpv6" | "th", _) if !packet.has_ports_or_type() => None,
            ("tcp" | "udp" | "sctp" | "th", "sport") => {
                packet.source_port().map(|port| Value::Number(u64::from(port))).or_else(unknown)
            }
            ("tcp" | "udp" | "sctp" | "th", "dport") => {
                packet.destination_port().map(|port| Value::Number(u64::from(port))).or_else(unknown)
            }
            ("tcp", "flags") => match packet.transport {
                Transport::Tcp { flags, .. } => Some(Value::Number(u64::from(flags))),
                _ => None,
            },
            ("icmp" | "icmpv6", "type" | "code") => match packet.transport {
                Transport::Icmp { kind, code } => {
                    Some(Value::Number(u64::from(if field == "type" { kind } else { code })))
                }
                _ => None,
            },
            _ => unknown(),
        }
    }

    fn meta(&self, key: &str) -> Option<Value> {
        let skb = &self.skb;
        // A packet without such an interface has an empty name, of which an inverted test holds (nft_meta_store_ifname).
        let name = |name: &Option<std::sync::Arc<str>>| Some(Value::Word(name.as_deref().unwrap_or_default().into()));
        match key {
            "mark" => Some(Value::Number(u64::from(skb.mark))),
            "l4proto" => Some(Value::Number(u64::from(skb.packet.protocol))),
            "nfproto" => Some(Value::Word(if skb.packet.family() == Family::V4 { "ipv4" } else { "ipv6" }.into())),
            "protocol" => Some(Value::Word(if skb.packet.family() == Family::V4 { "ip" } else { "ip6" }.into())),
            "iifname" | "iif" => name(&skb.in_interface),
            // By which port a frame leaves its bridge, the bridge learns and the evidence does not hold.
            "oifname" | "oif"
                if skb.out_interface.is_none() && matches!(self.in_bridge, Some(Hook::Output | Hook::Postrouting)) =>
            {
                Some(Value::Unknown("the bridge's port".into()))
            }
            "oifname" | "oif" => name(&skb.out_interface),
            "length" => {
                Some(skb.packet.length.map_or(Value::Unknown("length".into()), |l| Value::Number(u64::from(l))))
            }
            "pkttype" => Some(match skb.packet.kind {
                Some(PacketKind::Unicast) => Value::Word("host".into()),
                Some(PacketKind::Broadcast) => Value::Word("broadcast".into()),
                Some(PacketKind::Multicast) => Value::Word("multicast".into()),
                None => Value::Unknown("pkttype".into()),
            }),
            "skuid" | "skgid" if skb.socket != Socket::Process => None,
            "skuid" => {
                skb.packet.owner.map(|owner| Value::Number(u64::from(owner.uid))).or(Some(Value::Unknown(key.into())))
            }
            other => Some(Value::Unknown(other.into())),
        }
    }

    fn tracking(&self, key: &str) -> Option<Value> {
        let skb = &self.skb;
        // Whether a bridge's chains see connections depends on a module (nf_conntrack_bridge) and on the hook.
        if self.in_bridge.is_some() {
            return Some(Value::Unknown(format!("ct {key} in a bridge's chain").into()));
        }
        if key == "state" {
            // NF_CT_STATE_BIT of each state.
            return Some(Value::Number(match skb.state {
                CtState::Invalid => 1,
                CtState::Established => 2,
                CtState::Related => 4,
                CtState::New => 8,
                CtState::Untracked => 64,
            }));
        }
        if !self.has_connection() {
            return None;
        }
        let connection = &skb.connection;
        match key {
            "mark" => Some(Value::Number(u64::from(connection.mark))),
            "status" => {
                let bit = |set: bool, at: u32| u64::from(set) << at;
                Some(Value::Number(
                    bit(connection.seen_reply, 1)
                        | bit(connection.confirmed, 3)
                        | bit(connection.source_translated, 4)
                        | bit(connection.destination_translated, 5),
                ))
            }
            "direction" => Some(Value::Word(if skb.reply { "reply" } else { "original" }.into())),
            other => Some(Value::Unknown(format!("ct {other}").into())),
        }
    }
}

/// The bits that a word or number stands for.
fn number_of(operand: &Operand, key: &Key) -> Option<u64> {
    let (_, domain) = key.first()?;
    match operand {
        Operand::Value(Value::Number(number)) => Some(*number),
        Operand::Value(Value::Word(word)) => domain.number(word),
        _ => None,
    }
}

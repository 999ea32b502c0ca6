//! The statements of a rule.

use serde_json::Value as Json;

use crate::address::AddrRange;
use crate::nft::{Expression, Operand, Value};
use crate::port::PortRange;
use crate::targets::RejectKind;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A comparison; the rule ends here when it does not hold.
    Match {
        /// Whether the sense is turned around (`!=`).
        negated: bool,
        /// Whether common bits are enough (`in`).
        bits: bool,
        /// What is looked at.
        left: Expression,
        /// What it is compared with.
        right: Operand,
    },
    /// A verdict.
    Verdict(VerdictWord),
    /// A verdict looked up in a map.
    VerdictMap(VerdictMap),
    /// Sets the packet's mark.
    Mark(Expression),
    /// Sets the connection's mark.
    ConnectionMark(Expression),
    /// Refuses with an answer; `None` is the default port unreachable.
    Reject(RejectKind),
    /// Translates an address.
    Nat(Nat),
    /// Exempts from tracking.
    NoTrack,
    /// Changes nothing that the walk looks at: counter, log, set updates.
    Inert,
    /// `limit`, `quota` and their like: may or may not let the rule go on, at each evaluation.
    Limit(Box<str>),
    /// Not understood.
    Unknown(Box<str>),
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerdictWord {
    /// Ends the base chain.
    Accept,
    /// Ends everything.
    Drop,
    /// Goes on with the next rule.
    Continue,
    /// Back to the caller.
    Return,
    /// To a chain and back.
    Jump(Box<str>),
    /// To a chain and not back.
    Goto(Box<str>),
}

/// `KEY vmap { … }` or `KEY vmap @map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictMap {
    /// What is looked up.
    pub key: Expression,
    /// The name of a named map.
    pub named: Option<Box<str>>,
    /// The elements of an anonymous one.
    pub elements: Vec<(Operand, VerdictWord)>,
}

/// Which end is translated, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// `dnat to`.
    Destination,
    /// `snat to`.
    Source,
    /// `masquerade`.
    Masquerade,
    /// `redirect`.
    Redirect,
}

/// A translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Which.
    pub kind: NatKind,
    /// The new address.
    pub addresses: Option<AddrRange>,
    /// The new port.
    pub ports: Option<PortRange>,
    /// Whether ports are drawn at random.
    pub random: bool,
}

impl Statement {
    /// Reads a statement; what is not understood is kept verbatim.
    pub(super) fn read(json: &Json) -> Self {
        Self::read_known(json).unwrap_or_else(|| Self::Unknown(json.to_string().into()))
    }

    /// Reads a statement; `None` when it is not understood.
    pub(super) fn read_known(json: &Json) -> Option<Self> {
        let (key, inner) = json.as_object()?.iter().next()?;
        Some(match key.as_str() {
            "match" => {
                let op = inner.get("op")?.as_str()?;
                let (left, right) = (Expression::read(inner.get("left")?)?, Operand::read(inner.get("right")?)?);
                let right = match (&left, right) {
                    // No interface at all: nft writes the index 0 as a word here.
                    (Expression::Fib(..), Operand::Value(Value::Word(word))) if &*word == "0" => {
                        Operand::Value(Value::Number(0))
                    }
                    (_, right) => right,
                };
                Self::Match {
                    negated: match op {
                        "==" | "in" => false,
                        "!=" => true,
                        _ => return None,
                    },
                    bits: op == "in",
                    left,
                    right,
                }
            }
            "vmap" => {
                let data = inner.get("data")?;
                let named = data.as_str().and_then(|name| name.strip_prefix('@')).map(Box::from);
                let elements = match data.get("set") {
                    Some(set) => read_verdicts(set)?,
                    None => Vec::new(),
                };
                Self::VerdictMap(VerdictMap { key: Expression::read(inner.get("key")?)?, named, elements })
            }
            "mangle" => {
                let value = Expression::read(inner.get("value")?)?;
                match Expression::read(inner.get("key")?)? {
                    Expression::Meta(key) if &*key == "mark" => Self::Mark(value),
                    Expression::Ct(key) if &*key == "mark" => Self::ConnectionMark(value),
                    _ => return None,
                }
            }
            "reject" => Self::Reject(read_reject(inner)?),
            "dnat" | "snat" | "masquerade" | "redirect" => Self::Nat(read_nat(key, inner)?),
            "notrack" => Self::NoTrack,
            // Helpers and timeouts change no verdict.
            "counter" | "log" | "set" | "map" | "ct helper" | "ct timeout" | "ct expectation" => Self::Inert,
            "limit" | "quota" | "ct count" => Self::Limit(json.to_string().into()),
            _ => Self::Verdict(VerdictWord::read(json)?),
        })
    }
}

impl VerdictWord {
    pub(super) fn read(json: &Json) -> Option<Self> {
        let (key, inner) = json.as_object()?.iter().next()?;
        let target = || inner.get("target").and_then(Json::as_str).map(Box::from);
        Some(match key.as_str() {
            "accept" => Self::Accept,
            "drop" => Self::Drop,
            "continue" => Self::Continue,
            "return" => Self::Return,
            "jump" => Self::Jump(target()?),
            "goto" => Self::Goto(target()?),
            _ => return None,
        })
    }
}

/// The pairs of a verdict map.
fn read_verdicts(json: &Json) -> Option<Vec<(Operand, VerdictWord)>> {
    json.as_array()?.iter().map(read_verdict_of).collect()
}

/// One pair of a verdict map.
pub(crate) fn read_verdict_of(json: &Json) -> Option<(Operand, VerdictWord)> {
    match json.as_array()?.as_slice() {
        [key, verdict] => Some((Operand::read(key)?, VerdictWord::read(verdict)?)),
        _ => None,
    }
}

/// The kinds of `reject with`, each for its type word (nft(8), REJECT STATEMENT).
fn read_reject(json: &Json) -> Option<RejectKind> {
    let Some(kind) = json.get("type").and_then(Json::as_str) else { return Some(RejectKind::PortUnreachable) };
    if kind == "tcp reset" {
        return Some(RejectKind::TcpReset);
    }
    let code = match json.get("expr") {
        Some(Json::Number(code)) => Some(code_name(kind, code.as_u64()?)?),
        Some(word) => Some(word.as_str()?),
        None => None,
    };
    Some(match code {
        None | Some("port-unreachable") => RejectKind::PortUnreachable,
        Some("net-unreachable" | "no-route") => RejectKind::NetUnreachable,
        Some("host-unreachable" | "addr-unreachable") => RejectKind::HostUnreachable,
        Some("prot-unreachable") => RejectKind::ProtocolUnreachable,
        Some("net-prohibited") => RejectKind::NetProhibited,
        Some("host-prohibited") => RejectKind::HostProhibited,
        Some("admin-prohibited") => RejectKind::AdminProhibited,
        Some("policy-fail") => RejectKind::PolicyFail,
        Some("reject-route") => RejectKind::RejectRoute,
        Some(_) => return None,
    })
}

/// The word for a code, which `nft -n` prints instead (RFC 792 and 1122, RFC 4443; `icmpx` of nft's own).
fn code_name(kind: &str, code: u64) -> Option<&'static str> {
    let codes: &[(u64, &str)] = match kind {
        "icmp" => &[
            (0, "net-unreachable"),
            (1, "host-unreachable"),
            (2, "prot-unreachable"),
            (3, "port-unreachable"),
            (9, "net-prohibited"),
            (10, "host-prohibited"),
            (13, "admin-prohibited"),
        ],
        "icmpv6" => &[
            (0, "no-route"),
            (1, "admin-prohibited"),
            (3, "addr-unreachable"),
            (4, "port-unreachable"),
            (5, "policy-fail"),
            (6, "reject-route"),
        ],
        "icmpx" => &[(0, "no-route"), (1, "port-unreachable"), (2, "host-unreachable"), (3, "admin-prohibited")],
        _ => return None,
    };
    codes.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

fn read_nat(key: &str, json: &Json) -> Option<Nat> {
    let kind = match key {
        "dnat" => NatKind::Destination,
        "snat" => NatKind::Source,
        "masquerade" => NatKind::Masquerade,
        _ => NatKind::Redirect,
    };
    let addresses = match json.get("addr") {
        None => None,
        Some(Json::String(text)) => Some(AddrRange::parse(text)?),
        Some(other) => match other.get("range")?.as_array()?.as_slice() {
            [first, last] => {
                Some(AddrRange { first: first.as_str()?.parse().ok()?, last: last.as_str()?.parse().ok()? })
            }
            _ => return None,
        },
    };
    let port = |json: &Json| json.as_u64().and_then(|port| u16::try_from(port).ok());
    let ports = match json.get("port") {
        None => None,
        Some(one) if one.is_u64() => Some(PortRange::single(port(one)?)),
        Some(other) => match other.get("range")?.as_array()?.as_slice() {
            [first, last] => Some(PortRange { first: port(first)?, last: port(last)? }),
            _ => return None,
        },
    };
    let random = json.get("flags").is_some_and(|flags| flags.to_string().contains("random"));
    Some(Nat { kind, addresses, ports, random })
}

//! Which ports a rule is about.

use serde_json::Value;

use super::endpoint::{Flow, Party, protocol_name};
use super::plugin::{Plugin, Question, ask};
use crate::held::Held;

/// An entry of a rule's list of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortMatch {
    /// These numbers of this protocol (`None`: all three).
    Numbers { protocol: Box<str>, first: u16, last: u16 },
    /// The container port of this name; `None` stands for whichever protocol it is declared with.
    Named { protocol: Option<Box<str>>, name: Box<str> },
    /// What we cannot read.
    Unreadable(String),
}

impl PortMatch {
    /// All ports of a protocol.
    pub fn all_of(protocol: &str) -> Self {
        Self::Numbers { protocol: protocol.into(), first: 0, last: u16::MAX }
    }

    /// Whether a flow's protocol and port match.
    pub fn matches(&self, flow: &Flow, plugin: Option<Plugin>) -> Held {
        let Some(own) = protocol_name(flow.protocol) else {
            return match self {
                Self::Unreadable(what) => unreadable(what),
                _ => Held::No,
            };
        };
        match self {
            Self::Unreadable(what) => unreadable(what),
            Self::Numbers { protocol, first, last } => {
                if &**protocol != own {
                    return Held::No;
                }
                let Some(port) = flow.port else { return Held::perhaps("port", "the destination port") };
                if port < *first || port > *last {
                    return Held::No;
                }
                // Where the range's first port decides, an implementation without endPort agrees.
                let beyond_first = port != *first && (*first, *last) != (0, u16::MAX);
                let by_range = if beyond_first { ask(plugin, Question::EndPort) } else { Held::Yes };
                let by_protocol = if own == "SCTP" { ask(plugin, Question::SctpPorts) } else { Held::Yes };
                by_range.and(by_protocol)
            }
            Self::Named { protocol, name } => {
                if protocol.as_deref().is_some_and(|protocol| protocol != own) {
                    return Held::No;
                }
                named(flow, name, own)
            }
        }
    }
}

/// A name is looked up in the destination pod; nothing else has named ports.
fn named(flow: &Flow, name: &str, protocol: &str) -> Held {
    let Some(port) = flow.port else { return Held::perhaps("port", "the destination port") };
    match &flow.destination.party {
        Party::Pod(pod) if !pod.host_network && !pod.ended => pod.declares(name, protocol, port).into(),
        Party::Pod(_) | Party::Node(_) | Party::Outside => Held::No,
        Party::Unidentified => {
            let what = format!("whose address {} is", flow.destination.address);
            Held::perhaps(what.clone(), what)
        }
    }
}

fn unreadable(what: &str) -> Held {
    Held::perhaps(format!("port {what}"), format!("what a port means: {what}"))
}

/// Reads a port of `NetworkPolicy`: protocol (TCP by default), number or name, `endPort`.
pub(super) fn network_policy_port(value: &Value) -> PortMatch {
    let bad = || PortMatch::Unreadable(value.to_string());
    let Some(fields) = value.as_object() else { return bad() };
    if fields.keys().any(|key| !matches!(key.as_str(), "protocol" | "port" | "endPort")) {
        return bad();
    }
    let Some(protocol) = protocol_of(value) else { return bad() };
    let end = match value.get("endPort") {
        None | Some(Value::Null) => None,
        Some(end) => match port_number(end) {
            Some(end) => Some(end),
            None => return bad(),
        },
    };
    match value.get("port") {
        None | Some(Value::Null) if end.is_none() => PortMatch::all_of(&protocol),
        Some(Value::String(name)) if end.is_none() => {
            // Numbers arrive as numbers; a text of digits cannot be a port's name, which needs a letter (RFC 6335).
            if name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
                PortMatch::Named { protocol: Some(protocol), name: name.as_str().into() }
            } else {
                bad()
            }
        }
        Some(port) => match (port_number(port), end) {
            (Some(first), None) => PortMatch::Numbers { protocol, first, last: first },
            (Some(first), Some(last)) if first <= last => PortMatch::Numbers { protocol, first, last },
            _ => bad(),
        },
        None => bad(),
    }
}

/// Reads a port of `AdminNetworkPolicy` (`portNumber`, `portRange`, `namedPort`) or of `ClusterNetworkPolicy` (`tcp`,
/// `udp`, `sctp`, `destinationNamedPort`).
pub(super) fn tier_port(value: &Value) -> PortMatch {
    let bad = || PortMatch::Unreadable(value.to_string());
    let Some(fields) = value.as_object().filter(|fields| fields.len() == 1) else { return bad() };
    let Some((field, inner)) = fields.iter().next() else { return bad() };
    let read = match (field.as_str(), inner) {
        ("portNumber", _) => protocol_of(inner).zip(numbers(inner, "port", "port")),
        ("portRange", _) => protocol_of(inner).zip(numbers(inner, "start", "end")),
        ("namedPort" | "destinationNamedPort", Value::String(name)) => {
            return PortMatch::Named { protocol: None, name: name.as_str().into() };
        }
        ("tcp" | "udp" | "sctp", Value::Object(inside)) => {
            let protocol: Box<str> = field.to_ascii_uppercase().into();
            return match inside.get("destinationPort") {
                None if inside.is_empty() => PortMatch::all_of(&protocol),
                Some(port) if inside.len() == 1 => match destination_port(port) {
                    Some((first, last)) => PortMatch::Numbers { protocol, first, last },
                    None => bad(),
                },
                _ => bad(),
            };
        }
        _ => None,
    };
    match read {
        Some((protocol, (first, last))) => PortMatch::Numbers { protocol, first, last },
        None => bad(),
    }
}

/// `{"number": 53}` or `{"range": {"start": 1, "end": 2}}`.
fn destination_port(value: &Value) -> Option<(u16, u16)> {
    match (value.get("number"), value.get("range")) {
        (Some(_), None) => numbers(value, "number", "number"),
        (None, Some(range)) => numbers(range, "start", "end"),
        _ => None,
    }
}

fn numbers(value: &Value, first: &str, last: &str) -> Option<(u16, u16)> {
    let (first, last) = (port_number(value.get(first)?)?, port_number(value.get(last)?)?);
    (first <= last).then_some((first, last))
}

fn protocol_of(value: &Value) -> Option<Box<str>> {
    match value.get("protocol") {
        None | Some(Value::Null) => Some("TCP".into()),
        Some(Value::String(name)) if matches!(name.as_str(), "TCP" | "UDP" | "SCTP") => Some(name.as_str().into()),
        Some(_) => None,
    }
}

fn port_number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}

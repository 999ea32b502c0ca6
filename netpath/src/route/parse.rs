//! `ip -j route show table all` and `ip -j rule`.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::{NextHop, PolicyRule, Route, RouteType, RuleAction};
use crate::address::{AddrMask, Family};
use crate::json::{self, JsonError, number, string};
use crate::port::PortRange;
use crate::protocol;
use crate::source::Cited;

/// Reads `ip [-6] -j route show table all`; `family` decides for entries that name no address.
///
/// # Errors
/// When the bytes are not a JSON array.
pub fn parse_routes(file: &str, bytes: &[u8], family: Family) -> Result<Vec<Route>, JsonError> {
    let file: Arc<str> = Arc::from(file);
    let elements = json::array(&file, bytes)?;
    Ok(elements.into_iter().filter_map(|element| route(&element.value, element.cited, family)).collect())
}

fn route(value: &Value, cited: Cited, family: Family) -> Option<Route> {
    let kind = string(value, "type").map_or(Some(RouteType::Unicast), RouteType::parse)?;
    let destination = string(value, "dst").unwrap_or("default");
    let destination = match destination.split('/').next()?.parse::<IpAddr>() {
        Ok(addr) => AddrMask::parse(destination, Family::of(addr))?,
        Err(_) if destination == "default" => AddrMask::any(gateway_family(value).unwrap_or(family)),
        Err(_) => return None,
    };
    let hops = match value.get("nexthops").and_then(Value::as_array) {
        Some(hops) => hops.iter().map(hop).collect(),
        None => vec![hop(value)],
    };
    Some(Route {
        table: table_name(string(value, "table").unwrap_or("main")),
        destination,
        kind,
        hops,
        metric: number(value, "metric").unwrap_or(if destination.family() == Family::V6 { 1024 } else { 0 }),
        tos: number(value, "tos").and_then(|tos| u8::try_from(tos).ok()).unwrap_or(0),
        source: string(value, "prefsrc").and_then(|addr| addr.parse().ok()),
        scope: string(value, "scope").map(Into::into),
        by_kernel: string(value, "protocol") == Some("kernel"),
        cited,
    })
}

fn gateway_family(value: &Value) -> Option<Family> {
    let gateway = string(value, "gateway")
        .or_else(|| value.get("nexthops")?.as_array()?.iter().find_map(|hop| string(hop, "gateway")))?;
    gateway.parse().ok().map(Family::of)
}

fn hop(value: &Value) -> NextHop {
    let via = value.get("via").and_then(|via| string(via, "host"));
    let dead = value
        .get("flags")
        .and_then(Value::as_array)
        .is_some_and(|flags| flags.iter().any(|flag| matches!(flag.as_str(), Some("dead" | "linkdown"))));
    NextHop {
        gateway: string(value, "gateway").or(via).and_then(|addr| addr.parse().ok()),
        interface: string(value, "dev").map(Arc::from),
        dead,
    }
}

/// Tables have a number and, if `/etc/iproute2/rt_tables` says so, a name; the three standard ones always do.
fn table_name(text: &str) -> Box<str> {
    match text {
        "255" => "local".into(),
        "254" => "main".into(),
        "253" => "default".into(),
        other => other.into(),
    }
}

/// Reads `ip [-6] -j rule`.
///
/// # Errors
/// When the bytes are not a JSON array.
pub fn parse_rules(file: &str, bytes: &[u8], family: Family) -> Result<Vec<PolicyRule>, JsonError> {
    let file: Arc<str> = Arc::from(file);
    let elements = json::array(&file, bytes)?;
    let mut rules: Vec<PolicyRule> =
        elements.into_iter().filter_map(|element| rule(&element.value, element.cited, family)).collect();
    rules.sort_by_key(|rule| rule.priority);
    Ok(rules)
}

/// Members that are read below, or that change nothing.
const KNOWN: &[&str] = &[
    "priority",
    "not",
    "src",
    "srclen",
    "dst",
    "dstlen",
    "iif",
    "oif",
    "iif_detached",
    "oif_detached",
    "fwmark",
    "fwmask",
    "tos",
    "ipproto",
    "sport",
    "sport_start",
    "sport_end",
    "dport",
    "dport_start",
    "dport_end",
    "uid_start",
    "uid_end",
    "table",
    "action",
    "goto",
    "nop",
    "suppress_prefixlen",
    "protocol",
    "proto",
    "unresolved",
];

fn rule(value: &Value, cited: Cited, family: Family) -> Option<PolicyRule> {
    let mut rule = PolicyRule::plain(family, number(value, "priority")?, action(value));
    rule.inverted = value.get("not").is_some();
    rule.source = prefix(value, "src", "srclen", family);
    rule.destination = prefix(value, "dst", "dstlen", family);
    rule.in_interface = string(value, "iif").map(Into::into);
    rule.out_interface = string(value, "oif").map(Into::into);
    rule.mark = number(value, "fwmark").map(|mark| (mark, number(value, "fwmask").unwrap_or(u32::MAX)));
    rule.tos = number(value, "tos").and_then(|tos| u8::try_from(tos).ok());
    rule.protocol = string(value, "ipproto").and_then(protocol::number);
    rule.source_ports = ports(value, "sport");
    rule.destination_ports = ports(value, "dport");
    rule.users = number(value, "uid_start").zip(number(value, "uid_end"));
    rule.suppress_prefix_len = number(value, "suppress_prefixlen").and_then(|length| u8::try_from(length).ok());
    rule.unknown =
        value.as_object()?.keys().filter(|key| !KNOWN.contains(&key.as_str())).map(|key| key.as_str().into()).collect();
    rule.cited = Some(cited);
    Some(rule)
}

fn action(value: &Value) -> RuleAction {
    if let Some(target) = number(value, "goto") {
        return RuleAction::Goto(target);
    }
    if value.get("nop").is_some() {
        return RuleAction::Nop;
    }
    match string(value, "action") {
        Some("blackhole") => RuleAction::Blackhole,
        Some("unreachable") => RuleAction::Unreachable,
        Some("prohibit") => RuleAction::Prohibit,
        Some(other) => RuleAction::Unknown(other.into()),
        None => match string(value, "table") {
            Some(table) => RuleAction::Table(table_name(table)),
            None => RuleAction::Unknown("without a table".into()),
        },
    }
}

fn prefix(value: &Value, key: &str, length: &str, family: Family) -> Option<AddrMask> {
    let addr: IpAddr = string(value, key).filter(|text| *text != "all")?.parse().ok()?;
    let length = number(value, length).and_then(|length| u8::try_from(length).ok()).unwrap_or(family.bits());
    Some(AddrMask::prefix(addr, length))
}

fn ports(value: &Value, key: &str) -> Option<PortRange> {
    let port = |key: &str| number(value, key).and_then(|port| u16::try_from(port).ok());
    match port(key) {
        Some(port) => Some(PortRange::single(port)),
        None => Some(PortRange { first: port(&format!("{key}_start"))?, last: port(&format!("{key}_end"))? }),
    }
}

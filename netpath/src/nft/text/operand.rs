//! Values, ranges, sets and expressions of nft's text, as nft's own JSON has them.

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use super::cursor::Cursor;
use super::token::Kind;

/// Headers whose fields are compared.
const HEADERS: [&str; 16] = [
    "ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "igmp", "ether", "vlan", "arp", "ah",
    "esp",
];

/// Meta data that nft prints without the word `meta`.
const PLAIN_META: [&str; 13] = [
    "iif",
    "oif",
    "iifname",
    "oifname",
    "iiftype",
    "oiftype",
    "iifgroup",
    "oifgroup",
    "skuid",
    "skgid",
    "mark",
    "cgroup",
    "rtclassid",
];

/// A number, in decimal or hexadecimal.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

/// A word as a value: number, address, or the word itself.
fn plain(text: &str) -> Json {
    number(text).map_or_else(|| Json::from(text), Json::from)
}

/// A word that is a list, a prefix, a range, a named set or a plain value.
pub(super) fn word(text: &str) -> Json {
    if text.contains(',') {
        return text.split(',').map(plain).collect();
    }
    let prefix = text.split_once('/').and_then(|(addr, length)| {
        let (addr, length) = (addr.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
        Some(json!({"prefix": {"addr": addr.to_string(), "len": length}}))
    });
    prefix.or_else(|| range(text)).unwrap_or_else(|| plain(text))
}

/// `80-90`, `10.0.0.1-10.0.0.9`.
fn range(text: &str) -> Option<Json> {
    let (first, last) = text.split_once('-')?;
    let bound = |text: &str| number(text).is_some() || text.parse::<IpAddr>().is_ok();
    (bound(first) && bound(last)).then(|| json!({"range": [plain(first), plain(last)]}))
}

/// The right side of a comparison, the key of an element: a value, a set, or several joined by dots.
pub(super) fn operand(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let mut parts = vec![part(cursor)?];
    while cursor.take(".") {
        parts.push(part(cursor)?);
    }
    Some(if parts.len() > 1 { json!({"concat": parts}) } else { parts.remove(0) })
}

fn part(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let token = cursor.next()?;
    match token.kind {
        Kind::Quoted => Some(Json::from(token.text)),
        // An operator is no value.
        Kind::Word if !token.text.starts_with(|first: char| first.is_ascii_alphanumeric() || "@*:".contains(first)) => {
            None
        }
        Kind::Word if token.text == ":" => None,
        Kind::Word => Some(word(token.text)),
        Kind::Mark if token.text == "{" => set(cursor),
        Kind::Mark => None,
    }
}

/// What stands between braces, behind the first.
fn set(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let mut items = Vec::new();
    cursor.descend()?;
    while !cursor.take("}") {
        items.push(element(cursor)?);
        cursor.take(",");
    }
    cursor.ascend();
    Some(json!({"set": items}))
}

/// One element, with what may stand beside it: a timeout, a comment, a counter.
pub(super) fn element(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let key = operand(cursor)?;
    skip_remarks(cursor);
    Some(key)
}

/// Up to what ends an element or its key.
pub(super) fn skip_remarks(cursor: &mut Cursor<'_, '_>) {
    while cursor.peek().is_some_and(|token| !token.is(",") && !token.is(":") && !token.is("}")) {
        cursor.next();
    }
}

/// What is looked at: one expression, or several joined by dots.
pub(super) fn expression(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let mut parts = vec![bits(cursor)?];
    while cursor.take(".") {
        parts.push(single(cursor)?);
    }
    Some(if parts.len() > 1 { json!({"concat": parts}) } else { parts.remove(0) })
}

/// `meta mark & 0xff ^ 0x1`: from left to right, as nft prints what needs no parentheses.
fn bits(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let mut left = single(cursor)?;
    while let Some(operator) = ["&", "|", "^"].into_iter().find(|operator| cursor.take(operator)) {
        let right = cursor.next().filter(|token| token.kind == Kind::Word)?;
        left = json!({operator: [left, number(right.text)?]});
    }
    Some(left)
}

fn single(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let token = cursor.next().filter(|token| token.kind == Kind::Word)?;
    let text = token.text;
    if let Some(number) = number(text) {
        return Some(Json::from(number));
    }
    match text {
        "meta" => Some(json!({"meta": {"key": cursor.word()?}})),
        "ct" => match cursor.word()? {
            direction @ ("original" | "reply") => {
                let key = cursor.word()?;
                let key =
                    if matches!(key, "ip" | "ip6") { format!("{key} {}", cursor.word()?) } else { key.to_owned() };
                Some(json!({"ct": {"key": key, "dir": direction}}))
            }
            key => Some(json!({"ct": {"key": key}})),
        },
        "fib" => {
            let mut flags = vec![cursor.word()?];
            while cursor.take(".") {
                flags.push(cursor.word()?);
            }
            Some(json!({"fib": {"result": cursor.word()?, "flags": flags}}))
        }
        "numgen" => {
            let mode = cursor.word()?;
            cursor.take("mod").then_some(())?;
            let modulus = number(cursor.word()?)?;
            let offset = if cursor.take("offset") { number(cursor.word()?)? } else { 0 };
            Some(json!({"numgen": {"mode": mode, "mod": modulus, "offset": offset}}))
        }
        header if HEADERS.contains(&header) => {
            let mut field = cursor.word()?.to_owned();
            // `arp saddr ip`, `arp daddr ether`.
            if header == "arp" && matches!(&*field, "saddr" | "daddr") {
                field = format!("{field} {}", cursor.word()?);
            }
            // `tcp option …` and its like are no fields of the header.
            (field != "option").then(|| json!({"payload": {"protocol": header, "field": field}}))
        }
        key if PLAIN_META.contains(&key) => Some(json!({"meta": {"key": key}})),
        _ => None,
    }
}

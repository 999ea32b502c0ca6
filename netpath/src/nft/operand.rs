//! What expressions are compared with: values, prefixes, ranges, sets, concatenations.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::address::{AddrMask, Family, bits};
use crate::nft::Domain;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// A word whose meaning depends on what it is compared with.
    Word(Box<str>),
    /// A packet's part that is not known.
    Unknown(Box<str>),
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// One value.
    Value(Value),
    /// A network.
    Prefix(AddrMask),
    /// An inclusive range.
    Range(Value, Value),
    /// Any of these.
    Set(Vec<Operand>),
    /// A named set.
    Named(Arc<str>),
    /// Part by part.
    Concat(Vec<Operand>),
}

impl Operand {
    /// Reads an operand; `None` when it is not understood.
    pub(super) fn read(json: &Json) -> Option<Self> {
        match json {
            Json::String(text) => match text.strip_prefix('@') {
                Some(name) => Some(Self::Named(Arc::from(name))),
                None => Some(Self::Value(read_word(text))),
            },
            Json::Number(number) => number.as_u64().map(|number| Self::Value(Value::Number(number))),
            Json::Bool(flag) => Some(Self::Value(Value::Number(u64::from(*flag)))),
            Json::Array(items) => items.iter().map(Self::read).collect::<Option<_>>().map(Self::Set),
            Json::Object(object) => {
                let (key, inner) = object.iter().next()?;
                match key.as_str() {
                    "prefix" => {
                        let addr: IpAddr = inner.get("addr")?.as_str()?.parse().ok()?;
                        let length = u8::try_from(inner.get("len")?.as_u64()?).ok()?;
                        (length <= Family::of(addr).bits()).then(|| Self::Prefix(AddrMask::prefix(addr, length)))
                    }
                    "range" => match inner.as_array()?.as_slice() {
                        [first, last] => Some(Self::Range(plain(first)?, plain(last)?)),
                        _ => None,
                    },
                    "set" => Self::read(inner),
                    "concat" => inner.as_array()?.iter().map(Self::read).collect::<Option<_>>().map(Self::Concat),
                    // An element with a comment, a timeout or a counter.
                    "elem" => Self::read(inner.get("val")?),
                    _ => None,
                }
            }
            Json::Null => None,
        }
    }
}

fn read_word(text: &str) -> Value {
    match text.parse::<IpAddr>() {
        Ok(addr) => Value::Address(addr),
        Err(_) => Value::Word(text.into()),
    }
}

fn plain(json: &Json) -> Option<Value> {
    match Operand::read(json)? {
        Operand::Value(value) => Some(value),
        _ => None,
    }
}

/// Whether a value is the operand's; `None` when that is not known. Named sets are resolved by the caller.
pub(crate) fn holds(value: &Value, operand: &Operand, domain: Domain) -> Option<bool> {
    if let Value::Unknown(_) = value {
        return None;
    }
    match operand {
        Operand::Value(wanted) => equal(value, wanted, domain),
        Operand::Prefix(network) => match value {
            Value::Address(addr) => Some(network.contains(*addr)),
            _ => Some(false),
        },
        Operand::Range(first, last) => {
            let (value, first, last) = (ordinal(value, domain)?, ordinal(first, domain)?, ordinal(last, domain)?);
            Some(first <= value && value <= last)
        }
        Operand::Set(items) => {
            let mut unknown = false;
            for item in items {
                match holds(value, item, domain) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => unknown = true,
                }
            }
            (!unknown).then_some(false)
        }
        Operand::Concat(_) | Operand::Named(_) => None,
    }
}

fn equal(value: &Value, wanted: &Value, domain: Domain) -> Option<bool> {
    match (value, wanted) {
        (Value::Address(a), Value::Address(b)) => Some(a == b),
        (Value::Word(a), Value::Word(b)) => Some(match b.strip_suffix('*') {
            Some(prefix) if domain == Domain::Interface => a.starts_with(prefix),
            _ => a == b,
        }),
        _ => Some(ordinal(value, domain)? == ordinal(wanted, domain)?),
    }
}

/// A value as a number, by what the word means in its place.
fn ordinal(value: &Value, domain: Domain) -> Option<u128> {
    match value {
        Value::Number(number) => Some(u128::from(*number)),
        Value::Address(addr) => Some(bits(*addr)),
        Value::Word(word) => domain.number(word).map(u128::from),
        Value::Unknown(_) => None,
    }
}

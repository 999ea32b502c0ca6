//! `nft -j list ruleset` into [`Tables`]. One bad object never costs the others.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{
    Base, NativeChain, NativeRule, NativeSet, NativeTable, Operand, Statement, TableFamily, Tables, statement,
};
use crate::iptables::Policy;
use crate::json::{self, Element, JsonError, string};
use crate::walk::Hook;

/// Reads the tables.
///
/// # Errors
/// When the bytes are not the JSON object that nft prints.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Tables, JsonError> {
    let file: Arc<str> = Arc::from(file);
    let mut tables = Tables::default();
    for element in json::array_under(&file, bytes, "nftables")? {
        let known = element.value.as_object().and_then(|object| object.iter().next());
        let read = match known.map(|(key, inner)| (key.as_str(), inner)) {
            Some(("metainfo", _)) => Some(()),
            Some(("table", inner)) => table(&mut tables, inner),
            Some(("chain", inner)) => chain(&mut tables, inner, &element),
            Some(("set" | "map", inner)) => set(&mut tables, inner),
            Some(("rule", inner)) => rule(&mut tables, inner, &element),
            // Helpers, limits and their like are named by statements, which then are unknown themselves.
            _ => None,
        };
        if read.is_none() {
            tables.unread.push(element.cited);
        }
    }
    Ok(tables)
}

fn family(json: &Json) -> Option<TableFamily> {
    Some(match string(json, "family")? {
        "ip" => TableFamily::Ip,
        "ip6" => TableFamily::Ip6,
        "inet" => TableFamily::Inet,
        _ => TableFamily::Other,
    })
}

fn table(tables: &mut Tables, json: &Json) -> Option<()> {
    let name = string(json, "name")?;
    tables.tables.push(NativeTable { family: family(json)?, name: name.into(), chains: Vec::new(), sets: Vec::new() });
    Some(())
}

fn table_of<'t>(tables: &'t mut Tables, json: &Json) -> Option<&'t mut NativeTable> {
    let (family, name) = (family(json)?, string(json, "table")?);
    tables.tables.iter_mut().find(|table| table.family == family && &*table.name == name)
}

fn chain(tables: &mut Tables, json: &Json, element: &Element) -> Option<()> {
    let table = table_of(tables, json)?;
    let base = match string(json, "hook") {
        None => None,
        Some(hook) => base(json, hook),
    };
    table.chains.push(NativeChain {
        name: string(json, "name")?.into(),
        base,
        rules: Vec::new(),
        cited: element.cited.clone(),
    });
    Some(())
}

/// `ingress` and `egress` chains are not called at the IP hooks.
fn base(json: &Json, hook: &str) -> Option<Base> {
    Some(Base {
        hook: match hook {
            "prerouting" => Hook::Prerouting,
            "input" => Hook::Input,
            "forward" => Hook::Forward,
            "output" => Hook::Output,
            "postrouting" => Hook::Postrouting,
            _ => return None,
        },
        priority: i32::try_from(json.get("prio")?.as_i64()?).ok()?,
        nat: string(json, "type") == Some("nat"),
        policy: if string(json, "policy") == Some("drop") { Policy::Drop } else { Policy::Accept },
    })
}

fn set(tables: &mut Tables, json: &Json) -> Option<()> {
    let table = table_of(tables, json)?;
    let elements: Vec<&Json> =
        json.get("elem").and_then(Json::as_array).map(|list| list.iter().collect()).unwrap_or_default();
    let is_map = json.get("map").is_some();
    let verdicts = json.get("elem").filter(|_| is_map).and_then(statement::read_verdicts);
    let read: Vec<Operand> =
        if is_map { Vec::new() } else { elements.iter().filter_map(|e| Operand::read(e)).collect() };
    let complete = if is_map { verdicts.is_some() || elements.is_empty() } else { read.len() == elements.len() };
    let flags = json.get("flags").map(Json::to_string).unwrap_or_default();
    table.sets.push(NativeSet {
        name: Arc::from(string(json, "name")?),
        elements: read,
        verdicts: verdicts.unwrap_or_default(),
        dynamic: flags.contains("dynamic") || flags.contains("timeout"),
        complete,
    });
    Some(())
}

fn rule(tables: &mut Tables, json: &Json, element: &Element) -> Option<()> {
    let table = table_of(tables, json)?;
    let chain = string(json, "chain")?;
    let chain = table.chains.iter_mut().find(|known| &*known.name == chain)?;
    chain.rules.push(NativeRule {
        statements: json.get("expr")?.as_array()?.iter().map(Statement::read).collect(),
        comment: string(json, "comment").map(Into::into),
        cited: element.cited.clone(),
    });
    Some(())
}

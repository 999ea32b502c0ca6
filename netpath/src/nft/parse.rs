//! `nft -j list ruleset` into [`Tables`]. One bad object never costs the others.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{
    Base, NativeChain, NativeRule, NativeSet, NativeTable, Operand, Statement, TableFamily, Tables, statement,
};
use crate::iptables::Policy;
use crate::json::{self, Element, JsonError, string};
use crate::source::{Cited, Origin};

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
            Some((kind @ ("set" | "map"), inner)) => set(&mut tables, kind, inner, &element.cited.origin),
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
    TableFamily::named(string(json, "family")?)
}

fn table(tables: &mut Tables, json: &Json) -> Option<()> {
    let (family, name, dormant) = (family(json)?, string(json, "name")?.into(), is_dormant(json));
    tables.tables.push(NativeTable { family, name, dormant, chains: Vec::new(), sets: Vec::new() });
    Some(())
}

/// Whether the kernel calls none of the table's chains. nft 1.0.6 writes the table's name where the flag should stand, so
/// any flag counts but those that are known to be others.
fn is_dormant(json: &Json) -> bool {
    let dormant = |flag: &Json| !matches!(flag.as_str(), Some("owner" | "persist"));
    match json.get("flags") {
        None => false,
        Some(Json::Array(flags)) => flags.iter().any(dormant),
        Some(flag) => dormant(flag),
    }
}

fn table_of<'t>(tables: &'t mut Tables, json: &Json) -> Option<&'t mut NativeTable> {
    let (family, name) = (family(json)?, string(json, "table")?);
    tables.tables.iter_mut().find(|table| table.family == family && &*table.name == name)
}

fn chain(tables: &mut Tables, json: &Json, element: &Element) -> Option<()> {
    let table = table_of(tables, json)?;
    let base = match string(json, "hook") {
        None => None,
        Some(_) if table.dormant => None,
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

fn base(json: &Json, hook: &str) -> Option<Base> {
    let policy = if string(json, "policy") == Some("drop") { Policy::Drop } else { Policy::Accept };
    let priority = i32::try_from(json.get("prio")?.as_i64()?).ok()?;
    Base::of(hook, priority, string(json, "type").unwrap_or_default(), policy)
}

fn set(tables: &mut Tables, kind: &str, json: &Json, origin: &Origin) -> Option<()> {
    let table = table_of(tables, json)?;
    let listed: &[Json] = json.get("elem").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let flags = json.get("flags").map(Json::to_string).unwrap_or_default();
    let mut set = NativeSet {
        name: Arc::from(string(json, "name")?),
        elements: Vec::new(),
        verdicts: Vec::new(),
        dynamic: flags.contains("dynamic") || flags.contains("timeout"),
        complete: true,
        cited: Cited { origin: origin.clone(), text: declaration(json) },
        places: Vec::new(),
    };
    for (at, element) in listed.iter().enumerate() {
        let read = match json.get("map") {
            Some(_) => statement::read_verdict_of(element).map(|pair| set.verdicts.push(pair)),
            None => Operand::read(element).map(|element| set.elements.push(element)),
        };
        match read {
            Some(()) => set.places.push(element_place(origin, kind, at, element)),
            None => set.complete = false,
        }
    }
    table.sets.push(set);
    Some(())
}

/// A set's own words, without its elements.
fn declaration(json: &Json) -> String {
    let own = json.as_object().into_iter().flatten().filter(|(key, _)| *key != "elem");
    Json::from_iter(own.map(|(key, value)| (key.clone(), value.clone()))).to_string()
}

fn element_place(origin: &Origin, kind: &str, at: usize, element: &Json) -> Cited {
    let pointer = origin.pointer.as_deref().unwrap_or_default();
    let origin = Origin::json(&origin.file, origin.line, format!("{pointer}/{kind}/elem/{at}"));
    Cited { origin, text: element.to_string() }
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

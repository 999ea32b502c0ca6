//! `ipset save` (restorable commands) and `ipset list` (blocks) into [`Sets`].

use std::sync::Arc;

use super::entry::{self, Element};
use super::{Dimension, Member, Set, Sets, test};
use crate::address::Family;
use crate::matches::parse_number;
use crate::source::numbered_lines;

/// Reads either form; lines that fit neither are kept in [`Sets::unread`].
pub fn parse(file: &str, bytes: &[u8]) -> Sets {
    let file: Arc<str> = Arc::from(file);
    let text = String::from_utf8_lossy(bytes);
    let mut sets = Sets::default();
    let mut block = None;
    for (number, line) in numbered_lines(&text) {
        let line = line.trim_end();
        if read_save_line(&mut sets, &file, number, line) || read_list_line(&mut sets, &file, number, line, &mut block)
        {
            continue;
        }
        if !line.is_empty() && !line.starts_with('#') {
            sets.unread.push((number, line.into()));
        }
    }
    for set in sets.by_name.values_mut() {
        set.index = test::Index::of(set);
    }
    sets
}

fn read_save_line(sets: &mut Sets, file: &Arc<str>, number: u32, line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("create" | "-N") => {
            let (Some(name), Some(kind)) = (words.next(), words.next()) else { return false };
            let Some(mut set) = new_set(file, number, kind) else { return false };
            read_header(&mut set, &words.collect::<Vec<_>>());
            sets.by_name.insert(name.into(), set);
            true
        }
        Some("add" | "-A") => {
            let Some(set) = words.next().and_then(|name| sets.by_name.get_mut(name)) else { return false };
            let Some(element) = words.next() else { return false };
            add(set, number, element, &words.collect::<Vec<_>>())
        }
        _ => false,
    }
}

/// What a block of `ipset list` is being read as.
#[derive(Default)]
struct Block {
    name: Box<str>,
    members: bool,
}

fn read_list_line(sets: &mut Sets, file: &Arc<str>, number: u32, line: &str, block: &mut Option<Block>) -> bool {
    if let Some(name) = line.strip_prefix("Name: ") {
        *block = Some(Block { name: name.trim().into(), members: false });
        return true;
    }
    let Some(block) = block else { return false };
    if let Some(kind) = line.strip_prefix("Type: ") {
        let Some(mut set) = new_set(file, number, kind.trim()) else { return false };
        set.elements = None;
        sets.by_name.insert(block.name.clone(), set);
        return true;
    }
    let Some(set) = sets.by_name.get_mut(&block.name) else { return false };
    if let Some(header) = line.strip_prefix("Header: ") {
        read_header(set, &header.split_ascii_whitespace().collect::<Vec<_>>());
        return true;
    }
    if line == "Members:" {
        block.members = true;
        set.elements = Some(Vec::new());
        return true;
    }
    if !block.members {
        return ["Revision:", "Size in memory:", "References:", "Number of entries:"]
            .iter()
            .any(|p| line.starts_with(p));
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words.split_first() {
        Some((element, options)) => add(set, number, element, options),
        None => true,
    }
}

fn new_set(file: &Arc<str>, line: u32, kind: &str) -> Option<Set> {
    let (storage, dimensions) = kind.split_once(':')?;
    let dimensions = dimensions
        .split(',')
        .map(|word| match word {
            "ip" => Some(Dimension::Ip),
            "net" => Some(Dimension::Net),
            "port" => Some(Dimension::Port),
            "mac" => Some(Dimension::Mac),
            "iface" => Some(Dimension::Iface),
            "mark" => Some(Dimension::Mark),
            "set" => Some(Dimension::Set),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Set {
        file: Arc::clone(file),
        line,
        storage: storage.into(),
        dimensions,
        family: Family::V4,
        netmask: None,
        mark_mask: None,
        elements: Some(Vec::new()),
        unknown_options: Vec::new(),
        index: test::Index::default(),
    })
}

/// `family inet hashsize 1024 maxelem 65536 timeout 0 netmask 24 …`; options that only size the set are passed over.
fn read_header(set: &mut Set, words: &[&str]) {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "family" => {
                if words.next() == Some(&"inet6") {
                    set.family = Family::V6;
                }
            }
            "netmask" => match words.next().and_then(|word| word.parse().ok()) {
                Some(length) => set.netmask = Some(length),
                None => set.unknown_options.push("netmask".into()),
            },
            "markmask" => set.mark_mask = words.next().and_then(|word| parse_number(word)),
            "hashsize" | "maxelem" | "bucketsize" | "initval" | "timeout" | "range" | "size" => {
                words.next();
            }
            "counters" | "comment" | "skbinfo" | "forceadd" => {}
            other => set.unknown_options.push(other.into()),
        }
    }
}

fn add(set: &mut Set, line: u32, element: &str, options: &[&str]) -> bool {
    let Some(mut element) = entry::parse(element, &set.dimensions, set.family, set.netmask) else {
        set.unknown_options.push(format!("element `{element}` on line {line}").into());
        return false;
    };
    if options.contains(&"wildcard") {
        for part in &mut element {
            if let Element::Iface { wildcard, .. } = part {
                *wildcard = true;
            }
        }
    }
    // A comment may hold any word; it stands last and in quotes.
    let plain = options.iter().take_while(|word| **word != "comment");
    let has = |wanted: &str| plain.clone().any(|word| *word == wanted);
    let member = Member { line, element, nomatch: has("nomatch"), timeout: has("timeout") };
    set.elements.get_or_insert_with(Vec::new).push(member);
    true
}

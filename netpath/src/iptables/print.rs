//! The canonical text of a rule set, as iptables-save prints it.

use std::fmt::Write;

use super::{Chain, Counters, Header, Rule, Ruleset, Table};

/// Characters that iptables prints without quotes.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

/// Appends a free text as iptables quotes it.
pub(crate) fn quote_into(out: &mut String, text: &str) {
    if !text.is_empty() && text.chars().all(is_plain) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '\'') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

pub(super) fn ruleset(ruleset: &Ruleset, counters: bool) -> String {
    let mut out = String::new();
    for table in &ruleset.tables {
        write_table(&mut out, table, counters);
    }
    for line in &ruleset.trailing {
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn write_table(out: &mut String, table: &Table, counters: bool) {
    for line in &table.leading {
        out.push_str(line);
        out.push('\n');
    }
    let _ = writeln!(out, "*{}", table.name);
    for chain in &table.chains {
        write_chain(out, chain);
    }
    for chain in &table.chains {
        for rule in &chain.rules {
            if counters {
                let counted = rule.counters.unwrap_or_default();
                let _ = write!(out, "[{}:{}] ", counted.packets, counted.bytes);
            }
            write_rule(out, &chain.name, rule);
            out.push('\n');
        }
    }
    if table.committed {
        out.push_str("COMMIT\n");
    }
}

fn write_chain(out: &mut String, chain: &Chain) {
    let Counters { packets, bytes } = chain.counters.unwrap_or_default();
    let _ = match chain.policy {
        Some(policy) => writeln!(out, ":{} {policy} [{packets}:{bytes}]", chain.name),
        None => writeln!(out, ":{} - [{packets}:{bytes}]", chain.name),
    };
}

fn write_rule(out: &mut String, chain: &str, rule: &Rule) {
    if let Some(unread) = &rule.unread {
        out.push_str(unread);
        return;
    }
    let _ = write!(out, "-A {chain}");
    write_header(out, &rule.header);
    for m in &rule.matches {
        m.write(out);
    }
    rule.target.write(out);
}

fn write_header(out: &mut String, header: &Header) {
    let mut part = |negated: bool, option: &str, value: &dyn std::fmt::Display| {
        let _ = write!(out, "{} {option} {value}", if negated { " !" } else { "" });
    };
    if let Some(source) = &header.source {
        part(source.negated, "-s", &source.value);
    }
    if let Some(destination) = &header.destination {
        part(destination.negated, "-d", &destination.value);
    }
    if let Some(interface) = &header.in_interface {
        part(interface.negated, "-i", &interface.value);
    }
    if let Some(interface) = &header.out_interface {
        part(interface.negated, "-o", &interface.value);
    }
    if let Some(protocol) = &header.protocol {
        part(protocol.negated, "-p", &protocol.value);
    }
    match header.fragment {
        Some(true) => out.push_str(" -f"),
        Some(false) => out.push_str(" ! -f"),
        None => {}
    }
}

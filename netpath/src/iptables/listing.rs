//! `iptables -nvL`, the lossy listing: degraded input.
//!
//! Each row is rewritten into the words of iptables-save where its meaning is plain, and read as such. What is left of
//! the row is kept as a match that is not understood, so that the walk depends on it instead of passing over it.

use std::fmt::Write;

use super::{Backend, Ruleset};
use crate::address::Family;
use crate::iptables::NoteKind;
use crate::matches::Match;
use crate::source::numbered_lines;

/// Reads `iptables -t TABLE -nvL [--line-numbers]` output of one table.
pub fn parse_listing(file: &str, bytes: &[u8], family: Family, backend: Backend, table: &str) -> Ruleset {
    let text = String::from_utf8_lossy(bytes);
    // With --line-numbers a row number stands before the counters.
    let numbered = text.lines().any(|line| line.starts_with("num "));
    // One line of save text per line of the listing keeps the line numbers true.
    let mut save = String::new();
    let mut leftovers = Vec::new();
    let mut chain = String::new();
    for (number, line) in numbered_lines(&text) {
        match rewrite(line, family, numbered, &mut chain) {
            Some((row, rest)) => {
                save.push_str(&row);
                if !rest.is_empty() {
                    leftovers.push((number, rest));
                }
            }
            None => save.push('#'),
        }
        save.push('\n');
    }
    let mut ruleset = super::parse_specification(file, save.as_bytes(), family, backend, table);
    ruleset.notes.retain(|note| note.kind != NoteKind::Unparsed);
    restore_text(&mut ruleset, &text);
    add_leftovers(&mut ruleset, &leftovers);
    ruleset
}

/// Cites must show the listing's own words, not the rewritten ones.
fn restore_text(ruleset: &mut Ruleset, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let original = |line: u32| lines.get((line as usize).saturating_sub(1)).copied().unwrap_or_default();
    ruleset.trailing.clear();
    for chain in ruleset.tables.iter_mut().flat_map(|table| &mut table.chains) {
        chain.text = original(chain.line).into();
        for rule in &mut chain.rules {
            rule.counted = false;
            rule.text = original(rule.line).into();
        }
    }
}

fn add_leftovers(ruleset: &mut Ruleset, leftovers: &[(u32, String)]) {
    let rules = ruleset.tables.iter_mut().flat_map(|table| &mut table.chains).flat_map(|chain| &mut chain.rules);
    for rule in rules {
        if let Some((_, rest)) = leftovers.iter().find(|(line, _)| *line == rule.line) {
            rule.matches.push(Match::Opaque { module: "".into(), text: format!(" {rest}").into() });
        }
    }
}

/// One line as save text, and what of it was not understood.
fn rewrite(line: &str, family: Family, numbered: bool, chain: &mut String) -> Option<(String, String)> {
    if let Some(header) = line.strip_prefix("Chain ") {
        let name = header.split(' ').next()?;
        *chain = name.to_owned();
        let policy = header.split_once("(policy ").and_then(|(_, rest)| rest.split([' ', ')']).next());
        return Some((format!(":{name} {} [0:0]", policy.unwrap_or("-")), String::new()));
    }
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    let first = words.first()?;
    if matches!(*first, "pkts" | "num" | "target") || chain.is_empty() {
        return None;
    }
    if numbered {
        words.remove(0);
    }
    row(&words, family, chain)
}

/// A counter such as `12`, `3400K`, `5M`.
fn count(word: &str) -> Option<u64> {
    let suffixes = [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    let (digits, factor) =
        suffixes.iter().find_map(|(suffix, factor)| Some((word.strip_suffix(suffix)?, *factor))).unwrap_or((word, 1));
    digits.parse::<u64>().ok().map(|n| n.saturating_mul(factor))
}

fn row(words: &[&str], family: Family, chain: &str) -> Option<(String, String)> {
    let (packets, bytes) = (count(words.first()?)?, count(words.get(1)?)?);
    let words = words.get(2..)?;
    let is_option = |word: &&str| matches!(*word, "--" | "-f" | "!f");
    let option = words.iter().take(3).position(is_option);
    let (target, protocol, rest) = match option {
        Some(0) | None => (words.first().copied()?, words.get(1).copied()?, words.get(2..)?),
        Some(1) => ("", words.first().copied()?, words.get(2..)?),
        Some(_) => (words.first().copied()?, words.get(1).copied()?, words.get(3..)?),
    };
    let [input, output, source, destination, extra @ ..] = rest else { return None };
    let mut save = format!("[{packets}:{bytes}] -A {chain}");
    let mut part = |option: &str, word: &str, any: &[&str]| {
        if any.contains(&word) {
            return;
        }
        let (bang, word) = word.strip_prefix('!').map_or(("", word), |word| (" !", word));
        let _ = write!(save, "{bang} {option} {word}");
    };
    let anywhere = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
    part("-s", source, &[anywhere, "anywhere"]);
    part("-d", destination, &[anywhere, "anywhere"]);
    part("-i", input, &["*", "any"]);
    part("-o", output, &["*", "any"]);
    part("-p", protocol, &["0", "all"]);
    match option.and_then(|at| words.get(at)) {
        Some(&"-f") => save.push_str(" -f"),
        Some(&"!f") => save.push_str(" ! -f"),
        _ => {}
    }
    let (matches, mut options, rest) = extras(extra, target);
    let goto = rest.contains("[goto]");
    let rest = rest.replace("[goto]", "");
    save.push_str(&matches);
    if !target.is_empty() {
        let _ = write!(save, " {} {target}", if goto { "-g" } else { "-j" });
        save.push_str(&std::mem::take(&mut options));
    }
    Some((save, rest.trim().to_owned()))
}

/// The words after the addresses: matches, the target's options, and what is not understood.
fn extras(words: &[&str], target: &str) -> (String, String, String) {
    let (mut matches, mut options, mut rest) = (String::new(), String::new(), String::new());
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        match word {
            "/*" => {
                let comment: Vec<&str> = words.by_ref().take_while(|word| *word != "*/").collect();
                matches.push_str(" -m comment --comment ");
                super::quote_into(&mut matches, &comment.join(" "));
            }
            "tcp" | "udp" | "sctp" | "dccp" | "udplite" => {
                let _ = write!(matches, " -m {word}");
                while let Some(option) = words.peek().and_then(|word| header_option(word)) {
                    matches.push_str(&option);
                    words.next();
                }
            }
            "ctstate" => option(&mut matches, " -m conntrack --ctstate", words.next()),
            "state" => option(&mut matches, " -m state --state", words.next()),
            "icmptype" => option(&mut matches, " -m icmp --icmp-type", words.next()),
            "ipv6-icmptype" => option(&mut matches, " -m icmp6 --icmpv6-type", words.next()),
            "match-set" => {
                let set = words.next().unwrap_or_default();
                let _ = write!(matches, " -m set --match-set {set} {}", words.next().unwrap_or_default());
            }
            "multiport" => {
                let side = words.next().unwrap_or_default();
                let ports = words.next().unwrap_or_default();
                let (bang, ports) = ports.strip_prefix('!').map_or(("", ports), |ports| (" !", ports));
                let _ = write!(matches, " -m multiport{bang} --{side} {ports}");
            }
            "mark" if words.peek() == Some(&"match") => {
                words.next();
                let first = words.next().unwrap_or_default();
                let (bang, value) = if first == "!" { (" !", words.next().unwrap_or_default()) } else { ("", first) };
                let _ = write!(matches, " -m mark{bang} --mark {value}");
            }
            "reject-with" => option(&mut options, " --reject-with", words.next()),
            "MARK" if words.peek() == Some(&"xset") => {
                words.next();
                option(&mut options, " --set-xmark", words.next());
            }
            "MARK" if matches!(words.peek(), Some(&"or" | &"and" | &"set" | &"xor")) => {
                let verb = words.next().unwrap_or_default();
                let _ = write!(options, " --{verb}-mark {}", words.next().unwrap_or_default());
            }
            "redir" => {
                words.next();
                option(&mut options, " --to-ports", words.next());
            }
            "random" | "random-fully" | "persistent" => {
                let _ = write!(options, " --{word}");
            }
            _ => match word.strip_prefix("to:") {
                Some(to) if target == "DNAT" => option(&mut options, " --to-destination", Some(to)),
                Some(to) if target == "SNAT" => option(&mut options, " --to-source", Some(to)),
                Some(to) if target == "NETMAP" => option(&mut options, " --to", Some(to)),
                _ => {
                    rest.push(' ');
                    rest.push_str(word);
                }
            },
        }
    }
    (matches, options, rest)
}

fn option(out: &mut String, name: &str, value: Option<&str>) {
    let _ = write!(out, "{name} {}", value.unwrap_or_default());
}

/// `dpt:80`, `dpts:1:5`, `spt:!80`, `flags:0x17/0x02`.
fn header_option(word: &str) -> Option<String> {
    let (name, value) = word.split_once(':')?;
    let (bang, value) = value.strip_prefix('!').map_or(("", value), |value| (" !", value));
    Some(match name {
        "dpt" | "dpts" => format!("{bang} --dport {value}"),
        "spt" | "spts" => format!("{bang} --sport {value}"),
        "flags" => {
            let (mask, compare) = value.split_once('/')?;
            format!("{bang} --tcp-flags {} {}", flag_names(mask)?, flag_names(compare)?)
        }
        _ => return None,
    })
}

fn flag_names(hex: &str) -> Option<String> {
    let bits = u8::from_str_radix(hex.strip_prefix("0x")?, 16).ok()?;
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let set: Vec<&str> =
        names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect();
    Some(if set.is_empty() { "NONE".to_owned() } else { set.join(",") })
}

//! `nft list ruleset` (with handles, counters, numeric or not) into [`Tables`]: the same tables that the same rule set's
//! JSON gives. One bad object never costs the others.

mod cursor;
mod object;
mod operand;
mod statement;
mod token;

use std::sync::Arc;

use self::token::{Token, split};
use crate::nft::{NativeTable, TableFamily, Tables};
use crate::source::{Cited, Origin};

/// Reads the tables. What stands outside of tables, and objects that are not read, are in [`Tables::unread`].
pub fn parse_text(file: &str, bytes: &[u8]) -> Tables {
    let file: Arc<str> = Arc::from(file);
    let text = String::from_utf8_lossy(bytes);
    let tokens = split(&text);
    let source = Source { file: &file, text: &text };
    let mut tables = Tables::default();
    let mut rest = tokens.as_slice();
    while !rest.is_empty() {
        let head: Vec<&str> = rest.iter().take(4).map(|token| token.text).collect();
        match head.as_slice() {
            ["table", family, name, "{"] if TableFamily::named(family).is_some() => {
                let (body, after) = block(rest.get(4..).unwrap_or_default());
                let family = TableFamily::named(family).unwrap_or(TableFamily::Inet);
                table(&source, &mut tables, (family, name), body);
                rest = after;
            }
            ["\n", ..] => rest = rest.get(1..).unwrap_or_default(),
            _ => {
                let after = after_line(rest);
                tables.unread.extend(source.cite_span(rest.get(..rest.len() - after.len()).unwrap_or_default()));
                rest = after;
            }
        }
    }
    tables
}

/// The text that tokens stand in.
struct Source<'a> {
    file: &'a Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    /// What tokens span, on one line.
    fn cite_span(&self, tokens: &[Token<'_>]) -> Option<Cited> {
        let first = tokens.iter().find(|token| !token.is("\n"))?;
        let last = tokens.iter().rfind(|token| !token.is("\n"))?;
        let text = self.text.get(first.start..last.end).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Cited { origin: Origin::line(self.file, first.line), text })
    }
}

/// What stands up to the brace that closes the one before, and what follows it. A text that is cut off closes all.
fn block<'t, 'a>(tokens: &'t [Token<'a>]) -> (&'t [Token<'a>], &'t [Token<'a>]) {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            if depth == 0 {
                return (tokens.get(..at).unwrap_or_default(), tokens.get(at + 1..).unwrap_or_default());
            }
            depth -= 1;
        }
    }
    (tokens, &[])
}

fn after_line<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let end = tokens.iter().position(|token| token.is("\n")).map_or(tokens.len(), |at| at + 1);
    tokens.get(end..).unwrap_or_default()
}

/// One statement of a block: up to the end of its line, or to a semicolon, but past whole braces. The rest behind it.
fn entry<'t, 'a>(tokens: &'t [Token<'a>]) -> (&'t [Token<'a>], &'t [Token<'a>]) {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && (token.is("\n") || token.is(";")) {
            return (tokens.get(..at).unwrap_or_default(), tokens.get(at + 1..).unwrap_or_default());
        }
    }
    (tokens, &[])
}

/// The entries of a block that are not empty.
fn entries<'t, 'a>(mut tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'t [Token<'a>]> {
    std::iter::from_fn(move || {
        while !tokens.is_empty() {
            let (found, rest) = entry(tokens);
            tokens = rest;
            if !found.is_empty() {
                return Some(found);
            }
        }
        None
    })
}

fn table(source: &Source<'_>, tables: &mut Tables, (family, name): (TableFamily, &str), body: &[Token<'_>]) {
    let mut table = NativeTable { family, name: name.into(), dormant: false, chains: Vec::new(), sets: Vec::new() };
    for found in entries(body) {
        let words: Vec<&str> = found.iter().take(3).map(|token| token.text).collect();
        let head = || found.get(..3).unwrap_or_default();
        let inner = || found.get(3..).unwrap_or_default().strip_suffix_brace();
        match words.as_slice() {
            ["chain", name, "{"] => table.chains.push(object::chain(source, family, name, (head(), inner()))),
            [kind @ ("set" | "map"), name, "{"] => {
                table.sets.push(object::set(source, *kind == "map", name, (head(), inner())));
            }
            ["comment", ..] => {}
            ["flags", flags, ..] => table.dormant = flags.split(',').any(|flag| flag == "dormant"),
            // Counters, limits, helpers, flowtables: statements that name them are read without them.
            _ => tables.unread.extend(source.cite_span(found)),
        }
    }
    // The kernel does not call the chains of a dormant table.
    if table.dormant {
        table.chains.iter_mut().for_each(|chain| chain.base = None);
    }
    tables.tables.push(table);
}

/// The tokens of a block without the brace that closes it.
trait WithoutBrace {
    fn strip_suffix_brace(&self) -> &Self;
}

impl WithoutBrace for [Token<'_>] {
    fn strip_suffix_brace(&self) -> &Self {
        match self.split_last() {
            Some((last, rest)) if last.is("}") => rest,
            _ => self,
        }
    }
}

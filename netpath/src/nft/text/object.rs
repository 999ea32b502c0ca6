//! Chains, sets and maps of nft's text.

use std::sync::Arc;

use super::cursor::Cursor;
use super::token::Token;
use super::{Source, entries, operand, statement};
use crate::iptables::Policy;
use crate::nft::{Base, NativeChain, NativeRule, NativeSet, Operand, TableFamily, read_verdict_of};
use crate::source::Cited;

/// `chain NAME { type filter hook input priority filter; policy drop; RULES }`.
pub(super) fn chain(
    source: &Source<'_>,
    family: TableFamily,
    name: &str,
    (head, body): (&[Token<'_>], &[Token<'_>]),
) -> NativeChain {
    let mut cited = source.cite_span(head);
    let (mut base, mut rules) = (None, Vec::new());
    for found in entries(body) {
        let Some(first) = found.first() else { continue };
        if first.is("type") {
            base = read_base(family, found);
            cited = source.cite_span(found);
        } else if first.is("policy") {
            let drops = found.get(1).is_some_and(|word| word.is("drop"));
            if let (true, Some(base)) = (drops, base.as_mut()) {
                base.policy = Policy::Drop;
            }
        } else if first.is("comment") && found.len() == 2 {
            // The chain's own remark.
        } else {
            let (statements, comment) = statement::rule(source.text, found);
            rules.extend(source.cite_span(found).map(|cited| NativeRule { statements, comment, cited }));
        }
    }
    NativeChain { name: name.into(), base, rules, cited: cited.unwrap_or_else(|| source.nothing()) }
}

/// `type filter hook prerouting device "eth0" priority dstnat - 10`.
fn read_base(family: TableFamily, tokens: &[Token<'_>]) -> Option<Base> {
    let mut cursor = Cursor::new(tokens);
    cursor.take("type").then_some(())?;
    let kind = cursor.word()?;
    cursor.take("hook").then_some(())?;
    let hook = cursor.word()?;
    while !cursor.take("priority") {
        cursor.next()?;
    }
    let word = cursor.word()?;
    let named = word.parse::<i32>().ok().or_else(|| family.priority(word))?;
    let offset = match cursor.word() {
        None => 0,
        Some(sign) => {
            let offset: i32 = cursor.word()?.parse().ok()?;
            if sign == "-" { offset.checked_neg()? } else { offset }
        }
    };
    Base::of(hook, named.checked_add(offset)?, kind, Policy::Accept)
}

/// `set NAME { type …; flags interval; elements = { … } }`, and the same of a map.
pub(super) fn set(
    source: &Source<'_>,
    is_map: bool,
    name: &str,
    (head, body): (&[Token<'_>], &[Token<'_>]),
) -> NativeSet {
    let mut set = NativeSet {
        name: Arc::from(name),
        elements: Vec::new(),
        verdicts: Vec::new(),
        dynamic: false,
        complete: true,
        cited: source.cite_span(head).unwrap_or_else(|| source.nothing()),
        places: Vec::new(),
    };
    for found in entries(body) {
        let is = |at: usize, word: &str| found.get(at).is_some_and(|token| token.is(word));
        if is(0, "flags") {
            let flags = found.iter().flat_map(|token| token.text.split(','));
            set.dynamic |= flags.into_iter().any(|flag| matches!(flag, "dynamic" | "timeout"));
        } else if is(0, "timeout") {
            set.dynamic = true;
        } else if is(0, "elements") && is(1, "=") && is(2, "{") {
            elements(source, &mut set, is_map, found.get(3..).unwrap_or_default());
        }
    }
    set
}

/// What stands between the braces, the closing one with it.
fn elements(source: &Source<'_>, set: &mut NativeSet, is_map: bool, tokens: &[Token<'_>]) {
    let mut cursor = Cursor::new(tokens);
    let mut closed = false;
    while cursor.peek().is_some() && !closed {
        let start = cursor.place();
        let read = match is_map {
            true => {
                statement::pair(&mut cursor).and_then(|json| read_verdict_of(&json)).map(|pair| set.verdicts.push(pair))
            }
            false => {
                operand::element(&mut cursor).and_then(|json| Operand::read(&json)).map(|read| set.elements.push(read))
            }
        };
        // What is left of an element that is not understood, with whole braces.
        let mut depth = 0i32;
        while let Some(token) = cursor.peek().filter(|token| depth > 0 || !(token.is(",") || token.is("}"))) {
            depth += i32::from(token.is("{")) - i32::from(token.is("}"));
            cursor.next();
        }
        match (read, source.cite_span(cursor.since(start))) {
            (Some(()), Some(cited)) => set.places.push(cited),
            _ => set.complete = false,
        }
        if !cursor.take(",") {
            closed = cursor.take("}");
            // Nothing that goes on: the text is cut off.
            set.complete &= closed;
            break;
        }
    }
    set.complete &= closed || tokens.is_empty();
}

impl Source<'_> {
    fn nothing(&self) -> Cited {
        Cited { origin: crate::source::Origin::line(self.file, 0), text: String::new() }
    }
}

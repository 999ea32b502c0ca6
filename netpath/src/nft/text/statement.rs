//! The statements of a rule in nft's text: each is put as nft's own JSON has it and read as that is, so that both forms
//! mean the same.

use serde_json::{Value as Json, json};

use super::cursor::Cursor;
use super::operand::{element, expression, operand, skip_remarks};
use super::token::{Kind, Token};
use crate::nft::Statement;

/// Words that begin a statement, where one that is not understood surely ends.
const BEGIN: [&str; 12] = [
    "accept",
    "drop",
    "return",
    "continue",
    "jump",
    "goto",
    "counter",
    "log",
    "reject",
    "masquerade",
    "notrack",
    "comment",
];

/// Reads a rule: its statements and its comment.
pub(super) fn rule(text: &str, tokens: &[Token<'_>]) -> (Vec<Statement>, Option<Box<str>>) {
    let mut cursor = Cursor::new(tokens);
    let (mut statements, mut comment) = (Vec::new(), None);
    while let Some(token) = cursor.peek() {
        if token.is("comment") {
            cursor.next();
            comment = cursor.word().map(Into::into);
            continue;
        }
        let start = cursor.place();
        let json = statement(&mut cursor).filter(|_| ends(&mut cursor));
        let failed = cursor.place();
        let read = json.and_then(|json| Statement::read_known(&json));
        statements.push(read.unwrap_or_else(|| unknown(text, &mut cursor, start, failed)));
    }
    (statements, comment)
}

/// What follows a statement begins with a letter; an operator there means that it was not read to its end.
fn ends(cursor: &mut Cursor<'_, '_>) -> bool {
    let letter =
        |token: &Token<'_>| token.kind == Kind::Word && token.text.starts_with(|c: char| c.is_ascii_lowercase());
    cursor.peek().is_none_or(letter)
}

/// A statement that is not understood, verbatim: up to a word that surely begins another. What stands within braces does
/// not, nor what was gone through already, so that no text is gone through again and again.
fn unknown(text: &str, cursor: &mut Cursor<'_, '_>, start: usize, failed: usize) -> Statement {
    cursor.go_to(start);
    let mut depth = 0i32;
    while let Some(token) = cursor.peek() {
        let place = cursor.place();
        if place > start && place >= failed && depth <= 0 && BEGIN.iter().any(|word| token.is(word)) {
            break;
        }
        depth += i32::from(token.is("{")) - i32::from(token.is("}"));
        cursor.next();
    }
    let tokens = cursor.since(start);
    let first = tokens.iter().find(|token| !token.is("\n"));
    let verbatim = first.zip(tokens.last()).and_then(|(first, last)| text.get(first.start..last.end));
    Statement::Unknown(verbatim.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").into())
}

fn statement(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let start = cursor.place();
    let token = cursor.next()?;
    if token.kind != Kind::Word {
        return None;
    }
    match token.text {
        "accept" | "drop" | "return" | "continue" => Some(json!({token.text: null})),
        "jump" | "goto" => Some(json!({token.text: {"target": cursor.word()?}})),
        "notrack" => Some(json!({"notrack": null})),
        "counter" => counter(cursor),
        "log" => log(cursor),
        "limit" => limit(cursor),
        "quota" => quota(cursor),
        "reject" => reject(cursor),
        "dnat" | "snat" | "masquerade" | "redirect" => nat(token.text, cursor),
        "add" | "update" | "delete" => set_update(token.text, cursor),
        "ct" => match conntrack(cursor) {
            Some(json) => Some(json),
            None => {
                cursor.go_to(start);
                comparison(cursor)
            }
        },
        _ => {
            cursor.go_to(start);
            comparison(cursor)
        }
    }
}

/// `counter packets 1 bytes 60`, `counter name "x"`.
fn counter(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    if cursor.take("name") {
        return Some(json!({"counter": cursor.word()?}));
    }
    if cursor.take("packets") {
        cursor.word()?;
        cursor.take("bytes").then_some(())?;
        cursor.word()?;
    }
    Some(json!({"counter": {}}))
}

fn log(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    while ["prefix", "level", "group", "snaplen", "queue-threshold", "flags"].iter().any(|word| cursor.take(word)) {
        cursor.word()?;
        // `flags tcp sequence,options`, `flags ip options`.
        if cursor.peek().is_some_and(|token| token.text.starts_with("sequence") || token.text.starts_with("options")) {
            cursor.next();
        }
    }
    Some(json!({"log": {}}))
}

/// `limit rate over 5/minute burst 5 packets`, `limit rate 1 mbytes/second burst 2 kbytes`, `limit name "x"`.
fn limit(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    if cursor.take("name") {
        return Some(json!({"limit": cursor.word()?}));
    }
    cursor.take("rate").then_some(())?;
    let over = cursor.take("over");
    let rate = amount(cursor)?;
    let burst = if cursor.take("burst") { amount(cursor)? } else { String::new() };
    Some(json!({"limit": {"rate": rate, "burst": burst, "inv": over}}))
}

fn quota(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    if cursor.take("name") {
        return Some(json!({"quota": cursor.word()?}));
    }
    let over = cursor.take("over");
    let value = amount(cursor)?;
    let used = if cursor.take("used") { amount(cursor)? } else { String::new() };
    Some(json!({"quota": {"val": value, "used": used, "inv": over}}))
}

/// A number with its unit, which may be a word of its own.
fn amount(cursor: &mut Cursor<'_, '_>) -> Option<String> {
    let number = cursor.word().filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let unit = cursor.peek().filter(|token| {
        ["packets", "bytes", "kbytes", "mbytes"].iter().any(|unit| token.text.split('/').next() == Some(unit))
    });
    let unit = unit.map(|token| token.text);
    if unit.is_some() {
        cursor.next();
    }
    Some(format!("{number} {}", unit.unwrap_or_default()).trim_end().to_owned())
}

/// `reject with icmp port-unreachable`, `… icmpx type …` (before 0.9.9), `… tcp reset`.
fn reject(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    if !cursor.take("with") {
        return Some(json!({"reject": null}));
    }
    let kind = cursor.word()?;
    if kind == "tcp" {
        return cursor.take("reset").then(|| json!({"reject": {"type": "tcp reset"}}));
    }
    cursor.take("type");
    Some(json!({"reject": {"type": kind, "expr": super::operand::word(cursor.word()?)}}))
}

/// `dnat to 10.0.0.1:80`, `snat ip to 10.0.0.1-10.0.0.9:1-9 random`, `masquerade to :1024-65535 fully-random`.
fn nat(kind: &str, cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let mut inner = serde_json::Map::new();
    if let Some(family) = ["ip", "ip6"].into_iter().find(|family| cursor.take(family)) {
        inner.insert("family".to_owned(), family.into());
    }
    if cursor.take("to") {
        let to = cursor.next().filter(|token| token.kind == Kind::Word)?.text;
        let (address, port) = split_target(to)?;
        if !address.is_empty() {
            inner.insert("addr".to_owned(), super::operand::word(address));
        }
        if let Some(port) = port {
            inner.insert("port".to_owned(), super::operand::word(port));
        }
    }
    let mut flags = Vec::new();
    while let Some(token) = cursor.peek().filter(|token| {
        ["random", "fully-random", "persistent"].iter().any(|flag| token.text.split(',').all(|word| word == *flag))
            || token.text.starts_with("random,")
            || token.text.starts_with("fully-random,")
    }) {
        flags.push(token.text);
        cursor.next();
    }
    if !flags.is_empty() {
        inner.insert("flags".to_owned(), flags.into());
    }
    // A map or a prefix behind it decides where to; that is not read.
    let ends = cursor.peek().is_none_or(|token| BEGIN.iter().any(|word| token.is(word)));
    ends.then(|| json!({kind: if inner.is_empty() { Json::Null } else { Json::Object(inner) }}))
}

/// The address and port of a target.
fn split_target(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        // `[fd00::1]:53`, and a range `[fd00::1]-[fd00::9]:53`, which is not read.
        let (address, port) = rest.split_once(']')?;
        return match port {
            "" => Some((address, None)),
            port => Some((address, Some(port.strip_prefix(':')?))),
        };
    }
    match text.rsplit_once(':') {
        Some((address, port)) if !address.contains(':') => Some((address, Some(port))),
        _ => Some((text, None)),
    }
}

/// `update @set { ip saddr timeout 5m }`, `add @map { … : … }`.
fn set_update(operation: &str, cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let set = cursor.word().filter(|name| name.starts_with('@'))?;
    cursor.take("{").then_some(())?;
    let mut depth = 1;
    while depth > 0 {
        let token = cursor.next()?;
        depth += i32::from(token.is("{")) - i32::from(token.is("}"));
    }
    Some(json!({"set": {"op": operation, "set": set}}))
}

/// `ct helper set "ftp"` and its like, `ct count over 20`.
fn conntrack(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    match cursor.word()? {
        "count" => {
            let over = cursor.take("over");
            Some(json!({"ct count": {"val": cursor.word()?, "inv": over}}))
        }
        object @ ("helper" | "timeout" | "expectation") if cursor.take("set") => {
            Some(json!({format!("ct {object}"): cursor.word()?}))
        }
        _ => None,
    }
}

/// `EXPRESSION [OPERATOR] OPERAND`, `EXPRESSION vmap …`, `EXPRESSION set VALUE`.
fn comparison(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let left = expression(cursor)?;
    if cursor.take("vmap") {
        let data = match cursor.take("{") {
            true => json!({"set": verdicts(cursor)?}),
            false => Json::from(cursor.word().filter(|name| name.starts_with('@'))?),
        };
        return Some(json!({"vmap": {"key": left, "data": data}}));
    }
    if cursor.take("set") {
        let value = expression(cursor)?;
        return Some(json!({"mangle": {"key": left, "value": value}}));
    }
    let named = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|operator| cursor.take(operator));
    let mut right = operand(cursor)?;
    // Whether there is a route at all; in JSON a truth value.
    if left.pointer("/fib/result").is_some_and(|result| result == "oif" || result == "oifname") {
        right = match right.as_str() {
            Some("exists") => Json::from(true),
            Some("missing") => Json::from(false),
            _ => right,
        };
    }
    // Of bits, those that are named are enough; so nft's JSON says it too.
    let of_bits = matches!(left.pointer("/ct/key").and_then(Json::as_str), Some("state" | "status"))
        || left.pointer("/payload/field").and_then(Json::as_str) == Some("flags");
    let plain = !right.is_object();
    let operator = named.unwrap_or(if of_bits && plain { "in" } else { "==" });
    Some(json!({"match": {"op": operator, "left": left, "right": right}}))
}

/// The pairs of a map from keys to verdicts, behind the opening brace.
fn verdicts(cursor: &mut Cursor<'_, '_>) -> Option<Vec<Json>> {
    let mut pairs = Vec::new();
    while !cursor.take("}") {
        pairs.push(pair(cursor)?);
        cursor.take(",");
    }
    Some(pairs)
}

/// `KEY : VERDICT`.
pub(super) fn pair(cursor: &mut Cursor<'_, '_>) -> Option<Json> {
    let key = element(cursor)?;
    cursor.take(":").then_some(())?;
    let verdict = match cursor.word()? {
        word @ ("accept" | "drop" | "return" | "continue") => json!({word: null}),
        word @ ("jump" | "goto") => json!({word: {"target": cursor.word()?}}),
        _ => return None,
    };
    skip_remarks(cursor);
    Some(json!([key, verdict]))
}

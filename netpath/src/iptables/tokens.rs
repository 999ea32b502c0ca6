//! Words of a rule line, split as iptables-restore splits them, and options with their values.

use std::borrow::Cow;

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The word with quotes and escapes resolved.
    pub text: Cow<'a, str>,
    /// The word as it stands in the line.
    pub raw: &'a str,
}

impl Token<'_> {
    /// Whether the word was written in quotes and therefore is never an option.
    fn quoted(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Whether the word is an option's name.
    pub fn is_option(&self) -> bool {
        let bytes = self.raw.as_bytes();
        matches!(bytes, [b'-', b'-', b'a'..=b'z', ..] | [b'-', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'])
    }

    /// Whether the word negates what follows.
    pub fn is_negation(&self) -> bool {
        self.raw == "!"
    }
}

/// An option of a match or target.
#[derive(Clone, Debug)]
pub(crate) struct Opt<'a> {
    /// Whether `!` stands before it (or, in old dumps, before its value).
    pub negated: bool,
    /// The name with its dashes.
    pub name: &'a str,
    /// The values.
    pub values: Vec<Token<'a>>,
}

impl<'a> Opt<'a> {
    /// The only value.
    pub fn value(&self) -> Option<&str> {
        match self.values.as_slice() {
            [one] => Some(&one.text),
            _ => None,
        }
    }

    /// Whether the option is this name, without negation and without value.
    pub fn is_flag(&self, name: &str) -> bool {
        self.name == name && self.values.is_empty() && !self.negated
    }

    /// Appends the option as it stood.
    pub fn write_raw(&self, out: &mut String) {
        if self.negated {
            out.push_str(" !");
        }
        if !self.name.is_empty() {
            out.push(' ');
            out.push_str(self.name);
        }
        for value in &self.values {
            out.push(' ');
            out.push_str(value.raw);
        }
    }
}

/// Splits a line into words: blanks separate, double quotes group, a backslash inside quotes escapes.
pub(crate) fn split(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(24);
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (token, after) = next(rest);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// The first word of a line, empty where there is none, and what follows it.
pub(crate) fn first(line: &str) -> (Token<'_>, &str) {
    next(line.trim_start())
}

fn next(rest: &str) -> (Token<'_>, &str) {
    let Some(inside) = rest.strip_prefix('"') else {
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        let (raw, after) = rest.split_at(end);
        return (Token { text: Cow::Borrowed(raw), raw }, after);
    };
    // Nearly every rule of kube-proxy has a comment in quotes, and hardly any of them has an escape.
    if let Some((text, _)) = inside.split_once('"').filter(|(text, _)| !text.contains('\\')) {
        let (raw, after) = rest.split_at(text.len() + 2);
        return (Token { text: Cow::Borrowed(text), raw }, after);
    }
    let mut text = String::new();
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => {
                text.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                let (raw, after) = rest.split_at(at + 1);
                return (Token { text: Cow::Owned(text), raw }, after);
            }
            _ => text.push(character),
        }
    }
    (Token { text: Cow::Owned(text), raw: rest }, "")
}

/// Options whose single value is free text, which may look like an option itself.
const FREE_TEXT: &[&str] =
    &["--comment", "--log-prefix", "--nflog-prefix", "--string", "--hex-string", "--ulog-prefix"];

/// Takes the values of the option just read from the front of `tokens`; returns how many words they are.
pub(crate) fn value_count(name: &str, tokens: &[Token<'_>]) -> usize {
    if FREE_TEXT.contains(&name) {
        return tokens.len().min(1);
    }
    tokens
        .iter()
        .position(|token| !token.quoted() && (token.is_option() || token.is_negation()))
        .unwrap_or(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_anything() {
        let tokens = split(r#"-m comment --comment "pod\'s -j DROP \"q\" \\ a" -j ACCEPT"#);
        let texts: Vec<&str> = tokens.iter().map(|token| &*token.text).collect();
        assert_eq!(texts, ["-m", "comment", "--comment", r#"pod's -j DROP "q" \ a"#, "-j", "ACCEPT"]);
    }

    #[test]
    fn an_open_quote_runs_to_the_end() {
        assert_eq!(split(r#"a "b c"#).len(), 2);
    }
}

//! Where a value ends, and whether it can be a secret at all.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::key_name::Secret;
use super::pattern;

/// How a value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// By this quote behind as many backslashes as the text's nesting asks for: none in JSON, one in JSON within a string
    /// of JSON, three in the next one.
    Quote(u8, usize),
    /// By white space or by what separates values.
    Word,
    /// By the line's end, also where that is written as `\n` in a string of JSON.
    Line,
    /// By the next tag of XML.
    Tag,
    /// By the first byte that base64 has not.
    Base64,
}

/// Where a value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Before this byte.
    At(usize),
    /// Not within the text.
    Beyond,
}

/// Looks for the end of the value that begins at `from`.
pub fn end(text: &[u8], from: usize, until: Until) -> End {
    match until {
        Until::Quote(quote, depth) => quoted(text, from, quote, depth),
        Until::Word => unquoted(text, from, |byte| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0 | b'"' | b'\'' | b'`' | b'&' | b';' | b'<' | b'>')
        }),
        Until::Line => unquoted(text, from, |byte| matches!(byte, b'\n' | b'\r' | 0 | b'"')),
        Until::Tag => tag(text, from),
        Until::Base64 => first(text, from, |byte| !is_base64(byte)),
    }
}

/// Whether a byte is one of base64's, in either alphabet.
pub fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

fn first(text: &[u8], from: usize, ends: impl Fn(u8) -> bool) -> End {
    let found = text.get(from..).unwrap_or_default().iter().position(|&byte| ends(byte));
    found.map_or(End::Beyond, |n| End::At(from + n))
}

/// A value of XML, which does not reach out of a string of JSON around it.
fn tag(text: &[u8], from: usize) -> End {
    let rest = text.get(from..).unwrap_or_default();
    let ends = |at: usize, byte: u8| matches!(byte, b'<' | b'\n') || (byte == b'"' && is_structure(rest.get(at + 1)));
    let Some(end) = rest.iter().enumerate().position(|(at, &byte)| ends(at, byte)) else { return End::Beyond };
    let value = rest.get(..end).unwrap_or_default();
    let backslashes = if rest.get(end) == Some(&b'"') { trailing_backslashes(value) } else { 0 };
    End::At(from + end - backslashes)
}

/// A quote that is itself within `depth` backslashes ends the value; more backslashes belong to the value.
fn quoted(text: &[u8], from: usize, quote: u8, depth: usize) -> End {
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        if byte == b'\n' {
            return End::At(at.saturating_sub(usize::from(at > from && text.get(at - 1) == Some(&b'\r'))));
        }
        if byte == quote || byte == b'"' {
            let backslashes = trailing_backslashes(text.get(from..at).unwrap_or_default());
            // YAML doubles a quote within quotes.
            if quote == b'\'' && depth == 0 && byte == quote && at > from && text.get(at + 1) == Some(&quote) {
                at += 2;
                continue;
            }
            let closes = if quote == b'\'' && depth == 0 && byte == quote {
                Some(0)
            } else if byte == quote {
                closed_level(backslashes, depth)
            } else {
                // A string of JSON around a value in single quotes ends here, whatever the inner quotes say.
                (backslashes.is_multiple_of(2) && is_structure(text.get(at + 1))).then_some(0)
            };
            if let Some(own) = closes {
                return End::At(at - own);
            }
        }
        at += 1;
    }
    End::Beyond
}

/// Which string ends at a quote behind so many backslashes: the one whose quotes have `depth` of them, or one around it,
/// whose quotes have fewer. Gives how many of the backslashes are the quote's own.
fn closed_level(backslashes: usize, depth: usize) -> Option<usize> {
    let levels = std::iter::successors(Some(0), |level| Some(level * 2 + 1)).take_while(|&level| level <= depth);
    levels.filter(|level| backslashes % (2 * (level + 1)) == *level).last()
}

fn trailing_backslashes(text: &[u8]) -> usize {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count()
}

fn is_structure(next: Option<&u8>) -> bool {
    matches!(next, None | Some(b',' | b'}' | b']' | b':' | b'\n' | b'\r'))
}

fn unquoted(text: &[u8], from: usize, ends: impl Fn(u8) -> bool) -> End {
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        if ends(byte) {
            return End::At(at);
        }
        if byte != b'\\' {
            at += 1;
            continue;
        }
        let run = text.get(at..).unwrap_or_default().iter().take_while(|&&b| b == b'\\').count();
        match text.get(at + run) {
            None => return End::Beyond,
            Some(b'n' | b'r' | b't' | b'"' | b'\'') => return End::At(at),
            // `&`, `<`, `>`, quotes and white space, as Go and others write them in JSON.
            Some(b'u') => match text.get(at + run + 1..at + run + 5) {
                None => return End::Beyond,
                Some(code) if is_escaped_end(code) => return End::At(at),
                Some(_) => at += run + 5,
            },
            Some(byte) if ends(*byte) => return End::At(at + run),
            Some(_) => at += run + 1,
        }
    }
    End::Beyond
}

fn is_escaped_end(code: &[u8]) -> bool {
    [&b"0026"[..], b"003c", b"003e", b"0020", b"0022", b"0027", b"000a", b"000d", b"0009", b"0000"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(code))
}

/// Takes from the end of a bare word what rather belongs to the text around it: `(token=abc), next`.
pub fn trim(text: &[u8], from: usize, mut to: usize) -> usize {
    // Where the list goes on behind a comma, so does the text.
    let comma =
        (from..to).find(|&at| text.get(at) == Some(&b',') && is_assignment(text.get(at + 1..to).unwrap_or_default()));
    if let Some(comma) = comma {
        to = comma;
    }
    while to > from + 1 && matches!(text.get(to - 1), Some(b')' | b']' | b'}' | b',')) {
        to -= 1;
    }
    to
}

fn is_assignment(text: &[u8]) -> bool {
    let name = text.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    name > 0 && matches!(text.get(name), Some(b'=' | b':'))
}

/// A mask that an earlier redaction left.
static MASK: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u)^MASKED-[a-z-]+-[0-9]+$"));

/// Whether this was masked before.
pub fn is_mask(value: &[u8]) -> bool {
    value.starts_with(b"MASKED-") && MASK.is_match(value.trim_ascii())
}

/// What is a value of no secret, whatever it is called: switches, references, templates, what was masked before.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?x-u)^(?:
        (?i:true|false|null|nil|none|undefined|yes|no|on|off|unset|empty|required|optional|n/a)
        | ~ | <[a-zA-Z _-]*> | \(?[*xX.-]{3,}\)? | \**(?i:hidden|redacted|masked|stripped|removed|omitted)\**
        | [\[<({*-]+\ *(?i:redacted|masked|stripped|hidden|removed|omitted|sensitive)[^"\ ]{0,20}[\]>)}*-]*
        | MASKED-[a-z-]+-[0-9]+
        | \$\{?\(?[A-Za-z_][A-Za-z0-9_.]*\)?\}? | %[a-z+\#]{1,3} | \{\{.*\}\}?
        | /(?:etc|var|run|usr|opt|srv|mnt|tmp|proc|home|root|secrets|vault|data|dev|host|lib|snap)(?:/[A-Za-z0-9._@:+-]*)*
        | [A-Za-z][A-Za-z0-9+.-]*://\S*
        )?$"#,
    )
});

/// A number, a duration, a quantity, a date.
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)^[+-]?[0-9][0-9.,_]*(?:[a-zA-Z%]{1,3}(?:[0-9.]+[a-z]{1,2})*)?$"));

/// A longer one is rather a key in hexadecimal.
const LONGEST_NUMBER: usize = 20;

fn is_number(value: &[u8]) -> bool {
    value.len() <= LONGEST_NUMBER && NUMBER.is_match(value)
}

/// `namespace/name` of an object.
static OBJECT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9][a-z0-9.-]{0,251}$"));

/// Whether a value cannot be a secret of this kind. Only the first bytes of a long one are looked at.
pub fn harmless(value: &[u8], secret: Secret) -> bool {
    let value = value.trim_ascii();
    if value.len() > 300 {
        return value.starts_with(b"http://") || value.starts_with(b"https://");
    }
    if HARMLESS.is_match(value) {
        return true;
    }
    match secret {
        Secret::Password => false,
        Secret::Other => is_number(value) || OBJECT.is_match(value),
        Secret::Token | Secret::Key | Secret::Cookie | Secret::Authorization => is_number(value),
        Secret::PerhapsKey => value.len() < 8 || !looks_secret(value),
        Secret::Signature => value.len() < 16 || !looks_secret(value),
    }
}

/// Whether a word looks rather like a secret than like one of a sentence.
pub fn looks_secret(word: &[u8]) -> bool {
    let word = word.trim_ascii();
    if word.len() < 6 || word.ends_with(b":") || is_number(word) {
        return false;
    }
    let digits = word.iter().any(u8::is_ascii_digit);
    let letters = word.iter().any(u8::is_ascii_alphabetic);
    let symbols = word.iter().any(|b| b"!$%^&*+=~#@?".contains(b));
    // A capital behind the first letter, with small ones: no name of a Go function (`NewToken`) is that long.
    let inner = word.iter().skip(1).filter(|b| b.is_ascii_uppercase()).count();
    let mixed = inner >= 2 && word.iter().any(u8::is_ascii_lowercase) && word.len() >= 12;
    (digits && letters) || symbols || mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, until: Until) -> &str {
        match end(text.as_bytes(), 0, until) {
            End::At(at) => &text[..at],
            End::Beyond => text,
        }
    }

    #[test]
    fn quotes_end_at_their_own_depth() {
        assert_eq!(cut(r#"a\"b\\","x""#, Until::Quote(b'"', 0)), r#"a\"b\\"#);
        assert_eq!(cut(r#"a\\\"b\",\"x\""#, Until::Quote(b'"', 1)), r#"a\\\"b"#);
        assert_eq!(cut(r#"a\\\",\\\"x"#, Until::Quote(b'"', 3)), "a");
        assert_eq!(cut("a\r\nb\"", Until::Quote(b'"', 0)), "a");
    }

    #[test]
    fn words_end_where_the_next_begins() {
        assert_eq!(cut(r"a\u0026b=c", Until::Word), "a");
        assert_eq!(cut(r"a\nb=c", Until::Word), "a");
        assert_eq!(cut(r"a\\b c", Until::Word), r"a\\b");
        assert_eq!(trim(b"abc),", 0, 5), 3);
        assert_eq!(trim(b"abc,user=x", 0, 10), 3);
    }

    #[test]
    fn sentences_are_told_from_secrets() {
        for word in ["hunter2x", "abcdef.0123456789abcdef", "p@ssword", "dXNlcjpwYXNzd29yZA=="] {
            assert!(looks_secret(word.as_bytes()), "{word}");
        }
        for word in ["x509:", "Unauthorized", "401", "context", "rpc", "NewToken"] {
            assert!(!looks_secret(word.as_bytes()), "{word}");
        }
        for value in [
            "true",
            "$(PASSWORD)",
            "${DB_PASSWORD}",
            "/etc/kubernetes/pki/ca.key",
            "[masked]",
            "[stripped]",
            "<none>",
            "***",
            "MASKED-password-12",
        ] {
            assert!(harmless(value.as_bytes(), Secret::Password), "{value}");
        }
        assert!(!harmless(b"12345", Secret::Password));
        assert!(harmless(b"3607", Secret::Token));
        assert!(harmless(b"default/regcred", Secret::Other));
    }
}

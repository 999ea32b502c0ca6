//! Escaping, at the sink: every string of a report passes here, because every string may come from a hostile bundle.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Error, Output, State, Value, escape_formatter};

/// What a template's name says its output is.
pub fn auto_escape(name: &str) -> AutoEscape {
    if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::Custom("markdown".into()) }
}

/// The formatter of both templates: makes invisible characters visible, then escapes for the sink.
pub fn formatter(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_safe() {
        return write_str(out, value.as_str().unwrap_or_default());
    }
    if value.kind() != ValueKind::String {
        return escape_formatter_for_non_strings(out, value);
    }
    let shown = visible(value.as_str().unwrap_or_default());
    match state.auto_escape() {
        AutoEscape::Custom(sink) if sink == "markdown" => write_str(out, &markdown(&shown)),
        _ => escape_formatter(out, state, &Value::from(shown)),
    }
}

/// Numbers and booleans hold nothing to escape; lists and maps never reach a template's output, and would be shown
/// in a form that nobody escaped.
fn escape_formatter_for_non_strings(out: &mut Output, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        ValueKind::Number | ValueKind::Bool => write_str(out, &value.to_string()),
        kind => Err(Error::new(
            minijinja::ErrorKind::InvalidOperation,
            format!("a template prints a {kind}; print its fields instead"),
        )),
    }
}

fn write_str(out: &mut Output, text: &str) -> Result<(), Error> {
    out.write_str(text).map_err(Error::from)
}

/// The text with every character shown that a terminal, a browser or an editor would act on or hide: control
/// characters (and so ANSI sequences), bidirectional controls, zero-width characters, line and paragraph separators,
/// tags. A tab becomes a space; a line feed stays, for those who can show it.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push('\n'),
            '\t' => shown.push(' '),
            _ if hides_or_acts(c) => {
                let _ = write!(shown, "\\u{{{:X}}}", u32::from(c));
            }
            _ => shown.push(c),
        }
    }
    shown
}

fn hides_or_acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Text for Markdown prose: no markup, no HTML, no table cell's end, no link, no mention; one line.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    // GitHub makes links of bare addresses: the entity keeps them text.
    escaped.replace("://", ":&#47;/").replace("www.", "www&#46;")
}

/// Markdown code within a line: as many backticks as the text needs, no line feed, no table cell's end.
pub fn code(text: &str) -> Value {
    let shown = visible(text).replace('\n', " ").replace('|', "¦");
    let ticks = "`".repeat(longest_run(&shown, '`') + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    Value::from_safe_string(format!("{ticks}{pad}{shown}{pad}{ticks}"))
}

/// A fenced block: the fence is longer than any run of backticks in the text.
pub fn fenced(text: &str) -> Value {
    let shown = visible(text);
    let fence = "`".repeat(longest_run(&shown, '`').max(2) + 1);
    Value::from_safe_string(format!("{fence}text\n{}\n{fence}", shown.trim_end_matches('\n')))
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_or_browser_would_act_on_is_shown() {
        assert_eq!(visible("a\u{1b}[31mred"), "a\\u{1B}[31mred");
        assert_eq!(visible("user\u{202e}gpj.exe"), "user\\u{202E}gpj.exe");
        assert_eq!(visible("a\u{200b}b\u{feff}"), "a\\u{200B}b\\u{FEFF}");
        assert_eq!(visible("tab\tline\nnext\r"), "tab line\nnext\\u{D}");
        assert_eq!(visible("ключ 鍵 ✓"), "ключ 鍵 ✓");
    }

    #[test]
    fn markdown_prose_cannot_mark_up_link_or_mention() {
        let escaped = markdown("<img src=x> [a](http://evil) @all `x` | #1\n# head");
        assert_eq!(escaped, "&lt;img src=x&gt; \\[a\\](http:&#47;/evil) &#64;all \\`x\\` \\| \\#1 \\# head");
    }

    #[test]
    fn no_text_ends_its_own_fence() {
        let block = fenced("a\n```\nb ````` c");
        assert_eq!(block.as_str().unwrap_or_default(), "``````text\na\n```\nb ````` c\n``````");
        assert_eq!(code("a`b|c").as_str().unwrap_or_default(), "``a`b¦c``");
        assert_eq!(code("`").as_str().unwrap_or_default(), "`` ` ``");
    }
}

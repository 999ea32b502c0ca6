//! What `kubectl get -A -o wide` prints of a table: all of the server's columns, the namespace before them, aligned as
//! kubectl's tab writer aligns (Go's text/tabwriter with minimal width 6 and padding 3).

use std::io::{self, Write};

use serde_json::Value;

/// The narrowest that a column gets.
const MIN_WIDTH: usize = 6;
/// What is left free behind the widest cell of a column.
const PADDING: usize = 3;

/// How many rows kubectl asks for, and aligns, at a time (its `--chunk-size`).
const CHUNK: usize = 500;

/// The lines of a table that are not printed yet. They are printed 500 rows at a time, as kubectl does: a column is as
/// wide as the widest cell seen so far, so that what a long list prints first may be narrower than what it prints last.
#[derive(Debug, Default)]
pub struct TextTable {
    text: String,
    /// Where each cell ends in `text`.
    cells: Vec<u32>,
    /// Where each line ends in `cells`.
    lines: Vec<u32>,
    rows: usize,
    /// The widest that each column was, remembered from one chunk to the next.
    widest: Vec<usize>,
}

impl TextTable {
    /// Adds the line of column names, in capitals.
    pub fn header<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.cell(&name.to_uppercase());
        }
        self.end_line();
    }

    /// Adds a row of the server's cells behind a namespace, if there is one.
    pub fn row(&mut self, namespace: Option<&str>, cells: &[Value]) {
        if let Some(namespace) = namespace {
            self.cell(namespace);
        }
        for cell in cells {
            let text = printed(cell);
            self.cell(&text);
        }
        self.end_line();
        self.rows += 1;
    }

    /// Whether there is anything to print; kubectl prints no header without rows.
    pub fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Whether a chunk is complete, so that it must be printed before the next row.
    pub fn is_full(&self) -> bool {
        self.rows >= CHUNK
    }

    /// Prints the lines that are there, and forgets them.
    pub fn print(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let widest = std::mem::take(&mut self.widest);
        let mut printer = Printer { table: self, widths: Vec::new(), widest, out };
        printer.block(0, printer.table.lines.len())?;
        self.widest = printer.widest;
        self.text.clear();
        self.cells.clear();
        self.lines.clear();
        self.rows = 0;
        Ok(())
    }

    /// A tabulator in a text ends a cell for the tab writer, as it does for kubectl.
    fn cell(&mut self, text: &str) {
        for part in text.split('\t') {
            self.text.push_str(part);
            self.cells.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        }
    }

    fn end_line(&mut self) {
        self.lines.push(u32::try_from(self.cells.len()).unwrap_or(u32::MAX));
    }

    /// The range of a line's cells.
    fn line(&self, line: usize) -> std::ops::Range<usize> {
        let end = |line: usize| self.lines.get(line).map_or(0, |&end| end as usize);
        line.checked_sub(1).map_or(0, end)..end(line)
    }

    fn text_of(&self, cell: usize) -> &str {
        let end = |cell: usize| self.cells.get(cell).map_or(0, |&end| end as usize);
        self.text.get(cell.checked_sub(1).map_or(0, end)..end(cell)).unwrap_or_default()
    }
}

/// text/tabwriter's rule: a column is a run of lines that have a cell there which is not their last one, and is as wide
/// as its widest cell.
struct Printer<'a> {
    table: &'a TextTable,
    widths: Vec<usize>,
    widest: Vec<usize>,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn block(&mut self, mut from: usize, to: usize) -> io::Result<()> {
        let column = self.widths.len();
        let mut line = from;
        while line < to {
            if !self.has_column(line, column) {
                line += 1;
                continue;
            }
            self.lines(from, line)?;
            from = line;
            let mut width = MIN_WIDTH;
            while line < to && self.has_column(line, column) {
                let cell = self.table.line(line).start + column;
                width = width.max(self.table.text_of(cell).chars().count() + PADDING);
                line += 1;
            }
            match self.widest.get_mut(column) {
                Some(widest) => {
                    *widest = width.max(*widest);
                    width = *widest;
                }
                None => self.widest.push(width),
            }
            self.widths.push(width);
            self.block(from, line)?;
            self.widths.pop();
            from = line;
        }
        self.lines(from, to)
    }

    fn has_column(&self, line: usize, column: usize) -> bool {
        column + 1 < self.table.line(line).len()
    }

    fn lines(&mut self, from: usize, to: usize) -> io::Result<()> {
        for line in from..to {
            for (column, cell) in self.table.line(line).enumerate() {
                let text = self.table.text_of(cell);
                self.out.write_all(text.as_bytes())?;
                if let Some(width) = self.widths.get(column) {
                    let pad = width.saturating_sub(text.chars().count());
                    write!(self.out, "{:pad$}", "")?;
                }
            }
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// A cell as kubectl prints it: up to the first line break, without terminal escapes.
fn printed(cell: &Value) -> String {
    let Value::String(text) = cell else {
        return go_format(cell, true);
    };
    let (line, more) = match text.find(['\n', '\r', '\u{c}']) {
        Some(end) => (text.get(..end).unwrap_or_default(), "..."),
        None => (text.as_str(), ""),
    };
    line.replace('\u{1b}', "^[") + more
}

/// Go's `%v` of what JSON decodes to; nothing for a cell that is null.
fn go_format(value: &Value, is_cell: bool) -> String {
    match value {
        Value::Null if is_cell => String::new(),
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(|element| go_format(element, false)).collect();
            format!("[{}]", elements.join(" "))
        }
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}:{}", go_format(value, false))).collect();
            format!("map[{}]", members.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn print(namespaced: bool, names: &[&str], rows: &[&[Value]]) -> String {
        let mut table = TextTable::default();
        let namespace = namespaced.then_some("default");
        table.header(namespaced.then_some("namespace").into_iter().chain(names.iter().copied()));
        for row in rows {
            table.row(namespace, row);
        }
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_three() {
        let text = print(
            true,
            &["Name", "Age", "Ip"],
            &[&[json!("a-long-pod-name"), json!("5d"), json!("<none>")], &[json!("é"), json!(3), Value::Null]],
        );
        assert_eq!(
            text,
            "NAMESPACE   NAME              AGE   IP\ndefault     a-long-pod-name   5d    <none>\ndefault     é                 3     \n"
        );
    }

    #[test]
    fn a_column_keeps_the_width_that_it_once_had() {
        let mut table = TextTable::default();
        let mut out = Vec::new();
        table.header(["name", "ip"]);
        for name in ["short", "quite-a-long-name", "short"] {
            table.row(None, &[json!(name), json!("x")]);
            table.print(&mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NAME    IP\nshort   x\nquite-a-long-name   x\nshort               x\n");
    }

    #[test]
    fn a_text_ends_at_its_first_line_break() {
        let text = print(
            false,
            &["Name", "Message"],
            &[&[json!("e"), json!("one\ntwo")], &[json!("f"), json!("\u{1b}[31mred")]],
        );
        assert_eq!(text, "NAME   MESSAGE\ne      one...\nf      ^[[31mred\n");
    }

    #[test]
    fn a_tabulator_makes_a_column_of_its_own_for_its_lines() {
        // Compared with Go's text/tabwriter (minwidth 6, padding 3): the column of "b" is one line long.
        let text = print(false, &["Name", "Message"], &[&[json!("x"), json!("plain")], &[json!("y"), json!("b\tc")]]);
        assert_eq!(text, "NAME   MESSAGE\nx      plain\ny      b     c\n");
    }

    #[test]
    fn what_is_no_text_is_printed_as_go_does() {
        assert_eq!(printed(&json!(["a", 1, null])), "[a 1 <nil>]");
        assert_eq!(printed(&json!({"b": true})), "map[b:true]");
    }
}

//! What `kubectl get -A -o wide` prints of a table: all of the server's columns, the namespace before them, aligned as
//! kubectl aligns.
//!
//! Aligned by text/tabwriter's rule with minimal width 6 and padding 3, but in parts: kubectl asks for 500 rows at a time
//! and widens each such chunk's columns beforehand to the longest of its cells (measured in bytes and before a cell is
//! cut at a line break); it prints 100 rows at a time and remembers how wide a column once was. All of it shows in the
//! output, and so it does here (cli-runtime v0.37, printTable, and github.com/liggitt/tabwriter; a test compares with
//! kubectl itself).

use std::io::{self, Write};

use serde_json::Value;

/// The narrowest that a column gets.
const MIN_WIDTH: usize = 6;
/// What is left free behind the widest cell of a column.
const PADDING: usize = 3;
/// How many rows kubectl asks for, and widens, at a time (its `--chunk-size`).
const CHUNK: usize = 500;
/// How many rows it prints at a time.
const FLUSH: usize = 100;

/// The rows of a table that are not printed yet, at most 500.
#[derive(Debug, Default)]
pub struct TextTable {
    /// The names of the columns, until they are printed.
    header: Option<Vec<Cell>>,
    rows: Vec<Vec<Cell>>,
    /// The widest that each column was, remembered from one print to the next.
    widest: Vec<usize>,
}

/// A cell's text, and how many bytes it was before it was cut and escaped.
#[derive(Debug, Clone)]
struct Cell {
    text: String,
    bytes: usize,
}

impl TextTable {
    /// Sets the names of the columns, which are printed in capitals.
    pub fn header<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let cell = |name: &str| Cell { text: name.to_uppercase(), bytes: name.len() };
        self.header = Some(names.into_iter().map(cell).collect());
    }

    /// Adds a row of the server's cells behind a namespace, if there is one.
    pub fn row(&mut self, namespace: Option<&str>, cells: &[Value]) {
        let namespace = namespace.map(|namespace| Cell { text: namespace.to_owned(), bytes: namespace.len() });
        self.rows.push(namespace.into_iter().chain(cells.iter().map(Cell::of)).collect());
    }

    /// Whether a chunk is complete, so that it must be printed before the next row.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= CHUNK
    }

    /// Prints the rows that are there, and forgets them. Without rows nothing is printed, nor is a header.
    pub fn print(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let longest = longest(&self.rows);
        let header = self.header.take();
        let mut lines: Vec<Vec<Cell>> = Vec::with_capacity(self.rows.len() + 1);
        let header_lines = usize::from(header.is_some());
        lines.extend(header);
        lines.append(&mut self.rows);
        if let Some(first) = lines.first_mut() {
            widen(first, &longest);
        }
        let mut rest = lines.as_slice();
        let mut at_once = FLUSH + header_lines;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(at_once.min(rest.len()));
            let widest = std::mem::take(&mut self.widest);
            let mut printer =
                Printer { lines: part.iter().map(|line| split(line)).collect(), widths: Vec::new(), widest, out };
            printer.block(0, part.len())?;
            self.widest = printer.widest;
            (rest, at_once) = (behind, FLUSH);
        }
        Ok(())
    }
}

/// The bytes of the longest cell of each column.
fn longest(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let of_column =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.bytes).max().unwrap_or(0);
    (0..columns).map(of_column).collect()
}

/// Fills the first line up with spaces, so that its columns are as wide as those of the whole chunk will be.
fn widen(first: &mut [Cell], longest: &[usize]) {
    let last = first.len().saturating_sub(1);
    for (cell, longest) in first.iter_mut().zip(longest).take(last) {
        let pad = longest.saturating_sub(cell.bytes);
        cell.text.push_str(&" ".repeat(pad));
    }
}

/// A tabulator in a text ends a cell for the tab writer.
fn split(line: &[Cell]) -> Vec<&str> {
    line.iter().flat_map(|cell| cell.text.split(['\t', '\u{b}'])).collect()
}

/// text/tabwriter's rule: a column is a run of lines that have a cell there which is not their last one, and is as wide
/// as its widest cell.
struct Printer<'a> {
    lines: Vec<Vec<&'a str>>,
    widths: Vec<usize>,
    widest: Vec<usize>,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn block(&mut self, mut from: usize, to: usize) -> io::Result<()> {
        let column = self.widths.len();
        let mut line = from;
        while line < to {
            if self.cell(line, column).is_none() {
                line += 1;
                continue;
            }
            self.print(from, line)?;
            from = line;
            let mut width = MIN_WIDTH;
            while line < to
                && let Some(cell) = self.cell(line, column)
            {
                width = width.max(cell.chars().count() + PADDING);
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
        self.print(from, to)
    }

    /// A line's cell in a column, unless it is its last.
    fn cell(&self, line: usize, column: usize) -> Option<&str> {
        let (_, cells) = self.lines.get(line)?.split_last()?;
        cells.get(column).copied()
    }

    fn print(&mut self, from: usize, to: usize) -> io::Result<()> {
        for line in self.lines.get(from..to).unwrap_or_default() {
            for (column, text) in line.iter().enumerate() {
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

impl Cell {
    fn of(value: &Value) -> Cell {
        let bytes = match value {
            Value::String(text) => text.len(),
            other => go_format(other, true).len(),
        };
        Cell { text: printed(value), bytes }
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
        // What was cut off still counts for the width of a column that is not the last.
        let text = print(false, &["Message", "Name"], &[&[json!("one\ntwo three"), json!("e")]]);
        assert_eq!(text, "MESSAGE         NAME\none...          e\n");
    }

    #[test]
    fn a_tabulator_makes_a_column_of_its_own_for_its_lines() {
        // The column of "b" is one line long, and "b\tc", three bytes, made no column wider.
        let text = print(false, &["Name", "Message"], &[&[json!("x"), json!("plain")], &[json!("y"), json!("b\tc")]]);
        assert_eq!(text, "NAME   MESSAGE\nx      plain\ny      b     c\n");
    }

    #[test]
    fn what_is_no_text_is_printed_as_go_does() {
        assert_eq!(printed(&json!(["a", 1, null])), "[a 1 <nil>]");
        assert_eq!(printed(&json!({"b": true})), "map[b:true]");
    }
}

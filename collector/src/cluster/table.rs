//! The server's table of a list on its way into the bundle, and the text that kubectl makes of it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use bundle::{ItemDraft, ItemEnd, ItemStatus, Source, WriteError, layout};
use jiff::Timestamp;
use serde_json::Value;

use super::discovery::Served;
use super::failure::Failure;
use super::json::cursor::{Cursor, string_at};
use super::kubectl_text::TextTable;
use super::list::Outcome;
use super::resource::Resource;
use crate::plan::PlanLine;
use crate::run::{Item, Run};

/// Writes the table of one list.
pub struct Table<'a> {
    resource: &'static Resource,
    line: &'a PlanLine,
    served: &'a Served,
    started: Timestamp,
    path: String,
    item: Option<Item>,
    failure: Option<Failure>,
    resource_version: Option<String>,
    columns: Option<Box<[u8]>>,
    opened: bool,
    rows: u64,
    /// The cells that are not printed yet, where kubectl's text is wanted.
    text: Option<TextTable>,
    text_item: Option<Item>,
    namespaces: Namespaces,
}

impl<'a> Table<'a> {
    /// The table of a resource, of which nothing is known yet.
    pub fn new(resource: &'static Resource, line: &'a PlanLine, served: &'a Served) -> Table<'a> {
        Table {
            resource,
            line,
            served,
            started: Timestamp::now(),
            path: String::new(),
            item: None,
            failure: None,
            resource_version: None,
            columns: None,
            opened: false,
            rows: 0,
            text: resource.text.map(|_| TextTable::default()),
            text_item: None,
            namespaces: Namespaces::default(),
        }
    }

    /// Takes note of the namespace of the next object, which rows without objects do not tell.
    pub fn note_object(&mut self, object: &[u8]) {
        if self.text.is_some() && self.served.namespaced {
            self.namespaces.push(string_at(object, &["metadata", "namespace"]).unwrap_or_default());
        }
    }

    /// Whether it is of no use to ask for more of it.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// It cannot be had, or not all of it.
    pub fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// An answer has begun.
    pub fn begin(&mut self, run: &Run, path: &str) -> Result<(), Failure> {
        if self.item.is_none() {
            self.path = path.to_owned();
            self.started = Timestamp::now();
            let item = run.begin(self.draft(), layout::table(&self.served.group, &self.resource.file()));
            self.item = Some(item.map_err(|error| Failure::writing(&error))?);
            if let (Some(draft), Some(file)) = (self.text_draft(), self.resource.text) {
                let item = run.begin(draft, layout::kubectl(file));
                self.text_item = Some(item.map_err(|error| Failure::writing(&error))?);
            }
        }
        Ok(())
    }

    /// Takes note of a field beside the rows.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Failure> {
        match name {
            b"kind" if value != b"\"Table\"" => {
                let kind = String::from_utf8_lossy(value).into_owned();
                return Err(Failure::new(
                    ItemStatus::Unsupported,
                    format!("the server answered with {kind} instead of a table"),
                ));
            }
            b"metadata" if self.resource_version.is_none() => {
                self.resource_version =
                    string_at(value, &["resourceVersion"]).map(|version| String::from_utf8_lossy(version).into_owned());
            }
            b"columnDefinitions" if self.columns.is_none() && value != b"null" => {
                /// What the header is made of.
                #[derive(serde::Deserialize)]
                struct Column {
                    name: String,
                }
                let columns = serde_json::from_slice::<Vec<Column>>(value);
                let columns = columns.map_err(|error| {
                    Failure::new(ItemStatus::Error, format!("the table's columns cannot be read: {error}"))
                })?;
                if let Some(text) = &mut self.text {
                    let namespace = self.served.namespaced.then_some("namespace");
                    text.header(namespace.into_iter().chain(columns.iter().map(|column| column.name.as_str())));
                }
                self.columns = Some(value.into());
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes a row without its object.
    pub fn row(&mut self, row: &[u8]) -> io::Result<()> {
        self.open()?;
        let Some(item) = &mut self.item else { return Ok(()) };
        item.write_all(if self.rows > 0 { b",\n" } else { b"\n" })?;
        let place = self.rows;
        self.rows += 1;
        let Some(parts) = item.run().stripping(|| parts(row)) else {
            return item.write_all(b"null");
        };
        item.write_all(&parts.without_object)?;
        if let Some(text) = &mut self.text {
            let cells: Vec<Value> = serde_json::from_slice(parts.cells).unwrap_or_default();
            let told = parts.object.and_then(|object| string_at(object, &["metadata", "namespace"]));
            let told = told.map(String::from_utf8_lossy);
            let namespace = told.as_deref().or_else(|| self.namespaces.get(place)).unwrap_or_default();
            text.row(self.served.namespaced.then_some(namespace), &cells);
            if text.is_full() {
                self.print()?;
            }
        }
        Ok(())
    }

    /// Ends the table and prints its text. `objects` is how many objects the list had.
    pub fn end(mut self, run: &Run, outcome: &Outcome, objects: u64) -> Result<(), WriteError> {
        if self.failure.is_none()
            && let Outcome::Failed(failure) = outcome
        {
            self.failure = Some(failure.clone());
        }
        let mut end = match &self.failure {
            Some(failure) => failure.end(),
            None => ItemEnd::new(ItemStatus::Ok),
        };
        if self.failure.is_none() && self.rows != objects {
            end.reason =
                Some(format!("it is of another moment than the objects: {} rows, {objects} objects", self.rows));
        }
        if self.item.is_none() {
            for draft in [Some(self.draft()), self.text_draft()].into_iter().flatten() {
                run.record(draft, end.clone(), self.started);
            }
            return Ok(());
        }
        self.print()?;
        if let Some(item) = self.text_item.take() {
            item.end(end.clone())?;
        }
        self.open()?;
        let Some(mut item) = self.item.take() else { return Ok(()) };
        item.write_all(if self.rows > 0 { b"\n]}\n" } else { b"]}\n" })?;
        item.end(end)
    }

    fn print(&mut self) -> io::Result<()> {
        match (&mut self.text, &mut self.text_item) {
            (Some(text), Some(item)) => {
                let mut out = io::BufWriter::new(item);
                text.print(&mut out)?;
                out.flush()
            }
            _ => Ok(()),
        }
    }

    fn text_draft(&self) -> Option<ItemDraft> {
        self.text.as_ref().map(|_| ItemDraft {
            id: format!("kubectl.{}", self.resource.id),
            source: Source::Computed(layout::table(&self.served.group, &self.resource.file())),
            ..self.draft()
        })
    }

    fn open(&mut self) -> io::Result<()> {
        let (Some(item), false) = (&mut self.item, self.opened) else { return Ok(()) };
        self.opened = true;
        let metadata = match &self.resource_version {
            Some(version) => serde_json::json!({ "resourceVersion": version }).to_string(),
            None => "{}".to_owned(),
        };
        write!(
            item,
            "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata},\"columnDefinitions\":"
        )?;
        item.write_all(self.columns.as_deref().unwrap_or(b"[]"))?;
        item.write_all(b",\"rows\":[")
    }

    fn draft(&self) -> ItemDraft {
        ItemDraft {
            id: format!("table.{}", self.resource.id),
            scope: self.line.scope.clone(),
            source: Source::Request(self.path.clone()),
            plan: self.line.id.clone(),
        }
    }
}

/// A row, taken apart.
struct Parts<'r> {
    cells: &'r [u8],
    object: Option<&'r [u8]>,
    without_object: Vec<u8>,
}

fn parts(row: &[u8]) -> Option<Parts<'_>> {
    let mut cursor = Cursor::new(row);
    let mut parts = Parts { cells: b"[]", object: None, without_object: b"{".to_vec() };
    cursor.open(b'{').ok()?;
    let mut first = true;
    while let Some(member) = cursor.member(first).ok()? {
        first = false;
        let start = cursor.at();
        cursor.skip().ok()?;
        let value = row.get(start..cursor.at())?;
        match member.key {
            b"object" if value.starts_with(b"{") => parts.object = Some(value),
            b"object" => {}
            key => {
                if key == b"cells" {
                    parts.cells = value;
                }
                if parts.without_object.len() > 1 {
                    parts.without_object.push(b',');
                }
                parts.without_object.extend_from_slice(row.get(member.start..cursor.at())?);
            }
        }
    }
    parts.without_object.push(b'}');
    std::str::from_utf8(row).ok().map(|_| parts)
}

/// The namespaces of the objects, in their order: four bytes an object.
#[derive(Debug, Default)]
struct Namespaces {
    names: Vec<String>,
    index: BTreeMap<String, u32>,
    of_objects: Vec<u32>,
}

impl Namespaces {
    fn push(&mut self, namespace: &[u8]) {
        let namespace = String::from_utf8_lossy(namespace);
        let index = match self.index.get(namespace.as_ref()) {
            Some(&index) => index,
            None => {
                let index = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.names.push(namespace.clone().into_owned());
                self.index.insert(namespace.into_owned(), index);
                index
            }
        };
        self.of_objects.push(index);
    }

    fn get(&self, object: u64) -> Option<&str> {
        let index = *self.of_objects.get(usize::try_from(object).ok()?)?;
        self.names.get(index as usize).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_row_loses_its_object_and_nothing_else() {
        let row =
            br#"{"cells":["web-0",1],"conditions":[{"type":"Completed"}],"object":{"metadata":{"namespace":"demo"}}}"#;
        let parts = parts(row).unwrap();
        assert_eq!(parts.without_object, br#"{"cells":["web-0",1],"conditions":[{"type":"Completed"}]}"#);
        assert_eq!(parts.cells, br#"["web-0",1]"#);
        assert_eq!(string_at(parts.object.unwrap(), &["metadata", "namespace"]), Some(b"demo".as_slice()));
    }

    #[test]
    fn a_row_without_an_object_and_one_that_is_broken() {
        assert_eq!(parts(br#"{"object":null,"cells":[]}"#).unwrap().without_object, b"{\"cells\":[]}");
        assert!(parts(b"{\"cells\":[").is_none());
    }

    #[test]
    fn namespaces_are_kept_in_order() {
        let mut namespaces = Namespaces::default();
        for name in ["a", "b", "a"] {
            namespaces.push(name.as_bytes());
        }
        assert_eq!(
            [namespaces.get(0), namespaces.get(1), namespaces.get(2), namespaces.get(3)],
            [Some("a"), Some("b"), Some("a"), None]
        );
    }
}

//! The objects of a list on their way into the bundle, one a line, inside an envelope of our own that is the same
//! whether the server sent one page or many.

use std::io::{self, Write as _};

use bundle::{ItemEnd, ItemStatus, WriteError};
use serde::Deserialize;

use super::discovery::Served;
use super::list::Outcome;
use super::strip::{Profile, Stripper};
use crate::run::Item;

/// Writes the objects of one list.
pub struct Objects {
    item: Item,
    stripper: Stripper,
    kind: Option<String>,
    api_version: String,
    metadata: ListMetadata,
    opened: bool,
    /// Whether the metadata were known when the envelope was opened; custom resources have them behind the items.
    metadata_written: bool,
    count: u64,
    /// How many of them are of the page that is being read.
    of_page: u64,
    /// How many at the front of the page are there already, because it is read for the second time.
    to_skip: u64,
    unreadable: u64,
    too_long: u64,
    bytes_dropped: u64,
}

/// What is asked of a list's metadata.
#[derive(Debug, Default, Deserialize)]
struct ListMetadata {
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continue_with: Option<String>,
}

impl Objects {
    /// Begins the objects of a resource.
    pub fn new(item: Item, profile: Profile, served: &Served) -> Objects {
        let api_version = match served.group.as_str() {
            "" => served.version.clone(),
            group => format!("{group}/{}", served.version),
        };
        Objects {
            item,
            stripper: Stripper::new(profile),
            kind: served.kind.as_ref().map(|kind| format!("{kind}List")),
            api_version,
            metadata: ListMetadata::default(),
            opened: false,
            metadata_written: false,
            count: 0,
            of_page: 0,
            to_skip: 0,
            unreadable: 0,
            too_long: 0,
            bytes_dropped: 0,
        }
    }

    /// How many objects were written.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The version of the list, once the server told it; `0` and nothing promise nothing.
    pub fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref().filter(|version| !matches!(*version, "" | "0"))
    }

    /// A further page begins.
    pub fn begin_page(&mut self) {
        self.of_page = 0;
        self.to_skip = 0;
    }

    /// The page that is being read will be read again from its beginning.
    pub fn skip_what_is_there(&mut self) {
        self.to_skip = self.of_page;
        self.of_page = 0;
    }

    /// The token of the next page, where the server gave one.
    pub fn take_continue(&mut self) -> Option<String> {
        self.metadata.continue_with.take().filter(|token| !token.is_empty())
    }

    /// Takes note of a field beside the items.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"metadata" => {
                let metadata = serde_json::from_slice::<ListMetadata>(value).unwrap_or_default();
                self.metadata.continue_with = metadata.continue_with;
                // The version of the first page is that of the list.
                if self.metadata.resource_version.is_none() {
                    self.metadata.resource_version = metadata.resource_version;
                }
            }
            b"kind" if self.kind.is_none() => self.kind = serde_json::from_slice(value).ok(),
            _ => {}
        }
    }

    /// Strips and writes an object, and gives it back as it was written; nothing where it was there already or cannot
    /// be read, in which case `null` takes its place.
    pub fn push(&mut self, object: &[u8]) -> io::Result<Option<&[u8]>> {
        if !self.next_place()? {
            return Ok(None);
        }
        let (item, stripper) = (&mut self.item, &mut self.stripper);
        let Ok(stripped) = item.run().stripping(|| stripper.strip(object)) else {
            self.unreadable += 1;
            self.bytes_dropped += object.len() as u64;
            self.item.write_all(b"null")?;
            return Ok(None);
        };
        self.item.write_all(stripped)?;
        Ok(Some(stripped))
    }

    /// Puts `null` in the place of an object that could not be held.
    pub fn push_too_long(&mut self, bytes: u64) -> io::Result<()> {
        if self.next_place()? {
            self.too_long += 1;
            self.bytes_dropped += bytes;
            self.item.write_all(b"null")?;
        }
        Ok(())
    }

    /// Ends the list as it came out; `notes` are what happened on the way.
    pub fn end(mut self, outcome: &Outcome, notes: &mut Vec<String>) -> Result<(), WriteError> {
        self.open()?;
        let mut tail = if self.count > 0 { b"\n]".to_vec() } else { b"]".to_vec() };
        if !self.metadata_written {
            tail.extend_from_slice(format!(",\"metadata\":{}", self.metadata_text()).as_bytes());
        }
        tail.extend_from_slice(b"}\n");
        self.item.write_all(&tail)?;
        if self.unreadable > 0 {
            notes.push(format!("{} of its objects could not be read and are null", self.unreadable));
        }
        if self.too_long > 0 {
            notes.push(format!("{} of its objects are too long to be held and are null", self.too_long));
        }
        let mut end = match outcome {
            Outcome::Whole if self.bytes_dropped > 0 => ItemEnd::new(ItemStatus::Truncated),
            Outcome::Whole => ItemEnd::new(ItemStatus::Ok),
            Outcome::Failed(failure) => {
                notes.insert(0, format!("only its first {} objects: {}", self.count, failure.reason));
                failure.end()
            }
        };
        end.reason = (!notes.is_empty()).then(|| notes.join("; "));
        end.bytes_dropped = self.bytes_dropped;
        self.item.end(end)
    }

    /// Opens the place of the next object; false where it is there already.
    fn next_place(&mut self) -> io::Result<bool> {
        self.of_page += 1;
        if self.of_page <= self.to_skip {
            return Ok(false);
        }
        self.open()?;
        self.item.write_all(if self.count > 0 { b",\n" } else { b"\n" })?;
        self.count += 1;
        Ok(true)
    }

    fn open(&mut self) -> io::Result<()> {
        if self.opened {
            return Ok(());
        }
        self.opened = true;
        let mut head = String::from("{");
        if let Some(kind) = &self.kind {
            head.push_str(&format!("\"kind\":{},", serde_json::json!(kind)));
        }
        head.push_str(&format!("\"apiVersion\":{},", serde_json::json!(self.api_version)));
        if self.metadata.resource_version.is_some() {
            self.metadata_written = true;
            head.push_str(&format!("\"metadata\":{},", self.metadata_text()));
        }
        head.push_str("\"items\":[");
        self.item.write_all(head.as_bytes())
    }

    fn metadata_text(&self) -> String {
        match &self.metadata.resource_version {
            Some(version) => serde_json::json!({ "resourceVersion": version }).to_string(),
            None => "{}".to_owned(),
        }
    }
}

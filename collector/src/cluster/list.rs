//! One list: counted, fetched in the shape that costs the server least, taken apart, stripped, written.
//!
//! The objects and the server's table are asked for in two requests, the table without objects and at the very
//! resourceVersion of the objects, so that its row N belongs to item N. One Table request with `includeObject=Object`
//! would give both, and was measured against this (kube-apiserver 1.34.4, 10,000 pods, 99.7 MB, three rounds):
//!
//! | | wall s | CPU s of the server | its memory grew by | first byte after |
//! |---|---|---|---|---|
//! | one request, objects in the table | 2.0–2.7 | 1.4–1.7 | 130–360 MB | 1.7–2.5 s |
//! | list, then table without objects | 1.3–2.0 | 1.2–1.7 | 0–20 MB | 0.05–0.17 s |
//!
//! The server streams a list object by object (since 1.33) but marshals a table whole, so the second is faster, and
//! above all gentler: a support tool must not be what ends an API server that is short of memory.

use std::io;
use std::time::{Duration, Instant};

use bundle::{ItemEnd, ItemStatus, Source, layout};
use jiff::Timestamp;

use super::discovery::{Discovery, Presence, Served};
use super::failure::Failure;
use super::json::{ListError, ListReader, Part};
use super::objects::Objects;
use super::paging::{Page, Shape};
use super::request::{Ask, Requests};
use super::resource::Resource;
use super::table::Table;
use super::version::ServerVersion;
use crate::plan::PlanLine;

/// How long a list may take, its pages and its table included.
pub const TIME: Duration = Duration::from_secs(300);
/// From this many objects on a list is asked for in pages; below, the watch cache gives it whole.
pub const PAGED_FROM: u64 = 50_000;
/// How often a list that broke off in the middle is taken up again.
const RESUMES: u32 = 2;

/// The server's table and nothing in its place.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// Names without objects, for counting.
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

/// What all lists share.
pub struct Lists {
    /// Sends the requests.
    pub requests: Requests,
    /// What the server serves.
    pub discovery: Discovery,
    /// The server's version.
    pub version: Option<ServerVersion>,
}

/// What came of a list, for whoever goes on from it.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// All of it was read, or it is proved not to exist.
    Whole,
    /// Some or nothing of it was read.
    Failed(Failure),
}

impl Lists {
    /// Gathers one list; each object that is written is shown to `observe` as well. Blocks.
    pub fn gather(&self, resource: &'static Resource, line: &PlanLine, observe: &mut dyn FnMut(&[u8])) -> Outcome {
        let run = self.requests.run();
        let started = Timestamp::now();
        let (served, certain) = match self.discovery.find(resource) {
            Presence::Served(served) => (served, true),
            Presence::Unknown(served) => (served, false),
            Presence::Absent => {
                let groups: Vec<&str> = resource.groups.iter().map(|(group, _)| *group).collect();
                let reason = format!("the server serves no {} in {}", resource.name, groups.join(" or "));
                run.record(
                    run.draft(line, source(resource, None, "")),
                    ItemEnd::because(ItemStatus::Absent, reason),
                    started,
                );
                return Outcome::Whole;
            }
        };
        if resource.id == "endpoints" && self.version.is_some_and(ServerVersion::deprecates_endpoints) {
            let reason = "deprecated since Kubernetes 1.33; the EndpointSlices say the same";
            run.record(
                run.draft(line, source(resource, Some(&served), "")),
                ItemEnd::because(ItemStatus::NotRequested, reason),
                started,
            );
            return Outcome::Whole;
        }
        let deadline = Instant::now() + run.time_for(TIME);
        let list =
            List { lists: self, resource, line, url: resource.url(&served.group, &served.version), served, deadline };
        let done = list.shape().and_then(|shape| list.fetch(shape, observe));
        match done {
            Ok(outcome) => outcome,
            Err(mut failure) => {
                if failure.status == ItemStatus::Absent && certain {
                    failure.reason = format!("it was served a moment ago; {}", failure.reason);
                }
                run.record(run.draft(line, source(resource, Some(&list.served), "")), failure.end(), started);
                Outcome::Failed(failure)
            }
        }
    }
}

struct List<'a> {
    lists: &'a Lists,
    resource: &'static Resource,
    line: &'a PlanLine,
    served: Served,
    url: String,
    deadline: Instant,
}

impl List<'_> {
    /// Asks for one object to learn whether the list may be read and how long it is.
    fn shape(&self) -> Result<Shape, Failure> {
        if self.resource.is_aggregated() {
            return Ok(Shape::Plain);
        }
        let from_cache = self.lists.version.is_some_and(ServerVersion::streams_lists_from_cache);
        match self.count() {
            Ok(count) if from_cache && count < PAGED_FROM => Ok(Shape::FromCache),
            Ok(_) => Ok(Shape::Pages),
            // Behind a broken etcd the watch cache still serves what it holds.
            Err(failure)
                if from_cache
                    && !matches!(
                        failure.status,
                        ItemStatus::Forbidden | ItemStatus::Absent | ItemStatus::NotReached
                    ) =>
            {
                Ok(Shape::FromCache)
            }
            Err(failure) => Err(failure),
        }
    }

    fn count(&self) -> Result<u64, Failure> {
        /// Enough of a PartialObjectMetadataList.
        #[derive(serde::Deserialize)]
        struct Names {
            metadata: Metadata,
        }
        #[derive(serde::Deserialize)]
        struct Metadata {
            #[serde(rename = "remainingItemCount")]
            remaining: Option<u64>,
        }
        /// One object's metadata; a server that ignores the limit shows itself by a longer answer.
        const LONGEST: u64 = 4 << 20;

        let ask = Ask::get(format!("{}?limit=1", self.url), self.deadline).accept(NAMES_ONLY);
        let body = self.lists.requests.send(&ask)?.body.read_whole(LONGEST)?;
        // What cannot be counted is taken for long.
        let names = serde_json::from_slice::<Names>(&body);
        Ok(names.map_or(PAGED_FROM, |names| names.metadata.remaining.unwrap_or(0) + 1))
    }

    /// Fetches page after page, the first page being the last where the list comes whole. An error is one before
    /// anything was written; later ones end the items that were begun.
    fn fetch(&self, shape: Shape, observe: &mut dyn FnMut(&[u8])) -> Result<Outcome, Failure> {
        let mut page = Page::first(shape);
        let mut objects: Option<Objects> = None;
        let mut table = Table::new(self.resource, self.line, &self.served);
        let mut resumes = 0;
        let mut notes = Vec::new();
        let outcome = loop {
            let read = self.objects_page(&page, &mut objects, &mut table, observe);
            let failure = match read {
                Ok(next) => {
                    let version = objects.as_ref().and_then(|objects| objects.resource_version());
                    self.table_page(&page.for_table(version), &mut table);
                    match next {
                        Some(token) => {
                            page = Page::continued(token);
                            if let Some(objects) = &mut objects {
                                objects.begin_page();
                            }
                            continue;
                        }
                        None => break Outcome::Whole,
                    }
                }
                Err(failure) => failure,
            };
            let Some(objects) = &mut objects else { return Err(failure) };
            if let (Some(410), Some(token)) = (failure.http_status, &failure.continue_with) {
                // https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
                notes.push("the server had forgotten the list's version in the middle (410); the rest is of a later one, so objects that changed meanwhile may be missing or double".to_owned());
                page = Page::continued(token.clone());
                objects.begin_page();
                continue;
            }
            let again = page.again(objects.resource_version());
            match again {
                Some(again) if failure.passing && resumes < RESUMES && failure.http_status.is_none() => {
                    resumes += 1;
                    notes.push(format!(
                        "it broke off after {} objects ({}) and was taken up again at the same version",
                        objects.count(),
                        failure.reason
                    ));
                    objects.skip_what_is_there();
                    page = again;
                }
                _ => break Outcome::Failed(failure),
            }
        };
        self.end(objects, table, &outcome, notes);
        Ok(outcome)
    }

    /// Reads one page of objects and gives the token of the next.
    fn objects_page(
        &self,
        page: &Page,
        objects: &mut Option<Objects>,
        table: &mut Table<'_>,
        observe: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<String>, Failure> {
        let path = format!("{}{}", self.url, page.query());
        let answer = self.lists.requests.send(&Ask::get(path.clone(), self.deadline))?;
        let objects = match objects {
            Some(objects) => objects,
            None => objects.insert(self.begin(&path)?),
        };
        let mut reader = ListReader::new(answer.body);
        loop {
            match reader.next_part().map_err(|error| broken(&error))? {
                Some(Part::Field(name, value)) => objects.field(name, value),
                Some(Part::Item(item)) => {
                    let written = objects.push(item).map_err(writing)?;
                    if let Some(object) = written {
                        table.note_object(object);
                        observe(object);
                    }
                }
                Some(Part::TooLong(bytes)) => objects.push_too_long(bytes).map_err(writing)?,
                None => return Ok(objects.take_continue()),
            }
        }
    }

    fn begin(&self, path: &str) -> Result<Objects, Failure> {
        let run = self.lists.requests.run();
        let draft = run.draft(self.line, Source::Request(path.to_owned()));
        let item = run.begin(draft, layout::objects(&self.served.group, &self.resource.file()));
        Ok(Objects::new(item.map_err(|error| Failure::writing(&error))?, self.resource.profile, &self.served))
    }

    /// Reads the page of the table that belongs to a page of objects. What fails here ends the table alone.
    fn table_page(&self, page: &Page, table: &mut Table<'_>) {
        if table.has_failed() {
            return;
        }
        let path = format!("{}{}", self.url, page.table_query());
        if let Err(failure) = self.read_table(&path, table) {
            table.fail(failure);
        }
    }

    fn read_table(&self, path: &str, table: &mut Table<'_>) -> Result<(), Failure> {
        let answer = self.lists.requests.send(&Ask::get(path, self.deadline).accept(TABLE))?;
        table.begin(self.lists.requests.run(), path)?;
        let mut reader = ListReader::new(answer.body);
        while let Some(part) = reader.next_part().map_err(|error| broken(&error))? {
            match part {
                Part::Field(name, value) => table.field(name, value)?,
                Part::Item(row) => table.row(row).map_err(writing)?,
                Part::TooLong(_) => {
                    return Err(Failure::new(ItemStatus::Error, "a row of the table is too long to be held"));
                }
            }
        }
        Ok(())
    }

    fn end(&self, objects: Option<Objects>, table: Table<'_>, outcome: &Outcome, mut notes: Vec<String>) {
        let run = self.lists.requests.run();
        let count = objects.as_ref().map_or(0, Objects::count);
        if let Some(objects) = objects
            && let Err(error) = objects.end(outcome, &mut notes)
        {
            run.progress().say(&format!("{}: {error}", self.line.id));
        }
        if let Err(error) = table.end(run, outcome, count) {
            run.progress().say(&format!("{}: {error}", self.line.id));
        }
    }
}

fn source(resource: &Resource, served: Option<&Served>, query: &str) -> Source {
    let url = match served {
        Some(served) => resource.url(&served.group, &served.version),
        None => resource.groups.first().map_or_else(String::new, |(group, version)| resource.url(group, version)),
    };
    Source::Request(url + query)
}

/// A list that ended early, as a failure: one of the connection may pass, a wrong answer will not.
fn broken(error: &ListError) -> Failure {
    match error {
        ListError::Read(error) => Failure::connection(error),
        ListError::Cut => Failure { passing: true, ..Failure::new(ItemStatus::Unreachable, error.to_string()) },
        ListError::Malformed(_) => Failure::new(ItemStatus::Error, error.to_string()),
    }
}

fn writing(error: io::Error) -> Failure {
    Failure::new(ItemStatus::Error, format!("it could not be written to the bundle: {error}"))
}

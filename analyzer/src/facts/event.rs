//! Events, of core/v1 and of events.k8s.io/v1. The API serves the same events under both, so they are told apart by
//! uid, and what only one of them says is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use minijinja::Value;
use serde::Deserialize;

use super::Facts;
use super::intern::Strings;
use super::json::{Seconds, Text, or_default, text_value};
use super::list::{self, Origin, Parser};
use super::metadata::Metadata;
use super::pod::Pod;
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::{Fact, Fields};
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape};

/// The evidence id that both lists continue.
pub const EVIDENCE: &str = "api.events";

/// Bytes of a message that are kept. A kubelet cuts its own at 1024.
const MESSAGE: usize = 1_024;

/// The shape of an event.
pub static SHAPE: RecordShape = RecordShape {
    name: "event",
    doc: "An event. The API server forgets events after an hour, so that absence proves nothing.",
    fields: &[
        Field::scalar("type", "`Normal` or `Warning`."),
        Field::scalar("reason", "Its reason: `FailedCreatePodSandBox`, `SandboxChanged` …"),
        Field::scalar("message", "Its message, at most 1024 bytes."),
        Field::scalar("count", "How often it happened between first and last."),
        Field::scalar("first", "When it happened first."),
        Field::scalar("last", "When it happened last."),
        Field::scalar("span", "Seconds between first and last."),
        Field::scalar("source", "Who reports it: `kubelet`, `service-controller` …"),
        Field::scalar("host", "The node that reports it, where one does."),
        Field::scalar("kind", "The kind of the object it is about."),
        Field::scalar("namespace", "The namespace of the object it is about."),
        Field::scalar("name", "The name of the object it is about."),
    ],
};

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it is in the bundle.
    pub origin: Origin,
    uid: Box<str>,
    /// `Normal` or `Warning`.
    pub kind: Arc<str>,
    /// Its reason.
    pub reason: Arc<str>,
    /// Its message.
    pub message: Arc<str>,
    /// How often it happened.
    pub count: u32,
    /// When it happened first.
    pub first: Seconds,
    /// When it happened last.
    pub last: Seconds,
    /// Who reports it.
    pub source: Arc<str>,
    /// The node that reports it; may be empty.
    pub host: Arc<str>,
    /// The kind of the object it is about.
    pub about_kind: Arc<str>,
    /// The namespace of the object it is about; may be empty.
    pub about_namespace: Arc<str>,
    /// The name of the object it is about.
    pub about_name: Arc<str>,
}

/// Kind, namespace and name of an object.
type Object = (Arc<str>, Arc<str>, Arc<str>);

/// All events, by the time of their last occurrence, with what finds them.
#[derive(Debug, Default)]
pub struct Events {
    all: Vec<Event>,
    by_object: HashMap<Object, Vec<u32>>,
    by_reason: HashMap<Arc<str>, Vec<u32>>,
}

/// Both versions in one: each field has the name that one of them gives it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct EventView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    note: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    involved_object: ObjectView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    regarding: ObjectView<'a>,
    #[serde(deserialize_with = "or_default")]
    count: u32,
    #[serde(deserialize_with = "or_default")]
    deprecated_count: u32,
    first_timestamp: Seconds,
    deprecated_first_timestamp: Seconds,
    last_timestamp: Seconds,
    deprecated_last_timestamp: Seconds,
    event_time: Seconds,
    #[serde(deserialize_with = "or_default")]
    series: SeriesView,
    #[serde(borrow, deserialize_with = "or_default")]
    source: SourceView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    deprecated_source: SourceView<'a>,
    #[serde(borrow)]
    reporting_component: Text<'a>,
    #[serde(borrow)]
    reporting_controller: Text<'a>,
    #[serde(borrow)]
    reporting_instance: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectView<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SeriesView {
    count: u32,
    last_observed_time: Seconds,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SourceView<'a> {
    #[serde(borrow)]
    component: Text<'a>,
    #[serde(borrow)]
    host: Text<'a>,
}

#[derive(Default)]
struct EventParser(Strings);

impl Parser<Event> for EventParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<Event>, serde_json::Error> {
        let view: EventView = serde_json::from_slice(object)?;
        let strings = &mut self.0;
        let about = if view.involved_object.name.is_empty() { &view.regarding } else { &view.involved_object };
        let first =
            [view.first_timestamp, view.deprecated_first_timestamp, view.event_time, view.metadata.creation_timestamp];
        let first = first.into_iter().find(|time| *time != Seconds::default()).unwrap_or_default();
        let last = [view.last_timestamp, view.deprecated_last_timestamp, view.series.last_observed_time, first];
        let mut text = |candidates: &[&Text]| {
            strings.get(candidates.iter().find(|text| !text.is_empty()).map_or("", |text| &***text))
        };
        Ok(Some(Event {
            origin,
            uid: Box::from(&*view.metadata.uid),
            kind: text(&[&view.kind]),
            reason: text(&[&view.reason]),
            count: view.count.max(view.deprecated_count).max(view.series.count).max(1),
            first,
            last: last.into_iter().max().unwrap_or_default(),
            source: text(&[
                &view.source.component,
                &view.deprecated_source.component,
                &view.reporting_component,
                &view.reporting_controller,
            ]),
            host: text(&[&view.source.host, &view.deprecated_source.host, &view.reporting_instance]),
            about_kind: text(&[&about.kind]),
            about_namespace: text(&[&about.namespace]),
            about_name: text(&[&about.name]),
            message: strings.get(clipped(if view.message.is_empty() { &view.note } else { &view.message })),
        }))
    }
}

fn clipped(text: &str) -> &str {
    let end = (0..=MESSAGE.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

impl Events {
    /// Reads both lists.
    pub(super) fn read(evidence: &Evidence) -> (Events, Vec<Unreadable>) {
        let listed = list::read(evidence, EVIDENCE, EventParser::default);
        (Events::new(listed.items), listed.unreadable)
    }

    fn new(listed: Vec<Event>) -> Events {
        let mut by_uid: HashMap<Box<str>, usize> = HashMap::new();
        let mut all: Vec<Event> = Vec::with_capacity(listed.len());
        for event in listed {
            match by_uid.get(&event.uid).and_then(|place| all.get_mut(*place)) {
                Some(known) if !event.uid.is_empty() => known.merge(&event),
                _ => {
                    by_uid.insert(event.uid.clone(), all.len());
                    all.push(event);
                }
            }
        }
        // The sort is stable, so that events of one second stay in the API's order.
        all.sort_by_key(|event| event.last);
        let mut events = Events { all, ..Events::default() };
        for (place, event) in (0..).zip(&events.all) {
            let object = (event.about_kind.clone(), event.about_namespace.clone(), event.about_name.clone());
            events.by_object.entry(object).or_default().push(place);
            events.by_reason.entry(event.reason.clone()).or_default().push(place);
        }
        events
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> &[Event] {
        &self.all
    }

    /// The events of a reason, the oldest first.
    pub fn of_reason(&self, reason: &str) -> impl Iterator<Item = (u32, &Event)> {
        let places = self.by_reason.get(reason).into_iter().flatten();
        places.filter_map(|place| Some((*place, self.all.get(*place as usize)?)))
    }

    /// The places of the events about an object.
    fn about(&self, kind: &str, namespace: &str, name: &str) -> &[u32] {
        let key = (Arc::from(kind), Arc::from(namespace), Arc::from(name));
        self.by_object.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl Event {
    fn merge(&mut self, other: &Event) {
        self.count = self.count.max(other.count);
        self.last = self.last.max(other.last);
        if self.first == Seconds::default() || (other.first != Seconds::default() && other.first < self.first) {
            self.first = other.first;
        }
    }

    /// Where it lies in the bundle, with what it says in a line.
    pub fn citation(&self) -> Citation {
        let times = if self.count > 1 { format!(" (x{})", self.count) } else { String::new() };
        let last = self.last.timestamp().map_or_else(String::new, |time| format!("{time} "));
        let text = format!(
            "{last}{}{times} {}/{}: {}",
            self.reason,
            self.about_kind.to_lowercase(),
            self.about_name,
            self.message
        );
        self.origin.cite("", &text)
    }

    fn span(&self) -> Option<i64> {
        Some(self.last.timestamp()?.duration_since(self.first.timestamp()?).as_secs())
    }
}

/// An event as a value, by its place in the list.
pub fn value(facts: &Facts, place: u32) -> Value {
    Fact::value(EventFact { facts: facts.clone(), place })
}

/// The events about an object, the oldest first. Nodes have no namespace; their events lie in `default`, and are about
/// a Node in no namespace.
pub fn values_about(facts: &Facts, kind: &str, namespace: &str, name: &str) -> Value {
    facts.events().about(kind, namespace, name).iter().map(|place| value(facts, *place)).collect()
}

/// The events about some pods, the oldest first whosever they are.
pub fn values_about_pods<'p>(facts: &Facts, pods: impl Iterator<Item = &'p Pod>) -> Value {
    let events = facts.events();
    let mut places: Vec<u32> = pods.flat_map(|pod| events.about("Pod", &pod.namespace, &pod.name)).copied().collect();
    // Events are kept in the order of their last occurrence.
    places.sort_unstable();
    places.into_iter().map(|place| value(facts, place)).collect()
}

/// Events that are warnings, by reason.
pub fn values_of_warnings(facts: &Facts) -> Value {
    let events = facts.events();
    let warnings = |reason: &Arc<str>| {
        let of_reason = events.of_reason(reason).filter(|(_, event)| &*event.kind == "Warning");
        of_reason.map(|(place, _)| value(facts, place)).collect::<Vec<Value>>()
    };
    let by_reason = events.by_reason.keys().map(|reason| (reason.to_string(), warnings(reason)));
    Value::from(by_reason.filter(|(_, events)| !events.is_empty()).collect::<BTreeMap<String, Vec<Value>>>())
}

#[derive(Debug)]
struct EventFact {
    facts: Facts,
    place: u32,
}

impl EventFact {
    fn event(&self) -> Option<&Event> {
        self.facts.events().all.get(self.place as usize)
    }
}

impl Fields for EventFact {
    fn field(&self, name: &str) -> Option<Value> {
        let event = self.event()?;
        match name {
            "type" => text_value(&event.kind),
            "reason" => Some(Value::from(event.reason.clone())),
            "message" => Some(Value::from(event.message.clone())),
            "count" => Some(Value::from(event.count)),
            "first" => event.first.value(),
            "last" => event.last.value(),
            "span" => event.span().map(Value::from),
            "source" => text_value(&event.source),
            "host" => text_value(&event.host),
            "kind" => text_value(&event.about_kind),
            "namespace" => text_value(&event.about_namespace),
            "name" => text_value(&event.about_name),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.names()
    }

    fn citation(&self) -> Option<Citation> {
        Some(self.event()?.citation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(objects: &[&str]) -> Events {
        let mut parser = EventParser::default();
        let origin = |index| Origin { path: Arc::from("events.json"), index };
        let parse = |(index, object): (u32, &&str)| parser.parse(origin(index), object.as_bytes()).unwrap();
        Events::new((0..).zip(objects).filter_map(parse).collect())
    }

    #[test]
    fn the_same_event_under_both_groups_is_one() {
        let core = r#"{"metadata":{"uid":"u1","name":"a"},"involvedObject":{"kind":"Pod","namespace":"d","name":"p"},
            "reason":"SandboxChanged","message":"m","source":{"component":"kubelet","host":"n1"},"count":4,
            "firstTimestamp":"2026-11-21T09:00:00Z","lastTimestamp":"2026-11-21T09:05:00Z","type":"Normal"}"#;
        let newer = r#"{"metadata":{"uid":"u1","name":"a"},"regarding":{"kind":"Pod","namespace":"d","name":"p"},
            "reason":"SandboxChanged","note":"m","deprecatedCount":4,"deprecatedSource":{"component":"kubelet"},
            "series":{"count":6,"lastObservedTime":"2026-11-21T09:07:00.000000Z"},"eventTime":null}"#;
        let events = parse(&[core, newer]);
        let [event] = events.all() else { panic!("{} events", events.all().len()) };
        assert_eq!((event.count, event.span()), (6, Some(420)));
        assert_eq!((&*event.source, &*event.host), ("kubelet", "n1"));
        assert_eq!(events.about("Pod", "d", "p"), [0]);
    }

    #[test]
    fn an_event_of_the_newer_group_alone() {
        let event = r#"{"metadata":{"uid":"u2","creationTimestamp":"2026-11-21T09:00:01Z"},"regarding":{"kind":"Node",
            "name":"n1"},"eventTime":"2026-11-21T09:00:00.123456Z","reportingController":"kubelet","note":"x"}"#;
        let events = parse(&[event]);
        let event = &events.all()[0];
        assert_eq!((event.count, &*event.message, &*event.source), (1, "x", "kubelet"));
        assert_eq!(event.last.value().unwrap().as_str(), Some("2026-11-21T09:00:00Z"));
    }
}

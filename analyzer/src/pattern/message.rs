//! What was found in logs, as rules see it: the root `messages`, by pattern id.

use std::sync::Arc;

use bundle::Scope;
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use super::hits::{Hit, Hits, LogHits};
use super::set::PatternSet;
use crate::citation::Citation;
use crate::fact::{Fact, Fields, Record};
use crate::facts::log::{self, LogFile};
use crate::shape::{Field, RecordShape, Shape};

/// Hits that `messages[…].hits` gives, over all logs.
const HITS: usize = 20;

/// The shape of `messages["…"]`.
pub static MESSAGE: RecordShape = RecordShape {
    name: "message",
    doc: "What a message pattern found in the logs of the subject: of a node, of a pod, or all logs of the cluster.",
    fields: &[
        Field { name: "id", shape: Shape::Scalar, doc: "The pattern's id." },
        Field { name: "count", shape: Shape::Scalar, doc: "How many lines; 0 where it was not found." },
        Field { name: "first", shape: Shape::Scalar, doc: "When it was first said, where the lines say." },
        Field { name: "last", shape: Shape::Scalar, doc: "When it was last said, where the lines say." },
        Field { name: "logs", shape: Shape::List(&Shape::Record(&IN_LOG)), doc: "The logs that say it." },
        Field { name: "hits", shape: Shape::List(&Shape::Record(&HIT)), doc: "Some of the lines, at most 20." },
    ],
};

/// The shape of one log's hits.
pub static IN_LOG: RecordShape = RecordShape {
    name: "message in a log",
    doc: "What a message pattern found in one log.",
    fields: &[
        Field { name: "log", shape: Shape::Record(&log::SHAPE), doc: "The log." },
        Field { name: "count", shape: Shape::Scalar, doc: "How many lines." },
        Field { name: "first", shape: Shape::Scalar, doc: "When it was first said, where the line says." },
        Field { name: "last", shape: Shape::Scalar, doc: "When it was last said, where the line says." },
        Field { name: "hits", shape: Shape::List(&Shape::Record(&HIT)), doc: "The first lines and the last." },
    ],
};

/// The shape of one line.
pub static HIT: RecordShape = RecordShape {
    name: "line",
    doc: "A line in which a message pattern was found.",
    fields: &[
        Field { name: "text", shape: Shape::Scalar, doc: "The line." },
        Field { name: "line", shape: Shape::Scalar, doc: "Its number in the log." },
        Field { name: "time", shape: Shape::Scalar, doc: "When it was written, where it says." },
        Field { name: "captures", shape: Shape::Map(&Shape::Scalar), doc: "The pattern's named parts." },
    ],
};

/// What was found in all logs of a bundle.
#[derive(Debug)]
pub struct MessageIndex {
    patterns: Arc<PatternSet>,
    logs: Vec<LogFile>,
    hits: Hits,
}

impl MessageIndex {
    /// What `scan` found in these logs.
    pub fn new(patterns: Arc<PatternSet>, logs: Vec<LogFile>, hits: Hits) -> MessageIndex {
        MessageIndex { patterns, logs, hits }
    }

    /// What was found.
    pub fn hits(&self) -> &Hits {
        &self.hits
    }

    /// The patterns.
    pub fn patterns(&self) -> &Arc<PatternSet> {
        &self.patterns
    }

    /// The logs in which a pattern, by its place among all, was found.
    pub fn lines_of(&self, pattern: usize) -> impl Iterator<Item = (&LogFile, &LogHits)> {
        self.of(pattern, &Whose::All)
    }

    /// The root `messages` over some of the logs.
    pub fn value(self: &Arc<Self>, whose: Whose) -> Value {
        Value::from_object(Messages { index: self.clone(), whose })
    }

    /// The hits of a pattern in the logs of somebody, by log.
    fn of(&self, pattern: usize, whose: &Whose) -> impl Iterator<Item = (&LogFile, &LogHits)> {
        self.hits
            .by_pattern
            .range((pattern, 0)..=(pattern, usize::MAX))
            .filter_map(|((_, log), hits)| Some((self.logs.get(*log)?, hits)))
            .filter(move |(log, _)| whose.has(log))
    }
}

/// Whose logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All logs.
    All,
    /// Those of a node or a pod.
    Of(Scope),
    /// The log at this path.
    Log(String),
}

impl Whose {
    fn has(&self, log: &LogFile) -> bool {
        match self {
            Whose::All => true,
            Whose::Of(scope) => log.scope() == scope,
            Whose::Log(path) => **log.path() == **path,
        }
    }
}

/// The root `messages`.
#[derive(Debug)]
struct Messages {
    index: Arc<MessageIndex>,
    whose: Whose,
}

impl Object for Messages {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let id = key.as_str()?;
        let pattern = self.index.patterns.patterns().iter().position(|pattern| pattern.id == id)?;
        Some(Fact::value(Message { of: self.clone(), pattern }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// `messages["…"]`.
#[derive(Debug)]
struct Message {
    of: Arc<Messages>,
    pattern: usize,
}

impl Message {
    fn logs(&self) -> impl Iterator<Item = (&LogFile, &LogHits)> {
        self.of.index.of(self.pattern, &self.of.whose)
    }

    fn kept(&self) -> impl Iterator<Item = (&LogFile, &Hit)> {
        self.logs().flat_map(|(log, hits)| hits.kept().map(move |hit| (log, hit)))
    }
}

impl Fields for Message {
    fn field(&self, name: &str) -> Option<Value> {
        let times = || self.kept().filter_map(|(_, hit)| hit.time);
        match name {
            "id" => self.of.index.patterns.patterns().get(self.pattern).map(|pattern| Value::from(pattern.id.as_str())),
            "count" => Some(Value::from(self.logs().map(|(_, hits)| hits.count).sum::<u64>())),
            "first" => times().min().map(|time| Value::from(time.to_string())),
            "last" => times().max().map(|time| Value::from(time.to_string())),
            "logs" => Some(self.logs().map(|(log, hits)| in_log(log, hits)).collect()),
            "hits" => Some(self.kept().take(HITS).map(|(log, hit)| line(log, hit)).collect()),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        MESSAGE.fields.iter().map(|field| field.name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        let (log, hit) = self.kept().max_by_key(|(_, hit)| hit.time)?;
        Some(Citation::line(log.path(), hit.line, &hit.text))
    }
}

fn in_log(log: &LogFile, hits: &LogHits) -> Value {
    let lines: Value = hits.kept().map(|hit| line(log, hit)).collect();
    let time = |hit: Option<&Hit>| hit.and_then(|hit| hit.time).map(|time| time.to_string());
    let cited = hits.last.as_ref().map(|hit| Citation::line(log.path(), hit.line, &hit.text));
    cited
        .map_or_else(Record::derived, Record::cited)
        .with("log", log.value())
        .with("count", hits.count)
        .with("first", time(hits.first.first()))
        .with("last", time(hits.last.as_ref()))
        .with("hits", lines)
        .into_value()
}

fn line(log: &LogFile, hit: &Hit) -> Value {
    Record::cited(Citation::line(log.path(), hit.line, &hit.text))
        .with("text", hit.text.as_str())
        .with("line", hit.line)
        .with("time", hit.time.map(|time| time.to_string()))
        .with("captures", hit.captures.clone())
        .into_value()
}

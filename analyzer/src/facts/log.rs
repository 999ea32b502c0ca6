//! The logs in a bundle: which files there are and whose they are. What they say is the message patterns' business.

use std::sync::Arc;

use bundle::{ItemRecord, Scope};
use minijinja::Value;

use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `log`.
pub static SHAPE: RecordShape = RecordShape {
    name: "log",
    doc: "A log of a container, or of a unit of a node.",
    fields: &[
        Field { name: "path", shape: Shape::Scalar, doc: "Its path in the bundle." },
        Field { name: "id", shape: Shape::Scalar, doc: "Its evidence id: `log.coredns`, `node.log.kubelet`." },
        Field { name: "component", shape: Shape::Scalar, doc: "The end of its evidence id: `coredns`, `kubelet`." },
        Field { name: "node", shape: Shape::Scalar, doc: "The node it was read on, where it is a node's." },
        Field { name: "namespace", shape: Shape::Scalar, doc: "The pod's namespace, where it is a container's." },
        Field { name: "pod", shape: Shape::Scalar, doc: "The pod's name, where it is a container's." },
        Field { name: "container", shape: Shape::Scalar, doc: "The container's name, where it is a container's." },
        Field { name: "previous", shape: Shape::Scalar, doc: "Whether it is of the container's previous run." },
        Field { name: "bytes", shape: Shape::Scalar, doc: "Its size in bytes, uncompressed." },
        Field { name: "dropped", shape: Shape::Scalar, doc: "Bytes that a cap cut out of it." },
    ],
};

/// A log: the manifest's record of it.
#[derive(Debug, Clone)]
pub struct LogFile {
    path: Arc<str>,
    record: Arc<ItemRecord>,
}

/// All logs that have content, by path.
pub(super) fn files(evidence: &Evidence) -> Vec<LogFile> {
    let items = evidence.bundle().manifest().items.iter().filter(|item| is_log(&item.id));
    let mut logs: Vec<LogFile> = items
        .filter_map(|item| Some(LogFile { path: Arc::from(item.path.as_deref()?), record: Arc::new(item.clone()) }))
        .collect();
    logs.sort_by(|a, b| a.path.cmp(&b.path));
    logs
}

fn is_log(id: &str) -> bool {
    id.starts_with("log.") || id.starts_with("node.log.")
}

impl LogFile {
    /// Its path in the bundle.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The manifest's record of it.
    pub fn record(&self) -> &ItemRecord {
        &self.record
    }

    /// Whose log it is.
    pub fn scope(&self) -> &Scope {
        &self.record.scope
    }

    /// The end of its evidence id: `coredns` of `log.coredns`.
    pub fn component(&self) -> &str {
        let id = self.record.id.as_str();
        id.strip_prefix("node.log.").or_else(|| id.strip_prefix("log.")).unwrap_or(id)
    }

    /// The root variable `log`.
    pub fn value(&self) -> Value {
        Fact::value(self.clone())
    }

    /// Namespace, pod and file name, where it lies at `logs/<namespace>/<pod>/<file>`.
    fn container_path(&self) -> Option<(&str, &str, &str)> {
        let mut parts = self.path.strip_prefix("logs/")?.split('/');
        Some((parts.next()?, parts.next()?, parts.next()?))
    }

    fn container(&self) -> Option<(&str, bool)> {
        let (_, _, file) = self.container_path()?;
        let name = file.strip_suffix(".log").unwrap_or(file);
        Some(name.strip_suffix(".previous").map_or((name, false), |container| (container, true)))
    }
}

impl Fields for LogFile {
    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "path" => Some(Value::from(self.path.clone())),
            "id" => Some(Value::from(self.record.id.as_str())),
            "component" => Some(Value::from(self.component())),
            "node" => match &self.record.scope {
                Scope::Node(node) => Some(Value::from(node.as_str())),
                _ => None,
            },
            "namespace" => self.container_path().map(|(namespace, _, _)| Value::from(namespace)),
            "pod" => self.container_path().map(|(_, pod, _)| Value::from(pod)),
            "container" => self.container().map(|(container, _)| Value::from(container)),
            "previous" => Some(Value::from(self.container().is_some_and(|(_, previous)| previous))),
            "bytes" => Some(Value::from(self.record.bytes)),
            "dropped" => Some(Value::from(self.record.bytes_dropped)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.fields.iter().map(|field| field.name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        Some(Citation::whole(&self.path, &format!("{} bytes", self.record.bytes)))
    }
}

//! Pod sandboxes of the container runtime, as `crictl pods -o json` lists them, in any state.

use std::sync::Arc;

use minijinja::Value;
use serde_json::Value as Json;

use super::{json, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The sandboxes of a node.
#[derive(Debug, Clone, Default)]
pub struct Sandboxes {
    /// Sorted by id.
    sandboxes: Vec<Sandbox>,
    /// Entries without an id.
    pub unreadable: usize,
}

/// One sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Its id, which the CNI plugins get as the container's id.
    pub id: String,
    /// `SANDBOX_READY` or `SANDBOX_NOTREADY`.
    pub state: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Its place.
    pub citation: Citation,
}

/// Reads crictl's list.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Result<Sandboxes, serde_json::Error> {
    let list: Json = serde_json::from_slice(bytes)?;
    let mut all = Sandboxes::default();
    for (index, item) in json::items(&list, "items") {
        let Some(id) = json::text(item, "id") else {
            all.unreadable += 1;
            continue;
        };
        let metadata = item.get("metadata").unwrap_or(&Json::Null);
        let field = |name: &str| json::text(metadata, name).unwrap_or_default().to_owned();
        let (namespace, name) = (field("namespace"), field("name"));
        let state = json::text(item, "state").unwrap_or_default().to_owned();
        let text = format!("{id} {state} {namespace}/{name}");
        let citation = Citation::pointer(path, format!("/items/{index}"), &text);
        all.sandboxes.push(Sandbox { id: id.to_owned(), state, namespace, name, citation });
    }
    all.sandboxes.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

impl Sandboxes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.sandboxes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty()
    }

    /// Whether there is one with this id.
    pub fn contains(&self, id: &str) -> bool {
        self.sandboxes.binary_search_by(|sandbox| sandbox.id.as_str().cmp(id)).is_ok()
    }

    /// Whether there is one whose id begins so.
    pub fn contains_prefix(&self, prefix: &str) -> bool {
        let at = self.sandboxes.partition_point(|sandbox| sandbox.id.as_str() < prefix);
        self.sandboxes.get(at).is_some_and(|sandbox| sandbox.id.starts_with(prefix))
    }

    /// The facts, as expressions see them.
    pub fn values(&self) -> Vec<Value> {
        let value = |sandbox: &Sandbox| {
            Record::cited(sandbox.citation.clone())
                .with("id", sandbox.id.as_str())
                .with("ready", sandbox.state == "SANDBOX_READY")
                .with("pod", opt(Some(format!("{}/{}", sandbox.namespace, sandbox.name))))
                .into_value()
        };
        self.sandboxes.iter().map(value).collect()
    }
}

/// The fields of a sandbox.
pub static SANDBOX: RecordShape = RecordShape {
    name: "sandbox",
    doc: "A pod sandbox that the container runtime knows, in any state.",
    fields: &[
        Field { name: "id", shape: Shape::Scalar, doc: "Its id." },
        Field { name: "ready", shape: Shape::Scalar, doc: "Whether it runs." },
        Field { name: "pod", shape: Shape::Scalar, doc: "The pod, as namespace/name." },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    /// The form of `crictl pods -o json` (runtime.v1 ListPodSandboxResponse as protojson).
    const LIST: &str = r#"{"items": [
        {"id": "bb22", "metadata": {"name": "web-1", "uid": "u", "namespace": "demo", "attempt": 0}, "state": "SANDBOX_NOTREADY", "createdAt": "1763710000000000000", "labels": {}, "annotations": {}, "runtimeHandler": ""},
        {"id": "aa11", "metadata": {"name": "web-0", "uid": "u", "namespace": "demo", "attempt": 0}, "state": "SANDBOX_READY", "createdAt": "1763710000000000000"},
        {"metadata": null}]}"#;

    #[test]
    fn ids_are_found_whole_and_by_prefix() {
        let all = parse(&"p".into(), LIST.as_bytes()).unwrap();
        assert_eq!((all.len(), all.unreadable), (2, 1));
        assert!(all.contains("aa11") && !all.contains("aa1"));
        assert!(all.contains_prefix("bb2") && !all.contains_prefix("bb3") && !all.contains_prefix("zz"));
        assert!(parse(&"p".into(), b"[").is_err());
        all.values().iter().for_each(|value| assert_shape(value, &Shape::Record(&SANDBOX)));
    }
}

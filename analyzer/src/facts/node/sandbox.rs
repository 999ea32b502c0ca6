//! Pod sandboxes: of the container runtime, as `crictl pods -o json` lists them, in any state; or, where crictl is not
//! installed, of the processes in network namespaces, whose cgroup names the sandbox of every pod that runs.

use std::sync::Arc;

use minijinja::Value;
use serde_json::Value as Json;

use super::{json, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// Who knows the sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// The container runtime: all sandboxes, also those that ended.
    Crictl,
    /// The processes there are: sandboxes that run, and of them only those whose processes run in the pod's network
    /// namespace.
    Processes,
}

impl KnownBy {
    /// The name, as expressions see it.
    pub fn name(self) -> &'static str {
        match self {
            KnownBy::Crictl => "crictl",
            KnownBy::Processes => "processes",
        }
    }
}

/// The sandboxes of a node.
#[derive(Debug, Clone)]
pub struct Sandboxes {
    /// Who knows them.
    pub known_by: KnownBy,
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
    let mut all = Sandboxes { known_by: KnownBy::Crictl, sandboxes: Vec::new(), unreadable: 0 };
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

/// Reads the collector's account of network namespaces: the sandbox of each that has processes of a container. None
/// where processes could not be read, because then a sandbox may be missing.
pub fn parse_namespaces(path: &Arc<str>, bytes: &[u8]) -> Result<Option<Sandboxes>, serde_json::Error> {
    let account: Json = serde_json::from_slice(bytes)?;
    if account.get("processes_unreadable").and_then(Json::as_u64) != Some(0) {
        return Ok(None);
    }
    let sandbox = |(index, namespace): (usize, &Json)| {
        let id = json::text(namespace, "container_id")?.to_owned();
        let citation = Citation::pointer(path, format!("/namespaces/{index}"), &namespace.to_string());
        let none = String::new();
        Some(Sandbox { id, state: "SANDBOX_READY".to_owned(), namespace: none.clone(), name: none, citation })
    };
    let mut sandboxes: Vec<Sandbox> = json::items(&account, "namespaces").filter_map(sandbox).collect();
    sandboxes.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some(Sandboxes { known_by: KnownBy::Processes, sandboxes, unreadable: 0 }))
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
        assert_eq!(all.known_by, KnownBy::Crictl);
        all.values().iter().for_each(|value| assert_shape(value, &Shape::Record(&SANDBOX)));
    }

    /// Of a node of a real cluster, shortened: a pause process, and a service with a network namespace of its own.
    const NAMESPACES: &str = r#"{"host": 4026531833, "named": [], "namespaces": [
        {"inode": 4026532863, "pids": [7241, 7643], "processes": 2, "comm": "pause", "container_id": "4015a5f21ec1d9627e44a1689eee4c9b5606e7ee83ea5d51d585fcbf86f53bb2", "pod_uid": null, "collected": true},
        {"inode": 4026532999, "pids": [811], "processes": 1, "comm": "fwupd", "container_id": null, "pod_uid": null, "collected": true}],
        "processes_unreadable": 0, "not_collected": 0}"#;

    #[test]
    fn processes_tell_sandboxes_where_all_could_be_read() {
        let all = parse_namespaces(&"n".into(), NAMESPACES.as_bytes()).unwrap().unwrap();
        assert_eq!((all.len(), all.known_by), (1, KnownBy::Processes));
        assert!(all.contains_prefix("4015a5f2"));
        let partly = NAMESPACES.replace("\"processes_unreadable\": 0", "\"processes_unreadable\": 3");
        assert!(parse_namespaces(&"n".into(), partly.as_bytes()).unwrap().is_none());
    }
}

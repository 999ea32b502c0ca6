//! ConfigMaps whose data the collector takes: those of known components.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Scope;
use minijinja::Value;
use serde::Deserialize;

use super::Facts;
use super::json::or_default;
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::fact::Record;
use crate::finding::Unreadable;
use crate::shape::{Field, RecordShape};

/// The evidence ids that ConfigMaps with data continue.
const EVIDENCE: &[&str] = &["api.cm", "api.cm-matching"];

/// The shape of a ConfigMap.
pub static SHAPE: RecordShape = RecordShape {
    name: "config map",
    doc: "A ConfigMap whose data the collector takes.",
    fields: &[
        Field::scalar("name", "Its name."),
        Field::scalar("namespace", "Its namespace."),
        Field::map("data", "Its data: texts by key."),
    ],
};

/// A ConfigMap.
#[derive(Debug, Clone)]
pub struct ConfigMap {
    /// Its path in the bundle.
    pub path: Arc<str>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ConfigMapView {
    metadata: NameView,
    #[serde(default, deserialize_with = "or_default")]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct NameView {
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Reads all of them, sorted by namespace and name.
pub(super) fn read(evidence: &Evidence) -> (Vec<ConfigMap>, Vec<Unreadable>) {
    let (mut all, mut unreadable) = (Vec::new(), Vec::new());
    let items = EVIDENCE.iter().flat_map(|id| evidence.items(id, &Scope::Cluster));
    for path in items.filter_map(|item| item.path.as_deref()) {
        match read_one(evidence, path) {
            Ok(config_map) => all.push(config_map),
            Err(reason) => unreadable.push(Unreadable { path: path.to_owned(), reason }),
        }
    }
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    (all, unreadable)
}

fn read_one(evidence: &Evidence, path: &str) -> Result<ConfigMap, String> {
    let bytes = evidence.bundle().read(path).map_err(|error| error.to_string())?;
    let view: ConfigMapView = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    Ok(ConfigMap {
        path: Arc::from(path),
        namespace: view.metadata.namespace,
        name: view.metadata.name,
        data: view.data,
    })
}

impl ConfigMap {
    /// A citation of one key's text, or of the data where there is no such key.
    pub fn cite(&self, key: &str) -> Citation {
        match self.data.get(key) {
            Some(text) => {
                // RFC 6901: `~` and `/` in a key are escaped.
                let pointer = format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
                Citation::pointer(&self.path, pointer, text)
            }
            None => {
                let keys: Vec<&str> = self.data.keys().map(String::as_str).collect();
                Citation::pointer(&self.path, "/data", &format!("keys: {}", keys.join(", ")))
            }
        }
    }

    fn value(&self) -> Value {
        Record::cited(self.cite(""))
            .with("name", self.name.as_str())
            .with("namespace", self.namespace.as_str())
            .with("data", Value::from(self.data.clone()))
            .into_value()
    }
}

/// All ConfigMaps as a map, by `namespace/name`.
pub fn values(facts: &Facts) -> Value {
    let entry = |config_map: &ConfigMap| (format!("{}/{}", config_map.namespace, config_map.name), config_map.value());
    Value::from(facts.config_maps().iter().map(entry).collect::<BTreeMap<String, Value>>())
}

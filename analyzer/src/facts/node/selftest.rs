//! What the collector's selftest of a kubelet came to: a health request and one line of a log, through the API server.

use std::sync::Arc;

use minijinja::Value;
use serde::Deserialize;

use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The evidence id.
pub const EVIDENCE: &str = "selftest.kubelet-proxy";

/// The shape of `node.selftest`.
pub static SHAPE: RecordShape = RecordShape {
    name: "selftest",
    doc: "The way from the API server to a kubelet, tried as `kubectl logs` takes it.",
    fields: &[
        Field::scalar("answered", "Whether the kubelet answered at least once, whatever it said."),
        Field::scalar(
            "verdict",
            "What all tries came to, where they agree: `timeout`, `refused`, `no-route`, `lookup`, `tls`, `no-tunnel`, `forbidden`, `failed`, `answered`.",
        ),
        Field { name: "tries", shape: Shape::List(&Shape::Record(&TRY)), doc: "The requests." },
    ],
};

/// The shape of one request.
pub static TRY: RecordShape = RecordShape {
    name: "try",
    doc: "One request through the API server to a kubelet.",
    fields: &[
        Field::scalar("request", "Its path."),
        Field::scalar("verdict", "What it came to, in a word."),
        Field::scalar("error", "The API server's words, or ours where it said nothing in time."),
        Field::scalar("milliseconds", "How long it took."),
    ],
};

/// What the selftest of one kubelet came to.
#[derive(Debug, Clone, Deserialize)]
pub struct Selftest {
    tries: Vec<Try>,
}

#[derive(Debug, Clone, Deserialize)]
struct Try {
    request: String,
    verdict: String,
    #[serde(default)]
    error: Option<String>,
    milliseconds: f64,
}

/// Reads the collector's record.
pub fn parse(bytes: &[u8]) -> Result<Selftest, serde_json::Error> {
    serde_json::from_slice(bytes)
}

impl Selftest {
    /// As an expression sees it; cited is the whole, or each try by itself.
    pub fn value(&self, path: &Arc<str>) -> Value {
        let tries: Value = self.tries.iter().enumerate().map(|(index, one)| one.value(path, index)).collect();
        Record::cited(self.citation(path))
            .with("answered", self.is_answered())
            .with_any("verdict", self.verdict())
            .with("tries", tries)
            .into_value()
    }

    /// Where no try got through to the kubelet: `timeout`, `refused` or `no-route`, and the tries. Other failures, such as a
    /// lack of permission, say nothing about packets.
    pub fn lost(&self, path: &Arc<str>) -> Option<(&str, Citation)> {
        let verdict = self.verdict().filter(|word| matches!(*word, "timeout" | "refused" | "no-route"))?;
        Some((verdict, self.citation(path)))
    }

    /// Whether the kubelet answered at least once, whatever it said.
    pub fn is_answered(&self) -> bool {
        self.tries.iter().any(|one| one.verdict == "answered")
    }

    fn verdict(&self) -> Option<&str> {
        let first = self.tries.first()?;
        self.tries.iter().all(|one| one.verdict == first.verdict).then_some(&*first.verdict)
    }

    fn citation(&self, path: &Arc<str>) -> Citation {
        let said: Vec<String> = self.tries.iter().map(Try::text).collect();
        Citation::pointer(path, "/tries", &said.join("; "))
    }
}

impl Try {
    fn value(&self, path: &Arc<str>, index: usize) -> Value {
        Record::cited(Citation::pointer(path, format!("/tries/{index}"), &self.text()))
            .with("request", self.request.as_str())
            .with("verdict", self.verdict.as_str())
            .with_any("error", self.error.as_deref())
            .with("milliseconds", self.milliseconds)
            .into_value()
    }

    fn text(&self) -> String {
        let error = self.error.as_deref().unwrap_or("answered");
        format!("GET {}: {} after {:.0} ms: {error}", self.request, self.verdict, self.milliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_what_all_tries_agree_on() {
        let of = |one: &str, other: &str| {
            let tries = [one, other].map(|verdict| {
                format!(r#"{{"request":"/x","verdict":"{verdict}","error":"e","milliseconds":5.0,"http_status":null}}"#)
            });
            let selftest = parse(format!(r#"{{"node":"n1","tries":[{}]}}"#, tries.join(",")).as_bytes()).unwrap();
            selftest.value(&Arc::from("nodes/n1/kubelet/selftest.json"))
        };
        let timeout = of("timeout", "timeout");
        assert_eq!(timeout.get_attr("verdict").unwrap().as_str(), Some("timeout"));
        let mixed = of("timeout", "answered");
        assert!(mixed.get_attr("verdict").unwrap().is_undefined());
        assert_eq!(mixed.get_attr("answered").unwrap(), Value::from(true));
        let first = timeout.get_attr("tries").unwrap().get_item_by_index(0).unwrap();
        for field in TRY.fields {
            assert!(!first.get_attr(field.name).unwrap().is_undefined(), "a try has no {}", field.name);
        }
    }
}

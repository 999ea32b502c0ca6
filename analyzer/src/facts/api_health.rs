//! What the API server says of itself: `/readyz?verbose`, `/livez?verbose`, and how long it took to answer.

use bundle::{ItemStatus, Scope};
use minijinja::Value;

use super::{Facts, component, pod};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The shape of the API server's health.
pub static SHAPE: RecordShape = RecordShape {
    name: "API server",
    doc: "What the API server says of itself, and its pods where they are the customer's.",
    fields: &[
        Field::scalar("managed", "Whether no pod of it can be seen: then the provider runs it."),
        Field::of(
            "pods",
            Shape::List(&Shape::Record(&pod::fact::SHAPE)),
            "Its pods, where the kubelet of a node runs them.",
        ),
        Field::of("failing", Shape::List(&Shape::Record(&CHECK)), "Checks of /readyz and /livez that fail."),
        Field::scalar("checks", "How many checks of /readyz and /livez were read."),
    ],
};

/// The shape of a failing check.
pub static CHECK: RecordShape = RecordShape {
    name: "health check",
    doc: "A check of /readyz or /livez that fails.",
    fields: &[Field::scalar("endpoint", "`readyz` or `livez`."), Field::scalar("name", "The check's name: `etcd`.")],
};

/// The API server's health.
pub fn value(facts: &Facts) -> Value {
    let is = |pod: &pod::Pod| component::of_pod(pod) == Some("kube-apiserver");
    let pods: Vec<u32> = (0..).zip(facts.pods().all()).filter(|(_, pod)| is(pod)).map(|(place, _)| place).collect();
    let (mut checks, mut failing) = (0, Vec::new());
    for endpoint in ["readyz", "livez"] {
        checks += read(facts, endpoint, &mut failing);
    }
    Record::derived()
        .with("managed", pods.is_empty())
        .with("pods", pod::fact::values(facts, pods))
        .with("failing", failing)
        .with("checks", checks)
        .into_value()
}

/// Reads the lines `[+]ping ok` and `[-]etcd failed: reason withheld`; gives how many there are.
fn read(facts: &Facts, endpoint: &'static str, failing: &mut Vec<Value>) -> usize {
    let id = format!("api.health.{endpoint}");
    let evidence = facts.evidence();
    let items = evidence.items(&id, &Scope::Cluster).filter(|item| item.status != ItemStatus::Absent);
    let mut checks = 0;
    for path in items.filter_map(|item| item.path.as_deref()) {
        let Ok(bytes) = evidence.bundle().read(path) else { continue };
        for (number, line) in (1..).zip(String::from_utf8_lossy(&bytes).lines()) {
            checks += usize::from(line.starts_with("[+]") || line.starts_with("[-]"));
            let Some(name) = line.strip_prefix("[-]").and_then(|rest| rest.split_whitespace().next()) else { continue };
            let cited = Citation::line(&path.into(), number, line);
            failing.push(Record::cited(cited).with("endpoint", endpoint).with("name", name).into_value());
        }
    }
    checks
}

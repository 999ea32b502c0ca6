//! Who turns Services into endpoints on a node: kube-proxy, or what replaces it.

use minijinja::Value;

use super::node_object::NodeObject;
use super::pod::Pod;
use super::{Facts, component, pod};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape};

/// The shape of a node's service proxy.
pub static SHAPE: RecordShape = RecordShape {
    name: "service proxy",
    doc: "Who turns Services into endpoints on a node.",
    fields: &[
        Field::scalar("kind", "`kube-proxy`, or what replaces it: `cilium`, `kube-router`, `antrea`, `k3s`."),
        Field::scalar("replaced", "Whether something does kube-proxy's work for the whole cluster."),
        Field::scalar("as_pods", "Whether kube-proxy runs as pods on any node; else nothing in the API would show it."),
        Field::record("pod", &pod::fact::SHAPE, "kube-proxy's pod on the node, where there is one."),
        Field::scalar("ready", "Whether that pod is ready."),
    ],
};

/// What replaces kube-proxy, with what says so.
#[derive(Debug, Clone)]
pub struct Replacement {
    kind: &'static str,
    citation: Option<Citation>,
}

/// What replaces kube-proxy in the whole cluster.
pub(super) fn replacement(facts: &Facts) -> Option<Replacement> {
    cilium(facts).or_else(|| by_workload(facts))
}

/// Cilium does where its configuration says so: `true`, and `strict` before 1.14.
fn cilium(facts: &Facts) -> Option<Replacement> {
    let config_map = facts.config_map("kube-system", "cilium-config")?;
    let setting = config_map.data.get("kube-proxy-replacement")?;
    let replaces = matches!(setting.as_str(), "true" | "strict");
    replaces.then(|| Replacement { kind: "cilium", citation: Some(config_map.cite("kube-proxy-replacement")) })
}

/// Networks that do it where no kube-proxy runs beside them: kube-router unless it is told not to, Antrea with
/// `proxyAll`.
fn by_workload(facts: &Facts) -> Option<Replacement> {
    if runs_as_pods(facts) {
        return None;
    }
    let workloads = facts.workloads();
    let found = |kind: &'static str, component: &str| {
        let place = workloads.of_component(component).into_iter().next()?;
        let workload = workloads.get(place)?;
        let told_not = workload.template.as_ref().is_some_and(|template| {
            let mut arguments = template.containers.iter().flat_map(|container| container.arguments.iter());
            arguments.any(|argument| &**argument == "--run-service-proxy=false")
        });
        let cited = workload.origin.cite("", &format!("{} {}/{}", workload.kind, workload.namespace, workload.name));
        (!told_not).then_some(Replacement { kind, citation: Some(cited) })
    };
    [("kube-router", "kube-router"), ("antrea", "antrea")]
        .into_iter()
        .find_map(|(kind, component)| found(kind, component))
}

/// Whether kube-proxy runs as pods: of a DaemonSet or from files of the nodes.
pub(super) fn runs_as_pods(facts: &Facts) -> bool {
    !facts.workloads().of_component("kube-proxy").is_empty()
        || facts.pods().all().iter().any(|pod| component::of_pod(pod) == Some("kube-proxy"))
}

/// Who does it on a node.
pub fn value(facts: &Facts, node: &NodeObject) -> Value {
    // k3s does it within its own process.
    if node.info.get("kubeletVersion").is_some_and(|version| version.contains("+k3s")) {
        return Record::cited(node.citation()).with("kind", "k3s").with("replaced", true).into_value();
    }
    if let Some(replacement) = facts.kube_proxy_replacement() {
        let record = match &replacement.citation {
            Some(citation) => Record::cited(citation.clone()),
            None => Record::derived(),
        };
        return record.with("kind", replacement.kind).with("replaced", true).into_value();
    }
    let record = Record::derived().with("replaced", false).with("as_pods", facts.kube_proxy_as_pods());
    let pods = facts.pods();
    let is = |pod: &Pod| !pod.has_ended() && component::of_pod(pod) == Some("kube-proxy");
    let own = pods.on_node(&node.name).iter().filter(|place| pods.get(**place).is_some_and(is));
    // Of several, as there are during a rollout, a ready one counts.
    let own = own.max_by_key(|place| pods.get(**place).is_some_and(Pod::is_ready));
    let Some(place) = own else { return record.with("ready", false).into_value() };
    let ready = pods.get(*place).is_some_and(Pod::is_ready);
    record.with("kind", "kube-proxy").with("pod", pod::fact::value(facts, *place)).with("ready", ready).into_value()
}

//! What the collector itself needs of a pod, to choose whose logs it takes.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::component::{self, Component, NAME_LABELS, Traits};
use super::namespace;

/// A restart counts as recent for this long.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// A pod whose logs may be worth having.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: String,
    /// The component that it is of.
    pub component: Option<&'static Component>,
    /// Whether it is not ready, or a container of it restarted within a day.
    pub unwell: bool,
    /// Its containers that have run.
    pub containers: Vec<Container>,
}

/// A container that has run, so that it may have a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether an earlier run of it ended, so that the previous log may be there.
    pub has_previous: bool,
}

impl Pod {
    /// Reads a pod; nothing where it is of no interest: well and of no component, or none of its containers ever ran.
    pub fn read(object: &[u8], now: Timestamp) -> Option<Pod> {
        let pod: Object<'_> = serde_json::from_slice(object).ok()?;
        let labels: Vec<&str> = NAME_LABELS
            .iter()
            .filter_map(|name| pod.metadata.labels.0.iter().find(|(key, _)| key == name))
            .map(|(_, value)| value.as_ref())
            .collect();
        let images: Vec<&str> = pod.spec.containers.iter().filter_map(|container| container.image.as_deref()).collect();
        let component = component::of_pod(Traits {
            namespace: &pod.metadata.namespace,
            name: &pod.metadata.name,
            labels: &labels,
            images: &images,
        });
        let statuses = || pod.status.containers.iter().chain(&pod.status.init_containers);
        let unwell = pod.status.is_unready() || statuses().any(|status| status.restarted_since(now - RECENT));
        if component.is_none() && !unwell {
            return None;
        }
        let containers: Vec<Container> = statuses().filter_map(StatusOfContainer::with_log).collect();
        (!containers.is_empty()).then(|| Pod {
            namespace: pod.metadata.namespace.into_owned(),
            name: pod.metadata.name.into_owned(),
            node: pod.spec.node_name.into_owned(),
            component,
            unwell,
            containers,
        })
    }

    /// Whether it lies in one of the system's namespaces.
    pub fn is_of_the_system(&self) -> bool {
        namespace::is_of_the_system(self.namespace.as_bytes())
    }
}

/// A pod as the API serves it, as far as it is read. Missing parts are empty, so that an odd pod is not lost.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    labels: Labels<'a>,
}

/// A few labels are searched through, not looked up.
#[derive(Default)]
struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = std::collections::BTreeMap::<Text<'a>, Text<'a>>::deserialize(deserializer)?;
        Ok(Labels(labels.into_iter().map(|(key, value)| (key.0, value.0)).collect()))
    }
}

/// A text that is borrowed where it holds no escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Default, Deserialize)]
struct Spec<'a> {
    #[serde(borrow, default, rename = "nodeName")]
    node_name: Cow<'a, str>,
    #[serde(borrow, default)]
    containers: Vec<SpecOfContainer<'a>>,
}

#[derive(Deserialize)]
struct SpecOfContainer<'a> {
    #[serde(borrow)]
    image: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    phase: Cow<'a, str>,
    #[serde(borrow, default)]
    conditions: Vec<Condition<'a>>,
    #[serde(borrow, default, rename = "containerStatuses")]
    containers: Vec<StatusOfContainer<'a>>,
    #[serde(borrow, default, rename = "initContainerStatuses")]
    init_containers: Vec<StatusOfContainer<'a>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[derive(Deserialize)]
struct StatusOfContainer<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default, rename = "restartCount")]
    restart_count: u64,
    #[serde(default)]
    state: State,
    #[serde(default, rename = "lastState")]
    last_state: State,
}

#[derive(Default, Deserialize)]
struct State {
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Running {
    #[serde(rename = "startedAt")]
    started_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Terminated {
    #[serde(rename = "finishedAt")]
    finished_at: Option<Timestamp>,
}

impl Status<'_> {
    /// A pod that ran to its end is not unwell for not being ready.
    fn is_unready(&self) -> bool {
        self.phase != "Succeeded"
            && !self.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

impl StatusOfContainer<'_> {
    fn restarted_since(&self, since: Timestamp) -> bool {
        let ended = self.last_state.terminated.as_ref().and_then(|terminated| terminated.finished_at);
        let began = self.state.running.as_ref().and_then(|running| running.started_at);
        self.restart_count > 0 && ended.or(began).is_some_and(|time| time >= since)
    }

    fn with_log(&self) -> Option<Container> {
        let has_previous = self.last_state.terminated.is_some();
        let ran = self.state.running.is_some() || self.state.terminated.is_some() || has_previous;
        ran.then(|| Container { name: self.name.clone().into_owned(), has_previous })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

    fn pod(ready: &str, status: Value) -> Value {
        json!({"metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "we\u{22}b"}}, "spec": {"containers": [{"name": "c", "image": "shop/web"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [status]}})
    }

    fn read(object: &Value) -> Option<Pod> {
        Pod::read(object.to_string().as_bytes(), now())
    }

    #[test]
    fn a_pod_that_is_well_and_of_no_component_is_of_no_interest() {
        assert!(
            read(&pod(
                "True",
                json!({"name": "c", "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
            ))
            .is_none()
        );
        let old = json!({"name": "c", "restartCount": 3, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "2025-12-01T00:00:00Z"}}});
        assert!(read(&pod("True", old)).is_none());
    }

    #[test]
    fn a_restart_within_a_day_makes_it_unwell() {
        let recent = json!({"name": "c", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "2026-01-01T12:00:00Z"}}});
        let pod = read(&pod("True", recent)).unwrap();
        assert!(pod.unwell && pod.component.is_none());
        assert_eq!(pod.containers, [Container { name: "c".to_owned(), has_previous: true }]);
    }

    #[test]
    fn what_never_ran_has_no_log() {
        assert!(
            read(&pod(
                "False",
                json!({"name": "c", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}})
            ))
            .is_none()
        );
        assert!(read(&json!({"metadata": {"name": "p"}})).is_none());
        let ran = json!({"name": "c", "restartCount": 0, "state": {"running": {"startedAt": null}}});
        assert!(read(&pod("False", ran)).unwrap().unwell);
    }

    #[test]
    fn a_job_that_is_done_is_not_unwell() {
        let mut done = pod("False", json!({"name": "c", "restartCount": 0, "state": {"terminated": {}}}));
        done["status"]["phase"] = json!("Succeeded");
        assert!(read(&done).is_none());
    }
}

//! Starting a node's pod: which image, and whether it runs.

use std::time::Duration;

use bundle::ItemStatus;
use serde_json::Value;
use tokio::time::Instant;

use super::node::{Node, escaped};
use super::{Reach, image};
use crate::cluster::failure::Failure;

/// How long a pod may take to run once it was made: the image is there and a pod of the host's network needs no CNI.
const RUNNING: Duration = Duration::from_secs(45);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(400);

/// A pod that runs.
pub struct Started {
    /// Its name.
    pub pod: String,
    /// Its path.
    pub path: String,
    /// Its image.
    pub image: String,
}

/// A pod that does not, and how it was tried.
pub struct NotStarted {
    /// What was tried.
    pub how: String,
    /// Why it failed.
    pub failure: Failure,
}

/// What a pod's status says.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Its container runs.
    Running,
    /// Its container ran and ended, well or not: what it said at its end.
    Ended(String),
    /// Its image is not there after all.
    NoImage(String),
    /// It will not run.
    Failed(String),
    /// Not yet, and what is known of why.
    Waiting(Option<String>),
}

/// What pods are made.
pub struct Making<'a> {
    /// The number that their names begin to count at.
    pub first: usize,
    /// Whether a pod whose container has ended already did what it was made for.
    pub may_end: bool,
    /// Makes the pod of this name from this image.
    pub make: &'a (dyn Fn(&str, &str) -> Value + Sync),
}

/// Starts a pod that waits for an exec.
pub async fn start(reach: &Reach, node: &Node, deadline: Instant) -> Result<Started, NotStarted> {
    let make = |pod: &str, image: &str| reach.objects.waiting(pod, &node.name, image, &node.architecture);
    start_with(reach, node, deadline, Making { first: 0, may_end: false, make: &make }).await
}

/// Starts a pod; of the images that the node has, up to [`image::TRIED`] are tried.
pub async fn start_with(
    reach: &Reach,
    node: &Node,
    deadline: Instant,
    making: Making<'_>,
) -> Result<Started, NotStarted> {
    let images = image::candidates(&reach.api, node).await;
    let mut tried = Vec::new();
    let mut why = Failure::new(ItemStatus::Error, "no image is known that lies on it");
    for (attempt, image) in images.into_iter().enumerate() {
        let name = reach.objects.pod_name(&node.name, making.first + attempt);
        tried.push(format!("pod {}/{name} from image {image}", reach.objects.namespace));
        let how = || tried.join(", ");
        let collection = reach.objects.collection("pods");
        let path = match reach.created.create(&reach.api, &collection, &(making.make)(&name, &image)).await {
            Ok(path) => path,
            Err(failure) => return Err(NotStarted { how: how(), failure }),
        };
        match wait_until_runs(reach, &path, making.may_end, deadline.min(Instant::now() + RUNNING)).await {
            Ok(None) => return Ok(Started { pod: name, path, image }),
            Ok(Some(no_image)) => why = Failure::new(ItemStatus::Error, no_image),
            Err(failure) => {
                let failure = with_last_event(reach, &name, failure).await;
                let removed = reach.created.remove_pod(&reach.api, &path).await;
                let how = match removed {
                    Ok(super::Gone::Confirmed) => how(),
                    Ok(super::Gone::Unconfirmed) => {
                        format!("{}, removed by force because its kubelet did not answer", how())
                    }
                    Err(left) => format!("{}, which could not be removed: {}", how(), left.reason),
                };
                return Err(NotStarted { how, failure });
            }
        }
        // What cannot be removed now is tried again at the end.
        let _ = reach.created.remove_pod(&reach.api, &path).await;
    }
    Err(NotStarted {
        how: if tried.is_empty() { "nothing was created for it".to_owned() } else { tried.join(", ") },
        failure: why,
    })
}

/// Waits until a pod runs; `Some` where its image is not there after all.
async fn wait_until_runs(reach: &Reach, path: &str, may_end: bool, until: Instant) -> Result<Option<String>, Failure> {
    let mut known = None;
    loop {
        if let Some(ended) = reach.run.stopped() {
            return Err(Failure::stopped(ended));
        }
        match reach.api.get(path).await.map(|pod| state(&pod)) {
            Ok(State::Running) => return Ok(None),
            Ok(State::Ended(_)) if may_end => return Ok(None),
            Ok(State::NoImage(why)) => return Ok(Some(why)),
            Ok(State::Ended(why) | State::Failed(why)) => {
                return Err(Failure::new(ItemStatus::Error, format!("its pod does not run: {why}")));
            }
            Ok(State::Waiting(why)) => known = why.or(known),
            Err(failure) if failure.http_status == Some(404) => {
                return Err(Failure::new(ItemStatus::Error, "somebody deleted its pod before it ran"));
            }
            // The API server may be busy; the next look tells.
            Err(_) => {}
        }
        if Instant::now() >= until {
            let why = known.unwrap_or_else(|| "its kubelet did not take it up".to_owned());
            return Err(Failure::timeout(format!("its pod does not run after {} s: {why}", RUNNING.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads a pod's state.
pub fn state(pod: &Value) -> State {
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = |state: &Value| {
        let words = [text(&state["reason"]), text(&state["message"])];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ")
    };
    let container = &status["containerStatuses"][0]["state"];
    if container["running"].is_object() {
        return State::Running;
    }
    if container["terminated"].is_object() {
        return State::Ended(said(&container["terminated"]));
    }
    // The kubelet's own admission (no room, a taint that evicts) ends a pod before its container has a state.
    if status["phase"] == "Failed" {
        return State::Failed(said(status));
    }
    let waiting = &container["waiting"];
    match waiting["reason"].as_str() {
        Some("ErrImageNeverPull" | "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ImageInspectError") => {
            State::NoImage(said(waiting))
        }
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            State::Failed(said(waiting))
        }
        Some(_) => State::Waiting(Some(said(waiting))),
        None => State::Waiting(None),
    }
}

/// Adds what the events say of a pod that does not run; not everybody may read them.
async fn with_last_event(reach: &Reach, pod: &str, failure: Failure) -> Failure {
    let selector = escaped(&format!("involvedObject.name={pod}"));
    let path = format!("{}?fieldSelector={selector}", reach.objects.collection("events"));
    let Ok(list) = reach.api.get(&path).await else { return failure };
    let mut events = list["items"].as_array().into_iter().flatten();
    let Some(warning) = events.rfind(|event| event["type"] == "Warning") else { return failure };
    let words = format!(
        "{}: {}",
        warning["reason"].as_str().unwrap_or_default(),
        warning["message"].as_str().unwrap_or_default()
    );
    Failure { reason: format!("{}; {words}", failure.reason), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Statuses as a kubelet 1.34 writes them.
    #[test]
    fn a_pods_status_is_told_in_one_word() {
        let with = |state: Value| json!({"status": {"phase": "Pending", "containerStatuses": [{"state": state}]}});
        assert_eq!(state(&with(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}))), State::Running);
        let never = json!({"waiting": {"reason": "ErrImageNeverPull", "message": "Container image \"x\" is not present with pull policy of Never"}});
        assert!(matches!(state(&with(never)), State::NoImage(why) if why.contains("not present")));
        assert_eq!(
            state(&with(json!({"waiting": {"reason": "ContainerCreating"}}))),
            State::Waiting(Some("ContainerCreating".to_owned()))
        );
        let start = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec format error"}});
        assert_eq!(state(&with(start)), State::Ended("StartError: exec format error".to_owned()));
        let refused = json!({"status": {"phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough resource: pods"}});
        assert!(matches!(state(&refused), State::Failed(why) if why.starts_with("OutOfpods")));
        assert_eq!(state(&json!({"status": {"phase": "Pending"}})), State::Waiting(None));
    }
}

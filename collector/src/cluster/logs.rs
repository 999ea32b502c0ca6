//! Logs of the network's components and of pods that are not well, current and previous, bounded.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;

use super::body::Body;
use super::component::COMPONENTS;
use super::failure::Failure;
use super::list::Outcome;
use super::pod::{Container, Pod};
use super::request::{Ask, Requests};
use crate::plan::{Cost, PlanLine};
use crate::run::Run;

/// The most lines of a container. The kubelet takes the newest lines first and cuts them at the bound of an item then, so that
/// without this bound the newest would be what is cut.
const LINES: u64 = 20_000;
/// How far back a current log goes.
const SECONDS: u64 = 24 * 3600;
/// How long one log may take.
const TIME: Duration = Duration::from_secs(60);
/// All logs together.
const ALL_BYTES: u64 = 512 << 20;
/// Pods of a component: those that are not well, and
const PODS: usize = 10;
/// others, to compare with.
const WELL_PODS: usize = 5;
/// Pods that are of no component and not well.
pub const UNWELL_PODS: usize = 50;
/// After this many kubelets did not answer and none did, the rest is not tried.
const SILENT_NODES: usize = 5;

/// The line of pods that are not well.
const UNWELL: &str = "log.unwell";

/// The lines of the plan.
pub fn plan() -> Vec<PlanLine> {
    let bound = |pods: usize| format!("{pods} pods; a container --item-mb, {LINES} lines, {} h", SECONDS / 3600);
    let mut lines: Vec<PlanLine> = COMPONENTS
        .iter()
        .map(|component| {
            let what = format!("GET /api/v1/namespaces/*/pods/*/log of {}, current and previous", component.id);
            PlanLine::new(format!("log.{}", component.id), Scope::Cluster, what, Cost::Moderate, bound(PODS))
        })
        .collect();
    let what = "GET /api/v1/namespaces/*/pods/*/log of pods that are not ready or restarted within a day, current and previous";
    lines.push(PlanLine::new(UNWELL, Scope::Cluster, what, Cost::Moderate, bound(UNWELL_PODS)));
    lines
}

/// One log that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    line: String,
    namespace: String,
    pod: String,
    node: String,
    container: String,
    previous: bool,
}

/// Chooses the logs that are taken, and records for every line of the plan to which none belongs why that is.
pub fn choose(run: &Run, lines: &[PlanLine], pods: &[Pod], listed: &Outcome) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for line in lines {
        let (mut of_line, bound): (Vec<&Pod>, usize) = if line.id == UNWELL {
            (pods.iter().filter(|pod| pod.component.is_none()).collect(), UNWELL_PODS)
        } else {
            (
                pods.iter()
                    .filter(|pod| pod.component.is_some_and(|c| line.id.strip_prefix("log.") == Some(c.id)))
                    .collect(),
                PODS,
            )
        };
        of_line.sort_by_key(|pod| (!pod.unwell, !pod.is_of_the_system()));
        let mut well = 0;
        let chosen: Vec<&Pod> = of_line
            .iter()
            .filter(|pod| {
                pod.unwell || {
                    well += 1;
                    well <= WELL_PODS
                }
            })
            .take(bound)
            .copied()
            .collect();
        if chosen.is_empty() {
            let source = Source::Computed("the pods of api.pods".to_owned());
            run.record(run.draft(line, source), nothing_to_take(line, listed), Timestamp::now());
        }
        if chosen.len() < of_line.len() {
            run.note_limit(
                &line.id,
                bound.to_string(),
                format!("logs of {} of {} pods were taken", chosen.len(), of_line.len()),
            );
        }
        wanted.extend(chosen.iter().flat_map(|pod| logs_of(line, pod)));
    }
    wanted
}

fn nothing_to_take(line: &PlanLine, listed: &Outcome) -> ItemEnd {
    match listed {
        Outcome::Whole if line.id == UNWELL => {
            ItemEnd::because(ItemStatus::Absent, "every pod is ready and none restarted within a day")
        }
        Outcome::Whole => ItemEnd::because(ItemStatus::Absent, "no pod of it has run"),
        Outcome::Failed(failure) => {
            ItemEnd::because(failure.status, format!("the pods could not be listed: {}", failure.reason))
        }
    }
}

fn logs_of<'a>(line: &'a PlanLine, pod: &'a Pod) -> impl Iterator<Item = Wanted> + 'a {
    let log = |container: &Container, previous| Wanted {
        line: line.id.clone(),
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        node: pod.node.clone(),
        container: container.name.clone(),
        previous,
    };
    pod.containers.iter().flat_map(move |container| {
        let previous = container.has_previous.then(|| log(container, true));
        std::iter::once(log(container, false)).chain(previous)
    })
}

/// Takes logs, within bounds that they share.
pub struct Logs {
    requests: Requests,
    bytes: AtomicU64,
    answered: AtomicU64,
    silent: Mutex<BTreeSet<String>>,
}

impl Logs {
    /// Nothing is taken yet.
    pub fn new(requests: Requests) -> Logs {
        Logs { requests, bytes: AtomicU64::new(0), answered: AtomicU64::new(0), silent: Mutex::default() }
    }

    /// Takes one log. Blocks.
    pub fn gather(&self, wanted: &Wanted) {
        let run = self.requests.run();
        let started = Timestamp::now();
        let path = wanted.url(run.limits().item_bytes());
        let draft = ItemDraft {
            id: wanted.line.clone(),
            scope: Scope::Pod(wanted.namespace.clone(), wanted.pod.clone()),
            source: Source::Request(path.clone()),
            plan: wanted.line.clone(),
        };
        if let Some(end) = self.obstacle(wanted) {
            run.record(draft, end, started);
            return;
        }
        let turn = self.requests.turn();
        let asked = Timestamp::now();
        let ask = Ask::get(path, Instant::now() + run.time_for(TIME)).accept("*/*");
        let answer = turn.and_then(|turn| self.requests.send_once(&ask, turn));
        let taken = answer.map_err(of_kubelet).and_then(|answer| {
            self.answered.fetch_add(1, Ordering::Relaxed);
            self.write(wanted, draft.clone(), asked, answer.body)
        });
        if let Err(mut failure) = taken {
            failure.reason = of_node(&failure, &wanted.node);
            if matches!(failure.status, ItemStatus::Unreachable | ItemStatus::Timeout) {
                self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.node.clone());
            }
            run.record(draft, failure.end(), started);
        }
    }

    /// Why a log is not asked for: dialling a dead kubelet takes the API server half a minute each time.
    fn obstacle(&self, wanted: &Wanted) -> Option<ItemEnd> {
        if self.bytes.load(Ordering::Relaxed) >= ALL_BYTES {
            let reason = format!("all logs together may have {} MiB, which were used up", ALL_BYTES >> 20);
            return Some(ItemEnd::because(ItemStatus::NotReached, reason));
        }
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.contains(&wanted.node) {
            let reason = format!("not asked for again: the kubelet of {} did not answer before", wanted.node);
            return Some(ItemEnd::because(ItemStatus::Unreachable, reason));
        }
        (silent.len() >= SILENT_NODES && self.answered.load(Ordering::Relaxed) == 0).then(|| {
            let reason = format!("not asked for: {} kubelets did not answer and none did", silent.len());
            ItemEnd::because(ItemStatus::Unreachable, reason)
        })
    }

    fn write(&self, wanted: &Wanted, draft: ItemDraft, asked: Timestamp, body: Body) -> Result<(), Failure> {
        let place = layout::container_log(&wanted.namespace, &wanted.pod, &wanted.container, wanted.previous);
        let mut item = self.requests.run().begin(draft, place).map_err(|error| Failure::writing(&error))?;
        item.asked_at(asked);
        // The kubelet is trusted to keep the bound, but not blindly.
        let most = self.requests.run().limits().item_bytes();
        let mut body = body.take(2 * most);
        let mut buffer = vec![0; 64 << 10];
        let (mut bytes, mut lines) = (0, 0);
        let mut end = loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break ItemEnd::new(ItemStatus::Ok),
                Ok(n) => n,
                Err(error) => break of_kubelet(Failure::connection(&error)).end(),
            };
            let part = buffer.get(..n).unwrap_or_default();
            if let Err(error) = item.write_all(part) {
                break ItemEnd::because(ItemStatus::Error, error.to_string());
            }
            bytes += n as u64;
            lines += memchr::memchr_iter(b'\n', part).count() as u64;
        };
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if end.status == ItemStatus::Ok && bytes >= most {
            end = ItemEnd::because(ItemStatus::Truncated, format!("at most {most} bytes are taken (--item-mb)"));
        } else if end.status == ItemStatus::Ok && lines >= LINES {
            end = ItemEnd::because(ItemStatus::Truncated, format!("the newest {LINES} lines"));
        }
        item.end(end).map_err(|error| Failure::writing(&error))
    }
}

impl Wanted {
    fn url(&self, bytes: u64) -> String {
        // What a container that ended last week said at its end is as telling as what one says today.
        let which = if self.previous { "previous=true".to_owned() } else { format!("sinceSeconds={SECONDS}") };
        format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&{which}&timestamps=true&tailLines={LINES}&limitBytes={bytes}",
            self.namespace, self.pod, self.container
        )
    }
}

/// The reason, the same for all logs that a node's kubelet keeps to itself: the request of each names its own path.
fn of_node(failure: &Failure, node: &str) -> String {
    match failure.reason.split_once("/containerLogs/").and_then(|(_, rest)| rest.split_once("\": ")) {
        Some((_, why)) if failure.status == ItemStatus::Unreachable => {
            format!("the kubelet of {node} does not answer the API server: {why}")
        }
        _ => failure.reason.clone(),
    }
}

/// A failure of the way from API server to kubelet is told from one of the API server; a log that is not there is a fact.
pub(crate) fn of_kubelet(failure: Failure) -> Failure {
    const GONE: &[&str] = &["previous terminated container", "is waiting to start", "is not available", "not found"];
    const BROKEN_WAY: &[&str] = &[
        "dial tcp",
        "i/o timeout",
        "connection refused",
        "No agent available",
        "proxy error",
        "tls:",
        "x509:",
        "EOF",
        "no route to host",
        "connection reset",
        // A connection that the API server kept, whose packets vanish now.
        "client connection lost",
        "error dialing backend",
        "context deadline exceeded",
    ];
    let says = |words: &[&str]| words.iter().any(|word| failure.reason.contains(word));
    let status = match failure.http_status {
        Some(400 | 404) if says(GONE) => ItemStatus::Absent,
        Some(500..) if says(BROKEN_WAY) => ItemStatus::Unreachable,
        _ => failure.status,
    };
    Failure { status, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_kubelet_is_told_from_the_api_server() {
        let status = |code, message| of_kubelet(Failure::answered(code, "", message, None)).status;
        assert_eq!(
            status(500, "Get \"https://10.0.0.5:10250/containerLogs/a/b/c\": dial tcp 10.0.0.5:10250: i/o timeout"),
            ItemStatus::Unreachable
        );
        assert_eq!(status(500, "No agent available"), ItemStatus::Unreachable);
        let lost =
            "Get \"https://10.240.0.22:10250/containerLogs/a/b/c?tailLines=20000\": http2: client connection lost";
        assert_eq!(status(500, lost), ItemStatus::Unreachable);
        assert_eq!(status(400, "previous terminated container \"c\" in pod \"b\" not found"), ItemStatus::Absent);
        assert_eq!(
            status(400, "container \"c\" in pod \"b\" is waiting to start: ContainerCreating"),
            ItemStatus::Absent
        );
        assert_eq!(status(403, "forbidden"), ItemStatus::Forbidden);
    }

    #[test]
    fn all_logs_of_a_silent_kubelet_have_one_reason() {
        let said =
            "Get \"https://10.0.0.5:10250/containerLogs/a/b/c?tailLines=5\": dial tcp 10.0.0.5:10250: i/o timeout";
        let failure = of_kubelet(Failure::answered(500, "", said, None));
        assert_eq!(
            of_node(&failure, "n1"),
            "the kubelet of n1 does not answer the API server: dial tcp 10.0.0.5:10250: i/o timeout"
        );
        let other = Failure::answered(403, "Forbidden", "no", None);
        assert_eq!(of_node(&other, "n1"), other.reason);
    }

    #[test]
    fn every_component_has_its_line() {
        let ids: BTreeSet<String> = plan().into_iter().map(|line| line.id).collect();
        assert_eq!(ids.len(), COMPONENTS.len() + 1);
        assert!(ids.contains("log.coredns") && ids.contains(UNWELL));
    }
}

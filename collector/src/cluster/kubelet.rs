//! The kubelets, through the API server: whether the way to port 10250 works, and what they say of themselves.
//!
//! `kubectl logs`, `exec` and metrics take this way. It is tried as they take it: a health request and one line of a log for
//! each node. What comes back, how long it took and in which words it failed is the evidence; a failure here is an
//! observation, not a defect of the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::failure::Failure;
use super::health;
use super::list::Outcome;
use super::request::{Ask, Requests};
use super::running::{Node, Running, order};
use crate::plan::{Cost, PlanLine};

/// How long a request to a kubelet may take. The API server itself gives up dialling after 30 s.
const TIME: Duration = Duration::from_secs(5);
/// Requests to kubelets in flight.
const AT_ONCE: usize = 16;
/// Nodes that are tried.
const NODES: usize = 200;
/// Kubelets whose configuration, statistics and log are asked for, of those that answered.
const ASKED: usize = 50;
/// The longest answer that is taken.
const LONGEST: u64 = 4 << 20;
/// The last lines of a kubelet's own log.
const LOG_LINES: u32 = 2_000;

/// The line of the selftest.
const SELFTEST: &str = "selftest.kubelet-proxy";

/// The lines of the plan.
pub fn plan() -> Vec<PlanLine> {
    let bound = format!("{NODES} nodes, {AT_ONCE} at once, {} s each", TIME.as_secs());
    let asked = format!("{ASKED} nodes that answered, {} MiB, {} s each", LONGEST >> 20, TIME.as_secs());
    let line = |id: &str, what: &str, cost, bound: &str| PlanLine::new(id, Scope::Cluster, what, cost, bound);
    let selftest = "GET /api/v1/nodes/*/proxy/healthz, and one line of the log of a pod on each node";
    let log = format!("GET /api/v1/nodes/*/proxy/logs/?query=kubelet&tailLines={LOG_LINES}, where NodeLogQuery is on");
    vec![
        line(SELFTEST, selftest, Cost::Moderate, &bound),
        line(Question::Config.line(), "GET /api/v1/nodes/*/proxy/configz", Cost::Trivial, &asked),
        line(Question::Stats.line(), "GET /api/v1/nodes/*/proxy/stats/summary", Cost::Moderate, &asked),
        line(Question::Log.line(), &log, Cost::Moderate, &asked),
    ]
}

/// What is asked of a kubelet that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Config,
    Stats,
    Log,
}

impl Question {
    fn line(self) -> &'static str {
        match self {
            Question::Config => "node.kubelet.configz",
            Question::Stats => "node.kubelet.stats",
            Question::Log => "node.log.kubelet-query",
        }
    }

    fn path(self, node: &str) -> String {
        let query = match self {
            Question::Config => "configz".to_owned(),
            Question::Stats => "stats/summary".to_owned(),
            Question::Log => format!("logs/?query=kubelet&tailLines={LOG_LINES}"),
        };
        format!("/api/v1/nodes/{node}/proxy/{query}")
    }

    fn place(self) -> &'static str {
        match self {
            Question::Config => "kubelet/configz.json",
            Question::Stats => "kubelet/stats.json",
            Question::Log => "logs/kubelet-query.log",
        }
    }
}

/// What a request through the API server to a kubelet came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// The kubelet answered, whatever it said: the way is open.
    Answered,
    /// Nothing came in time.
    Timeout,
    /// The node refused the connection.
    Refused,
    /// Something on the way rejected it, or there is no route.
    NoRoute,
    /// The node's name could not be resolved.
    Lookup,
    /// The two do not trust each other's certificates, or one does not speak TLS.
    Tls,
    /// No tunnel from the control plane to the nodes.
    NoTunnel,
    /// The API server did not let us ask.
    Forbidden,
    /// Another failure; the text says which.
    Failed,
}

/// One request.
#[derive(Debug, Serialize)]
struct Try {
    request: String,
    started: Timestamp,
    milliseconds: f64,
    http_status: Option<u16>,
    verdict: Verdict,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Selftest<'a> {
    node: &'a str,
    tries: &'a [Try],
}

/// What is shared by the tries of all nodes.
pub struct Kubelets {
    requests: Requests,
    lines: BTreeMap<String, PlanLine>,
    answered: Mutex<Vec<String>>,
}

impl Kubelets {
    /// Nothing is asked yet.
    pub fn new(requests: Requests) -> Kubelets {
        let lines = plan().into_iter().map(|line| (line.id.clone(), line)).collect();
        Kubelets { requests, lines, answered: Mutex::default() }
    }

    /// Tries the way to each node, then asks those that answered.
    pub async fn gather(self: Arc<Self>, mut nodes: Vec<Node>, running: Running, listed: Outcome) {
        let run = self.requests.run().clone();
        order(&running, &mut nodes);
        if nodes.is_empty() {
            self.nothing(&listed);
            return;
        }
        if nodes.len() > NODES {
            run.note_limit(SELFTEST, NODES.to_string(), format!("{} nodes were not tried", nodes.len() - NODES));
        }
        let running = Arc::new(running);
        let tried: Vec<String> = nodes.into_iter().take(NODES).map(|node| node.name).collect();
        self.each(&tried, move |all, node| all.selftest(node, running.logs.get(node).map(String::as_str))).await;
        let mut answered = std::mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner));
        answered.sort_by_key(|name| tried.iter().position(|node| node == name));
        answered.truncate(ASKED);
        self.each(&answered, |all, node| {
            let config = all.ask(Question::Config, node);
            all.ask(Question::Stats, node);
            if config.is_some_and(|config| answers_log_queries(&config)) {
                all.ask(Question::Log, node);
            }
        })
        .await;
        self.rest(!answered.is_empty());
    }

    /// A record for each line that nothing was asked for.
    fn rest(&self, any_answered: bool) {
        let records = self.requests.run().writer().records();
        let first = |id: &str, wanted: &dyn Fn(ItemStatus) -> bool| {
            records.iter().find(|item| item.id == id && wanted(item.status))
        };
        let known = first(Question::Config.line(), &ItemStatus::is_known).is_some();
        // Whether a kubelet answers queries for logs stands in its configuration; who may not read that cannot know.
        let untold = first(Question::Config.line(), &|status| !status.is_known());
        let refused = first(SELFTEST, &|status| status == ItemStatus::Forbidden);
        match (untold.filter(|_| !known), refused) {
            (Some(untold), _) => self.unasked(untold.status, untold.reason.as_deref().unwrap_or_default()),
            _ if any_answered => self.unasked(ItemStatus::Unsupported, "no kubelet answers queries for logs"),
            (None, Some(refused)) => {
                self.unasked(ItemStatus::Forbidden, refused.reason.as_deref().unwrap_or_default());
            }
            (None, None) => self.unasked(ItemStatus::Unreachable, "no kubelet answered through the API server"),
        }
    }

    /// Runs blocking work for each node, at most [`AT_ONCE`] at a time, until the run is to stop.
    async fn each(self: &Arc<Self>, nodes: &[String], work: impl Fn(&Kubelets, &str) + Clone + Send + 'static) {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = tokio::task::JoinSet::new();
        for node in nodes {
            // Taken here, in the order of the nodes: tasks begin in an order of their own.
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let (all, work, node) = (self.clone(), work.clone(), node.clone());
            tasks.spawn(async move {
                if all.requests.run().stopped().is_some() {
                    return;
                }
                let done = tokio::task::spawn_blocking(move || {
                    all.requests.run().gathering(|| work(&all, &node));
                    drop(permit);
                });
                let _ = done.await;
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    fn selftest(&self, node: &str, log: Option<&str>) {
        let run = self.requests.run();
        let health = format!("/api/v1/nodes/{node}/proxy/healthz");
        let started = Timestamp::now();
        let tries: Vec<Try> = std::iter::once(health.as_str()).chain(log).map(|path| self.one(path)).collect();
        if run.stopped().is_some() {
            return;
        }
        let answered = tries.iter().any(|one| one.verdict == Verdict::Answered);
        if answered {
            self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(node.to_owned());
        }
        let Some(draft) = self.draft(SELFTEST, node, health) else { return };
        if tries.iter().all(|one| one.verdict == Verdict::Forbidden) {
            let reason = tries.into_iter().find_map(|one| one.error).unwrap_or_default();
            run.record(draft, ItemEnd::because(ItemStatus::Forbidden, reason), started);
            return;
        }
        let text = serde_json::to_vec(&Selftest { node, tries: &tries }).unwrap_or_default();
        let place = layout::node_file(node, "kubelet/selftest.json");
        health::write(run, run.begin(draft, place), &text, ItemEnd::new(ItemStatus::Ok));
    }

    fn one(&self, path: &str) -> Try {
        let turn = self.requests.turn();
        let (started, clock) = (Timestamp::now(), Instant::now());
        let ask = Ask::get(path, clock + TIME).accept("*/*");
        let answer = turn.and_then(|turn| self.requests.send_once(&ask, turn)).and_then(|answer| {
            let status = answer.status.as_u16();
            answer.body.read_whole(4096).map(|_| status)
        });
        let milliseconds = (clock.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let (http_status, verdict, error) = match answer {
            Ok(status) => (Some(status), Verdict::Answered, None),
            Err(failure) => (failure.http_status, verdict(&failure), Some(failure.reason)),
        };
        Try { request: path.to_owned(), started, milliseconds, http_status, verdict, error }
    }

    /// Asks a kubelet and writes what it says; gives the text where there is one.
    fn ask(&self, question: Question, node: &str) -> Option<Vec<u8>> {
        let run = self.requests.run();
        let path = question.path(node);
        let draft = self.draft(question.line(), node, path.clone())?;
        let turn = self.requests.turn();
        let started = Timestamp::now();
        let ask = Ask::get(path, Instant::now() + TIME).accept("*/*");
        let answer = turn.and_then(|turn| self.requests.send_once(&ask, turn));
        match answer.and_then(|answer| answer.body.read_whole(LONGEST)) {
            Ok(text) => {
                let place = layout::node_file(node, question.place());
                let end = match text.len() as u64 >= LONGEST {
                    true => ItemEnd::because(ItemStatus::Truncated, format!("at most {} MiB are taken", LONGEST >> 20)),
                    false => ItemEnd::new(ItemStatus::Ok),
                };
                health::write(run, run.begin(draft, place), &text, end);
                Some(text)
            }
            Err(failure) => {
                run.record(draft, failure.end(), started);
                None
            }
        }
    }

    fn draft(&self, line: &str, node: &str, request: String) -> Option<ItemDraft> {
        let line = self.lines.get(line)?;
        let scope = Scope::Node(node.to_owned());
        Some(ItemDraft { id: line.id.clone(), scope, source: Source::Request(request), plan: line.id.clone() })
    }

    /// Records for every line that no node could be tried, and why.
    fn nothing(&self, listed: &Outcome) {
        match listed {
            Outcome::Whole => self.unasked(ItemStatus::Absent, "the cluster has no node"),
            Outcome::Failed(failure) => {
                self.unasked(failure.status, &format!("the nodes could not be listed: {}", failure.reason));
            }
        }
    }

    /// A record for each line that has none yet.
    fn unasked(&self, status: ItemStatus, reason: &str) {
        let run = self.requests.run();
        if run.stopped().is_some() {
            return;
        }
        let told: Vec<String> = run.writer().records().into_iter().map(|record| record.plan).collect();
        for line in self.lines.values().filter(|line| !told.contains(&line.id)) {
            let source = Source::Computed("the nodes of api.nodes".to_owned());
            run.record(run.draft(line, source), ItemEnd::because(status, reason), Timestamp::now());
        }
    }
}

/// Whether a kubelet's configz says that it answers queries for logs of services (KEP-2258).
fn answers_log_queries(configz: &[u8]) -> bool {
    let said: serde_json::Value = serde_json::from_slice(configz).unwrap_or_default();
    let on = |name: &str| said["kubeletconfig"][name].as_bool().unwrap_or(false);
    on("enableSystemLogQuery") && on("enableSystemLogHandler")
}

/// What a failure means. The words are those of Go's net package, of the API server and of konnectivity.
fn verdict(failure: &Failure) -> Verdict {
    let says = |words: &[&str]| words.iter().any(|word| failure.reason.contains(word));
    let dialled = says(&["dial tcp", "error dialing backend", "error trying to reach service", "proxy error"]);
    match failure.http_status {
        None if failure.status == ItemStatus::Timeout => Verdict::Timeout,
        None => Verdict::Failed,
        // The kubelet's own refusal names the user of the API server; the API server's own names the resource.
        Some(401 | 403) if says(&["Forbidden (user="]) => Verdict::Answered,
        Some(401 | 403) => Verdict::Forbidden,
        _ if says(&["No agent available", "no tunnels available", "tunnel-uds", "backstop"]) => Verdict::NoTunnel,
        _ if says(&["gave HTTP response to HTTPS", "x509:", "tls:", "remote error"]) => Verdict::Tls,
        _ if says(&["lookup "]) && dialled => Verdict::Lookup,
        _ if says(&["connection refused"]) => Verdict::Refused,
        _ if says(&["no route to host", "network is unreachable"]) => Verdict::NoRoute,
        // On a connection that the API server kept, packets that vanish are noticed as pings without an answer.
        _ if says(&["i/o timeout", "timed out", "deadline exceeded", "client connection lost"]) => Verdict::Timeout,
        _ if dialled => Verdict::Failed,
        Some(504) => Verdict::Timeout,
        // A log that is not there is an answer of the kubelet; a node or pod that is gone, and an address that the API
        // server will not dial, are answers of its own.
        Some(400) if says(&["is waiting to start", "is not available", "previous terminated"]) => Verdict::Answered,
        Some(404) if !says(&["\" not found"]) => Verdict::Answered,
        Some(_) => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_words_of_a_failure_give_its_verdict() {
        let of = |code: u16, message: &str| verdict(&Failure::answered(code, "", message, None));
        let url = "Get \"https://10.0.0.5:10250/containerLogs/a/b/c\": ";
        for (code, message, expected) in [
            (500, "dial tcp 10.0.0.5:10250: i/o timeout", Verdict::Timeout),
            (500, "http2: client connection lost", Verdict::Timeout),
            (500, "dial tcp 10.0.0.5:10250: connect: connection refused", Verdict::Refused),
            (
                503,
                "error trying to reach service: dial tcp 10.0.0.5:10250: connect: no route to host",
                Verdict::NoRoute,
            ),
            (500, "dial tcp: lookup worker1 on 10.0.0.2:53: no such host", Verdict::Lookup),
            (500, "http: server gave HTTP response to HTTPS client", Verdict::Tls),
            (500, "error dialing backend: No agent available", Verdict::NoTunnel),
            (403, "nodes \"n1\" is forbidden: User \"u\" cannot get resource \"nodes/proxy\"", Verdict::Forbidden),
            (403, "Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes)", Verdict::Answered),
            (404, "pods \"x\" not found", Verdict::Failed),
            (400, "container \"c\" in pod \"b\" is waiting to start: ContainerCreating", Verdict::Answered),
            (400, "address not allowed", Verdict::Failed),
        ] {
            assert_eq!(of(code, &format!("{url}{message}")), expected, "{message}");
        }
        assert_eq!(verdict(&Failure::timeout("no answer within 5 s")), Verdict::Timeout);
        assert_eq!(verdict(&Failure::new(ItemStatus::Unreachable, "reset")), Verdict::Failed);
    }

    #[test]
    fn log_queries_are_asked_where_the_kubelet_says_that_it_answers_them() {
        assert!(answers_log_queries(
            br#"{"kubeletconfig":{"enableSystemLogHandler":true,"enableSystemLogQuery":true}}"#
        ));
        assert!(!answers_log_queries(br#"{"kubeletconfig":{"enableSystemLogHandler":true}}"#));
        assert!(!answers_log_queries(b"<html>"));
    }
}

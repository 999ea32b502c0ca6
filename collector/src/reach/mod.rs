//! Reaches nodes through the cluster itself: with `--nodes`, a pod for each, made of what the node already has.
//!
//! Nothing is pulled and no image of ours is needed: the pod's image is one that lies on the node, its program comes from
//! a ConfigMap ([`program`]), the host's root is mounted read-only, and the collector is streamed in ([`exec`]). The pod
//! does what `dossier-collect node` does on the host and sends its items back ([`take_in`]). Where exec does not go,
//! because port 10250 is blocked, ConfigMaps carry both ([`mailbox`]). Everything that is created
//! has a label, ends by itself, and is removed on every way out ([`created`]). At most [`AT_ONCE`] nodes are worked on.

pub(crate) mod api;
pub(crate) mod cleanup;
mod created;
mod digest;
mod exec;
mod image;
mod mailbox;
mod node;
mod pod;
mod program;
pub(crate) mod reply;
mod servers;
mod start;
mod take_in;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::api::Api;
use self::created::{Created, Gone};
use self::exec::Exec;
pub use self::node::Wanted;
use self::node::{Node, Ready};
use self::program::Program;
pub use self::program::{NodeBinary, Programs};
use self::start::Started;
use self::take_in::Taken;
use crate::cluster::failure::Failure;
use crate::plan::{Cost, PlanLine};
use crate::redact::Key;
use crate::run::Run;
use crate::symptom::Ends;

/// Nodes that are worked on at once.
const AT_ONCE: usize = 10;
/// What stays for removing what was created when the time of the whole run is used up.
const FOR_REMOVAL: Duration = Duration::from_secs(20);
/// A node that cannot have this long is not begun.
const LEAST: Duration = Duration::from_secs(10);
/// After this many nodes that exec did not reach while it reached none, it is not tried on the rest.
const EXECS: usize = 3;
/// The line of the plan, and the evidence id of the record that every node has.
pub const LINE: &str = "node.reach";

/// Which nodes are reached, and how.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Reads these nodes too, through a short-lived pod on each: `all`, names with commas between, or a label selector.
    /// Without it nothing is created in the cluster.
    #[arg(long, value_name = "all|NAME,…|SELECTOR")]
    pub nodes: Option<Wanted>,
    /// The namespace that the pods are made in; it must exist and allow privileged pods [default: the context's]
    #[arg(long, value_name = "NAME", requires = "nodes")]
    node_namespace: Option<String>,
    /// Seconds that one node may take, from the creation of its pod to its last item.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, requires = "nodes", value_parser = clap::value_parser!(u64).range(10..=3600))]
    node_seconds: u64,
    /// The static dossier-collect for nodes of another architecture, such as arm64=./dossier-collect-arm64.
    #[arg(long, value_name = "ARCH=FILE", requires = "nodes")]
    pub node_binary: Vec<NodeBinary>,
}

/// What will be done to reach nodes; nothing without `--nodes`.
pub fn plan(options: &Options) -> Option<PlanLine> {
    let wanted = options.nodes.as_ref()?;
    let namespace = options.node_namespace.as_deref().unwrap_or("the context's namespace");
    let what = format!(
        "on {wanted}, in {namespace}: POST a ConfigMap and for each node a pod from an image that it has, exec into it; where exec fails, POST the program in ConfigMaps and for the node a pod, a ConfigMap, a ServiceAccount, a Role and a RoleBinding; DELETE all"
    );
    let bound = format!("{AT_ONCE} nodes at once, {} s each", options.node_seconds);
    Some(PlanLine::new(LINE, Scope::Cluster, what, Cost::Moderate, bound))
}

/// Records that no node was reached, because the API server was not.
pub fn record_unreachable(run: &Run, error: &anyhow::Error) {
    let end = ItemEnd::because(ItemStatus::Unreachable, bundle::in_one_line(error.as_ref()));
    run.record(draft(Scope::Cluster, "GET /api/v1/nodes".to_owned()), end, Timestamp::now());
}

/// What a run asks of its nodes.
pub struct Asked<'a> {
    /// Which nodes, and how they are reached.
    pub options: &'a Options,
    /// Whether the heavy items are wanted.
    pub deep: bool,
    /// What the run masks by.
    pub key: Key,
}

/// Reaches the nodes that are wanted. What went wrong is said in each node's record; nodes without their items are noted
/// in the run.
pub async fn collect(run: &Run, asked: Asked<'_>, programs: Programs, api: Api, server: String) {
    let Asked { options, deep, key } = asked;
    let Some(wanted) = options.nodes.as_ref() else { return };
    let namespace = options.node_namespace.clone().unwrap_or_else(|| api.default_namespace().to_owned());
    let (nodes, missing) = match node::list(&api, wanted).await {
        Ok(found) => found,
        Err(failure) => {
            let draft = draft(Scope::Cluster, "GET /api/v1/nodes".to_owned());
            let reason = format!("the nodes could not be listed: {}", failure.reason);
            run.record(draft, ItemEnd { reason: Some(reason), ..failure.end() }, Timestamp::now());
            return;
        }
    };
    for name in missing {
        let end = ItemEnd::because(ItemStatus::Absent, format!("the cluster has no node {name}"));
        run.record(draft(Scope::Node(name), "GET /api/v1/nodes".to_owned()), end, Timestamp::now());
    }
    if nodes.is_empty() {
        let end = ItemEnd::because(ItemStatus::Empty, format!("{wanted}: there is none"));
        run.record(draft(Scope::Cluster, "GET /api/v1/nodes".to_owned()), end, Timestamp::now());
    }
    let objects = pod::Run { id: run_id(), namespace, pod_seconds: options.node_seconds + 60 };
    let reach = Reach {
        run: run.clone(),
        api,
        objects,
        programs,
        created: Created::default(),
        refused: Mutex::default(),
        stage0: tokio::sync::OnceCell::new(),
        pieces: tokio::sync::Mutex::default(),
        servers: tokio::sync::OnceCell::new(),
        server,
        node_time: Duration::from_secs(options.node_seconds),
        deep,
        key,
        exec: Default::default(),
    };
    let ends = Ends::of(&run.symptom().unwrap_or_default());
    let of_symptom = node::of_symptom(&reach.api, &ends).await;
    Arc::new(reach).all(node::in_order(nodes, &ends, &of_symptom)).await;
}

/// What the tasks of all nodes share.
struct Reach {
    run: Run,
    api: Api,
    objects: pod::Run,
    programs: Programs,
    created: Created,
    /// Why the namespace takes no pod of ours, once that is known: it will take none for the other nodes either.
    refused: Mutex<Option<Failure>>,
    stage0: tokio::sync::OnceCell<()>,
    /// The ConfigMaps that hold a collector, by architecture, once a node needed them.
    pieces: tokio::sync::Mutex<BTreeMap<String, Vec<String>>>,
    /// Where an API server may answer to a node, once one had to be told.
    servers: tokio::sync::OnceCell<Vec<String>>,
    /// The server as the kubeconfig names it.
    server: String,
    /// What a node may take.
    node_time: Duration,
    /// Whether the heavy items are wanted.
    deep: bool,
    /// What the run masks by; a node that exec reaches does so too, so that a value has one number.
    key: Key,
    /// Nodes that exec reached, and nodes that it did not.
    exec: (AtomicUsize, AtomicUsize),
}

/// How far a node was come.
struct Visit {
    /// How it was tried, for its record.
    how: String,
    result: Result<Taken, Failure>,
}

impl Reach {
    async fn all(self: Arc<Self>, nodes: Vec<Node>) {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for node in nodes {
            // Taken here, in the order of the nodes: tasks begin in an order of their own.
            let permit = Arc::clone(&permits).acquire_owned().await;
            let reach = Arc::clone(&self);
            tasks.spawn(async move {
                reach.visit(&node).await;
                drop(permit);
            });
        }
        while tasks.join_next().await.is_some() {}
        for (path, failure) in self.created.remove_all(&self.api).await {
            let effect = format!("it could not be removed: {}; `dossier-collect cleanup` tries again", failure.reason);
            self.run.progress().say(&format!("warning: {path} was left behind: {}", failure.reason));
            self.run.note_limit("left behind", path, effect);
        }
    }

    /// Reaches one node and records what came of it.
    async fn visit(&self, node: &Node) {
        let started = Timestamp::now();
        let began = Instant::now();
        let Visit { how, result } = self.reach(node).await;
        let draft = draft(Scope::Node(node.name.clone()), how.clone());
        let (taken, trouble) = match result {
            Ok(taken) if taken.ended => {
                let seconds = began.elapsed().as_secs_f64();
                let remark = taken.remark.map(|failure| failure.reason);
                let told = json!({ "way": how, "items": taken.items, "compressed_bytes": taken.bytes, "seconds": (seconds * 10.0).round() / 10.0, "exec_failed": remark });
                let path = bundle::layout::node_file(&node.name, "reach.json");
                let end = ItemEnd { reason: remark, ..ItemEnd::new(ItemStatus::Ok) };
                self.put(draft, path, told.to_string().as_bytes(), end);
                return;
            }
            Ok(mut taken) => {
                let trouble = taken.trouble.take().unwrap_or_else(|| "its items ended early".to_owned());
                let first = taken.remark.take();
                let status = match (self.run.stopped(), &first) {
                    (Some(_), _) => ItemStatus::NotReached,
                    (None, None) => ItemStatus::Timeout,
                    (None, Some(first)) => first.status,
                };
                let before = first.map(|first| first.reason + "; ").unwrap_or_default();
                (taken, Failure::new(status, format!("{before}{trouble}")))
            }
            Err(failure) => (Taken::default(), failure),
        };
        self.run.record(draft, trouble.end(), started);
        if taken.items > 0 {
            self.account(node, &taken, &trouble);
        }
        // Nobody can run the collector on a system that it does not know.
        if node.system == "linux" {
            self.run.note_unreached(&node.name, &trouble.reason);
        }
    }

    /// Records the items that a node was asked for and that did not come.
    fn account(&self, node: &Node, taken: &Taken, trouble: &Failure) {
        let options = crate::node::Options::through_host(&node.name, pod::HOST, self.deep);
        for line in crate::node::plan(&options) {
            if !taken.lines.contains(&line.id) {
                let draft = self.run.draft(&line, Source::Computed(line.what.clone()));
                let end = ItemEnd::because(trouble.status, format!("it did not come; {LINE} says why"));
                self.run.record(draft, end, Timestamp::now());
            }
        }
    }

    /// Writes content of our own. A bundle that takes nothing more is noticed by whoever has more to write.
    fn put(&self, draft: ItemDraft, path: String, content: &[u8], end: ItemEnd) {
        use std::io::Write as _;
        let mut item = crate::run::lazy::LazyItem::new(&self.run, draft, path);
        let written = item.write_all(content);
        let end = written.map_or_else(|error| ItemEnd::because(ItemStatus::Error, error.to_string()), |()| end);
        let _ = item.end(end);
    }

    async fn reach(&self, node: &Node) -> Visit {
        let not_begun = |failure| Visit { how: "nothing was created for it".to_owned(), result: Err(failure) };
        let left = self.run.deadline().saturating_duration_since(std::time::Instant::now()).saturating_sub(FOR_REMOVAL);
        if let Some(ended) = self.run.stopped() {
            let Failure { status, reason, .. } = Failure::stopped(ended);
            return not_begun(Failure::new(status, reason.replace("while it was read", "before it was tried")));
        }
        if left < LEAST {
            let reason = "the time for the whole run does not do for it (budget); more is given with --deadline";
            return not_begun(Failure::new(ItemStatus::NotReached, reason));
        }
        if let Some(failure) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return not_begun(failure);
        }
        if node.system != "linux" {
            let reason = format!("its system is {}: only Linux nodes can be read so far", node.system);
            return not_begun(Failure::new(ItemStatus::Unsupported, reason));
        }
        let program = match self.programs.of(&node.architecture) {
            Ok(program) => program,
            Err(reason) => return not_begun(Failure::new(ItemStatus::Unsupported, reason)),
        };
        if let Some(failure) = self.silence(node).await {
            return not_begun(failure);
        }
        if let Err(failure) = self.stage0().await {
            return not_begun(self.refuse_if_general(failure));
        }
        let deadline = Instant::now() + self.node_time.min(left);
        let failure = match self.by_exec(node, program, deadline).await {
            Err(failure) if self.run.stopped().is_none() => failure,
            Err(failure) => return not_begun(failure),
            Ok(visit) => return visit,
        };
        let mut visit = mailbox::collect(self, node, program, deadline).await;
        visit.result = match visit.result {
            Ok(taken) => Ok(Taken { remark: Some(failure), ..taken }),
            Err(second) => {
                let reason = format!("{}; the way by ConfigMaps failed too: {}", failure.reason, second.reason);
                Err(Failure { reason, ..failure })
            }
        };
        visit
    }

    /// The command that takes the collector from `source` and reads the node, within this run's limits.
    fn collect_command(&self, node: &Node, source: &str, seconds: u64) -> Vec<String> {
        let mut command = pod::collect_command(&node.architecture, source, &node.name, seconds);
        command.extend(self.run.limits().of_node());
        command.extend(self.deep.then(|| "--deep".to_owned()));
        command
    }

    /// The first way. An error is one of exec alone, after which another way may be taken.
    async fn by_exec(&self, node: &Node, program: &Program, deadline: Instant) -> Result<Visit, Failure> {
        if self.exec.0.load(Ordering::Relaxed) == 0 && self.exec.1.load(Ordering::Relaxed) >= EXECS {
            let reason = format!("exec was not tried: it failed on {EXECS} nodes and reached none");
            return Err(Failure::new(ItemStatus::Unreachable, reason));
        }
        let started = match start::start(self, node, deadline).await {
            Ok(started) => started,
            Err(failed) => return Ok(Visit { how: failed.how, result: Err(self.refuse_if_general(failed.failure)) }),
        };
        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs().saturating_sub(10).max(5);
        let exec = Exec {
            namespace: &self.objects.namespace,
            pod: &started.pod,
            node: &node.name,
            command: self.collect_command(node, "-", seconds),
            input: program.packed.clone(),
            key: self.key,
            deadline,
        };
        let result = exec::collect(&self.api, &self.run, exec).await;
        let count = if result.is_ok() { &self.exec.0 } else { &self.exec.1 };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(failure) = &result {
            self.run.progress().say(&format!("{}: exec failed: {}", node.name, failure.reason));
        }
        let removed = self.remove(&started).await;
        let taken = result.map_err(|failure| {
            let place = node.address.as_deref().unwrap_or("its address");
            let reason =
                format!("exec into its pod failed, which goes through port 10250 of {place}: {}", failure.reason);
            Failure { reason, ..failure }
        })?;
        let how = format!("pod {}/{} from image {}, exec{removed}", self.objects.namespace, started.pod, started.image);
        Ok(Visit { how, result: Ok(taken) })
    }

    /// Removes a node's pod, and tells what was odd about it.
    async fn remove(&self, started: &Started) -> String {
        match self.created.remove_pod(&self.api, &started.path).await {
            Ok(Gone::Confirmed) => String::new(),
            Ok(Gone::Unconfirmed) => format!(
                "; its kubelet did not confirm its end, so that it was removed by force and ends by itself within {} s",
                self.objects.pod_seconds
            ),
            // It is tried again at the end.
            Err(failure) => format!("; it could not be removed: {}", failure.reason),
        }
    }

    /// Where an API server may answer to a node.
    async fn servers(&self) -> &[String] {
        self.servers.get_or_init(|| servers::find(&self.api, &self.server)).await
    }

    /// Why no pod can be started on a node: its kubelet is silent and does not answer the API server either. Pods that
    /// are made for it would be stuck.
    async fn silence(&self, node: &Node) -> Option<Failure> {
        const ANSWER: Duration = Duration::from_secs(5);
        let Ready::Silent(since) = node.ready else { return None };
        let since = since.map_or_else(|| "ever".to_owned(), |since| since.to_string());
        let path = format!("/api/v1/nodes/{}/proxy/healthz", node.name);
        let why = self.api.reach(&path, ANSWER).await.err()?.reason;
        let reason = format!(
            "the node is NotReady, its kubelet has been silent since {since}, and does not answer the API server: {why}"
        );
        Some(Failure::new(ItemStatus::Unreachable, reason))
    }

    /// Makes the ConfigMap that all pods share, once.
    async fn stage0(&self) -> Result<(), Failure> {
        let make = || async {
            let object = self.objects.stage0(&self.programs);
            self.created.create(&self.api, &self.objects.collection("configmaps"), &object).await.map(drop)
        };
        self.stage0.get_or_try_init(make).await.copied()
    }

    /// Remembers a refusal that holds for all nodes, and says what to do about it.
    fn refuse_if_general(&self, mut failure: Failure) -> Failure {
        let namespace = &self.objects.namespace;
        let advice = match failure.http_status {
            Some(403) if failure.reason.contains("PodSecurity") => {
                "choose a namespace that allows privileged pods with --node-namespace, or run `dossier-collect node` there"
            }
            Some(403) => "somebody with more rights can run this, or run `dossier-collect node` on the nodes",
            Some(404) => "--node-namespace names one that exists; none is created",
            Some(400 | 422) => "an admission policy may be the cause; choose another namespace with --node-namespace",
            _ => return failure,
        };
        failure.status = ItemStatus::Forbidden;
        failure.reason = format!("no pod may be made in namespace {namespace}: {}; {advice}", failure.reason);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure).clone()
    }
}

fn draft(scope: Scope, how: String) -> ItemDraft {
    ItemDraft { id: LINE.to_owned(), scope, source: Source::Computed(how), plan: LINE.to_owned() }
}

/// Eight hexadecimal digits that differ between two runs, also of one moment on one machine.
fn run_id() -> String {
    let seed = format!("{} {}", Timestamp::now().as_nanosecond(), std::process::id());
    bundle::sha256(seed.as_bytes()).chars().take(8).collect()
}

//! Asks a cluster through its API server: lists, a few single objects, the server's own health, logs.
//!
//! Every item is gathered by a blocking thread that holds one of [`AT_ONCE`] permits, so that no more requests are ever
//! under way. What fails for one item is recorded with that item and concerns no other.

mod access;
mod body;
pub(crate) mod client;
mod component;
mod config_map;
mod connection;
pub(crate) mod credentials;
mod discovery;
mod document;
pub(crate) mod failure;
mod health;
mod json;
pub(crate) mod kubeconfig;
mod kubectl_text;
mod kubelet;
mod list;
pub(crate) mod logs;
mod namespace;
mod objects;
pub(crate) mod pace;
mod paging;
mod plan;
mod pod;
pub(crate) mod proxy;
mod request;
mod resource;
mod running;
mod server_certificate;
mod strip;
mod table;
mod version;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::manifest::Cluster;
use bundle::{ItemEnd, ItemStatus, Source, layout};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use self::config_map::Matching;
pub use self::connection::{Connection, Options, Unreachable, connect, name, server_name};
use self::discovery::Discovery;
use self::health::Check;
pub use self::health::write as write_whole;
use self::kubelet::Kubelets;
use self::list::{Lists, Outcome};
use self::logs::Logs;
use self::pod::Pod;
use self::request::Requests;
use self::resource::{RESOURCES, Resource};
use self::running::{Node, Running};
use self::version::ServerVersion;
use crate::plan::PlanLine;
use crate::run::Run;

/// Requests in flight.
const AT_ONCE: usize = 8;
/// How long anything but a list or a log may take.
const TIME: Duration = Duration::from_secs(60);

/// Everything that will be asked; contacts nobody.
pub fn plan(_options: &Options) -> Vec<PlanLine> {
    plan::lines()
}

/// Records for everything that was planned that the API server could not be reached.
pub fn record_unreachable(run: &Run, error: &anyhow::Error) {
    let reason = bundle::in_one_line(error.as_ref());
    for line in plan::lines() {
        let draft = run.draft(&line, Source::Computed(line.what.clone()));
        run.record(draft, ItemEnd::because(ItemStatus::Unreachable, reason.clone()), Timestamp::now());
    }
}

/// Asks everything that was planned. What was gathered stays where the run is stopped on the way.
pub async fn collect(run: &Run, connection: Connection) -> anyhow::Result<()> {
    let gathering = Arc::new(Gathering::new(run, connection));
    let mut tasks = JoinSet::new();
    for check in Check::ALL {
        gathering.spawn(&mut tasks, move |all| {
            check.gather(&all.requests, &check.plan(), &all.connection.first, all.deadline());
        });
    }
    gathering.spawn(&mut tasks, |all| access::gather(&all.requests, &access::plan(), all.deadline()));
    let shown = Arc::clone(&gathering);
    tasks.spawn(async move {
        let server = server_certificate::Server::of(&shown.connection);
        server_certificate::gather(shown.requests.run(), &server_certificate::plan(), &server).await;
    });
    for line in config_map::plan() {
        let listed = config_map::LISTED.iter().find(|(name, _)| line.id.strip_prefix("api.cm.") == Some(*name));
        let Some((name, namespaces)) = listed else { continue };
        gathering.spawn(&mut tasks, move |all| {
            for namespace in *namespaces {
                config_map::gather(&all.requests, &line, namespace, name, all.deadline());
            }
        });
    }
    let lists = Arc::clone(&gathering);
    tasks.spawn(async move { lists.lists().await });
    // A task that panicked has left its line without a record, which the end of the run turns into an error.
    while tasks.join_next().await.is_some() {}
    gathering.note_cluster();
    Ok(())
}

/// What the threads share.
struct Gathering {
    requests: Requests,
    connection: Connection,
    permits: Arc<Semaphore>,
    lines: BTreeMap<String, PlanLine>,
    version: Option<ServerVersion>,
    /// The uid of kube-system, once its namespace was seen.
    uid: Mutex<Option<String>>,
}

impl Gathering {
    fn new(run: &Run, connection: Connection) -> Gathering {
        if let Some(clock) = health::clock(&connection.first) {
            run.note_clock(clock);
        }
        let gathering = Gathering {
            requests: Requests::new(
                connection.client.clone(),
                connection.pace.clone(),
                run.clone(),
                connection.request_timeout,
            ),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            lines: plan::lines().into_iter().map(|line| (line.id.clone(), line)).collect(),
            version: connection.git_version().and_then(|version| ServerVersion::parse(&version)),
            connection,
            uid: Mutex::default(),
        };
        // Said now, so that a run that is cut short still says whom it asked.
        gathering.note_cluster();
        gathering
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.requests.run().time_for(TIME)
    }

    fn note_cluster(&self) {
        self.requests.run().note_cluster(Cluster {
            name: self.connection.name.clone(),
            server: Some(self.connection.server.to_string()),
            version: self.connection.git_version(),
            uid: self.uid.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        });
    }

    /// Begins blocking work once a permit is free, unless the run is to stop by then. Who waits first begins first.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Gathering) -> T + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        if self.requests.run().stopped().is_some() {
            return None;
        }
        let all = Arc::clone(self);
        Some(tokio::task::spawn_blocking(move || {
            let done = all.requests.run().gathering(|| work(&all));
            drop(permit);
            done
        }))
    }

    fn spawn(self: &Arc<Self>, tasks: &mut JoinSet<()>, work: impl FnOnce(&Gathering) + Send + 'static) {
        let all = Arc::clone(self);
        tasks.spawn(async move {
            done(all.blocking(work).await).await;
        });
    }

    /// Asks what is served, then for all lists, and for what is chosen from them.
    async fn lists(self: Arc<Self>) {
        let Some(discovery) = done(self.blocking(|all| all.discover()).await).await else { return };
        let lists = Arc::new(Lists { requests: self.requests.clone(), discovery, version: self.version });
        let matching = Arc::new(Matching::default());
        let mut tasks = JoinSet::new();
        let mut pods = None;
        let mut config_maps = None;
        let mut nodes = None;
        // The longest first, since the others end beside it.
        let mut resources: Vec<&'static Resource> = RESOURCES.iter().collect();
        resources.sort_by_key(|resource| (resource.id != "pods", resource.id != "nodes", Reverse(resource.cost())));
        for resource in resources {
            let lists = Arc::clone(&lists);
            match resource.id {
                "pods" => pods = self.blocking(move |all| all.pods(&lists, resource)).await,
                "nodes" => nodes = self.blocking(move |all| all.nodes(&lists, resource)).await,
                "configmaps" => {
                    let matching = Arc::clone(&matching);
                    let list = move |all: &Gathering| all.list(&lists, resource, &mut |map| matching.observe(map));
                    config_maps = self.blocking(list).await;
                }
                _ => {
                    let list = self.blocking(move |all| all.list(&lists, resource, &mut |_| {})).await;
                    tasks.spawn(async move { drop(done(list).await) });
                }
            }
        }
        let mut running = Running::default();
        if let Some(Some((pods, seen, listed))) = done(pods).await {
            running = seen;
            self.logs(&mut tasks, &pods, &listed);
        }
        if let Some(Some((nodes, listed))) = done(nodes).await {
            tasks.spawn(Arc::new(Kubelets::new(self.requests.clone())).gather(nodes, running, listed));
        }
        if let Some(Some(listed)) = done(config_maps).await {
            self.matching_config_maps(&mut tasks, matching.take(), &listed);
        }
        while tasks.join_next().await.is_some() {}
    }

    fn discover(&self) -> Discovery {
        let run = self.requests.run();
        let started = Timestamp::now();
        let (discovery, failed) = Discovery::ask(&self.requests, self.deadline());
        if let Some(line) = self.lines.get(plan::DISCOVERY) {
            let draft = run.draft(line, Source::Request("/api, /apis".to_owned()));
            match failed {
                Some(failure) => run.record(draft, failure.end(), started),
                None => {
                    let item = run.begin(draft, layout::cluster_file("discovery.json"));
                    health::write(run, item, &discovery.describe(), ItemEnd::new(ItemStatus::Ok));
                }
            }
        }
        discovery
    }

    fn list(&self, lists: &Lists, resource: &'static Resource, observe: &mut dyn FnMut(&[u8])) -> Option<Outcome> {
        let line = self.lines.get(&resource.evidence())?;
        let mut observe_all = |object: &[u8]| {
            if resource.id == "namespaces" {
                self.look_for_uid(object);
            }
            observe(object);
        };
        Some(lists.gather(resource, line, &mut observe_all))
    }

    fn pods(&self, lists: &Lists, resource: &'static Resource) -> Option<(Vec<Pod>, Running, Outcome)> {
        let now = Timestamp::now();
        let mut pods = Vec::new();
        let mut running = Running::new(&self.requests.run().symptom().unwrap_or_default());
        let listed = self.list(lists, resource, &mut |object| {
            running.observe(object);
            pods.extend(Pod::read(object, now));
        })?;
        Some((pods, running, listed))
    }

    fn nodes(&self, lists: &Lists, resource: &'static Resource) -> Option<(Vec<Node>, Outcome)> {
        let mut nodes = Vec::new();
        let listed = self.list(lists, resource, &mut |object| nodes.extend(Node::read(object)))?;
        Some((nodes, listed))
    }

    fn logs(self: &Arc<Self>, tasks: &mut JoinSet<()>, pods: &[Pod], listed: &Outcome) {
        let lines: Vec<PlanLine> = logs::plan();
        let logs = Arc::new(Logs::new(self.requests.clone()));
        for wanted in logs::choose(self.requests.run(), &lines, pods, listed) {
            let logs = Arc::clone(&logs);
            self.spawn(tasks, move |_| logs.gather(&wanted));
        }
    }

    fn matching_config_maps(self: &Arc<Self>, tasks: &mut JoinSet<()>, found: Vec<(String, String)>, listed: &Outcome) {
        let run = self.requests.run();
        let Some(line) = self.lines.get(config_map::MATCHING_LINE) else { return };
        if found.is_empty() {
            let end = match listed {
                Outcome::Whole => ItemEnd::because(ItemStatus::Absent, "no ConfigMap has such a name"),
                Outcome::Failed(failure) => {
                    ItemEnd::because(failure.status, format!("the ConfigMaps could not be listed: {}", failure.reason))
                }
            };
            run.record(
                run.draft(line, Source::Computed("the names of api.configmaps".to_owned())),
                end,
                Timestamp::now(),
            );
        }
        if found.len() > config_map::MATCHING {
            run.note_limit(
                &line.id,
                config_map::MATCHING.to_string(),
                format!("{} ConfigMaps have such names", found.len()),
            );
        }
        for (namespace, name) in found.into_iter().take(config_map::MATCHING) {
            let line = line.clone();
            self.spawn(tasks, move |all| config_map::gather(&all.requests, &line, &namespace, &name, all.deadline()));
        }
    }

    fn look_for_uid(&self, object: &[u8]) {
        use self::json::cursor::string_at;
        if string_at(object, &["metadata", "name"]) == Some(b"kube-system") {
            let uid = string_at(object, &["metadata", "uid"]).map(|uid| String::from_utf8_lossy(uid).into_owned());
            *self.uid.lock().unwrap_or_else(PoisonError::into_inner) = uid;
        }
    }
}

/// What came of work that was begun; nothing where it panicked.
async fn done<T>(work: Option<JoinHandle<T>>) -> Option<T> {
    work?.await.ok()
}

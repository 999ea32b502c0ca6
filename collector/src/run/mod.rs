//! One run of the collector: the bundle that it writes, the time that it has, and how it is stopped.
//!
//! [`Run`] is a cheap clone that both halves share. Whoever gathers an item makes a draft with [`Run::draft`], then
//! either writes content ([`Run::begin`], [`Item::end`]) or records that there is none ([`Run::record`]). Whatever
//! takes long looks at [`Run::stopped`] (threads) or waits for [`Run::stop`] (tasks) and ends what it has in hand.

pub mod capped;
pub mod command;
pub mod costs;
pub mod enter_root;
pub mod finish;
pub mod lazy;
pub mod limits;
pub mod progress;
pub mod signals;
pub mod space;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bundle::manifest::{Clock, Cluster, Ended, Host, ItemStatus, LimitHit, Scope, Source, Symptom};
use bundle::write::spent::noted;
use bundle::{BundleWriter, ItemDraft, ItemEnd, ItemWriter, WriteError};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::plan::PlanLine;
pub use costs::Costs;
pub use limits::Limits;
pub use progress::Progress;

/// Steps back behind everything else on the host: lowest CPU priority, the idle class of disk requests, and no core dumps
/// that would fill a disk. Where the system refuses, the run goes on as it is.
///
/// The kernel keeps both priorities by thread, and hands them on to threads and processes that are started later: this is
/// to be called before there are others. No safe call sets the class of disk requests, so ionice(1) is asked to; without
/// it, the kernel derives the lowest priority of the usual class from the processor's.
pub fn be_gentle() {
    let _ = rustix::process::setpriority_process(None, 19);
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    if let Some(ionice) = command::find_program(Path::new("/"), "ionice") {
        let own = std::process::id().to_string();
        let _ = command::run(&[ionice, "-c3".to_owned(), "-p".to_owned(), own], IONICE, &|| false, &mut io::sink());
    }
}

/// What ionice(1) may take.
const IONICE: Duration = Duration::from_secs(2);
/// Content after which the disk's free space is looked at again.
const LOOK_EVERY: u64 = 4_000_000;

/// What all parts of a run share.
#[derive(Clone)]
pub struct Run {
    shared: Arc<Shared>,
}

struct Shared {
    writer: BundleWriter,
    started: Timestamp,
    deadline: Instant,
    stop: watch::Sender<Option<Ended>>,
    progress: Progress,
    notes: Mutex<Notes>,
    limits: Limits,
    /// Where it is noted what the run costs, if that is wanted.
    costs: Option<Arc<Costs>>,
    /// Content of nodes so far. A run reads one node itself; others are read by collectors with a bound of their own.
    of_node: AtomicU64,
}

/// What the manifest says besides the items.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) cluster: Option<Cluster>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) limits: Vec<LimitHit>,
    /// Nodes that were asked for and whose items did not come, or not all, and why.
    pub(crate) unreached: Vec<(String, String)>,
    pub(crate) symptom: Option<Symptom>,
}

impl Run {
    /// A run that writes with `writer` and ends after `budget`.
    pub fn new(writer: BundleWriter, budget: Duration, limits: Limits, progress: Progress) -> Run {
        Run::with_costs(writer, budget, limits, progress, None)
    }

    /// The same, noting what it costs.
    pub fn with_costs(
        writer: BundleWriter,
        budget: Duration,
        limits: Limits,
        progress: Progress,
        costs: Option<Arc<Costs>>,
    ) -> Run {
        let (stop, _) = watch::channel(None);
        let shared = Shared {
            writer,
            started: Timestamp::now(),
            deadline: Instant::now() + budget,
            stop,
            progress,
            notes: Mutex::default(),
            limits,
            costs,
            of_node: AtomicU64::new(0),
        };
        Run { shared: Arc::new(shared) }
    }

    /// Does the work of a thread that gathers items.
    pub fn gathering<T>(&self, work: impl FnOnce() -> T) -> T {
        noted(self.shared.costs.as_ref().map(|costs| &costs.gathering), work)
    }

    /// Takes out of an object what is not collected.
    pub fn stripping<T>(&self, work: impl FnOnce() -> T) -> T {
        noted(self.shared.costs.as_ref().map(|costs| &costs.strip), work)
    }

    /// When the run began, by this machine's clock.
    pub fn started(&self) -> Timestamp {
        self.shared.started
    }

    /// The moment at which the whole run ends.
    pub fn deadline(&self) -> Instant {
        self.shared.deadline
    }

    /// The bounds of the run.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether as much of the node was kept as may be; the bound is noted once.
    pub fn node_is_full(&self) -> bool {
        let most = self.limits().node_bytes();
        if self.shared.of_node.load(Ordering::Relaxed) < most {
            return false;
        }
        let mut notes = self.notes();
        if !notes.limits.iter().any(|hit| hit.limit == "node-mb") {
            notes.limits.push(LimitHit {
                limit: "node-mb".to_owned(),
                value: format!("{most} bytes"),
                effect: "what of the node was not read before is missing".to_owned(),
            });
        }
        true
    }

    /// The time that an item may take: what it asks for or was given, or what is left of the run.
    pub fn time_for(&self, item: Duration) -> Duration {
        self.limits().time(item).min(self.shared.deadline.saturating_duration_since(Instant::now()))
    }

    /// Why the run is to stop, once it is. Threads ask this between steps and at least ten times a second.
    pub fn stopped(&self) -> Option<Ended> {
        let told = *self.shared.stop.borrow();
        told.or_else(|| (Instant::now() >= self.shared.deadline).then_some(Ended::Deadline))
    }

    /// Waits until the run is to stop.
    pub async fn stop(&self) -> Ended {
        let mut told = self.shared.stop.subscribe();
        let deadline = tokio::time::Instant::from_std(self.shared.deadline);
        tokio::select! {
            ended = told.wait_for(Option::is_some) => ended.ok().and_then(|ended| *ended).unwrap_or(Ended::Signal),
            () = tokio::time::sleep_until(deadline) => Ended::Deadline,
        }
    }

    /// Tells every part of the run to stop; the first reason stays.
    pub fn tell_to_stop(&self, why: Ended) {
        self.shared.stop.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(why);
            first
        });
    }

    /// What is told on the terminal.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// The draft of the one item that a line of the plan leads to.
    pub fn draft(&self, line: &PlanLine, source: Source) -> ItemDraft {
        ItemDraft { id: line.id.clone(), scope: line.scope.clone(), source, plan: line.id.clone() }
    }

    /// The draft of one of several items that a line of the plan leads to; `suffix` continues the line's id.
    pub fn draft_of(&self, line: &PlanLine, suffix: &str, scope: Scope, source: Source) -> ItemDraft {
        ItemDraft { id: format!("{}.{suffix}", line.id), scope, source, plan: line.id.clone() }
    }

    /// Begins an item with content at `path` of the bundle.
    pub fn begin(&self, draft: ItemDraft, path: String) -> Result<Item, WriteError> {
        self.mind_space();
        self.shared.progress.begin(&draft);
        let plan = (draft.scope.clone(), draft.plan.clone());
        let writer = self.shared.writer.begin(draft, path)?;
        Ok(Item { writer, plan, run: self.clone(), unlooked: 0 })
    }

    /// Ends the run where there is no room for more; looked at whenever an item begins, and while a long one is written.
    pub(crate) fn mind_space(&self) {
        if self.shared.stop.borrow().is_some() {
            return;
        }
        if let Some(full) = space::look(&self.shared.writer, self.limits()) {
            self.note_limit(full.limit, full.value, "the run ended; what was not gathered before is missing");
            self.tell_to_stop(full.why);
        }
    }

    /// Records an item that gave no content.
    pub fn record(&self, draft: ItemDraft, end: ItemEnd, started: Timestamp) {
        let (scope, plan, status) = (draft.scope.clone(), draft.plan.clone(), end.status);
        self.shared.writer.record(draft, end, started);
        self.shared.progress.ended(&scope, &plan, status);
    }

    /// Says which cluster was asked; the last word counts.
    pub fn note_cluster(&self, cluster: Cluster) {
        self.notes().cluster = Some(cluster);
    }

    /// Adds a host that items were gathered on.
    pub fn note_host(&self, host: Host) {
        self.notes().hosts.push(host);
    }

    /// Adds what a clock said.
    pub fn note_clock(&self, clock: Clock) {
        self.notes().clocks.push(clock);
    }

    /// Adds a limit that was met and what it cut.
    pub fn note_limit(&self, limit: &str, value: impl Into<String>, effect: impl Into<String>) {
        self.notes().limits.push(LimitHit { limit: limit.to_owned(), value: value.into(), effect: effect.into() });
    }

    /// Adds a node that was asked for and could not be reached.
    pub fn note_unreached(&self, node: &str, reason: &str) {
        self.notes().unreached.push((node.to_owned(), reason.to_owned()));
    }

    /// Says what the sender says is broken.
    pub fn note_symptom(&self, symptom: Symptom) {
        self.notes().symptom = Some(symptom);
    }

    /// What the sender says is broken.
    pub fn symptom(&self) -> Option<Symptom> {
        self.notes().symptom.clone()
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> &BundleWriter {
        &self.shared.writer
    }
}

/// An item that is being written. It must be [ended](Item::end); one that is dropped is recorded as an error.
pub struct Item {
    writer: ItemWriter,
    plan: (Scope, String),
    run: Run,
    /// Bytes since the disk was looked at.
    unlooked: u64,
}

impl Item {
    /// Says that the item was asked for at this moment, where that was before its first byte came.
    pub fn asked_at(&mut self, started: Timestamp) {
        self.writer.asked_at(started);
    }

    /// The run that it belongs to.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Bytes of content so far.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Ends the item. `Ok` becomes `Empty` by itself where no byte came.
    pub fn end(self, end: ItemEnd) -> Result<(), WriteError> {
        let status =
            if end.status == ItemStatus::Ok && self.writer.bytes() == 0 { ItemStatus::Empty } else { end.status };
        self.writer.end(end)?;
        self.run.progress().ended(&self.plan.0, &self.plan.1, status);
        Ok(())
    }
}

impl Write for Item {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.writer.write(bytes)?;
        self.run.progress().add_bytes(n as u64);
        if matches!(self.plan.0, Scope::Node(_)) {
            self.run.shared.of_node.fetch_add(n as u64, Ordering::Relaxed);
        }
        self.unlooked += n as u64;
        if self.unlooked >= LOOK_EVERY {
            self.unlooked = 0;
            self.run.mind_space();
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

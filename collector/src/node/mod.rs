//! Reads the host that the collector runs on: links, routes, firewalls, resolvers, IPAM stores, settings and logs.
//!
//! What is read is a table of [`item::NodeItem`]s, made by one file per folder of the bundle ([`net`], [`firewall`],
//! [`dns`], [`ipam`], [`cni`], [`kubelet`], [`system`], [`logs`]); [`gather`] does it. Ids, paths and formats are a
//! contract with the analyzer, written down in `bundle/EVIDENCE.md`.
//!
//! Nothing is changed: no module is loaded, no service started, no lock held but iptables' own for one dump at a time.

mod certificates;
mod cni;
mod deep;
mod dns;
mod ending;
mod firewall;
mod gather;
mod host;
mod host_local;
mod ipam;
mod iptables_counts;
mod item;
mod kubeconfigs;
mod kubelet;
mod logs;
mod loopback;
mod modules;
mod net;
mod netns;
mod pods;
mod root;
pub(crate) mod secrets;
mod sockets;
mod sys_class_net;
mod sysctl;
mod system;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Scope, Source};
use jiff::Timestamp;
use serde::Serialize;

use self::host::Host;
use self::item::{Document, NodeItem};
use crate::plan::PlanLine;
use crate::run::{Run, space};

/// Which host is read, and under which name.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The host's name as a node of the cluster; by default its hostname.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Where the host's root directory is mounted, for a collector that runs in a pod.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Adds what a busy host feels: the table of connections, all sockets, statistics of every link, this boot's journal.
    #[arg(long)]
    deep: bool,
}

impl Options {
    /// The host that this runs on, seen from its own root.
    pub fn this_host(node_name: Option<String>, deep: bool) -> Options {
        Options { node_name, root: PathBuf::from("/"), deep }
    }

    /// A node whose root is mounted somewhere.
    pub fn through_host(node_name: &str, root: impl Into<PathBuf>, deep: bool) -> Options {
        Options { node_name: Some(node_name.to_owned()), root: root.into(), deep }
    }

    /// The name of the node, which is its folder below `nodes/`.
    pub fn node_name(&self) -> String {
        let hostname = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node_name.clone().unwrap_or_else(hostname)
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn scope(&self) -> Scope {
        Scope::Node(self.node_name())
    }
}

/// What gathering an item needs.
pub struct Context<'a> {
    run: &'a Run,
    host: &'a Host,
    scope: Scope,
    counts: Mutex<BTreeMap<&'static str, iptables_counts::Counts>>,
}

impl Context<'_> {
    /// Where something lies in the bundle, from where it lies below the node's folder.
    fn path(&self, below: &str) -> String {
        bundle::layout::node_file(&self.host.name, below)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, iptables_counts::Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that will be read and run; touches nothing but the host's name.
pub fn plan(options: &Options) -> Vec<PlanLine> {
    let scope = options.scope();
    lanes(options.deep).iter().flatten().map(|item| item.line(&scope)).collect()
}

/// The items, in two lanes that are worked through side by side: what takes locks and reads disks, one after the
/// other, and the rest. The busiest hosts are those that are looked at, so there are no more.
fn lanes(deep: bool) -> [Vec<NodeItem>; 2] {
    let quick = [net::items(), dns::items(), ipam::items(), cni::items(), kubelet::items(), system::items()];
    let slow = [firewall::items(), logs::items(), if deep { deep::items() } else { Vec::new() }];
    [quick.into_iter().flatten().collect(), slow.into_iter().flatten().collect()]
}

/// Reads everything that was planned. An error means that the bundle could not be written; whatever else goes wrong
/// is said in the records.
pub fn collect(run: &Run, options: &Options) -> anyhow::Result<()> {
    let host = Host::new(options);
    let context = Context { run, host: &host, scope: options.scope(), counts: Mutex::default() };
    system::note(&context);
    netns::mind_another(&context);
    std::thread::scope(|threads| {
        let workers = lanes(options.deep).map(|items| threads.spawn(|| work(&context, items)));
        let mut outcome = Ok(());
        for worker in workers {
            let worked =
                worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread that read the host ended early")));
            outcome = outcome.and(worked);
        }
        outcome
    })
}

fn work(context: &Context<'_>, items: Vec<NodeItem>) -> anyhow::Result<()> {
    for item in items {
        // What is left over is recorded as not reached when the run is finished.
        if context.run.stopped().is_some() {
            break;
        }
        if context.run.node_is_full() {
            let end =
                ItemEnd::because(ItemStatus::NotReached, "as much of the node was kept before as may be (--node-mb)");
            let draft = context.run.draft(&item.line(&context.scope), Source::Computed(item.what.clone()));
            context.run.record(draft, end, Timestamp::now());
            continue;
        }
        // One item that cannot be written must not hide the others; a full disk ends them all.
        if let Err(error) = gather::gather(context, &item) {
            if space::is_full(&error) {
                return Err(error);
            }
            let draft = context.run.draft(&item.line(&context.scope), Source::Computed(item.what.clone()));
            let end =
                ItemEnd::because(ItemStatus::Error, format!("it could not be written into the bundle: {error:#}"));
            context.run.record(draft, end, Timestamp::now());
        }
    }
    Ok(())
}

/// A computed document, with what is missing from it, where something is.
fn json(value: &impl Serialize, reason: Option<String>) -> Document {
    match serde_json::to_vec_pretty(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            Document { bytes, end: ItemEnd { reason, ..ItemEnd::new(ItemStatus::Ok) } }
        }
        Err(error) => Document {
            bytes: Vec::new(),
            end: ItemEnd::because(ItemStatus::Error, format!("it could not be written as JSON: {error}")),
        },
    }
}

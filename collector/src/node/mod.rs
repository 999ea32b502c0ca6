//! Reads the host that the collector runs on: links, routes, firewalls, resolvers, IPAM stores, settings and logs.

use std::path::PathBuf;

use bundle::manifest::Scope;

use crate::plan::PlanLine;
use crate::run::Run;

/// Which host is read, and under which name.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The host's name as a node of the cluster; by default its hostname.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Where the host's root directory is mounted, for a collector that runs in a pod.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// The host that this runs on, seen from its own root.
    pub fn this_host(node_name: Option<String>) -> Options {
        Options { node_name, root: PathBuf::from("/") }
    }

    /// The name of the node, which is its folder below `nodes/`.
    pub fn node_name(&self) -> String {
        let hostname = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node_name.clone().unwrap_or_else(hostname)
    }

    fn scope(&self) -> Scope {
        Scope::Node(self.node_name())
    }
}

/// Everything that will be read and run; touches nothing but the host's name.
pub fn plan(_options: &Options) -> Vec<PlanLine> {
    Vec::new()
}

/// Reads everything that was planned.
pub fn collect(_run: &Run, options: &Options) -> anyhow::Result<()> {
    let _ = (options.scope(), &options.root);
    Ok(())
}

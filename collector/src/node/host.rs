//! What is known of the host before anything is gathered: its root, our rights, its processes and kernel modules.

use std::sync::OnceLock;

use super::Options;
use super::modules::Modules;
use super::root::HostRoot;

/// The host that is read.
#[derive(Debug)]
pub struct Host {
    /// Its name as a node, which is its folder below `nodes/`.
    pub name: String,
    /// Its root directory.
    pub root: HostRoot,
    /// Whether we have root's rights.
    pub privileged: bool,
    /// What the kernel has loaded and could load.
    pub modules: Modules,
    processes: OnceLock<Vec<Process>>,
}

/// A process, by number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, which the kernel cuts to 15 bytes.
    pub comm: String,
}

impl Host {
    /// Looks at the host.
    pub fn new(options: &Options) -> Host {
        let root = HostRoot::new(options.root());
        let modules = Modules::read(&root);
        Host {
            name: options.node_name(),
            privileged: rustix::process::geteuid().is_root(),
            modules,
            processes: OnceLock::new(),
            root,
        }
    }

    /// The processes, in the order of their numbers; looked up once.
    pub fn processes(&self) -> &[Process] {
        self.processes.get_or_init(|| processes(&self.root))
    }

    /// Whether a process of this name runs.
    pub fn runs(&self, comm: &str) -> bool {
        self.processes().iter().any(|process| process.comm == comm)
    }

    /// Whether systemd is the host's init, which is what its own sd_booted(3) asks.
    pub fn has_systemd(&self) -> bool {
        self.root.exists("/run/systemd/system")
    }
}

fn processes(root: &HostRoot) -> Vec<Process> {
    let names = root.names("/proc").unwrap_or_default();
    let mut processes: Vec<Process> = names
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter_map(|pid: u32| {
            let comm = std::fs::read_to_string(root.at(format!("/proc/{pid}/comm"))).ok()?;
            Some(Process { pid, comm: comm.trim_end().to_owned() })
        })
        .collect();
    processes.sort_by_key(|process| process.pid);
    processes
}

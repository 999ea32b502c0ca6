//! Containers: what the pod's template says of them, and what its status says.

use std::sync::Arc;

use crate::facts::json::Seconds;

/// What a pod's specification says, as far as rules could need it. Pods of one workload share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Containers, those of initialization first.
    pub containers: Box<[ContainerTemplate]>,
    /// Whether the pods use the host's network namespace.
    pub host_network: bool,
    /// `ClusterFirst`, `Default`, `ClusterFirstWithHostNet`, `None`.
    pub dns_policy: Arc<str>,
    /// Nameservers of `dnsConfig`.
    pub nameservers: Box<[Arc<str>]>,
    /// The service account's name.
    pub service_account: Arc<str>,
    /// `runtimeClassName`; empty for the node's usual runtime.
    pub runtime_class: Arc<str>,
    /// Conditions that must hold before the pod is ready, beside its containers.
    pub readiness_gates: Box<[Arc<str>]>,
}

/// A container of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerTemplate {
    /// Its name.
    pub name: Arc<str>,
    /// Its image.
    pub image: Arc<str>,
    /// Whether it runs before the others; a sidecar (`restartPolicy: Always`) then stays.
    pub init: bool,
    /// Whether it is an init container that stays.
    pub sidecar: bool,
    /// The ports that it declares. They inform; a container may listen on others.
    pub ports: Box<[Port]>,
    /// Resources, as quantities.
    pub resources: Resources,
    /// Arguments whose values the collector took: flags of known components.
    pub arguments: Box<[Arc<str>]>,
    /// Whether it has a readiness probe.
    pub readiness_probe: bool,
}

/// Requests and limits, as quantities; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `requests.cpu`.
    pub cpu_request: Arc<str>,
    /// `limits.cpu`.
    pub cpu_limit: Arc<str>,
    /// `requests.memory`.
    pub memory_request: Arc<str>,
    /// `limits.memory`.
    pub memory_limit: Arc<str>,
}

/// A declared port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: Arc<str>,
    /// The port of the host that leads to it; 0 where there is none.
    pub host_port: u16,
}

impl Template {
    /// The number of the declared port of this name and protocol, as a Service's `targetPort` finds it: in containers
    /// and sidecars.
    pub fn named_port(&self, name: &str, protocol: &str) -> Option<u16> {
        let running = self.containers.iter().filter(|container| !container.init || container.sidecar);
        let mut ports = running.flat_map(|container| container.ports.iter());
        ports.find(|port| &*port.name == name && &*port.protocol == protocol).map(|port| port.number)
    }

    /// Whether any container declares this port and protocol.
    pub fn declares(&self, number: u16, protocol: &str) -> bool {
        let mut ports = self.containers.iter().flat_map(|container| container.ports.iter());
        ports.any(|port| port.number == number && &*port.protocol == protocol)
    }

    /// Whether any container declares any port.
    pub fn declares_ports(&self) -> bool {
        self.containers.iter().any(|container| !container.ports.is_empty())
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Where its status is in the object: below `/status/initContainerStatuses` or `/status/containerStatuses`.
    pub init: bool,
    /// Its place in that list.
    pub place: u16,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// Its state.
    pub state: State,
    /// How its last run ended, where there was one.
    pub last: Option<Box<Ended>>,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits.
    Waiting {
        /// `ContainerCreating`, `CrashLoopBackOff`, `ImagePullBackOff` …
        reason: Arc<str>,
        /// More words, at most 300 bytes.
        message: Arc<str>,
    },
    /// It runs.
    Running,
    /// It has ended.
    Terminated(Box<Ended>),
    /// The status does not say.
    Unknown,
}

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ended {
    /// `OOMKilled`, `Error`, `Completed` …
    pub reason: Arc<str>,
    /// Its exit code: 137 is SIGKILL, by whomever.
    pub exit_code: i32,
    /// When it ended.
    pub finished: Seconds,
}

//! What enforces policies. An agent of a plugin that does so runs on every node as a pod; flannel, kubenet and Azure CNI
//! alone enforce none. Where nothing is recognized, that is unknown, not absent.

use bundle::Scope;
use netpath::policy::{Enforcement, Plugin};

use crate::citation::Citation;
use crate::facts::workload::Workload;
use crate::facts::{Facts, component};

/// What enforces policies in the cluster, with what shows it.
#[derive(Debug, Clone)]
pub struct Enforcer {
    /// As netpath takes it.
    pub enforcement: Enforcement,
    /// The workload or object that shows it.
    pub citation: Option<Citation>,
    /// The component whose pods enforce on their node; none where it is part of another program.
    agent: Option<&'static str>,
}

/// Components whose pods enforce. canal's DaemonSet is Calico's agent beside flannel.
const AGENTS: &[(&str, Plugin)] = &[
    ("calico-node", Plugin::Calico),
    ("canal", Plugin::Calico),
    ("cilium", Plugin::Cilium),
    ("antrea", Plugin::Antrea),
    ("azure-npm", Plugin::AzureNpm),
    ("ovnkube-node", Plugin::OvnKubernetes),
    ("kube-network-policies", Plugin::KubeNetworkPolicies),
    ("weave", Plugin::Weave),
    ("kube-router", Plugin::KubeRouter),
    ("tke-networkpolicy", Plugin::KubeRouter),
    ("kindnet", Plugin::KubeNetworkPolicies),
    ("aws-node", Plugin::AwsNodeAgent),
];

/// Components of plugins that enforce nothing by themselves.
const WITHOUT: &[(&str, &str)] = &[
    ("flannel", "flannel alone enforces no NetworkPolicy"),
    ("azure-cns", "Azure CNI alone enforces no NetworkPolicy"),
    ("tke-agents", "TKE's network alone enforces no NetworkPolicy"),
];

/// kindnet enforces policies since this build (kind 0.24).
const KINDNET_SINCE: u32 = 20_240_813;

impl Enforcer {
    fn no(why: &str, citation: Option<Citation>) -> Self {
        Self { enforcement: Enforcement::No { why: why.to_owned() }, citation, agent: None }
    }

    fn unknown(why: impl Into<String>, citation: Option<Citation>) -> Self {
        Self { enforcement: Enforcement::Unknown { why: why.into() }, citation, agent: None }
    }

    fn yes(plugin: Plugin, citation: Option<Citation>, agent: Option<&'static str>) -> Self {
        Self { enforcement: Enforcement::Yes { plugin, cited: None }, citation, agent }
    }

    /// `yes`, `no`, `unknown`.
    pub fn word(&self) -> &'static str {
        match self.enforcement {
            Enforcement::Yes { .. } => "yes",
            Enforcement::No { .. } => "no",
            Enforcement::Unknown { .. } => "unknown",
        }
    }

    /// The plugin's name.
    pub fn plugin_name(&self) -> Option<&'static str> {
        match &self.enforcement {
            Enforcement::Yes { plugin, .. } => Some(plugin.name()),
            _ => None,
        }
    }

    /// Why not, or what is not known.
    pub fn why(&self) -> Option<&str> {
        match &self.enforcement {
            Enforcement::Yes { .. } => None,
            Enforcement::No { why } | Enforcement::Unknown { why } => Some(why),
        }
    }
}

/// What enforces policies in the cluster.
pub(in crate::facts) fn find(facts: &Facts) -> Enforcer {
    let found = AGENTS.iter().find_map(|(name, plugin)| agent(facts, name, *plugin));
    if let Some(enforcer) = found.or_else(|| k3s(facts)) {
        return enforcer;
    }
    for id in ["api.workloads.daemonsets", "api.pods"] {
        if let Err(missing) = facts.evidence().need(id, &Scope::Cluster) {
            let why = missing.reason.unwrap_or_else(|| "it was not collected".to_owned());
            return Enforcer::unknown(format!("{id}: {why}"), None);
        }
    }
    let without = WITHOUT.iter().find_map(|(name, why)| Some((citation_of(facts, name)?, *why)));
    match without {
        Some((citation, why)) => Enforcer::no(why, Some(citation)),
        None => Enforcer::unknown("no network plugin that we know runs as pods", None),
    }
}

/// An agent that there is, and whether it is told not to enforce.
fn agent(facts: &Facts, name: &'static str, plugin: Plugin) -> Option<Enforcer> {
    let citation = citation_of(facts, name)?;
    let arguments = |prefix: &str| any_argument(facts, name, prefix);
    match name {
        "kube-router" if arguments("--run-firewall=false").is_some() => {
            Some(Enforcer::no("kube-router is told --run-firewall=false", Some(citation)))
        }
        "cilium" => {
            let config = facts.config_map("kube-system", "cilium-config");
            let never = config.filter(|map| map.data.get("enable-policy").is_some_and(|value| value == "never"));
            match never {
                Some(map) => Some(Enforcer::no("Cilium is told enable-policy: never", Some(map.cite("enable-policy")))),
                None => Some(Enforcer::yes(plugin, Some(citation), Some(name))),
            }
        }
        "kindnet" => match kindnet_build(facts) {
            Some(build) if build >= KINDNET_SINCE => Some(Enforcer::yes(plugin, Some(citation), Some(name))),
            Some(_) => Some(Enforcer::no("kindnet of this age enforces no NetworkPolicy", Some(citation))),
            None => Some(Enforcer::unknown("which kindnet this is: it enforces since v20240813", Some(citation))),
        },
        "aws-node" => match arguments("--enable-network-policy=") {
            Some(argument) if argument.ends_with("=true") => Some(Enforcer::yes(plugin, Some(citation), Some(name))),
            Some(_) => Some(Enforcer::no("aws-node is told --enable-network-policy=false", Some(citation))),
            None => Some(Enforcer::unknown("whether aws-node is told --enable-network-policy", Some(citation))),
        },
        _ => Some(Enforcer::yes(plugin, Some(citation), Some(name))),
    }
}

/// k3s has kube-router's controller within its server, unless it is told otherwise.
fn k3s(facts: &Facts) -> Option<Enforcer> {
    let nodes = facts.node_objects();
    let node = nodes.iter().find(|node| node.info.get("kubeletVersion").is_some_and(|text| text.contains("+k3s")))?;
    let arguments: Vec<_> = nodes.iter().filter_map(|node| node.annotations.get("k3s.io/node-args")).collect();
    let citation = Some(node.citation());
    if arguments.iter().any(|text| text.contains("--disable-network-policy")) {
        return Some(Enforcer::no("k3s is told --disable-network-policy", citation));
    }
    if arguments.iter().any(|text| text.contains("\"server\"")) {
        return Some(Enforcer::yes(Plugin::KubeRouter, citation, None));
    }
    Some(Enforcer::unknown("whether k3s is told --disable-network-policy", citation))
}

/// What enforces policies on a node: an agent that does not run there has left behind what it wrote, or nothing.
pub fn on_node(facts: &Facts, node: &str) -> Enforcement {
    let enforcer = facts.enforcer();
    let Some(agent) = enforcer.agent.filter(|_| facts.evidence().need("api.pods", &Scope::Cluster).is_ok()) else {
        return enforcer.enforcement.clone();
    };
    let pods = facts.pods();
    let mut own = pods.on_node(node).iter().filter_map(|place| pods.get(*place));
    if own.any(|pod| !pod.has_ended() && component::of_pod(pod) == Some(agent)) {
        return enforcer.enforcement.clone();
    }
    Enforcement::Unknown { why: format!("no pod of {agent} is on {node}, where its earlier rules may still stand") }
}

fn workloads<'a>(facts: &'a Facts, name: &str) -> impl Iterator<Item = &'a Workload> + use<'a> {
    let workloads = facts.workloads();
    workloads.of_component(name).into_iter().filter_map(|place| workloads.get(place))
}

/// A DaemonSet of the component that wants pods, else a pod of it.
fn citation_of(facts: &Facts, name: &str) -> Option<Citation> {
    let of_workload = |workload: &Workload| {
        let text = format!("{} {}/{}", workload.kind, workload.namespace, workload.name);
        workload.origin.cite("", &text)
    };
    let daemon = workloads(facts, name).find(|workload| workload.kind == "DaemonSet" && workload.desired > 0);
    daemon.map(of_workload).or_else(|| {
        let is = |pod: &&crate::facts::pod::Pod| !pod.has_ended() && component::of_pod(pod) == Some(name);
        let pod = facts.pods().all().iter().find(is)?;
        Some(pod.origin.cite("", &pod.summary()))
    })
}

fn any_argument(facts: &Facts, name: &str, prefix: &str) -> Option<String> {
    let templates = workloads(facts, name).filter_map(|workload| workload.template.as_ref());
    let mut arguments = templates.flat_map(|template| template.containers.iter()).flat_map(|one| one.arguments.iter());
    arguments.find(|argument| argument.starts_with(prefix)).map(|argument| argument.to_string())
}

/// The day of kindnet's build, which its image's tag names: `v20250214-acbabc1a`.
fn kindnet_build(facts: &Facts) -> Option<u32> {
    let of_workloads = workloads(facts, "kindnet").filter_map(|workload| workload.template.clone());
    let pods = facts.pods().all().iter().filter(|pod| component::of_pod(pod) == Some("kindnet"));
    let templates: Vec<_> = of_workloads.chain(pods.map(|pod| pod.template.clone())).collect();
    let mut images = templates.iter().flat_map(|template| template.containers.iter()).map(|one| one.image.clone());
    images.find_map(|image| image.rsplit_once(":v")?.1.get(..8)?.parse().ok())
}

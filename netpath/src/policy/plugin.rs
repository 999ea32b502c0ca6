//! What enforces policies, and how the implementations differ where the API leaves it open.

use serde::Serialize;

use crate::held::Held;
use crate::source::Cited;
use crate::targets::RejectKind;
use crate::unknown::Unknown;

/// Whether anything in the cluster enforces policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "enforced", rename_all = "lowercase")]
pub enum Enforcement {
    /// This plugin does.
    Yes {
        /// Which one.
        plugin: Plugin,
        /// What shows it.
        #[serde(skip_serializing_if = "Option::is_none")]
        cited: Option<Cited>,
    },
    /// Nothing does: policies have no effect.
    No {
        /// What shows it, in words: `flannel alone enforces no NetworkPolicy`.
        why: String,
    },
    /// The evidence does not tell.
    Unknown {
        /// What is missing, in words.
        why: String,
    },
}

impl Enforcement {
    /// The plugin, where one is known.
    pub fn plugin(&self) -> Option<Plugin> {
        match self {
            Self::Yes { plugin, .. } => Some(*plugin),
            _ => None,
        }
    }
}

/// A program that enforces NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// Calico, also beside flannel (canal) and on AKS.
    Calico,
    /// Cilium.
    Cilium,
    /// kube-router's firewall controller.
    KubeRouter,
    /// Antrea.
    Antrea,
    /// Azure Network Policy Manager.
    AzureNpm,
    /// Weave Net's policy controller.
    Weave,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// kube-network-policies, alone or within kindnet.
    KubeNetworkPolicies,
    /// The node agent of the AWS VPC CNI.
    AwsNodeAgent,
    /// One that is known to enforce, but not how.
    Other,
}

/// What becomes of a packet that policies deny. The API only says that it is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It is dropped without a word.
    Drops,
    /// It is refused with an answer.
    Rejects(RejectKind),
    /// The implementation is not known.
    Unknown,
}

/// A question that the API leaves to the implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether an ipBlock matches the address of a pod.
    BlockMatchesPods,
    /// Whether an ipBlock matches the address of a node.
    BlockMatchesNodes,
    /// Whether selectors match a pod on the host's network.
    SelectsHostNetwork,
    /// Whether a pod's traffic to its own node is filtered.
    FiltersOwnNode,
    /// Whether protocols other than TCP, UDP and SCTP are filtered.
    FiltersOtherProtocols,
    /// Whether policies are judged after a Service's address was translated.
    JudgesTranslated,
    /// Whether `endPort` is implemented.
    EndPort,
    /// Whether SCTP ports are implemented.
    SctpPorts,
    /// Whether AdminNetworkPolicy and its successors are implemented.
    AdminTiers,
}

impl Plugin {
    /// Its name, as people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calico => "Calico",
            Self::Cilium => "Cilium",
            Self::KubeRouter => "kube-router",
            Self::Antrea => "Antrea",
            Self::AzureNpm => "Azure NPM",
            Self::Weave => "Weave Net",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::AwsNodeAgent => "the AWS network policy agent",
            Self::Other => "the network plugin",
        }
    }

    /// What it does with a packet that policies deny. kube-router ends a pod's chain with REJECT (its
    /// pkg/controllers/netpol/pod.go); the others drop unless they are told otherwise, as Calico may be by the
    /// `iptablesFilterDenyAction` of its Felix configuration.
    pub fn denial(self) -> Denial {
        match self {
            Self::KubeRouter => Denial::Rejects(RejectKind::PortUnreachable),
            Self::Other => Denial::Unknown,
            _ => Denial::Drops,
        }
    }

    /// What it answers, where that is sure for all its versions in use. Sources: the plugins' own documentation; for
    /// Cilium and ipBlock <https://docs.cilium.io/en/stable/network/kubernetes/policy/>, for Calico and a pod's own node
    /// the `defaultEndpointToHostAction` of its Felix configuration, which is a setting and hence open.
    fn answers(self, question: Question) -> Option<bool> {
        use Question::{
            AdminTiers, BlockMatchesNodes, BlockMatchesPods, EndPort, FiltersOtherProtocols, FiltersOwnNode,
            JudgesTranslated, SctpPorts, SelectsHostNetwork,
        };
        match (self, question) {
            (
                Self::Calico | Self::KubeRouter | Self::Antrea | Self::AzureNpm | Self::OvnKubernetes,
                BlockMatchesPods,
            )
            | (Self::KubeNetworkPolicies | Self::Weave, BlockMatchesPods)
            | (Self::Calico | Self::KubeRouter | Self::AzureNpm, BlockMatchesNodes)
            | (Self::Calico | Self::Cilium, FiltersOtherProtocols)
            | (Self::Calico | Self::KubeRouter | Self::AzureNpm, JudgesTranslated)
            | (Self::Calico | Self::Antrea | Self::OvnKubernetes | Self::KubeNetworkPolicies, EndPort)
            | (Self::Calico | Self::Antrea | Self::OvnKubernetes, SctpPorts)
            | (Self::OvnKubernetes, AdminTiers) => Some(true),
            (Self::Cilium, BlockMatchesPods)
            | (Self::Calico | Self::Cilium | Self::AzureNpm, SelectsHostNetwork)
            | (Self::AzureNpm, FiltersOwnNode)
            | (Self::KubeRouter | Self::AzureNpm | Self::Weave, AdminTiers) => Some(false),
            _ => None,
        }
    }
}

/// The question's answer, by the plugin where it is known.
pub(super) fn ask(plugin: Option<Plugin>, question: Question) -> Held {
    let known = plugin.and_then(|plugin| plugin.answers(question));
    Held::known_or(known, || {
        let who = plugin.map_or("the network plugin", Plugin::name);
        let what = match question {
            Question::BlockMatchesPods => format!("whether {who} lets an ipBlock match the address of a pod"),
            Question::BlockMatchesNodes => format!("whether {who} lets an ipBlock match the address of a node"),
            Question::SelectsHostNetwork => format!("whether {who} lets selectors match pods on the host's network"),
            Question::FiltersOwnNode => format!("whether {who} filters what a pod sends to its own node"),
            Question::FiltersOtherProtocols => {
                format!("whether {who} filters protocols other than TCP, UDP and SCTP")
            }
            Question::JudgesTranslated => {
                format!("whether {who} judges after a Service's address was translated to its endpoint's")
            }
            Question::EndPort => format!("whether {who} implements endPort"),
            Question::SctpPorts => format!("whether {who} implements SCTP in policies"),
            Question::AdminTiers => {
                format!("whether {who} implements cluster-wide policies of policy.networking.k8s.io")
            }
        };
        Unknown::deterministic(what.clone(), what)
    })
}

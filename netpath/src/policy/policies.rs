//! All policies of a cluster, by kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::foreign::ForeignPolicy;
use super::network_policy::NetworkPolicy;
use super::plugin::Plugin;
use super::tier::{TierKind, TierPolicy};
use crate::json::{JsonError, Place, objects};
use crate::source::Cited;
use crate::unknown::Unknown;

/// A kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `networking.k8s.io` NetworkPolicy.
    NetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1` AdminNetworkPolicy.
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1` BaselineAdminNetworkPolicy.
    BaselineAdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.
    ClusterNetworkPolicy,
    /// Calico's NetworkPolicy.
    CalicoNetworkPolicy,
    /// Calico's GlobalNetworkPolicy.
    CalicoGlobalNetworkPolicy,
    /// Calico's HostEndpoint: without a policy that allows, its traffic is dropped.
    CalicoHostEndpoint,
    /// CiliumNetworkPolicy.
    CiliumNetworkPolicy,
    /// CiliumClusterwideNetworkPolicy.
    CiliumClusterwideNetworkPolicy,
    /// Antrea's NetworkPolicy.
    AntreaNetworkPolicy,
    /// Antrea's ClusterNetworkPolicy.
    AntreaClusterNetworkPolicy,
    /// OVN-Kubernetes' EgressFirewall.
    OvnEgressFirewall,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::NetworkPolicy,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
        Self::ClusterNetworkPolicy,
        Self::CalicoNetworkPolicy,
        Self::CalicoGlobalNetworkPolicy,
        Self::CalicoHostEndpoint,
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::AntreaNetworkPolicy,
        Self::AntreaClusterNetworkPolicy,
        Self::OvnEgressFirewall,
    ];

    /// The kind as people say it.
    pub fn title(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::AdminNetworkPolicy => TierKind::Admin.name(),
            Self::BaselineAdminNetworkPolicy => TierKind::BaselineAdmin.name(),
            Self::ClusterNetworkPolicy => TierKind::Cluster.name(),
            Self::CalicoNetworkPolicy => "Calico's NetworkPolicy",
            Self::CalicoGlobalNetworkPolicy => "Calico's GlobalNetworkPolicy",
            Self::CalicoHostEndpoint => "Calico's HostEndpoint",
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::AntreaNetworkPolicy => "Antrea's NetworkPolicy",
            Self::AntreaClusterNetworkPolicy => "Antrea's ClusterNetworkPolicy",
            Self::OvnEgressFirewall => "OVN-Kubernetes' EgressFirewall",
        }
    }

    /// The plugin whose own kind it is; none for those of Kubernetes.
    pub fn plugin(self) -> Option<Plugin> {
        match self {
            Self::CalicoNetworkPolicy | Self::CalicoGlobalNetworkPolicy | Self::CalicoHostEndpoint => {
                Some(Plugin::Calico)
            }
            Self::CiliumNetworkPolicy | Self::CiliumClusterwideNetworkPolicy => Some(Plugin::Cilium),
            Self::AntreaNetworkPolicy | Self::AntreaClusterNetworkPolicy => Some(Plugin::Antrea),
            Self::OvnEgressFirewall => Some(Plugin::OvnKubernetes),
            _ => None,
        }
    }

    fn tier(self) -> Option<TierKind> {
        match self {
            Self::AdminNetworkPolicy => Some(TierKind::Admin),
            Self::BaselineAdminNetworkPolicy => Some(TierKind::BaselineAdmin),
            Self::ClusterNetworkPolicy => Some(TierKind::Cluster),
            _ => None,
        }
    }
}

/// The policies of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    pub(super) network: BTreeMap<Arc<str>, Vec<NetworkPolicy>>,
    /// By priority.
    pub(super) tiers: Vec<TierPolicy>,
    pub(super) foreign: Vec<ForeignPolicy>,
    pub(super) unreadable: Vec<(Kind, Cited)>,
    pub(super) missing: Vec<(Kind, Unknown)>,
}

impl Policies {
    /// Adds the objects of one kind from a file as kubectl and the API print it: a list, an array or one object. An
    /// object that cannot be read is kept as an unknown.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON of that shape; the caller then says that the kind is missing.
    pub fn add(&mut self, kind: Kind, file: &Arc<str>, bytes: &[u8]) -> Result<(), JsonError> {
        let text = String::from_utf8_lossy(bytes);
        for place in objects(file, &text, Some("items"))? {
            if !self.add_one(kind, &place) {
                self.unreadable.push((kind, place.cited()));
            }
        }
        self.tiers.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        Ok(())
    }

    fn add_one(&mut self, kind: Kind, place: &Place<'_>) -> bool {
        if kind == Kind::NetworkPolicy {
            let Some(policy) = NetworkPolicy::parse(place) else { return false };
            self.network.entry(Arc::clone(&policy.namespace)).or_default().push(policy);
        } else if let Some(tier) = kind.tier() {
            let Some(policy) = TierPolicy::parse(tier, place) else { return false };
            self.tiers.push(policy);
        } else {
            let Some(policy) = ForeignPolicy::parse(kind, place) else { return false };
            self.foreign.push(policy);
        }
        true
    }

    /// Says that a kind's objects are not in the evidence, and why (`forbidden`, `timeout`). A kind that is proved not
    /// to exist is not missing.
    pub fn missing(&mut self, kind: Kind, why: &str) {
        let what = format!("which objects of {} there are: {why}", kind.title());
        self.missing.push((kind, Unknown::deterministic(what.clone(), what)));
    }

    /// How many objects there are, those that cannot be read included.
    pub fn len(&self) -> usize {
        let network: usize = self.network.values().map(Vec::len).sum();
        network + self.tiers.len() + self.foreign.len() + self.unreadable.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the evidence lacks that a judgement of a pod rests on.
    pub(super) fn blind_spots(&self, enforcing: Option<Plugin>) -> Vec<Unknown> {
        let concerns = |kind: Kind| match (kind.plugin(), enforcing) {
            (Some(own), Some(enforcing)) => own == enforcing || enforcing == Plugin::Other,
            _ => true,
        };
        let missing = self.missing.iter().filter(|(kind, _)| concerns(*kind)).map(|(_, unknown)| unknown.clone());
        let unreadable = self.unreadable.iter().filter(|(kind, _)| concerns(*kind)).map(|(kind, cited)| {
            let what = format!("what the {} at {} says, which cannot be read", kind.title(), cited.origin);
            Unknown::deterministic(what.clone(), what)
        });
        missing.chain(unreadable).collect()
    }
}

//! The lists that are asked for: the must rows of what a network-minded bundle holds.

use super::strip::Profile;
use crate::plan::Cost;

/// One list.
#[derive(Debug)]
pub struct Resource {
    /// The continuation of the evidence id `api.`, and of `table.` and `kubectl.`.
    pub id: &'static str,
    /// The groups that may serve it, best first, each with the version that is asked for where the server's own list
    /// of what it serves cannot be had. The core group is "".
    pub groups: &'static [(&'static str, &'static str)],
    /// The plural name.
    pub name: &'static str,
    /// The one namespace that is asked for; none asks for all.
    pub namespace: Option<&'static str>,
    /// What is stripped beyond the rules for all.
    pub profile: Profile,
    /// The name of the file with what kubectl prints, where people look for it.
    pub text: Option<&'static str>,
}

impl Resource {
    /// The evidence id of the objects.
    pub fn evidence(&self) -> String {
        format!("api.{}", self.id)
    }

    /// The last part of the path in the bundle, without its ending.
    pub fn file(&self) -> String {
        match self.namespace {
            Some(namespace) => format!("{}.{namespace}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The path of the list at the server.
    pub fn url(&self, group: &str, version: &str) -> String {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match self.namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.name),
            None => format!("{root}/{}", self.name),
        }
    }

    /// Whether it is served by another server behind the API server, which keeps no watch cache and no pages.
    pub fn is_aggregated(&self) -> bool {
        self.groups.iter().any(|(group, _)| *group == "metrics.k8s.io")
    }

    /// What asking costs.
    pub fn cost(&self) -> Cost {
        match self.id {
            "pods"
            | "events.core"
            | "events.v1"
            | "configmaps"
            | "workloads.replicasets"
            | "calico.ipamhandles"
            | "cilium.ciliumendpoints"
            | "cilium.ciliumidentities" => Cost::Moderate,
            _ => Cost::Trivial,
        }
    }
}

const fn list(id: &'static str, groups: &'static [(&'static str, &'static str)], name: &'static str) -> Resource {
    Resource { id, groups, name, namespace: None, profile: Profile::Plain, text: None }
}

const fn stripped(profile: Profile, list: Resource) -> Resource {
    Resource { profile, ..list }
}

const fn as_text(file: &'static str, list: Resource) -> Resource {
    Resource { text: Some(file), ..list }
}

const fn within(namespace: &'static str, list: Resource) -> Resource {
    Resource { namespace: Some(namespace), ..list }
}

type Groups = &'static [(&'static str, &'static str)];

const CORE: Groups = &[("", "v1")];
const APPS: Groups = &[("apps", "v1")];
const NETWORKING: Groups = &[("networking.k8s.io", "v1")];
const GATEWAY: Groups = &[("gateway.networking.k8s.io", "v1")];
const GATEWAY_ALPHA: Groups = &[("gateway.networking.k8s.io", "v1alpha2")];
const GATEWAY_BETA: Groups = &[("gateway.networking.k8s.io", "v1beta1")];
const POLICY_ALPHA: Groups = &[("policy.networking.k8s.io", "v1alpha1")];
const POLICY_ALPHA2: Groups = &[("policy.networking.k8s.io", "v1alpha2")];
// The aggregated group repeats the objects of the custom resources; newer Calico has the first alone.
const CALICO: Groups = &[("crd.projectcalico.org", "v1"), ("projectcalico.org", "v3")];
const CILIUM: Groups = &[("cilium.io", "v2")];
const CILIUM_ALPHA: Groups = &[("cilium.io", "v2alpha1")];
const AZURE: Groups = &[("acn.azure.com", "v1alpha")];
const AZURE_1: Groups = &[("acn.azure.com", "v1alpha1")];
const AZURE_TENANTS: Groups = &[("multitenancy.acn.azure.com", "v1alpha1")];
const AWS_VPC: Groups = &[("vpcresources.k8s.aws", "v1alpha1")];
const AWS_VPC_BETA: Groups = &[("vpcresources.k8s.aws", "v1beta1")];
const OVN: Groups = &[("k8s.ovn.org", "v1")];
const ANTREA: Groups = &[("crd.antrea.io", "v1beta1")];
const WHEREABOUTS: Groups = &[("whereabouts.cni.cncf.io", "v1alpha1")];
const ADMISSION: Groups = &[("admissionregistration.k8s.io", "v1")];
const LEASES: Groups = &[("coordination.k8s.io", "v1")];
const METRICS: Groups = &[("metrics.k8s.io", "v1beta1")];

/// All lists. The longest come first, so that the run ends with short ones.
pub const RESOURCES: &[Resource] = &[
    as_text("pods", list("pods", CORE, "pods")),
    stripped(Profile::Workload, list("workloads.replicasets", APPS, "replicasets")),
    stripped(Profile::ConfigMapNames, list("configmaps", CORE, "configmaps")),
    as_text("events", list("events.core", CORE, "events")),
    list("events.v1", &[("events.k8s.io", "v1")], "events"),
    as_text("nodes", list("nodes", CORE, "nodes")),
    as_text("endpointslices", list("endpointslices", &[("discovery.k8s.io", "v1")], "endpointslices")),
    as_text("services", list("services", CORE, "services")),
    stripped(Profile::Workload, list("workloads.deployments", APPS, "deployments")),
    stripped(Profile::Workload, list("workloads.daemonsets", APPS, "daemonsets")),
    stripped(Profile::Workload, list("workloads.statefulsets", APPS, "statefulsets")),
    list("endpoints", CORE, "endpoints"),
    list("namespaces", CORE, "namespaces"),
    list("ingresses", NETWORKING, "ingresses"),
    list("ingressclasses", NETWORKING, "ingressclasses"),
    list("gateways.gateways", GATEWAY, "gateways"),
    list("gateways.gatewayclasses", GATEWAY, "gatewayclasses"),
    list("gateways.httproutes", GATEWAY, "httproutes"),
    list("gateways.grpcroutes", GATEWAY, "grpcroutes"),
    list("gateways.tlsroutes", GATEWAY_ALPHA, "tlsroutes"),
    list("gateways.referencegrants", GATEWAY_BETA, "referencegrants"),
    list("netpol.networkpolicies", NETWORKING, "networkpolicies"),
    list("netpol.adminnetworkpolicies", POLICY_ALPHA, "adminnetworkpolicies"),
    list("netpol.baselineadminnetworkpolicies", POLICY_ALPHA, "baselineadminnetworkpolicies"),
    list("netpol.clusternetworkpolicies", POLICY_ALPHA2, "clusternetworkpolicies"),
    list("netpol.ciliumnetworkpolicies", CILIUM, "ciliumnetworkpolicies"),
    list("netpol.ciliumclusterwidenetworkpolicies", CILIUM, "ciliumclusterwidenetworkpolicies"),
    list("netpol.calico-networkpolicies", CALICO, "networkpolicies"),
    list("netpol.calico-globalnetworkpolicies", CALICO, "globalnetworkpolicies"),
    list("netpol.calico-networksets", CALICO, "networksets"),
    list("netpol.calico-globalnetworksets", CALICO, "globalnetworksets"),
    list("netpol.calico-tiers", CALICO, "tiers"),
    list("netpol.calico-hostendpoints", CALICO, "hostendpoints"),
    as_text("nnc", list("azure.nodenetworkconfigs", AZURE, "nodenetworkconfigs")),
    list("azure.clustersubnetstates", AZURE_1, "clustersubnetstates"),
    list("azure.overlayextensionconfigs", AZURE_1, "overlayextensionconfigs"),
    list("azure.podnetworks", AZURE_TENANTS, "podnetworks"),
    list("azure.podnetworkinstances", AZURE_TENANTS, "podnetworkinstances"),
    list("azure.multitenantpodnetworkconfigs", AZURE_TENANTS, "multitenantpodnetworkconfigs"),
    list("azure.nodeinfo", AZURE_TENANTS, "nodeinfo"),
    list("calico.ippools", CALICO, "ippools"),
    list("calico.ipamblocks", CALICO, "ipamblocks"),
    list("calico.blockaffinities", CALICO, "blockaffinities"),
    list("calico.ipamhandles", CALICO, "ipamhandles"),
    list("calico.ipamconfigs", CALICO, "ipamconfigs"),
    list("calico.felixconfigurations", CALICO, "felixconfigurations"),
    list("calico.bgpconfigurations", CALICO, "bgpconfigurations"),
    list("calico.bgppeers", CALICO, "bgppeers"),
    list("calico.tigerastatuses", &[("operator.tigera.io", "v1")], "tigerastatuses"),
    list("cilium.ciliumnodes", CILIUM, "ciliumnodes"),
    list("cilium.ciliumendpoints", CILIUM, "ciliumendpoints"),
    list("cilium.ciliumendpointslices", CILIUM_ALPHA, "ciliumendpointslices"),
    list("cilium.ciliumidentities", CILIUM, "ciliumidentities"),
    list("cilium.ciliumpodippools", CILIUM_ALPHA, "ciliumpodippools"),
    list("cilium.ciliumegressgatewaypolicies", CILIUM, "ciliumegressgatewaypolicies"),
    list("cilium.ciliumlocalredirectpolicies", CILIUM, "ciliumlocalredirectpolicies"),
    list("cilium.ciliumnodeconfigs", CILIUM, "ciliumnodeconfigs"),
    list("cilium.ciliumloadbalancerippools", CILIUM, "ciliumloadbalancerippools"),
    list("cilium.ciliuml2announcementpolicies", CILIUM_ALPHA, "ciliuml2announcementpolicies"),
    list("cilium.ciliumbgppeeringpolicies", CILIUM_ALPHA, "ciliumbgppeeringpolicies"),
    list("cilium.ciliumbgpclusterconfigs", CILIUM, "ciliumbgpclusterconfigs"),
    list("cilium.ciliumbgppeerconfigs", CILIUM, "ciliumbgppeerconfigs"),
    list("cilium.ciliumbgpadvertisements", CILIUM, "ciliumbgpadvertisements"),
    list("cilium.ciliumbgpnodeconfigs", CILIUM, "ciliumbgpnodeconfigs"),
    list("aws.eniconfigs", &[("crd.k8s.amazonaws.com", "v1alpha1")], "eniconfigs"),
    list("aws.cninodes", AWS_VPC, "cninodes"),
    list("aws.securitygrouppolicies", AWS_VPC_BETA, "securitygrouppolicies"),
    list("whereabouts.ippools", WHEREABOUTS, "ippools"),
    list("whereabouts.overlappingrangeipreservations", WHEREABOUTS, "overlappingrangeipreservations"),
    list("multus.network-attachment-definitions", &[("k8s.cni.cncf.io", "v1")], "network-attachment-definitions"),
    list("ovn.egressips", OVN, "egressips"),
    list("ovn.egressfirewalls", OVN, "egressfirewalls"),
    list("ovn.egressqoses", OVN, "egressqoses"),
    list("ovn.adminpolicybasedexternalroutes", OVN, "adminpolicybasedexternalroutes"),
    list("ovn.userdefinednetworks", OVN, "userdefinednetworks"),
    list("ovn.clusteruserdefinednetworks", OVN, "clusteruserdefinednetworks"),
    list("antrea.ippools", ANTREA, "ippools"),
    list("antrea.externalippools", ANTREA, "externalippools"),
    list("antrea.egresses", ANTREA, "egresses"),
    list("antrea.networkpolicies", ANTREA, "networkpolicies"),
    list("antrea.clusternetworkpolicies", ANTREA, "clusternetworkpolicies"),
    list("antrea.antreaagentinfos", ANTREA, "antreaagentinfos"),
    list("antrea.antreacontrollerinfos", ANTREA, "antreacontrollerinfos"),
    list("webhooks.validating", ADMISSION, "validatingwebhookconfigurations"),
    list("webhooks.mutating", ADMISSION, "mutatingwebhookconfigurations"),
    list("apiservices", &[("apiregistration.k8s.io", "v1")], "apiservices"),
    stripped(
        Profile::CustomResourceDefinition,
        list("crds", &[("apiextensions.k8s.io", "v1")], "customresourcedefinitions"),
    ),
    list("priorityclasses", &[("scheduling.k8s.io", "v1")], "priorityclasses"),
    list("csinodes", &[("storage.k8s.io", "v1")], "csinodes"),
    within("kube-system", list("leases.kube-system", LEASES, "leases")),
    within("kube-node-lease", list("leases.kube-node-lease", LEASES, "leases")),
    list("metrics.nodes", METRICS, "nodes"),
    list("metrics.pods", METRICS, "pods"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_lists_share_an_id_or_a_place() {
        let ids: BTreeSet<&str> = RESOURCES.iter().map(|resource| resource.id).collect();
        assert_eq!(ids.len(), RESOURCES.len());
        let mut places = BTreeSet::new();
        for resource in RESOURCES {
            for (group, _) in resource.groups {
                assert!(places.insert((*group, resource.file())), "{}", resource.id);
            }
        }
    }

    #[test]
    fn secrets_are_never_listed() {
        assert!(RESOURCES.iter().all(|resource| resource.name != "secrets"));
    }

    #[test]
    fn paths_at_the_server() {
        let of =
            |id: &str| RESOURCES.iter().find(|resource| resource.id == id).map(|r| r.url(r.groups[0].0, r.groups[0].1));
        assert_eq!(of("pods").as_deref(), Some("/api/v1/pods"));
        assert_eq!(
            of("leases.kube-system").as_deref(),
            Some("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")
        );
    }
}

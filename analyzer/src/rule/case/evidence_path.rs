//! Which evidence a path in a case's bundle is, so that cases need not say it: the table of `bundle/EVIDENCE.md`, for the
//! files that rules look at most. A block may name any other id behind its path.

/// Paths below `nodes/<node>/` and their ids; a path that ends in `/` stands for all files in it.
const NODE: &[(&str, &str)] = &[
    ("net/link.json", "node.ip.link"),
    ("net/addr4.json", "node.ip.addr4"),
    ("net/addr6.json", "node.ip.addr6"),
    ("net/route4.json", "node.ip.route4"),
    ("net/route6.json", "node.ip.route6"),
    ("net/rule4.json", "node.ip.rule4"),
    ("net/neigh.json", "node.ip.neigh"),
    ("net/fdb.json", "node.ip.fdb"),
    ("net/sys-class-net.json", "node.ip.sys-class-net"),
    ("net/sockets.json", "node.sock.listening"),
    ("net/proc/stat/nf_conntrack", "node.conntrack.stat"),
    ("net/conntrack.txt", "node.conntrack.limits"),
    ("net/netns.json", "node.netns"),
    ("firewall/iptables-nft.v4", "node.iptables.nft-v4"),
    ("firewall/iptables-nft.v6", "node.iptables.nft-v6"),
    ("firewall/iptables-legacy.v4", "node.iptables.legacy-v4"),
    ("firewall/iptables-legacy.v6", "node.iptables.legacy-v6"),
    ("firewall/ufw-status.txt", "node.ufw.status"),
    ("firewall/ufw/", "node.ufw.files"),
    ("dns/resolv.conf", "node.resolv.conf"),
    ("dns/systemd-resolv.conf", "node.resolv.systemd"),
    ("dns/systemd-stub-resolv.conf", "node.resolv.systemd-stub"),
    ("dns/kubelet-resolv.conf", "node.resolv.kubelet"),
    ("ipam/host-local.json", "node.cni.host-local"),
    ("ipam/azure-vnet.json", "node.azure.vnet"),
    ("ipam/azure-vnet-ipam.json", "node.azure.vnet-ipam"),
    ("ipam/azure-endpoints.json", "node.azure.endpoints"),
    ("ipam/azure-cns.json", "node.azure.cns-state"),
    ("ipam/counts.json", "node.ipam.counts"),
    ("cni/net.d.json", "node.cni.conf-index"),
    ("cni/net.d/", "node.cni.conf"),
    ("cni/binaries.json", "node.cni.binaries"),
    ("cni/flannel-subnet.env", "node.flannel.subnet-env"),
    ("kubelet/config.yaml", "node.kubelet.config"),
    ("kubelet/kubeadm-flags.env", "node.kubelet.flags-env"),
    ("kubelet/selftest.json", "selftest.kubelet-proxy"),
    ("kubelet/processes.json", "node.kubelet.processes"),
    ("kubelet/certificates.json", "node.certs.files"),
    ("kubelet/kubeconfigs.json", "node.certs.kubeconfigs"),
    ("kubelet/crictl-pods.json", "node.cri.pods"),
    ("kubelet/crictl-containers.json", "node.cri.containers"),
    ("system/sysctl.txt", "node.sysctl"),
    ("system/sysctl-files.json", "node.sysctl-files.index"),
    ("system/sysctl-files/", "node.sysctl-files"),
    ("system/modules", "node.system.modules"),
    ("system/units.txt", "node.units.services"),
    ("system/clock.json", "node.time.clock"),
    ("logs/dmesg.log", "node.log.dmesg"),
];

/// Paths below `cluster/` and their ids.
const CLUSTER: &[(&str, &str)] = &[
    ("core/nodes.json", "api.nodes"),
    ("core/namespaces.json", "api.namespaces"),
    ("core/pods.json", "api.pods"),
    ("core/services.json", "api.services"),
    ("core/endpoints.json", "api.endpoints"),
    ("core/configmaps.json", "api.configmaps"),
    ("core/events.json", "api.events.core"),
    ("events.k8s.io/events.json", "api.events.v1"),
    ("discovery.k8s.io/endpointslices.json", "api.endpointslices"),
    ("apps/deployments.json", "api.workloads.deployments"),
    ("apps/daemonsets.json", "api.workloads.daemonsets"),
    ("apps/statefulsets.json", "api.workloads.statefulsets"),
    ("apps/replicasets.json", "api.workloads.replicasets"),
    ("networking.k8s.io/networkpolicies.json", "api.netpol.networkpolicies"),
    ("policy.networking.k8s.io/adminnetworkpolicies.json", "api.netpol.adminnetworkpolicies"),
    ("policy.networking.k8s.io/baselineadminnetworkpolicies.json", "api.netpol.baselineadminnetworkpolicies"),
    ("policy.networking.k8s.io/clusternetworkpolicies.json", "api.netpol.clusternetworkpolicies"),
    ("networking.k8s.io/ingresses.json", "api.ingresses"),
    ("acn.azure.com/nodenetworkconfigs.json", "api.azure.nodenetworkconfigs"),
    ("acn.azure.com/clustersubnetstates.json", "api.azure.clustersubnetstates"),
    ("admissionregistration.k8s.io/validatingwebhookconfigurations.json", "api.webhooks.validating"),
    ("admissionregistration.k8s.io/mutatingwebhookconfigurations.json", "api.webhooks.mutating"),
    ("apiregistration.k8s.io/apiservices.json", "api.apiservices"),
    ("version.json", "api.health.version"),
    ("server-certificates.json", "api.health.certificate"),
    ("access.json", "api.access"),
];

/// The evidence id of a path, where the table has one.
pub fn id(path: &str) -> Option<String> {
    if let Some(below) = path.strip_prefix("cluster/") {
        let config_map = below.strip_prefix("core/configmaps/").and_then(|rest| rest.split_once('/'));
        if let Some((_, file)) = config_map {
            return Some(format!("api.cm.{}", file.strip_suffix(".json")?));
        }
        return find(CLUSTER, below);
    }
    let (_, below) = path.strip_prefix("nodes/")?.split_once('/')?;
    let journal = below.strip_prefix("logs/").filter(|name| name.starts_with("journal-"));
    if let Some(journal) = journal {
        return Some(format!("node.log.{}", journal.strip_suffix(".log")?));
    }
    find(NODE, below)
}

fn find(table: &[(&str, &str)], path: &str) -> Option<String> {
    let found = table.iter().find(|(known, _)| *known == path || (known.ends_with('/') && path.starts_with(known)));
    found.map(|(_, id)| (*id).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::evidence_id::is_known;

    #[test]
    fn ids_of_paths() {
        assert_eq!(id("nodes/n1/system/sysctl.txt").as_deref(), Some("node.sysctl"));
        assert_eq!(id("nodes/n1/system/sysctl-files/etc/sysctl.d/99-x.conf").as_deref(), Some("node.sysctl-files"));
        assert_eq!(id("nodes/n1/logs/journal-kubelet.log").as_deref(), Some("node.log.journal-kubelet"));
        assert_eq!(id("cluster/core/configmaps/kube-system/coredns.json").as_deref(), Some("api.cm.coredns"));
        assert_eq!(id("logs/kube-system/coredns-x/coredns.log"), None);
        assert!(NODE.iter().chain(CLUSTER).all(|(_, id)| is_known(id)));
    }
}

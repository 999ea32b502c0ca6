//! The evidence ids that rules may need. A bundle's item ids are these, or continue one behind a dot
//! (`node.iptables.nft-v4`, `log.coredns`); so may a rule's.

/// Every evidence id, with what it holds.
pub const EVIDENCE_IDS: &[(&str, &str)] = &[
    ("api.nodes", "nodes"),
    ("api.pods", "pods of all namespaces, environment values removed"),
    ("api.namespaces", "namespaces"),
    ("api.events", "events of all namespaces"),
    ("api.services", "Services"),
    ("api.endpoints", "Endpoints"),
    ("api.endpointslices", "EndpointSlices"),
    ("api.ingresses", "Ingresses"),
    ("api.ingressclasses", "IngressClasses"),
    ("api.gateways", "Gateways and their classes and routes"),
    ("api.netpol", "NetworkPolicies of Kubernetes, Calico and Cilium"),
    ("api.configmaps", "names of all ConfigMaps and of their keys"),
    ("api.cm", "allow-listed ConfigMaps, `api.cm.<name>`"),
    ("api.cm-matching", "ConfigMaps whose name matches an allow-list"),
    ("api.priorityclasses", "PriorityClasses"),
    ("api.csinodes", "CSINodes"),
    ("api.aws", "objects of the AWS CNI"),
    ("api.whereabouts", "objects of the whereabouts IPAM"),
    ("api.multus", "NetworkAttachmentDefinitions"),
    ("api.ovn", "objects of OVN-Kubernetes"),
    ("api.antrea", "objects of Antrea"),
    ("api.workloads", "Deployments, DaemonSets, StatefulSets, ReplicaSets"),
    ("api.webhooks", "validating and mutating webhook configurations"),
    ("api.apiservices", "APIServices"),
    ("api.crds", "CustomResourceDefinitions"),
    ("api.azure", "NodeNetworkConfigs and the other objects of Azure's CNI"),
    ("api.calico", "Calico's pools, blocks and settings"),
    ("api.cilium", "Cilium's nodes, endpoints and pools"),
    ("api.access", "what the collector was allowed to do"),
    ("api.metrics", "metrics.k8s.io of nodes and pods"),
    ("api.health", "version, readyz, livez, round trips, the server's certificate"),
    ("api.leases", "Leases of nodes and control plane"),
    ("log", "logs of components, `log.<component>`"),
    ("selftest.kubelet-proxy", "one request through the API server to each kubelet"),
    ("node.reach", "how a node was reached; what is missing of one that was not"),
    ("node.sysctl", "/proc/sys/net"),
    ("node.sysctl-files", "the sysctl.d chain"),
    ("node.ufw", "ufw's status and files"),
    ("node.firewalld", "firewalld's state, zones and files"),
    ("node.iptables", "iptables-save of both backends and families"),
    ("node.xtables", "which iptables there are, and counts of their rules"),
    ("node.nft", "the nftables ruleset"),
    ("node.firewall", "saved rulesets and the state of firewall units"),
    ("node.ipset", "ipsets"),
    ("node.ipvs", "IPVS services"),
    ("node.ip", "links, addresses, routes, rules, neighbours, fdb"),
    ("node.sock", "listening sockets and protocol counters"),
    ("node.conntrack", "conntrack count, maximum and statistics"),
    ("node.resolv", "resolver configuration"),
    ("node.kubelet", "the kubelet's configuration and arguments"),
    ("node.ps", "processes"),
    ("node.units", "systemd units and kernel modules"),
    ("node.cni", "CNI configuration, plugins and host-local stores"),
    ("node.ipam", "counts over the IPAM stores"),
    ("node.netns", "network namespaces and whose they are"),
    ("node.calico", "Calico's files"),
    ("node.cilium", "what the Cilium agent says"),
    ("node.aws", "what the AWS CNI says"),
    ("node.azure", "files of Azure's CNI and CNS"),
    ("node.flannel", "flannel's subnet file and interfaces"),
    ("node.cri", "sandboxes and containers, as the runtime knows them"),
    ("node.log", "journals of units, `node.log.journal-<unit>`, the kernel log, `node.log.dmesg`, and log files"),
    ("node.time", "clock and its synchronisation"),
    ("node.certs", "subjects, names and dates of certificates"),
    ("node.system", "operating system, kernel, memory, pressure"),
    ("pod.netns", "sockets, routes and resolver inside a pod's network namespace"),
    ("probe.dns", "DNS queries that were tried"),
    ("probe.tcp", "TCP connections that were tried"),
    ("probe.tls", "TLS handshakes that were tried"),
    ("probe.http", "HTTP requests that were tried"),
    ("probe.icmp", "ICMP echoes that were tried"),
    ("probe.udp", "UDP echoes that were tried"),
    ("probe.mtu", "path MTU ladders that were tried"),
    ("probe.matrix", "all-pairs connections that were tried"),
    ("pcap", "packet captures"),
    ("cloud.aks", "az aks show and nodepool list"),
    ("cloud.nsg", "network security groups"),
    ("cloud.route", "route tables"),
    ("cloud.vnet", "virtual networks"),
    ("cloud.dnszone", "private DNS zones"),
    ("cloud.lb", "load balancers and their metrics"),
    ("cloud.identity", "role assignments and credentials' expiry"),
    ("cloud.tke", "Tencent's clusters, security groups, load balancers"),
    ("ctx.symptom", "what the sender says is broken"),
];

/// Whether rules may need this id: it is one of the table's or continues one behind a dot.
pub fn is_known(id: &str) -> bool {
    EVIDENCE_IDS.iter().any(|(known, _)| serves(id, known))
}

/// Whether `id` is `prefix` or continues it behind a dot.
pub fn serves(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_continue_behind_a_dot_only() {
        assert!(is_known("node.iptables"));
        assert!(is_known("node.iptables.nft-v4"));
        assert!(is_known("log.coredns"));
        assert!(!is_known("node.iptable"));
        assert!(!is_known("node.iptablesx"));
        assert!(!is_known("api.nodes."));
        assert!(!is_known("nodes"));
    }
}

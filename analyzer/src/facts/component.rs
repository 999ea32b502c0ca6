//! Which known component a pod or workload is of, by the labels and names that its makers give it.

use super::metadata::Labels;
use super::pod::Pod;

/// What tells a component.
struct Known {
    /// Its name, as evidence ids of logs spell it.
    component: &'static str,
    /// Values of the labels `k8s-app`, `app`, `app.kubernetes.io/name`, `component`, `name`.
    labels: &'static [&'static str],
    /// Beginnings of names of pods and workloads in the system's namespaces.
    names: &'static [&'static str],
}

/// Known components; of several that match, the first. Sources: the manifests that their makers publish; for
/// konnectivity, tunnel-front and aks-link those of AKS.
const KNOWN: &[Known] = &[
    Known {
        component: "konnectivity-agent-autoscaler",
        labels: &["konnectivity-agent-autoscaler"],
        names: &["konnectivity-agent-autoscaler"],
    },
    Known { component: "konnectivity-agent", labels: &["konnectivity-agent"], names: &["konnectivity-agent"] },
    Known { component: "tunnelfront", labels: &["tunnelfront", "tunnel-front"], names: &["tunnelfront"] },
    Known { component: "aks-link", labels: &["aks-link"], names: &["aks-link"] },
    Known { component: "coredns", labels: &["kube-dns", "coredns"], names: &["coredns"] },
    Known {
        component: "node-local-dns",
        labels: &["node-local-dns", "nodelocaldns"],
        names: &["node-local-dns", "nodelocaldns"],
    },
    Known { component: "kube-proxy", labels: &["kube-proxy"], names: &["kube-proxy"] },
    Known { component: "flannel", labels: &["flannel"], names: &["kube-flannel"] },
    Known { component: "calico-node", labels: &["calico-node"], names: &["calico-node"] },
    Known { component: "canal", labels: &["canal"], names: &["canal-", "rke2-canal"] },
    Known { component: "kindnet", labels: &["kindnet"], names: &["kindnet"] },
    Known { component: "kube-network-policies", labels: &["kube-network-policies"], names: &["kube-network-policies"] },
    Known { component: "ovnkube-node", labels: &["ovnkube-node"], names: &["ovnkube-node"] },
    Known { component: "tke-networkpolicy", labels: &["networkpolicy"], names: &["networkpolicy-"] },
    Known { component: "calico-typha", labels: &["calico-typha"], names: &["calico-typha"] },
    Known { component: "cilium-operator", labels: &["cilium-operator"], names: &["cilium-operator"] },
    Known { component: "cilium-envoy", labels: &["cilium-envoy"], names: &["cilium-envoy"] },
    Known { component: "cilium", labels: &["cilium", "cilium-agent"], names: &["cilium-"] },
    Known { component: "kube-router", labels: &["kube-router"], names: &["kube-router"] },
    Known { component: "weave", labels: &["weave-net"], names: &["weave-net"] },
    Known { component: "antrea", labels: &["antrea"], names: &["antrea-"] },
    Known { component: "aws-node", labels: &["aws-node"], names: &["aws-node"] },
    Known { component: "azure-cns", labels: &["azure-cns"], names: &["azure-cns"] },
    Known { component: "azure-npm", labels: &["azure-npm"], names: &["azure-npm"] },
    Known { component: "azure-ip-masq-agent", labels: &["azure-ip-masq-agent"], names: &["azure-ip-masq-agent"] },
    Known { component: "ip-masq-agent", labels: &["ip-masq-agent"], names: &["ip-masq-agent"] },
    Known {
        component: "tke-agents",
        labels: &["tke-bridge-agent", "tke-eni-agent", "tke-eni-ipamd", "eni-ipamd"],
        names: &["tke-", "eni-ipamd"],
    },
    Known { component: "metrics-server", labels: &["metrics-server"], names: &["metrics-server"] },
    Known { component: "kube-apiserver", labels: &["kube-apiserver"], names: &["kube-apiserver"] },
    Known {
        component: "kube-controller-manager",
        labels: &["kube-controller-manager"],
        names: &["kube-controller-manager"],
    },
    Known { component: "kube-scheduler", labels: &["kube-scheduler"], names: &["kube-scheduler"] },
    Known { component: "etcd", labels: &["etcd"], names: &["etcd-"] },
    Known {
        component: "cloud-controller-manager",
        labels: &["cloud-controller-manager"],
        names: &["cloud-controller-manager"],
    },
];

/// Labels that name a component.
const LABELS: &[&str] = &["k8s-app", "app", "app.kubernetes.io/name", "component", "name"];

/// Namespaces in which a name tells a component.
const NAMESPACES: &[&str] = &[
    "kube-system",
    "kube-flannel",
    "calico-system",
    "tigera-operator",
    "cilium",
    "antrea-system",
    "metrics-server",
    "openshift-ovn-kubernetes",
    "ovn-kubernetes",
    "weave",
];

/// The component of a pod, where it is a known one.
pub fn of_pod(pod: &Pod) -> Option<&'static str> {
    of(&pod.namespace, &pod.name, &pod.labels)
}

/// The component of an object in a namespace, by labels first, then by name.
pub fn of(namespace: &str, name: &str, labels: &Labels) -> Option<&'static str> {
    if !NAMESPACES.contains(&namespace) {
        return None;
    }
    let labelled =
        |known: &&Known| LABELS.iter().any(|key| labels.get(key).is_some_and(|value| known.labels.contains(&&**value)));
    let named = |known: &&Known| known.names.iter().any(|beginning| name.starts_with(beginning));
    KNOWN.iter().find(labelled).or_else(|| KNOWN.iter().find(named)).map(|known| known.component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[test]
    fn labels_before_names_and_only_in_the_systems_namespaces() {
        let agent = labels(&[("app", "konnectivity-agent"), ("component", "tunnel")]);
        assert_eq!(of("kube-system", "konnectivity-agent-5c-x", &agent), Some("konnectivity-agent"));
        assert_eq!(
            of("kube-system", "konnectivity-agent-autoscaler-1", &labels(&[])),
            Some("konnectivity-agent-autoscaler")
        );
        assert_eq!(of("kube-system", "coredns-7d-x", &labels(&[("k8s-app", "kube-dns")])), Some("coredns"));
        assert_eq!(of("shop", "coredns-7d-x", &labels(&[("k8s-app", "kube-dns")])), None);
    }
}

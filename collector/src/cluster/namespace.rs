//! The namespaces in which the system itself runs, as opposed to the customer's applications.

/// Namespaces of Kubernetes, of network plugins, of clouds and of ingress controllers.
const EXACT: &[&str] = &[
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-flannel",
    "calico-system",
    "calico-apiserver",
    "tigera-operator",
    "cilium",
    "gatekeeper-system",
    "ingress-nginx",
    "ingress",
    "traefik",
    "metallb-system",
    "istio-system",
    "projectcontour",
    "kong",
    "envoy-gateway-system",
    "app-routing-system",
    "cattle-system",
];

/// The beginnings of others.
const PREFIXES: &[&str] = &["openshift-", "aks-", "amazon-", "azure-", "gke-", "tke-", "antrea-"];

/// Whether a namespace is the system's.
pub fn is_of_the_system(namespace: &[u8]) -> bool {
    EXACT.iter().any(|name| name.as_bytes() == namespace)
        || PREFIXES.iter().any(|prefix| namespace.starts_with(prefix.as_bytes()))
}

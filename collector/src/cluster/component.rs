//! The components of a cluster's network, and how their pods are known again: by image, by label, by name.

use super::namespace;

/// A component whose logs are taken under `log.<id>`.
#[derive(Debug)]
pub struct Component {
    /// The continuation of the evidence id.
    pub id: &'static str,
    /// Last parts of image names, without registry and tag.
    images: &'static [&'static str],
    /// Values of the labels that name an application, see [`NAME_LABELS`].
    labels: &'static [&'static str],
    /// Beginnings of names of pods; believed in the system's namespaces only.
    names: &'static [&'static str],
}

/// Labels by which the makers of components name them.
pub const NAME_LABELS: &[&str] =
    &["k8s-app", "app.kubernetes.io/name", "app", "name", "component", "app.kubernetes.io/component"];

const fn component(
    id: &'static str,
    images: &'static [&'static str],
    labels: &'static [&'static str],
    names: &'static [&'static str],
) -> Component {
    Component { id, images, labels, names }
}

/// All components. The first that fits counts, so narrower ones (cilium-operator) come before wider ones (cilium).
pub const COMPONENTS: &[Component] = &[
    component("coredns", &["coredns"], &["kube-dns", "coredns"], &["coredns-", "kube-dns-"]),
    component(
        "node-local-dns",
        &["k8s-dns-node-cache"],
        &["node-local-dns", "nodelocaldns"],
        &["node-local-dns-", "nodelocaldns-"],
    ),
    component("kube-proxy", &["kube-proxy"], &["kube-proxy"], &["kube-proxy-"]),
    component(
        "konnectivity-agent-autoscaler",
        &["cluster-proportional-autoscaler"],
        &["konnectivity-agent-autoscaler"],
        &["konnectivity-agent-autoscaler-"],
    ),
    component(
        "konnectivity-agent",
        &["proxy-agent", "apiserver-network-proxy-agent"],
        &["konnectivity-agent"],
        &["konnectivity-agent-"],
    ),
    component("tunnelfront", &["hcp-tunnel-front"], &["tunnelfront"], &["tunnelfront-"]),
    component("aks-link", &["hcp-tunnel-aks-link"], &["aks-link"], &["aks-link-"]),
    component("azure-cns", &["azure-cns"], &["azure-cns"], &["azure-cns-"]),
    component("azure-npm", &["azure-npm"], &["azure-npm"], &["azure-npm-"]),
    component("azure-ip-masq-agent", &["ip-masq-agent-v2"], &["azure-ip-masq-agent"], &["azure-ip-masq-agent-"]),
    component("ip-masq-agent", &["ip-masq-agent", "ip-masq-agent-amd64"], &["ip-masq-agent"], &["ip-masq-agent-"]),
    component("flannel", &["flannel", "mirrored-flannelcni-flannel"], &["flannel"], &["kube-flannel-"]),
    component(
        "calico-node",
        &["node", "calico-node", "mirrored-calico-node"],
        &["calico-node"],
        &["calico-node-", "canal-"],
    ),
    component("calico-typha", &["typha", "mirrored-calico-typha"], &["calico-typha"], &["calico-typha-"]),
    component(
        "calico-kube-controllers",
        &["kube-controllers", "mirrored-calico-kube-controllers"],
        &["calico-kube-controllers"],
        &["calico-kube-controllers-"],
    ),
    component("tigera-operator", &["operator"], &["tigera-operator"], &["tigera-operator-"]),
    component(
        "cilium-operator",
        &["operator-generic", "operator-azure", "operator-aws", "operator-alibabacloud"],
        &["cilium-operator"],
        &["cilium-operator-"],
    ),
    component("cilium-envoy", &["cilium-envoy"], &["cilium-envoy"], &["cilium-envoy-"]),
    component("cilium", &["cilium"], &["cilium", "cilium-agent"], &["cilium-"]),
    component("aws-node", &["amazon-k8s-cni"], &["aws-node"], &["aws-node-"]),
    component(
        "antrea",
        &["antrea-agent-ubuntu", "antrea-controller-ubuntu", "antrea-ubuntu"],
        &["antrea"],
        &["antrea-"],
    ),
    component(
        "ovn-kubernetes",
        &["ovn-kube", "ovn-kubernetes"],
        &["ovnkube-node", "ovnkube-control-plane", "ovnkube-master"],
        &["ovnkube-"],
    ),
    component("kube-router", &["kube-router"], &["kube-router"], &["kube-router-"]),
    component("weave", &["weave-kube", "weave-npc"], &["weave-net"], &["weave-net-"]),
    component("multus", &["multus-cni"], &["multus"], &["kube-multus-", "multus-"]),
    component("whereabouts", &["whereabouts"], &["whereabouts"], &["whereabouts-"]),
    component(
        "tke-agents",
        &["tke-bridge-agent", "tke-cni-agent", "tke-eni-agent", "tke-eni-ipamd", "tke-route-eni"],
        &["tke-bridge-agent", "tke-cni-agent", "tke-eni-agent", "tke-eni-ipamd"],
        &["tke-"],
    ),
    component("metrics-server", &["metrics-server"], &["metrics-server"], &["metrics-server-"]),
    component("cloud-node-manager", &["azure-cloud-node-manager"], &["cloud-node-manager"], &["cloud-node-manager-"]),
    component(
        "cloud-controller-manager",
        &["cloud-controller-manager", "azure-cloud-controller-manager"],
        &["cloud-controller-manager"],
        &["cloud-controller-manager-"],
    ),
    component("kube-apiserver", &["kube-apiserver"], &["kube-apiserver"], &["kube-apiserver-"]),
    component(
        "kube-controller-manager",
        &["kube-controller-manager"],
        &["kube-controller-manager"],
        &["kube-controller-manager-"],
    ),
    component("kube-scheduler", &["kube-scheduler"], &["kube-scheduler"], &["kube-scheduler-"]),
    component("etcd", &["etcd"], &["etcd"], &["etcd-"]),
    component(
        "ingress-nginx",
        &["nginx-ingress-controller", "ingress-nginx-controller", "controller-chroot", "nginx-ingress"],
        &["ingress-nginx", "nginx-ingress", "nginx-ingress-controller"],
        &["ingress-nginx-controller-", "nginx-ingress-", "nginx-"],
    ),
    component("ingress-traefik", &["traefik", "mirrored-library-traefik"], &["traefik"], &["traefik-"]),
    component(
        "ingress-haproxy",
        &["kubernetes-ingress", "haproxy-ingress", "haproxy-ingress-controller"],
        &["haproxy-ingress", "kubernetes-ingress"],
        &["haproxy-ingress-"],
    ),
    component("ingress-contour", &["contour"], &["contour"], &["contour-"]),
    component("ingress-envoy-gateway", &["gateway"], &["gateway-helm", "envoy-gateway"], &["envoy-gateway-"]),
    component(
        "ingress-istio",
        &["proxyv2", "pilot"],
        &["istiod", "istio-ingressgateway"],
        &["istiod-", "istio-ingressgateway-"],
    ),
    component("ingress-kong", &["kubernetes-ingress-controller"], &["ingress-kong"], &["ingress-kong-", "kong-"]),
    component("ingress-agic", &["kubernetes-ingress"], &["ingress-azure", "ingress-appgw"], &["ingress-appgw-"]),
    component("metallb", &["controller", "speaker"], &["metallb"], &["metallb-"]),
    component("external-dns", &["external-dns"], &["external-dns"], &["external-dns-"]),
];

/// Image names that say nothing without the folder before them: `calico/node` is a component, `library/node` is not.
const AMBIGUOUS: &[(&str, &str)] = &[
    ("node", "calico"),
    ("typha", "calico"),
    ("kube-controllers", "calico"),
    ("operator", "tigera"),
    ("gateway", "envoyproxy"),
    ("pilot", "istio"),
    ("contour", "projectcontour"),
    ("controller", "metallb"),
    ("speaker", "metallb"),
    ("kubernetes-ingress", "haproxytech"),
];

/// What is asked of a pod to know its component.
#[derive(Debug, Clone, Copy)]
pub struct Traits<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The values of its [`NAME_LABELS`].
    pub labels: &'a [&'a str],
    /// The images of its containers.
    pub images: &'a [&'a str],
}

/// The component that a pod is of. A label or name alone is believed in the system's namespaces only, since
/// applications like to be called `etcd`; a sidecar's image does not make an application's pod a component.
pub fn of_pod(pod: Traits<'_>) -> Option<&'static Component> {
    let system = namespace::is_of_the_system(pod.namespace.as_bytes());
    let by_label = |c: &&Component| system && pod.labels.iter().any(|label| c.labels.contains(label));
    let by_name = |c: &&Component| system && c.names.iter().any(|name| pod.name.starts_with(name));
    let by_image = || pod.images.first().and_then(|image| of_image(image));
    COMPONENTS.iter().find(by_label).or_else(by_image).or_else(|| COMPONENTS.iter().find(by_name))
}

/// The component that an image is of.
pub fn of_image(image: &str) -> Option<&'static Component> {
    let path = image.split('@').next().unwrap_or(image);
    let mut parts = path.rsplit('/');
    let last = parts.next()?;
    let last = last.split(':').next().unwrap_or(last);
    let folder = parts.next().unwrap_or_default();
    if AMBIGUOUS.iter().any(|(name, owner)| *name == last && !folder.contains(owner)) {
        return None;
    }
    COMPONENTS.iter().find(|component| component.images.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str, name: &str, labels: &[&str], images: &[&str]) -> Option<&'static str> {
        of_pod(Traits { namespace, name, labels, images }).map(|component| component.id)
    }

    #[test]
    fn components_are_known_by_label_image_and_name() {
        assert_eq!(
            of("kube-system", "coredns-7db6d8ff4d-x", &["kube-dns"], &["registry.k8s.io/coredns/coredns:v1.11.1"]),
            Some("coredns")
        );
        assert_eq!(of("dns", "resolver-0", &[], &["registry.k8s.io/coredns/coredns:v1.11.1"]), Some("coredns"));
        assert_eq!(of("kube-flannel", "kube-flannel-ds-9zzcb", &[], &["example.com/own-build:1"]), Some("flannel"));
        assert_eq!(of("kube-system", "cilium-operator-0", &[], &[]), Some("cilium-operator"));
        assert_eq!(
            of("kube-system", "calico-node-x", &[], &["docker.io/calico/node:v3.28.0@sha256:00"]),
            Some("calico-node")
        );
    }

    #[test]
    fn an_application_is_not_taken_for_a_component() {
        assert_eq!(of("shop", "node-1", &[], &["docker.io/library/node:20"]), None);
        assert_eq!(of("shop", "etcd-0", &["etcd"], &["shop/store:1"]), None);
        assert_eq!(of("shop", "web-1", &["web"], &["shop/web:2", "docker.io/istio/proxyv2:1.22"]), None);
        assert_eq!(of("shop", "controller-0", &[], &["shop/controller"]), None);
    }
}

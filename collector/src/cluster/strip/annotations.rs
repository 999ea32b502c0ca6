//! The annotations that are worth having and cannot hold a secret. All others go, `last-applied-configuration` first of
//! all: it repeats the whole object as its author wrote it, environment values included.

/// Whole names, sorted.
const NAMES: &[&str] = &[
    "alpha.kubernetes.io/provided-node-ip",
    "api-approved.kubernetes.io",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "endpoints.kubernetes.io/over-capacity",
    "gateway.networking.k8s.io/bundle-version",
    "gateway.networking.k8s.io/channel",
    "ingressclass.kubernetes.io/is-default-class",
    "k3s.io/external-ip",
    "k3s.io/hostname",
    "k3s.io/internal-ip",
    "kubeadm.alpha.kubernetes.io/cri-socket",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/restartedAt",
    "kubernetes.io/config.hash",
    "kubernetes.io/config.mirror",
    "kubernetes.io/config.seen",
    "kubernetes.io/config.source",
    "kubernetes.io/egress-bandwidth",
    "kubernetes.io/ingress-bandwidth",
    "kubernetes.io/ingress.class",
    "kubernetes.io/limit-ranger",
    "linkerd.io/inject",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
    "node.alpha.kubernetes.io/ttl",
    "prometheus.io/path",
    "prometheus.io/port",
    "prometheus.io/scrape",
    "rke2.io/external-ip",
    "rke2.io/hostname",
    "rke2.io/internal-ip",
    "scheduler.alpha.kubernetes.io/critical-pod",
    "sidecar.istio.io/inject",
    "volumes.kubernetes.io/controller-managed-attach-detach",
];

/// Beginnings of names. Behind each lies a network plugin's, a load balancer's or a service proxy's own vocabulary.
const PREFIXES: &[&str] = &[
    "acn.azure.com/",
    "appgw.ingress.kubernetes.io/",
    "cloud.google.com/",
    "cni.projectcalico.org/",
    "config.linkerd.io/skip-",
    "container.apparmor.security.beta.kubernetes.io/",
    "crd.projectcalico.org/",
    "eks.amazonaws.com/",
    "endpointslice.kubernetes.io/",
    "external-dns.alpha.kubernetes.io/",
    "flannel.alpha.coreos.com/",
    "ingress.cilium.io/",
    "io.cilium.",
    "io.cilium/",
    "ipam.antrea.io/",
    "k8s.amazonaws.com/",
    "k8s.cni.cncf.io/",
    "k8s.ovn.org/",
    "kube-router.io/",
    "kubernetes.azure.com/",
    "lbipam.cilium.io/",
    "metallb.io/",
    "metallb.universe.tf/",
    "network.cilium.io/",
    "network.openshift.io/",
    "networking.gke.io/",
    "nginx.ingress.kubernetes.io/affinity",
    "nginx.ingress.kubernetes.io/app-root",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/canary",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/limit-",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffer",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-next-upstream",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/rewrite-target",
    "nginx.ingress.kubernetes.io/service-upstream",
    "nginx.ingress.kubernetes.io/ssl-passthrough",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/upstream-vhost",
    "nginx.ingress.kubernetes.io/use-regex",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "node.antrea.io/",
    "policy.cilium.io/",
    "projectcalico.org/",
    "service.alpha.kubernetes.io/",
    "service.beta.kubernetes.io/",
    "service.cilium.io/",
    "service.cloud.tencent.com/",
    "service.kubernetes.io/",
    "tke.cloud.tencent.com/",
    "traffic.sidecar.istio.io/",
    "v1.multus-cni.io/",
    "vpc.amazonaws.com/",
];

/// Whether an annotation of this name stays.
pub fn may_stay(name: &[u8]) -> bool {
    NAMES.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_so_that_they_are_found() {
        assert!(NAMES.is_sorted());
        assert!(PREFIXES.is_sorted());
        assert!(NAMES.iter().all(|name| may_stay(name.as_bytes())));
    }

    #[test]
    fn what_an_author_wrote_goes() {
        for name in [
            "kubectl.kubernetes.io/last-applied-configuration",
            "kubernetes.io/change-cause",
            "k3s.io/node-args",
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/auth-url",
            "example.com/password",
        ] {
            assert!(!may_stay(name.as_bytes()), "{name}");
        }
    }
}

//! Who manages a chain, by its name (catalogue of the names that the programs give).

use serde::Serialize;

/// A program that writes rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// kube-proxy and the kubelet.
    KubeProxy,
    /// kube-router's policies.
    KubeRouter,
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
    /// flannel.
    Flannel,
    /// The CNI's bridge and portmap plugins.
    Cni,
    /// Azure NPM.
    AzureNpm,
    /// ip-masq-agent and its like.
    MasqAgent,
    /// Docker.
    Docker,
    /// A service mesh.
    Istio,
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
    /// fail2ban.
    Fail2ban,
    /// libvirt.
    Libvirt,
    /// Tailscale.
    Tailscale,
    /// Nobody that is known: a person, or a script.
    Unknown,
}

const PREFIXES: &[(&str, Owner)] = &[
    ("KUBE-POD-FW", Owner::KubeRouter),
    ("KUBE-NWPLCY", Owner::KubeRouter),
    ("KUBE-ROUTER", Owner::KubeRouter),
    ("KUBE-DEFAULT", Owner::KubeRouter),
    ("KUBE-COMMON", Owner::KubeRouter),
    ("KUBE-", Owner::KubeProxy),
    ("cali-", Owner::Calico),
    ("felix-", Owner::Calico),
    ("CILIUM_", Owner::Cilium),
    ("FLANNEL-", Owner::Flannel),
    ("CNI-", Owner::Cni),
    ("AZURE-NPM", Owner::AzureNpm),
    ("SWIFT", Owner::Cni),
    ("IP-MASQ", Owner::MasqAgent),
    ("DOCKER", Owner::Docker),
    ("ISTIO_", Owner::Istio),
    ("ufw-", Owner::Ufw),
    ("ufw6-", Owner::Ufw),
    ("f2b-", Owner::Fail2ban),
    ("fail2ban-", Owner::Fail2ban),
    ("LIBVIRT_", Owner::Libvirt),
    ("ts-", Owner::Tailscale),
];

/// firewalld's chains: `INPUT_ZONES`, `IN_public_allow`, `FWDO_public`, `FORWARD_direct`.
const FIREWALLD_SUFFIXES: &[&str] =
    &["_direct", "_ZONES", "_ZONES_SOURCE", "_dispatch", "_POLICIES_pre", "_POLICIES_post"];
const FIREWALLD_PREFIXES: &[&str] = &["IN_", "FWDI_", "FWDO_", "FWD_", "PRE_", "POST_"];

/// Who manages the chain of that name.
pub fn owner_of_chain(name: &str) -> Owner {
    if let Some((_, owner)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return *owner;
    }
    let hook = ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].iter().find(|hook| name.starts_with(**hook));
    let of_hook = hook.is_some_and(|_| FIREWALLD_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)));
    let of_zone = FIREWALLD_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && ["allow", "deny", "log", "pre", "post"].iter().any(|part| name.ends_with(part));
    if of_hook || of_zone { Owner::Firewalld } else { Owner::Unknown }
}

impl Owner {
    /// Whether a person may edit the owner's lines: those of kube-proxy and of a CNI are written again.
    pub fn is_editable(self) -> bool {
        matches!(self, Self::Unknown | Self::Ufw | Self::Firewalld | Self::Docker | Self::Fail2ban)
    }

    /// Its name, as people know it; a person's rules have none.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeProxy => "kube-proxy",
            Self::KubeRouter => "kube-router",
            Self::Calico => "Calico",
            Self::Cilium => "Cilium",
            Self::Flannel => "flannel",
            Self::Cni => "a CNI plugin",
            Self::AzureNpm => "Azure NPM",
            Self::MasqAgent => "ip-masq-agent",
            Self::Docker => "Docker",
            Self::Istio => "Istio",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
            Self::Fail2ban => "fail2ban",
            Self::Libvirt => "libvirt",
            Self::Tailscale => "Tailscale",
            Self::Unknown => "nobody that is known",
        }
    }

    /// Whether its lines carry out network policies, so that they are changed by changing a policy. Cilium's rules do not:
    /// its policies are programs of eBPF.
    pub fn enforces_policies(self) -> bool {
        matches!(self, Self::KubeRouter | Self::Calico | Self::AzureNpm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(owner_of_chain("KUBE-POD-FW-ABC"), Owner::KubeRouter);
        assert_eq!(owner_of_chain("KUBE-SVC-ABC"), Owner::KubeProxy);
        assert_eq!(owner_of_chain("ufw6-user-input"), Owner::Ufw);
        assert_eq!(owner_of_chain("IN_public_allow"), Owner::Firewalld);
        assert_eq!(owner_of_chain("FORWARD_direct"), Owner::Firewalld);
        assert_eq!(owner_of_chain("FORWARD"), Owner::Unknown);
        assert_eq!(owner_of_chain("DOCKER-USER"), Owner::Docker);
    }
}

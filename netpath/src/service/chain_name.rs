//! How kube-proxy names its chains: they are hashes of what they are for, so that they can be computed.
//!
//! The rules are those of pkg/proxy/iptables/proxier.go (`portProtoHash`, `servicePortEndpointChainName`) and
//! pkg/proxy/nftables/proxier.go (`hashAndTruncate`) of Kubernetes.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use crate::protocol;
use crate::service::{Mode, PortName};

/// The alphabet of RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// nft's longest name less kube-proxy's longest prefix.
const NFT_LONGEST: usize = 256 - 16;

/// The first `digits` digits of a text's hash: five bits each.
fn hash(text: &str, digits: usize) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
    let digit = |at: usize| (0..5).fold(0usize, |value, step| value << 1 | usize::from(bit(at * 5 + step)));
    (0..digits).filter_map(|at| BASE32.get(digit(at))).map(|byte| char::from(*byte)).collect()
}

/// The names of the chains of one port of a Service.
#[derive(Clone, Debug)]
pub(super) struct ChainNames<'a> {
    mode: Mode,
    port: &'a PortName,
    /// What the names of its chains end in.
    pub suffix: String,
}

impl<'a> ChainNames<'a> {
    pub fn new(mode: Mode, port: &'a PortName) -> Self {
        let protocol = protocol::name(port.protocol);
        let suffix = match mode {
            Mode::Nftables => hashed_name(format!("{}/{}/{protocol}/{}", port.namespace, port.service, port.port)),
            Mode::Iptables | Mode::Ipvs => hash(&format!("{port}{protocol}"), 16),
        };
        Self { mode, port, suffix }
    }

    fn with(&self, iptables: &str, nft: &str) -> String {
        let prefix = if self.mode == Mode::Nftables { nft } else { iptables };
        format!("{prefix}{}", self.suffix)
    }

    /// The chain that picks one of all endpoints.
    pub fn cluster(&self) -> String {
        self.with("KUBE-SVC-", "service-")
    }

    /// The chain that picks one of the node's own endpoints.
    pub fn local(&self) -> String {
        self.with("KUBE-SVL-", "local-")
    }

    /// The chain that packets to addresses outside of the cluster's range go through.
    pub fn external(&self) -> String {
        self.with("KUBE-EXT-", "external-")
    }

    /// The chain that admits `loadBalancerSourceRanges`.
    pub fn firewall(&self) -> String {
        self.with("KUBE-FW-", "firewall-")
    }

    /// The chain that leads to an endpoint.
    pub fn endpoint(&self, endpoint: &SocketAddr) -> String {
        let (port, protocol) = (self.port, protocol::name(self.port.protocol));
        match self.mode {
            Mode::Iptables | Mode::Ipvs => format!("KUBE-SEP-{}", hash(&format!("{port}{protocol}{endpoint}"), 16)),
            Mode::Nftables => {
                let address = endpoint.ip().to_string().replace(':', ".");
                let number = endpoint.port();
                let name = format!("{}/{}/{protocol}/{}__{address}/{number}", port.namespace, port.service, port.port);
                format!("endpoint-{}", hashed_name(name))
            }
        }
    }
}

fn hashed_name(name: String) -> String {
    let mut hashed = format!("{}-{name}", hash(&name, 8));
    if hashed.len() > NFT_LONGEST {
        // Names are ASCII; one that is not is not kube-proxy's, and is left as it is.
        if hashed.is_char_boundary(NFT_LONGEST - 3) {
            hashed.truncate(NFT_LONGEST - 3);
            hashed.push_str("...");
        }
    }
    hashed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn port(namespace: &str, service: &str, port: &str, protocol: u8) -> PortName {
        PortName { namespace: namespace.into(), service: service.into(), port: port.into(), protocol }
    }

    /// Chains that every cluster made by kubeadm has.
    #[test]
    fn names_are_those_of_real_clusters() {
        for (name, hash) in [
            (port("default", "kubernetes", "https", protocol::TCP), "NPX46M4PTMTKRN6Y"),
            (port("kube-system", "kube-dns", "dns", protocol::UDP), "TCOU7JCQXEZGVUNU"),
            (port("kube-system", "kube-dns", "dns-tcp", protocol::TCP), "ERIFXISQEP7F7OF4"),
            (port("kube-system", "kube-dns", "metrics", protocol::TCP), "JD5MR3NA4I4DYORP"),
            (port("default", "nginx", "", protocol::TCP), "2CMXP7HKUVJN7L6M"),
        ] {
            assert_eq!(ChainNames::new(Mode::Iptables, &name).cluster(), format!("KUBE-SVC-{hash}"));
        }
        // Of kube-proxy 1.34.
        let sticky = port("demo", "sticky", "http", protocol::TCP);
        let names = ChainNames::new(Mode::Nftables, &sticky);
        assert_eq!(names.cluster(), "service-4YTARIRW-demo/sticky/tcp/http");
        let endpoint = "10.244.1.20:80".parse().unwrap();
        assert_eq!(names.endpoint(&endpoint), "endpoint-XEIJFZ7V-demo/sticky/tcp/http__10.244.1.20/80");
    }
}

//! Arguments of containers. Only for programs whose flags we know is anything but their number taken, and of those only
//! the values of listed flags.

use super::super::component;
use super::super::json::cursor::Cursor;
use super::STRIPPED;

/// Flags whose values say how a network component is set up, without their dashes, sorted.
const FLAGS: &[&str] = &[
    "admin-bind-address",
    "admin-server-port",
    "advertise-address",
    "agent-identifiers",
    "alpn-proto",
    "allocate-node-cidrs",
    "anonymous-auth",
    "authorization-mode",
    "bind-address",
    "bind-address-hard-fail",
    "cidr-allocator-type",
    "cleanup-ipvs",
    "cloud-provider",
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "cluster-name",
    "concurrent-endpoint-syncs",
    "concurrent-service-endpoint-syncs",
    "concurrent-service-syncs",
    "conf",
    "config",
    "config-dir",
    "config-map",
    "configure-cloud-routes",
    "configmap",
    "conntrack-max-per-core",
    "conntrack-min",
    "conntrack-tcp-be-liberal",
    "conntrack-tcp-timeout-close-wait",
    "conntrack-tcp-timeout-established",
    "conntrack-udp-timeout",
    "conntrack-udp-timeout-stream",
    "controllers",
    "default-backend-service",
    "default-ssl-certificate",
    "detect-local-mode",
    "dns-bind-address",
    "dns-port",
    "dns-server",
    "egress-selector-config-file",
    "election-id",
    "enable-admission-plugins",
    "enable-ipv4",
    "enable-ipv6",
    "enable-node-lifecycle",
    "enable-ssl-passthrough",
    "endpoint-reconciler-type",
    "endpoint-updates-batch-period",
    "feature-gates",
    "force-refresh",
    "health-port",
    "health-server-port",
    "healthz-bind-address",
    "healthz-port",
    "host-network",
    "hostname-override",
    "http-port",
    "https-port",
    "iface",
    "iface-can-reach",
    "iface-regex",
    "ingress-class",
    "ip-masq",
    "ipam-mode",
    "iptables-forward-rules",
    "iptables-localhost-nodeports",
    "iptables-min-sync-period",
    "iptables-resync",
    "iptables-sync-period",
    "ipvs-exclude-cidrs",
    "ipvs-min-sync-period",
    "ipvs-scheduler",
    "ipvs-strict-arp",
    "ipvs-sync-period",
    "ipvs-tcp-timeout",
    "ipvs-tcpfin-timeout",
    "ipvs-udp-timeout",
    "keepalive-time",
    "kube-api-burst",
    "kube-api-content-type",
    "kube-api-qps",
    "kube-subnet-mgr",
    "kubelet-insecure-tls",
    "kubelet-port",
    "kubelet-preferred-address-types",
    "kubelet-request-timeout",
    "kubelet-timeout",
    "kubelet-use-node-status-port",
    "leader-elect",
    "localip",
    "log-level",
    "log_file",
    "logtostderr",
    "masq-chain",
    "masquerade-all",
    "masquerade-bit",
    "max-requests-inflight",
    "max-mutating-requests-inflight",
    "metric-resolution",
    "metrics-address",
    "metrics-bind-address",
    "metrics-port",
    "metrics-resolution",
    "mode",
    "mtu",
    "net-config-path",
    "netconf",
    "node-cidr-mask-size",
    "node-cidr-mask-size-ipv4",
    "node-cidr-mask-size-ipv6",
    "node-ip",
    "node-monitor-grace-period",
    "node-monitor-period",
    "node-name",
    "nodeport-addresses",
    "nodes-per-replica",
    "nomasq-all-reserved-ranges",
    "oom-score-adj",
    "persistent-interface",
    "pod-cidr",
    "pod-eviction-timeout",
    "port",
    "profiling",
    "proxy-mode",
    "proxy-port-range",
    "proxy-server-host",
    "proxy-server-port",
    "public-ip",
    "publish-service",
    "publish-status-address",
    "random-fully",
    "requestheader-allowed-names",
    "resync-interval",
    "route-reconciliation-period",
    "route-table-id",
    "run-router",
    "runtime-config",
    "secure-port",
    "server-count",
    "server-port",
    "service-cidr",
    "service-cluster-ip-range",
    "service-node-port-range",
    "shutdown-delay-duration",
    "ssl-passthrough-proxy-port",
    "stderrthreshold",
    "subnet-file",
    "sync-interval",
    "target",
    "tls-cipher-suites",
    "tls-min-version",
    "tcp-services-configmap",
    "udp-services-configmap",
    "upstreamsvc",
    "v",
    "validating-webhook",
    "vmodule",
    "warmup",
    "watch-ingress-without-class",
    "watch-namespace",
    "weight",
    "write-config-to",
];

/// Whether the container at this offset of an object is of a component whose flags we know.
pub fn is_of_a_known_component(text: &[u8], container: usize) -> bool {
    let mut cursor = Cursor::at_offset(text, container);
    let (mut name, mut image) = (None, None);
    if cursor.open(b'{').is_err() {
        return false;
    }
    let mut first = true;
    while let Ok(Some(member)) = cursor.member(first) {
        first = false;
        let is_text = cursor.peek() == Ok(b'"');
        let start = cursor.at();
        if cursor.skip().is_err() {
            return false;
        }
        let text = || std::str::from_utf8(text.get(start + 1..cursor.at() - 1)?).ok();
        match member.key {
            b"name" if is_text => name = text(),
            b"image" if is_text => image = text(),
            _ => {}
        }
    }
    // Both must be there: a custom resource that calls something `command` is not a container.
    let (Some(_), Some(image)) = (name, image) else { return false };
    component::of_image(image).is_some()
}

/// The arguments of one container, met in their order.
#[derive(Debug, Default)]
pub struct Arguments {
    met: usize,
    /// Whether the next argument is the value of a listed flag.
    value_may_stay: bool,
}

impl Arguments {
    /// What is to stand in place of an argument, with quotes; nothing where it stays. The text is as it stands in JSON.
    pub fn instead_of(&mut self, argument: &[u8]) -> Option<Vec<u8>> {
        let is_first = self.met == 0;
        self.met += 1;
        let value_may_stay = std::mem::take(&mut self.value_may_stay);
        if !argument.starts_with(b"-") {
            let stays = (value_may_stay && is_plain(argument)) || (is_first && is_program(argument));
            return (!stays).then(|| format!("\"{STRIPPED}\"").into_bytes());
        }
        let equals = argument.iter().position(|&byte| byte == b'=');
        let name = argument.get(..equals.unwrap_or(argument.len())).unwrap_or_default();
        if !is_program_or_flag(name) {
            return Some(format!("\"{STRIPPED}\"").into_bytes());
        }
        let listed = is_listed(name);
        match equals {
            None => {
                self.value_may_stay = listed;
                None
            }
            Some(_) if listed && is_plain(argument) => None,
            Some(_) => {
                let mut instead = b"\"".to_vec();
                instead.extend_from_slice(name);
                instead.extend_from_slice(format!("={STRIPPED}\"").as_bytes());
                Some(instead)
            }
        }
    }
}

fn is_listed(flag: &[u8]) -> bool {
    let name = flag.strip_prefix(b"--").or_else(|| flag.strip_prefix(b"-")).unwrap_or(flag);
    FLAGS.iter().any(|known| known.as_bytes() == name)
}

/// Whether a value is one word without credentials in it: no white space, no `user@`, no escape.
fn is_plain(argument: &[u8]) -> bool {
    argument.len() <= 512
        && argument.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'\\' | b'\''))
}

fn is_program(argument: &[u8]) -> bool {
    argument.starts_with(b"/") && is_program_or_flag(argument)
}

fn is_program_or_flag(text: &[u8]) -> bool {
    text.len() <= 100 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(arguments: &[&str]) -> Vec<String> {
        let mut known = Arguments::default();
        let text = |argument: &&str| match known.instead_of(argument.as_bytes()) {
            Some(instead) => String::from_utf8_lossy(&instead).trim_matches('"').to_owned(),
            None => (*argument).to_owned(),
        };
        arguments.iter().map(text).collect()
    }

    #[test]
    fn listed_flags_keep_their_values_and_others_their_names() {
        assert_eq!(
            stripped(&[
                "/usr/local/bin/kube-proxy",
                "--proxy-mode=ipvs",
                "--token=abc",
                "--hostname-override",
                "n1",
                "--password",
                "x"
            ]),
            [
                "/usr/local/bin/kube-proxy",
                "--proxy-mode=ipvs",
                "--token=[stripped]",
                "--hostname-override",
                "n1",
                "--password",
                "[stripped]"
            ]
        );
    }

    #[test]
    fn what_is_not_a_flag_goes() {
        assert_eq!(stripped(&["sh", "-c", "export P=1; exec x"]), ["[stripped]", "-c", "[stripped]"]);
        assert_eq!(
            stripped(&["--config=a b", "--iface=eth0@x", "-=s e"]),
            ["--config=[stripped]", "--iface=[stripped]", "-=[stripped]"]
        );
        assert_eq!(stripped(&["--a b=c"]), ["[stripped]"]);
    }

    #[test]
    fn no_listed_flag_carries_a_credential() {
        for flag in FLAGS {
            for word in ["token", "password", "secret", "key-file", "auth-token", "kubeconfig", "credential"] {
                assert!(!flag.contains(word), "{flag}");
            }
        }
    }
}

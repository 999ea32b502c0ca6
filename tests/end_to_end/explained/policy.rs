//! A NetworkPolicy that allows DNS over UDP and forgets TCP, enforced by kube-router.
//!
//! The host is a node of a real API server, which lies at the peer's address; its pods are of the real CNI plugins, kube-proxy
//! writes their Service's rules and kube-router's firewall controller the policy's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::scenario::objects;
use tests::{ApiServer, Missing, Options, User, programs, require};

use super::site::{PEER, Seen, Site};

/// The DNS server's pod: the second of the host.
const DNS_POD: &str = "10.244.1.3";
/// Its Service.
const DNS: &str = "10.96.0.10";
/// The list of policies.
const POLICIES: &str = "cluster/networking.k8s.io/networkpolicies.json";
/// Both, as they are asked for.
const TARGETS: [&str; 2] = ["pod/kube-system/coredns:53", "service/kube-system/kube-dns:53"];
/// Longer than kube-router and kube-proxy take to see a change on a busy machine.
const SYNC: Duration = Duration::from_secs(90);

/// A cluster of one node whose policies are enforced.
struct Enforced {
    // Ends before the namespace that it runs in.
    server: ApiServer,
    site: Site,
}

impl Enforced {
    fn start() -> Result<Self, Missing> {
        let (router, kube) = (programs::kube_router()?, programs::kube("kube-proxy")?);
        let mut site = Site::boot_with("np", &[(&router, "kube-router"), (&kube.file, "kube")])?;
        let server = ApiServer::start(&Options {
            address: PEER.parse().unwrap(),
            port: Some(6443),
            netns: Some(site.peer.clone()),
            ..Options::default()
        })?;
        site.on_host("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
        for pod in ["cart", "coredns"] {
            site.pod(pod);
        }
        site.serve(Some("coredns"), 53);
        site.answer("coredns", 53);
        server.load(include_str!("policy.yaml")).unwrap();
        for (namespace, pod) in [("shop", "cart"), ("kube-system", "coredns")] {
            let found =
                objects(&server, &["pods", "-n", namespace, "--field-selector", &format!("metadata.name={pod}")]);
            site.sandbox(pod, found.unwrap()[0]["metadata"]["uid"].as_str().unwrap());
        }
        let admin = std::fs::read(server.kubeconfig(User::Admin)).unwrap();
        site.write("/etc/kubernetes/admin.conf", &admin);
        site.on_host(AGENTS);
        let enforced = Enforced { server, site };
        enforced.wait_until("the Service leads to its pod", || enforced.sees("udp", DNS) == Seen::Connected);
        enforced.wait_until("the policy is enforced", || enforced.sees("tcp", DNS_POD) != Seen::Connected);
        Ok(enforced)
    }

    /// What a client in the pod `cart` sees.
    fn sees(&self, protocol: &str, to: &str) -> Seen {
        self.site.connect_from_pod("cart", to, 53, protocol)
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + SYNC;
        while !is_so() {
            let log = || self.site.on_host("journalctl -n 40 --no-pager; iptables-save -t filter");
            assert!(Instant::now() < deadline, "it is not so that {what}: {}", log());
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Cluster and host in one bundle.
    fn collect(&self) -> PathBuf {
        self.site.collect_with("env KUBECONFIG=/etc/kubernetes/admin.conf dossier-collect --this-host")
    }

    fn path(&self, bundle: &Path, to: &str, protocol: &str) -> Value {
        self.site.ask(bundle, &["--from", "pod/shop/cart", "--to", to, "--proto", protocol])
    }

    /// Runs a command that an answer prints, with the administrator's kubectl.
    fn kubectl(&self, command: &str) {
        let mut shell = Command::new("sh");
        let kubectl = self.server.kubectl(User::Admin);
        let words = std::iter::once(kubectl.get_program()).chain(kubectl.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        // The command's first word becomes this test's kubectl, with its arguments.
        let output = shell.arg("-c").arg(format!("kubectl() {{ {} \"$@\"; }}\n{command}", words.join(" "))).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_dns_egress_policy_without_tcp() {
    let enforced = require!(Enforced::start());
    for to in [DNS_POD, DNS] {
        assert_eq!(enforced.sees("udp", to), Seen::Connected, "UDP to {to}");
        assert_eq!(enforced.sees("tcp", to), Seen::Error, "TCP to {to}");
    }

    let bundle = enforced.collect();
    let mut fix = Value::Null;
    for to in TARGETS {
        let udp = enforced.path(&bundle, to, "udp");
        assert_eq!((&udp["verdict"], &udp["client_sees"]), (&"accept".into(), &"connected".into()), "{udp:#}");
        let tcp = enforced.path(&bundle, to, "tcp");
        // kube-router's word for what is not allowed.
        assert_eq!((&tcp["verdict"], &tcp["client_sees"]), (&"reject".into(), &"refused".into()), "{tcp:#}");
        let deciding = &tcp["deciding"];
        assert_eq!(deciding["file"], POLICIES, "{tcp:#}");
        assert_eq!(deciding["pointer"], "/items/0/spec/egress/0", "{tcp:#}");
        assert!(deciding["text"].as_str().unwrap().contains("UDP"), "{tcp:#}");
        // The rule that carries it out is told too; a real packet met it.
        let rule = &deciding["enforced_by"];
        assert_eq!(rule["file"], "nodes/n1/firewall/iptables-nft.v4", "{tcp:#}");
        assert!(rule["text"].as_str().unwrap().contains("-A KUBE-POD-FW-"), "{tcp:#}");
        assert!(deciding["packets"].as_u64() > Some(0), "{tcp:#}");
        assert_eq!(tcp["fix"]["verified"], true, "{tcp:#}");
        let [change] = tcp["fix"]["changes"].as_array().unwrap().as_slice() else { panic!("{tcp:#}") };
        assert_eq!((&change["at"], &change["owner"]), (&"cluster".into(), &"network-policy".into()), "{tcp:#}");
        fix = change["command"].clone();
    }
    let finding = enforced.site.finding(&bundle, "egress-blocked-by-networkpolicy");
    assert_eq!(finding["severity"], "error", "{finding:#}");
    assert!(finding["message"].as_str().unwrap().contains("deny shop/cart DNS over TCP"), "{finding:#}");

    bridged_packets_that_meet_no_rule(&enforced);
    rules_that_are_older_than_the_policy(&enforced, fix.as_str().unwrap());
    enforced.wait_until("TCP is allowed too", || enforced.sees("tcp", DNS_POD) == Seen::Connected);
    assert_eq!(enforced.sees("tcp", DNS), Seen::Connected);
    let bundle = enforced.collect();
    for to in TARGETS {
        let tcp = enforced.path(&bundle, to, "tcp");
        assert_eq!((&tcp["verdict"], &tcp["client_sees"]), (&"accept".into(), &"connected".into()), "{tcp:#}");
    }
}

/// Where the bridge hands its packets to no rule, kube-router cannot keep pods of one node from each other.
fn bridged_packets_that_meet_no_rule(enforced: &Enforced) {
    enforced.site.on_host("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    assert_eq!(enforced.sees("tcp", DNS_POD), Seen::Connected);
    let tcp = enforced.path(&enforced.collect(), TARGETS[0], "tcp");
    assert_eq!(tcp["client_sees"], "depends", "{tcp:#}");
    assert!(tcp["unknowns"][0].as_str().unwrap().contains("kube-router on node n1"), "{tcp:#}");
    enforced.site.on_host("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
}

/// A kube-router that hangs keeps to the rules of the policy as it was: the kernel's word counts, and the answer says why.
fn rules_that_are_older_than_the_policy(enforced: &Enforced, fix: &str) {
    enforced.site.on_host("systemctl kill --signal=STOP kube-router");
    enforced.kubectl(fix);
    assert_eq!(enforced.sees("tcp", DNS_POD), Seen::Error);
    let tcp = enforced.path(&enforced.collect(), TARGETS[0], "tcp");
    assert_eq!((&tcp["verdict"], &tcp["client_sees"]), (&"reject".into(), &"refused".into()), "{tcp:#}");
    assert_eq!(tcp["deciding"]["file"], "nodes/n1/firewall/iptables-nft.v4", "{tcp:#}");
    assert!(tcp["detail"].as_str().unwrap().ends_with("what kube-router wrote there is old"), "{tcp:#}");
    enforced.site.on_host("systemctl kill --signal=CONT kube-router");
}

/// kube-router's firewall alone, as it runs beside another network plugin, and kube-proxy.
const AGENTS: &str = "
mkdir -p /var/lib/kube-proxy
cat >/var/lib/kube-proxy/config.conf <<'F'
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /etc/kubernetes/admin.conf}
clusterCIDR: 10.244.0.0/16
hostnameOverride: n1
mode: iptables
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
F
systemctl start kube-proxy
systemd-run --quiet --unit=kube-router --property=Restart=always /usr/local/bin/kube-router --run-firewall=true \\
  --run-router=false --run-service-proxy=false --kubeconfig=/etc/kubernetes/admin.conf --hostname-override=n1 \\
  --service-cluster-ip-range=10.96.0.0/16
";

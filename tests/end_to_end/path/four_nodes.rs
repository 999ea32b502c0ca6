//! Ways over several nodes and an overlay, on a bundle of a real cluster: flannel's VXLAN, kube-proxy, four nodes that the
//! collector reached with `--nodes all` (`four-nodes.zip`; what no packet depends on is left out of it).
//!
//! Two things were broken when it was collected. On n2 an iptables rule drops UDP 8472; and the network between the nodes
//! drops TCP 10250 from cp1 to n3, of which no node knows. A second bundle is of the same cluster made anew with kube-proxy's
//! nftables mode, with ufw switched on on n2. What each question expects is what a real socket saw then.

use serde_json::Value;
use tests::product::workspace;

use super::{ask_at, verdict};

const DROP: &str = "-A INPUT -p udp -m udp --dport 8472 -j DROP";
/// The pods `probe` and `web` of nodes.
const N1: &str = "pod/demo/probe-fm8zb";
const N2: &str = "pod/demo/probe-qp2z4";
const WEB_N1: &str = "pod/demo/web-7d5f68856f-ftfcp:8080";
const WEB_N2: &str = "pod/demo/web-7d5f68856f-9lxdq:8080";
const WEB_N3: &str = "pod/demo/web-7d5f68856f-pxkkq:8080";

fn ask(from: &str, to: &str, protocol: &str) -> Value {
    ask_of("four-nodes.zip", from, to, protocol)
}

fn ask_of(bundle: &str, from: &str, to: &str, protocol: &str) -> Value {
    let bundle = workspace().join("tests/end_to_end/path").join(bundle);
    ask_at(&bundle, &["--from", from, "--to", to, "--proto", protocol])
}

#[test]
fn what_arrives_and_what_does_not() {
    let connected = ("accept", "connected");
    let (lost, unanswered) = (("drop", "timeout"), ("accept", "timeout"));
    for (from, to, protocol, expected) in [
        (N1, WEB_N1, "tcp", connected),
        (N1, WEB_N2, "tcp", lost),
        (N1, WEB_N3, "tcp", connected),
        (N2, WEB_N1, "tcp", unanswered),
        (N2, WEB_N2, "tcp", connected),
        (N2, WEB_N3, "tcp", unanswered),
        (N1, "service/default/kubernetes:443", "tcp", connected),
        // Sometimes, by the endpoint that is drawn.
        (N1, "service/demo/web:80", "tcp", ("depends", "depends")),
        (N1, "service/kube-system/kube-dns:53", "udp", ("depends", "depends")),
        (N1, "service/kube-system/kube-dns:53", "tcp", ("depends", "depends")),
        ("node/n1", "node/n2:30080", "tcp", ("accept", "depends")),
        // The overlay is not in these ways.
        ("node/cp1", "node/n2:10250", "tcp", connected),
        ("node/n1", "node/n2:10250", "tcp", connected),
        (N1, "node/n2:10250", "tcp", connected),
        ("node/cp1", WEB_N2, "tcp", lost),
        ("node/n1", WEB_N2, "tcp", lost),
        ("node/n1", "node/n2:9", "tcp", ("accept", "refused")),
        ("10.10.0.100", "node/cp1:6443", "tcp", connected),
        // Nobody in the bundle has this address.
        (N1, "203.0.113.10:80", "tcp", ("accept", "depends")),
    ] {
        let answer = ask(from, to, protocol);
        assert_eq!(verdict(&answer), expected, "{from} to {to}: {:?}", answer["detail"]);
    }
}

#[test]
fn the_line_that_drops_the_overlay_and_a_change_for_each_way() {
    for (from, to, direction, sender) in [
        (N1, WEB_N2, "forward", vec!["10.10.0.12"]),
        ("node/cp1", WEB_N2, "forward", vec!["10.10.0.11"]),
        // What carries the answer is a packet of its own: it is let in, not out.
        (N2, WEB_N1, "reply", vec!["10.10.0.12"]),
        (N2, WEB_N3, "reply", vec!["10.10.0.14"]),
        ("node/n1", "node/n2:30080", "reply", vec!["10.10.0.12", "10.10.0.14"]),
    ] {
        let answer = ask(from, to, "tcp");
        let deciding = &answer["deciding"];
        assert_eq!(deciding["file"], "nodes/n2/firewall/iptables-nft.v4", "{from} to {to}: {answer:#}");
        assert!(deciding["text"].as_str().unwrap().ends_with(DROP), "{from} to {to}: {answer:#}");
        assert_eq!(deciding["direction"], direction, "{from} to {to}");
        assert_eq!(answer["fix"]["verified"], true, "{from} to {to}: {answer:#}");
        let changes = answer["fix"]["changes"].as_array().unwrap();
        assert_eq!(changes.len(), sender.len(), "{from} to {to}: {answer:#}");
        for (change, sender) in changes.iter().zip(sender) {
            let accepts = format!(" -s {sender} -d 10.10.0.13 -p udp --dport 8472 -j ACCEPT");
            let command = change["command"].as_str().unwrap();
            assert!(command.starts_with("iptables-nft -I INPUT ") && command.ends_with(&accepts), "{command}");
        }
    }
}

#[test]
fn what_the_networks_between_nodes_must_carry_is_said() {
    for (from, to, granted) in [
        (N1, WEB_N1, &[][..]),
        (N1, WEB_N3, &["n1 and n3 carries VXLAN (UDP 8472)"]),
        ("node/n1", "node/n2:10250", &["n1 and n2 carries tcp port 10250"]),
        // The API server's own requests to that kubelet were answered.
        ("node/cp1", "node/n2:10250", &[]),
        ("10.10.0.100", "node/cp1:6443", &["10.10.0.100 and cp1 carries tcp port 6443"]),
        // What is stopped on a node does not depend on any network.
        (N1, WEB_N2, &[]),
    ] {
        let answer = ask(from, to, "tcp");
        let expected: Vec<String> = granted.iter().map(|granted| format!("the network between {granted}")).collect();
        assert_eq!(answer["takes_for_granted"], serde_json::json!(expected), "{from} to {to}");
    }
    let bundle = workspace().join("tests/end_to_end/path/four-nodes.zip");
    let mut dossier = tests::product::analyzer();
    let drawn = dossier.arg("path").arg(bundle).args(["--from", N1, "--to", WEB_N3]).output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    assert!(drawn.contains("the client sees a connection, if the network between nodes carries it:"), "{drawn}");
    assert!(drawn.contains("taken for granted, since the bundle does not hold it: the network between n1"), "{drawn}");
}

#[test]
fn a_request_that_was_lost_speaks_against_rules_that_let_it_pass() {
    let answer = ask("node/cp1", "node/n3:10250", "tcp");
    assert_eq!(verdict(&answer), ("depends", "depends"), "{answer:#}");
    assert_eq!(answer["deciding"]["file"], "nodes/n3/kubelet/selftest.json");
    assert!(answer["unknowns"][0].as_str().unwrap().contains("came to `timeout`"), "{answer:#}");
    assert!(answer["fix"].is_null(), "{answer:#}");
    // It was the API server's: what other nodes send has not been tried.
    assert_eq!(verdict(&ask("node/n1", "node/n3:10250", "tcp")), ("accept", "connected"));
}

#[test]
fn the_same_with_nftables_and_ufw() {
    let (n1, n2) = ("pod/demo/probe-nf2mk", "pod/demo/probe-4wtp2");
    let web = ["mmdh7", "2mz8q", "z8qvb"].map(|end| format!("pod/demo/web-7d5f68856f-{end}:8080"));
    let (connected, by_chance) = (("accept", "connected"), ("depends", "depends"));
    let (lost, unanswered) = (("drop", "timeout"), ("accept", "timeout"));
    for (from, to, protocol, expected) in [
        (n1, &*web[0], "tcp", connected),
        (n1, &web[1], "tcp", lost),
        (n1, &web[2], "tcp", connected),
        (n2, &web[0], "tcp", unanswered),
        (n2, &web[1], "tcp", connected),
        (n2, &web[2], "tcp", unanswered),
        (n1, "service/kube-system/kube-dns:53", "udp", connected),
        (n1, "service/kube-system/kube-dns:53", "tcp", connected),
        (n1, "service/default/kubernetes:443", "tcp", connected),
        (n1, "service/demo/web:80", "tcp", by_chance),
        ("node/n1", "node/n2:30080", "tcp", ("accept", "depends")),
        ("node/cp1", "node/n1:10250", "tcp", connected),
        ("node/cp1", "node/n2:10250", "tcp", lost),
        ("node/n1", "node/n2:10250", "tcp", lost),
        (n1, "node/n2:10250", "tcp", lost),
        ("node/cp1", &web[1], "tcp", lost),
        ("10.10.0.100", "node/cp1:6443", "tcp", connected),
    ] {
        let answer = ask_of("four-nodes-nftables.zip", from, to, protocol);
        assert_eq!(verdict(&answer), expected, "{from} to {to}: {:?}", answer["detail"]);
        // That two tables have chains of one priority is no question here.
        let unknowns = answer["unknowns"].to_string();
        assert!(!unknowns.contains("registered last"), "{from} to {to}: {unknowns}");
        if expected == lost {
            assert!(answer["deciding"]["text"].as_str().unwrap().starts_with(":INPUT DROP"), "{answer:#}");
            assert_eq!(
                (&answer["fix"]["verified"], &answer["fix"]["changes"][0]["owner"]),
                (&true.into(), &"ufw".into())
            );
        }
    }
}

//! What the answer says about the cases that people ask about.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use netpath::address::Family;
use netpath::answer::{ClientSees, Decision, Direction, Owner};
use netpath::iptables::{self, Backend};
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::route::{Fib, parse_routes};
use netpath::sysctl::Sysctls;
use netpath::targets::RejectKind;
use netpath::walk::Entry;
use netpath::{Answer, link, walk};

const ADDRESSES: &str = r#"[{"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"link_type":"loopback","addr_info":[{"local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
{"ifname":"eth0","flags":["BROADCAST","UP","LOWER_UP"],"link_type":"ether","address":"02:00:00:00:00:01","addr_info":[{"local":"10.0.0.4","prefixlen":24,"scope":"global"}]},
{"ifname":"cni0","flags":["BROADCAST","UP","LOWER_UP"],"link_type":"ether","address":"02:00:00:00:00:02","addr_info":[{"local":"10.244.1.1","prefixlen":24,"scope":"global"}]}]"#;

const ROUTES: &str = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/24","dev":"eth0","prefsrc":"10.0.0.4"},
{"dst":"10.244.1.0/24","dev":"cni0","prefsrc":"10.244.1.1"},{"dst":"10.244.0.0/16","gateway":"10.0.0.9","dev":"eth0"},
{"type":"local","dst":"10.0.0.4","dev":"eth0","table":"local","protocol":"kernel"},
{"type":"local","dst":"10.244.1.1","dev":"cni0","table":"local","protocol":"kernel"},
{"type":"local","dst":"127.0.0.0/8","dev":"lo","table":"local","protocol":"kernel"}]"#;

const SYSCTLS: &str = "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.forwarding = 1\nnet.ipv4.conf.eth0.forwarding = 1\n\
    net.ipv4.conf.cni0.forwarding = 1\nnet.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\n\
    net.ipv4.conf.cni0.rp_filter = 0\nnet.ipv4.conf.all.route_localnet = 0\nnet.ipv4.conf.eth0.route_localnet = 0\n\
    net.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.eth0.send_redirects = 0\nnet.ipv4.conf.cni0.send_redirects = 0\n";

fn node(rules: &str) -> Node {
    let ruleset = iptables::parse("iptables-save", rules.as_bytes(), Family::V4, Backend::Nft);
    assert!(ruleset.notes.is_empty(), "{:?}", ruleset.notes);
    Node {
        links: link::parse("addr.json", ADDRESSES.as_bytes()).unwrap(),
        routes: Fib::new(parse_routes("route.json", ROUTES.as_bytes(), Family::V4).unwrap()),
        sysctls: Sysctls::parse("sysctl.txt", SYSCTLS.as_bytes()),
        rulesets: vec![Arc::new(ruleset)],
        ..Node::default()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tcp(node: &Node, from: &str, to: &str, port: u16, device: &str) -> Answer {
    walk(node, &Packet::tcp_syn((ip(from), 40000), (ip(to), port)), &Entry::Interface(Arc::from(device)))
}

fn assert_line(answer: &Answer, text: &str) {
    assert_eq!(answer.deciding.as_ref().unwrap().cited.text, text);
}

#[test]
fn a_drop_above_an_accept_names_both_and_its_fix_is_verified() {
    let node = node(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         [7:420] -A INPUT -p tcp -m tcp --dport 10250 -j DROP\n[0:0] -A INPUT -p tcp -m tcp --dport 10250 -j ACCEPT\nCOMMIT\n",
    );
    let answer = tcp(&node, "10.0.0.9", "10.0.0.4", 10250, "eth0");
    assert_eq!(answer.verdict, Decision::Drop);
    assert_eq!(answer.client_sees, ClientSees::Timeout);
    assert_line(&answer, "[7:420] -A INPUT -p tcp -m tcp --dport 10250 -j DROP");
    let deciding = answer.deciding.as_ref().unwrap();
    assert_eq!((deciding.cited.origin.line, deciding.packets, deciding.direction), (5, Some(7), Direction::Forward));
    assert_eq!(deciding.shadows.as_ref().unwrap().origin.line, 6);
    let fix = answer.fix.unwrap();
    assert!(fix.verified);
    assert_eq!(
        fix.changes[0].command,
        "iptables-nft -I INPUT 1 -s 10.0.0.9 -d 10.0.0.4 -p tcp --dport 10250 -j ACCEPT"
    );
    assert_eq!(tcp(&node, "10.0.0.9", "10.0.0.4", 10255, "eth0").client_sees, ClientSees::Connected);
}

#[test]
fn a_reject_above_the_accept_in_forward() {
    let node = node(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUBE-FORWARD - [0:0]\n\
         -A FORWARD -j REJECT --reject-with icmp-host-prohibited\n-A FORWARD -j KUBE-FORWARD\n\
         -A KUBE-FORWARD -d 10.244.0.0/16 -j ACCEPT\nCOMMIT\n",
    );
    let answer = tcp(&node, "10.0.0.9", "10.244.1.7", 80, "eth0");
    assert_eq!(answer.verdict, Decision::Reject(RejectKind::HostProhibited));
    assert_eq!(answer.client_sees, ClientSees::Unreachable);
    assert_line(&answer, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited");
    assert_eq!(answer.deciding.unwrap().shadows.unwrap().text, "-A KUBE-FORWARD -d 10.244.0.0/16 -j ACCEPT");
    // The answer's way needs its own leave: nothing accepts what is established.
    let fix = answer.fix.unwrap();
    assert!(fix.verified, "{fix:?}");
    assert_eq!(fix.changes.len(), 2);
}

const SERVICE: &str = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
    :KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SEP-A - [0:0]\n:KUBE-SEP-B - [0:0]\n:KUBE-SEP-C - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n\
    -A PREROUTING -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-POSTROUTING\n\
    -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
    -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-A\n\
    -A KUBE-SVC-A ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ\n\
    -A KUBE-SVC-A -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-A\n\
    -A KUBE-SVC-A -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-B\n-A KUBE-SVC-A -j KUBE-SEP-C\n\
    -A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.1.7:8080\n\
    -A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.244.1.8:8080\n\
    -A KUBE-SEP-C -p tcp -m tcp -j DNAT --to-destination 10.244.1.9:8080\n\
    -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n\
    -A KUBE-POSTROUTING -j MASQUERADE --random-fully\nCOMMIT\n";

#[test]
fn a_service_with_one_dead_endpoint_of_three_fails_by_chance() {
    let filter = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -d 10.244.1.8/32 -j DROP\nCOMMIT\n";
    let node = node(&format!("{SERVICE}{filter}"));
    let answer = tcp(&node, "10.0.0.9", "10.96.0.10", 80, "eth0");
    assert_eq!(answer.verdict, Decision::Depends);
    assert_eq!(answer.detail, "1 of 3 endpoints fails (10.244.1.8:8080)");
    assert_line(&answer, "-A FORWARD -d 10.244.1.8/32 -j DROP");
    assert_eq!(answer.delivered.len(), 2);
    assert!(answer.delivered.iter().all(|delivered| (delivered.probability - 1.0 / 3.0).abs() < 1e-3));
    assert!(answer.fix.unwrap().verified);
}

#[test]
fn a_masqueraded_packet_dropped_by_a_mark_that_two_programs_use() {
    let filter = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:AZURE-NPM-INGRESS - [0:0]\n\
        -A FORWARD -m conntrack --ctstate NEW -j AZURE-NPM-INGRESS\n\
        -A AZURE-NPM-INGRESS -m mark --mark 0x4000 -j DROP\nCOMMIT\n";
    let node = node(&format!("{SERVICE}{filter}"));
    let from_outside = tcp(&node, "10.0.0.9", "10.96.0.10", 80, "eth0");
    assert_eq!(from_outside.verdict, Decision::Drop);
    assert_line(&from_outside, "-A AZURE-NPM-INGRESS -m mark --mark 0x4000 -j DROP");
    assert!(from_outside.steps.iter().any(|step| step.effect == "mark := 0x4000"));
    let fix = from_outside.fix.unwrap();
    assert!(!fix.verified && fix.changes[0].owner == Owner::AzureNpm);
    let from_pod = tcp(&node, "10.244.1.5", "10.96.0.10", 80, "cni0");
    assert_eq!(from_pod.verdict, Decision::Accept);
}

#[test]
fn docker_s_policy_is_answered_in_docker_user() {
    let node = node(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [12:720]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n\
         -A FORWARD -j DOCKER-USER\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A DOCKER-USER -j RETURN\nCOMMIT\n",
    );
    let answer = tcp(&node, "10.0.0.9", "10.244.1.7", 80, "eth0");
    assert_line(&answer, ":FORWARD DROP [12:720]");
    let fix = answer.fix.unwrap();
    assert!(fix.verified);
    assert_eq!(
        fix.changes[0].command,
        "iptables-nft -I DOCKER-USER -s 10.0.0.9 -d 10.244.1.7 -p tcp --dport 80 -j ACCEPT"
    );
    assert_eq!(fix.changes[0].owner, Owner::Docker);
}

#[test]
fn drops_without_a_rule_cite_the_setting() {
    let mut node = node("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n");
    let off = SYSCTLS.replace("net.ipv4.conf.cni0.forwarding = 1", "net.ipv4.conf.cni0.forwarding = 0");
    node.sysctls = Sysctls::parse("sysctl.txt", off.as_bytes());
    // The way there enters by eth0, which forwards; the answer enters by cni0, which does not.
    let answer = tcp(&node, "10.0.0.9", "10.244.1.7", 80, "eth0");
    assert_eq!((answer.verdict, answer.client_sees), (Decision::Accept, ClientSees::Timeout));
    let deciding = answer.deciding.as_ref().unwrap();
    assert_eq!(deciding.direction, Direction::Reply);
    assert_line(&answer, "net.ipv4.conf.cni0.forwarding = 0");
    let fix = answer.fix.unwrap();
    assert!(fix.verified);
    assert_eq!(fix.changes[0].command, "sysctl -w net.ipv4.conf.cni0.forwarding=1");
}

#[test]
fn unknown_matches_make_the_answer_depend_on_them() {
    let text = |target: &str| {
        format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A INPUT -m set --match-set blocked src -j {target}\n-A INPUT -m set --match-set blocked src -j DROP\nCOMMIT\n"
        )
    };
    let answer = tcp(&node(&text("LOG")), "10.0.0.9", "10.0.0.4", 22, "eth0");
    assert_eq!(answer.verdict, Decision::Depends);
    assert_eq!(answer.unknowns.len(), 1);
    assert_eq!(answer.unknowns[0].what, "whether 10.0.0.9:40000 is in the ipset blocked");
    // The same set cannot both hold and not hold the address: after the ACCEPT the DROP is out of reach.
    let answer = tcp(&node(&text("ACCEPT")), "10.0.0.9", "10.0.0.4", 22, "eth0");
    assert_eq!(answer.client_sees, ClientSees::Connected);
    assert!(answer.unknowns.is_empty(), "{:?}", answer.unknowns);
}

#[test]
fn a_target_that_nobody_knows_is_never_passed_over() {
    let node = node(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -j NFQUEUE --queue-num 3\nCOMMIT\n",
    );
    let answer = tcp(&node, "10.0.0.9", "10.0.0.4", 22, "eth0");
    assert_eq!((answer.verdict, answer.client_sees), (Decision::Depends, ClientSees::Depends));
    assert!(!answer.unknowns.is_empty());
}

#[test]
fn a_refusal_that_output_drops_is_a_timeout() {
    let node = node(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset\nCOMMIT\n",
    );
    let answer = tcp(&node, "10.0.0.9", "10.0.0.4", 22, "eth0");
    assert_eq!(answer.verdict, Decision::Reject(RejectKind::TcpReset));
    assert_eq!(answer.client_sees, ClientSees::Timeout);
}

/// The node's own process gets an error from the call that sends, whatever becomes of the answer to a refusal
/// (nf_hook_slow; seen with real sockets).
#[test]
fn what_the_node_s_own_processes_see_at_once() {
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         -A INPUT -p icmp -j DROP\n-A OUTPUT -d 10.0.0.9 -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n\
         *mangle\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -d 10.0.0.8 -j DROP\nCOMMIT\n";
    let mut node = node(rules);
    let prohibit = r#"[{"type":"prohibit","dst":"10.9.0.0/16"},{"type":"blackhole","dst":"10.8.0.0/16"},
        {"type":"unreachable","dst":"10.7.0.0/16"},{"type":"local","dst":"10.0.0.4","dev":"eth0","table":"local"},
        {"dst":"10.0.0.0/24","dev":"eth0"}]"#;
    node.routes = Fib::new(parse_routes("route.json", prohibit.as_bytes(), Family::V4).unwrap());
    let udp = |to: &str| walk(&node, &Packet::udp((ip("10.0.0.4"), 40000), (ip(to), 53)), &Entry::Local);
    for (to, errno) in [
        ("10.0.0.9", "EPERM"),
        ("10.0.0.8", "EPERM"),
        ("10.9.0.1", "EACCES"),
        ("10.8.0.1", "EINVAL"),
        ("10.7.0.1", "EHOSTUNREACH"),
        ("192.0.2.1", "ENETUNREACH"),
    ] {
        let answer = udp(to);
        assert_eq!(answer.client_sees, ClientSees::Unreachable, "{to}");
        assert_eq!(answer.detail, format!("the sending process gets an error at once ({errno})"), "{to}");
    }
    // TCP goes on trying where a rule stops it, and is told by the route at once.
    let tcp = |to: &str| walk(&node, &Packet::tcp_syn((ip("10.0.0.4"), 40000), (ip(to), 80)), &Entry::Local);
    assert_eq!(tcp("10.0.0.8").client_sees, ClientSees::Timeout);
    assert_eq!(tcp("10.9.0.1").detail, "the sending process gets an error at once (EACCES)");
}

#[test]
fn rules_that_were_not_collected_are_never_taken_for_none() {
    use netpath::node::{Gap, GapKind};

    let mut node = node("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n");
    let what = "the IPv4 rules of iptables-legacy (not collected: forbidden)".to_owned();
    node.gaps.push(Gap { family: Family::V4, kind: GapKind::Rules, what });
    let answer = tcp(&node, "10.0.0.9", "10.0.0.4", 10250, "eth0");
    assert_eq!((answer.verdict, answer.client_sees), (Decision::Depends, ClientSees::Depends));
    assert!(answer.unknowns.iter().any(|unknown| unknown.what.contains("iptables-legacy")), "{:?}", answer.unknowns);
    // What stops the packet in any case is not in doubt.
    let stopped = tcp(&node, "10.0.0.9", "10.0.0.4", 80, "eth0");
    assert_eq!(stopped.verdict, Decision::Drop);
    assert_line(&stopped, "-A INPUT -p tcp -m tcp --dport 80 -j DROP");
}

#[test]
fn routes_that_were_not_collected_are_never_taken_for_none() {
    use netpath::node::{Gap, GapKind};

    let mut node = node("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n");
    let what = "the IPv6 routes (not collected: timeout)".to_owned();
    node.gaps.push(Gap { family: Family::V6, kind: GapKind::Routes, what });
    let packet = Packet::tcp_syn((ip("fd00::9"), 40000), (ip("fd00::4"), 80));
    let answer = walk(&node, &packet, &Entry::Local);
    assert_eq!(answer.verdict, Decision::Depends);
    assert!(answer.unknowns.iter().any(|unknown| unknown.what.contains("routes of the node")), "{:?}", answer.unknowns);
}

//! What real firewalld writes, read and walked.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use netpath::answer::{ClientSees, Decision, Owner};
use netpath::nft::{self, Statement};
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::route::{Fib, parse_routes};
use netpath::sysctl::Sysctls;
use netpath::targets::RejectKind;
use netpath::walk::Entry;
use netpath::{Answer, link, walk};

const FIREWALLD: &str = include_str!("data/firewalld.nft.json");
const KUBE_PROXY: &str = include_str!("data/kube-proxy-shaped.nft.json");

const LINKS: &str = r#"[{"ifname":"eth0","flags":["UP","LOWER_UP"],"link_type":"ether","addr_info":[{"local":"10.0.0.4","prefixlen":24,"scope":"global"}]}]"#;
const ROUTES: &str = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/24","dev":"eth0"},
{"type":"local","dst":"10.0.0.4","dev":"eth0","table":"local","protocol":"kernel"}]"#;

fn node() -> Node {
    let settings = "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\nnet.ipv4.conf.all.route_localnet = 0\n\
        net.ipv4.conf.eth0.route_localnet = 0\nnet.ipv4.conf.eth0.forwarding = 1\nnet.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.eth0.send_redirects = 0\n";
    Node {
        links: link::parse("addr", LINKS.as_bytes()).unwrap(),
        routes: Fib::new(parse_routes("route", ROUTES.as_bytes(), netpath::address::Family::V4).unwrap()),
        sysctls: Sysctls::parse("sysctl", settings.as_bytes()),
        nft: Some(nft::parse("nft.json", FIREWALLD.as_bytes()).unwrap()),
        ..Node::default()
    }
}

fn ask(port: u16) -> Answer {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let packet = Packet::tcp_syn((ip("10.0.0.9"), 40000), (ip("10.0.0.4"), port));
    walk(&node(), &packet, &Entry::Interface(Arc::from("eth0")))
}

#[test]
fn everything_that_they_write_is_understood() {
    for text in [FIREWALLD, KUBE_PROXY] {
        let tables = nft::parse("nft.json", text.as_bytes()).unwrap();
        assert!(tables.unread.is_empty(), "{:?}", tables.unread);
        for rule in tables.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules) {
            for statement in &rule.statements {
                assert!(!matches!(statement, Statement::Unknown(_)), "{statement:?}");
            }
        }
    }
}

#[test]
fn an_open_port_connects_and_a_closed_one_is_refused_with_a_fix_in_firewalld_s_words() {
    assert_eq!(ask(10250).client_sees, ClientSees::Connected);
    let answer = ask(10255);
    assert_eq!(answer.verdict, Decision::Reject(RejectKind::AdminProhibited));
    assert_eq!(answer.client_sees, ClientSees::Unreachable);
    assert!(answer.deciding.as_ref().unwrap().cited.text.contains("admin-prohibited"));
    let fix = answer.fix.unwrap();
    assert!(fix.verified);
    assert_eq!(fix.changes[0].owner, Owner::Firewalld);
    assert_eq!(
        fix.changes[0].command,
        "firewall-cmd --permanent --zone=public --add-port=10255/tcp && firewall-cmd --reload"
    );
}

/// Two tables whose chains of INPUT have one priority, as kube-proxy's and the filter table of iptables have.
fn two_tables(first: &str, second: &str) -> Answer {
    let chain =
        |rule: &str| format!("{{ chain input {{ type filter hook input priority 0; policy accept; {rule}; }} }}");
    let text = format!("table ip one {}\ntable ip two {}\n", chain(first), chain(second));
    let mut node = node();
    node.nft = Some(nft::parse_text("nft.txt", text.as_bytes()));
    let packet = Packet::tcp_syn(("10.0.0.9".parse().unwrap(), 40000), ("10.0.0.4".parse().unwrap(), 10250));
    walk(&node, &packet, &Entry::Interface(Arc::from("eth0")))
}

#[test]
fn an_order_that_nobody_knows_is_a_question_only_where_it_makes_a_difference() {
    let harmless = two_tables("tcp dport 10250 accept", "tcp dport 22 drop");
    assert_eq!((harmless.client_sees, harmless.unknowns.len()), (ClientSees::Connected, 0), "{:?}", harmless.unknowns);
    // Where one marks what the other drops, it is: the mark is there in time, or not.
    let open = two_tables("tcp dport 10250 meta mark set 1", "meta mark 1 drop");
    assert_eq!(open.client_sees, ClientSees::Depends);
    assert!(open.unknowns[0].what.contains("registered last"), "{:?}", open.unknowns);
    // One line drops, before or after a chain that does nothing to the packet.
    let dropped = two_tables("tcp dport 10250 drop", "tcp dport 22 drop");
    assert_eq!((dropped.verdict, dropped.unknowns.len()), (Decision::Drop, 0), "{:?}", dropped.unknowns);
    // Both drop: whichever comes first.
    assert_eq!(two_tables("tcp dport 10250 drop", "tcp dport 10250 drop").verdict, Decision::Drop);
}

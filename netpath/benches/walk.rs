//! How long answers take, parsing included: `cargo bench -p netpath`.
//!
//! Printed are figures and ratios; nothing is asserted, because a loaded machine is not a defect.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netpath::address::Family;
use netpath::iptables::{Backend, parse};
use netpath::node::Node;
use netpath::packet::Packet;
use netpath::route::{Fib, parse_routes};
use netpath::sysctl::Sysctls;
use netpath::walk::{Entry, explore};
use netpath::{link, walk};

const LINKS: &str = r#"[{"ifname":"eth0","flags":["UP","LOWER_UP"],"link_type":"ether","addr_info":[{"local":"10.0.0.4","prefixlen":24,"scope":"global"}]}]"#;
const ROUTES: &str = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/24","dev":"eth0"},
{"type":"local","dst":"10.0.0.4","dev":"eth0","table":"local","protocol":"kernel"}]"#;
const SETTINGS: &str = "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\nnet.ipv4.conf.all.route_localnet = 0\n\
    net.ipv4.conf.eth0.route_localnet = 0\nnet.ipv4.conf.eth0.forwarding = 1\nnet.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.eth0.send_redirects = 0\n";

/// kube-proxy's rules for `services` Services with two endpoints each: ten rules a Service.
fn rules(services: usize) -> String {
    let mut chains = String::from(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n",
    );
    let mut body = String::from(
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n",
    );
    for service in 0..services {
        let _ = writeln!(
            chains,
            ":KUBE-SVC-{service} - [0:0]\n:KUBE-SEP-{service}A - [0:0]\n:KUBE-SEP-{service}B - [0:0]\n:KUBE-EXT-{service} - [0:0]"
        );
        let (high, low) = (service / 250, service % 250 + 1);
        let _ = write!(
            body,
            "-A KUBE-SERVICES -d 10.96.{high}.{low}/32 -p tcp -m comment --comment \"ns/svc-{service}:http cluster IP\" -m tcp --dport 80 -j KUBE-SVC-{service}\n\
            -A KUBE-SVC-{service} ! -s 10.244.0.0/16 -d 10.96.{high}.{low}/32 -p tcp -m comment --comment \"ns/svc-{service}:http cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ\n\
            -A KUBE-SVC-{service} -m comment --comment \"ns/svc-{service}:http\" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-{service}A\n\
            -A KUBE-SVC-{service} -m comment --comment \"ns/svc-{service}:http\" -j KUBE-SEP-{service}B\n\
            -A KUBE-EXT-{service} -m comment --comment \"masquerade traffic for ns/svc-{service}\" -j KUBE-MARK-MASQ\n-A KUBE-EXT-{service} -j KUBE-SVC-{service}\n"
        );
        for (end, host) in [("A", 1), ("B", 2)] {
            let _ = write!(
                body,
                "-A KUBE-SEP-{service}{end} -s 10.244.{high}.{host}/32 -m comment --comment \"ns/svc-{service}:http\" -j KUBE-MARK-MASQ\n\
                -A KUBE-SEP-{service}{end} -p tcp -m comment --comment \"ns/svc-{service}:http\" -m tcp -j DNAT --to-destination 10.244.{high}.{host}:8080\n"
            );
        }
    }
    format!("{chains}{body}COMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
}

fn node(text: &str) -> Node {
    Node {
        links: link::parse("addr", LINKS.as_bytes()).unwrap(),
        routes: Fib::new(parse_routes("route", ROUTES.as_bytes(), Family::V4).unwrap()),
        sysctls: Sysctls::parse("sysctl", SETTINGS.as_bytes()),
        rulesets: vec![Arc::new(parse("save", text.as_bytes(), Family::V4, Backend::Nft))],
        ..Node::default()
    }
}

fn flow(number: usize) -> Packet {
    let to = IpAddr::V4(Ipv4Addr::new(10, 96, (number / 250 % 4) as u8, (number % 250 + 1) as u8));
    Packet::tcp_syn((IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), 40_000), (to, 80))
}

fn time(work: impl Fn()) -> Duration {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn main() {
    let entry = Entry::Interface(Arc::from("eth0"));
    let text = rules(625);
    let count = node(&text).rulesets[0].rule_count();
    let one = time(|| {
        let node = node(&text);
        (0..1000).for_each(|number| drop(black_box(explore(&node, &flow(number), &entry, 0, &[]))));
    });
    println!("one node, {count} rules, 1000 flows, parsing included: {one:?}");
    println!("  of which parsing: {:?}", time(|| drop(black_box(node(&text)))));
    let parsed = node(&text);
    let answers = time(|| (0..50).for_each(|number| drop(black_box(walk(&parsed, &flow(number), &entry)))));
    println!("  a whole answer, there and back: {:?}", answers / 50);

    let text = rules(1250);
    let cluster = |nodes: usize| {
        time(|| {
            std::thread::scope(|scope| {
                for half in 0..2 {
                    let (text, entry) = (&text, &entry);
                    scope.spawn(move || {
                        for at in (half..nodes).step_by(2) {
                            let node = node(text);
                            (0..10)
                                .for_each(|number| drop(black_box(explore(&node, &flow(at + number), entry, 0, &[]))));
                        }
                    });
                }
            });
        })
    };
    let (half, full) = (cluster(50), cluster(100));
    println!("100 nodes of {} rules, 10 flows each, 2 threads: {full:?}", node(&text).rulesets[0].rule_count());
    println!("  ratio of 100 nodes to 50: {:.2}", full.as_secs_f64() / half.as_secs_f64());
}

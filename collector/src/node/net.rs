//! Items of net/: links, addresses, routes, rules, neighbours, bridges, sockets, counters, network namespaces.

use super::host::Host;
use super::item::{NodeItem, command, document, file, files, own};
use super::{netns, sockets, sys_class_net, sysctl};
use bundle::ItemEnd;

/// The items. `ip` and `bridge` ask over NETLINK_ROUTE alone, which is always in the kernel.
pub fn items() -> Vec<NodeItem> {
    let mut items = vec![
        command("node.ip.link", "net/link.json", &["ip", "-j", "-d", "-s", "-s", "link"])
            .or("net/link.txt", &["ip", "-d", "-s", "link"]),
        command("node.ip.addr4", "net/addr4.json", &["ip", "-j", "-4", "addr"])
            .or("net/addr4.txt", &["ip", "-4", "addr"]),
        command("node.ip.addr6", "net/addr6.json", &["ip", "-j", "-6", "addr"])
            .or("net/addr6.txt", &["ip", "-6", "addr"]),
        command("node.ip.route4", "net/route4.json", &["ip", "-j", "-4", "route", "show", "table", "all"])
            .or("net/route4.txt", &["ip", "-4", "route", "show", "table", "all"]),
        command("node.ip.route6", "net/route6.json", &["ip", "-j", "-6", "route", "show", "table", "all"])
            .or("net/route6.txt", &["ip", "-6", "route", "show", "table", "all"]),
        command("node.ip.rule4", "net/rule4.json", &["ip", "-j", "-4", "rule"])
            .or("net/rule4.txt", &["ip", "-4", "rule"]),
        command("node.ip.rule6", "net/rule6.json", &["ip", "-j", "-6", "rule"])
            .or("net/rule6.txt", &["ip", "-6", "rule"]),
        command("node.ip.neigh", "net/neigh.json", &["ip", "-j", "-s", "neigh"])
            .or("net/neigh.txt", &["ip", "-s", "neigh"]),
        command("node.ip.vrf", "net/vrf.json", &["ip", "-j", "vrf"]),
        files("node.ip.rt-tables", &["/etc/iproute2/rt_tables", "/etc/iproute2/rt_tables.d/*.conf"], 20, |path| {
            path.replace("/etc/iproute2/", "net/")
        }),
        command("node.ip.bridge-link", "net/bridge-link.json", &["bridge", "-j", "-d", "link"])
            .or("net/bridge-link.txt", &["bridge", "-d", "link"]),
        command("node.ip.bridge-vlan", "net/bridge-vlan.json", &["bridge", "-j", "vlan"])
            .or("net/bridge-vlan.txt", &["bridge", "vlan"]),
        command("node.ip.fdb", "net/fdb.json", &["bridge", "-j", "fdb"]).or("net/fdb.txt", &["bridge", "fdb"]),
        document("node.ip.sys-class-net", "net/sys-class-net.json", "/sys/class/net/*/**", sys_class_net::document)
            .bounded("2000 interfaces"),
    ];
    for (id, path, source) in [
        ("node.ip.xfrm-stat", "net/proc/xfrm_stat", "/proc/net/xfrm_stat"),
        ("node.ip.neigh-stat4", "net/proc/stat/arp_cache", "/proc/net/stat/arp_cache"),
        ("node.ip.neigh-stat6", "net/proc/stat/ndisc_cache", "/proc/net/stat/ndisc_cache"),
        ("node.sock.sockstat", "net/proc/sockstat", "/proc/net/sockstat"),
        ("node.sock.sockstat6", "net/proc/sockstat6", "/proc/net/sockstat6"),
        ("node.sock.snmp", "net/proc/snmp", "/proc/net/snmp"),
        ("node.sock.snmp6", "net/proc/snmp6", "/proc/net/snmp6"),
        ("node.sock.netstat", "net/proc/netstat", "/proc/net/netstat"),
        ("node.sock.softnet-stat", "net/proc/softnet_stat", "/proc/net/softnet_stat"),
        ("node.sock.dev", "net/proc/dev", "/proc/net/dev"),
        ("node.conntrack.stat", "net/proc/stat/nf_conntrack", "/proc/net/stat/nf_conntrack"),
    ] {
        items.push(file(id, path, source));
    }
    items.extend([
        document(
            "node.sock.listening",
            "net/sockets.json",
            "/proc/net/{tcp,tcp6,udp,udp6}, and /proc/*/fd for the owners",
            sockets::document,
        ),
        document(
            "node.sock.states",
            "net/socket-states.json",
            "counted in /proc/net/{tcp,tcp6,udp,udp6}",
            sockets::states,
        ),
        // Reads /proc/net/sockstat and its kin; without -s, ss would load socket-diagnosis modules.
        command("node.sock.ss-summary", "net/ss-summary.txt", &["ss", "-s"]),
        document(
            "node.conntrack.limits",
            "net/conntrack.txt",
            "/proc/sys/net/netfilter/nf_conntrack_{count,max,buckets}",
            sysctl::conntrack,
        ),
        command("node.conntrack.stats-by-cpu", "net/conntrack-stats.txt", &["conntrack", "-S"])
            .only_where("nf_conntrack_netlink is in the kernel", conntrack_netlink),
        document("node.netns", "net/netns.json", "/var/run/netns/*, /proc/*/ns/net, /proc/*/cgroup", netns::document),
        own(
            "pod.netns",
            "/proc/PID/net/{tcp,tcp6,udp,udp6,route,ipv6_route,fib_trie,if_inet6,dev,snmp,netstat} and \
             /proc/PID/root/etc/resolv.conf of one process of each network namespace",
            netns::each,
        )
        .bounded("50 namespaces, 1.0 MB a file"),
    ]);
    items
}

/// `conntrack` asks over nfnetlink, which would load the module that answers.
pub fn conntrack_netlink(host: &Host) -> Result<(), ItemEnd> {
    host.modules.need("nf_conntrack")?;
    host.modules.need("nf_conntrack_netlink")
}

//! Three network namespaces: a sender S, the router R whose kernel is asked, and D behind it.
//!
//! S and D take every address for their own (so that whatever leaves R is received by a raw socket there) and send
//! nothing but what the test's sockets send.

use std::fmt::Write as _;
use std::io::Write;
use std::process::{Command, Stdio};

use netpath::address::Family;
use netpath::node::Node;
use netpath::route::{Fib, parse_routes, parse_rules};
use netpath::sysctl::Sysctls;
use netpath::{link, neighbour};

pub struct Lab {
    prefix: String,
}

/// The commands without which nothing can be compared.
const TOOLS: [&str; 7] =
    ["ip", "nft", "sysctl", "iptables-nft-restore", "iptables-legacy-restore", "ipset", "ip6tables-nft-restore"];

/// Why the kernel cannot be asked here, if it cannot.
fn unavailable() -> Option<String> {
    for tool in TOOLS {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Some(format!("the command {tool} is not there"));
        }
    }
    let name = format!("np{}probe", std::process::id());
    let made = run("ip", &["netns", "add", &name]);
    if let Err(why) = made {
        return Some(format!("no network namespace can be made: {}", why.trim()));
    }
    let asked = run("ip", &["netns", "exec", &name, "iptables-nft", "-L", "-n"]);
    let legacy = run("ip", &["netns", "exec", &name, "iptables-legacy", "-L", "-n"]);
    let _ = run("ip", &["netns", "del", &name]);
    asked.err().or(legacy.err()).map(|why| format!("netfilter cannot be used: {}", why.trim()))
}

/// Skips with a reason, or panics where nothing may be skipped.
pub fn must_skip() -> bool {
    // Asked once: the tests run side by side and would take each other's namespace.
    static WHY: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let Some(why) = WHY.get_or_init(unavailable) else { return false };
    assert!(std::env::var_os("DOSSIER_TESTS_MUST_RUN").is_none_or(|value| value != "1"), "cannot run: {why}");
    println!("skipped: {why}");
    true
}

pub fn run(command: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(command).args(args).output().map_err(|error| format!("{command}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
}

pub fn feed(command: &str, args: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new(command)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The private table of the oracle in R: what its own sockets get is marked at the very end of INPUT, and what its stack
/// answers to that (RST, echo reply, port unreachable) carries the same mark and is dropped before any other hook; so is
/// what the kernel says by itself to its IPv6 neighbours.
const ORACLE: &str = "
table inet oracle {
  chain input { type filter hook input priority 1000; policy accept; meta mark set 0x5a5a0000; }
  chain output {
    type filter hook output priority -400; policy accept;
    meta mark 0x5a5a0000 drop
    icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } drop
  }
}
";

/// Only what a process sends leaves S and D: their kernels' own answers would be taken for R's.
const MUTE: &str = "
table inet mute {
  chain output { type filter hook output priority 0; policy drop; meta skuid 0 accept; }
}
";

impl Lab {
    pub fn new(name: &str) -> Self {
        let lab = Self::silent_or_not(name);
        feed("ip", &["netns", "exec", &lab.ns("r"), "nft", "-f", "-"], ORACLE).unwrap();
        for host in ["s", "d"] {
            feed("ip", &["netns", "exec", &lab.ns(host), "nft", "-f", "-"], MUTE).unwrap();
        }
        lab
    }

    /// A lab whose hosts' and router's own stacks speak: for real sockets.
    pub fn talking(name: &str) -> Self {
        let lab = Self::silent_or_not(name);
        let settings = "net.ipv4.fwmark_reflect=0\nnet.ipv6.fwmark_reflect=0\n";
        let _ = lab.feed_r(&["sysctl", "-q", "-p", "-"], settings);
        lab
    }

    fn silent_or_not(name: &str) -> Self {
        // Labs of the same name may stand side by side: the tests of one process share its number.
        static LABS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = LABS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let lab = Self { prefix: format!("np{}x{number}{name}", std::process::id()) };
        for host in ["s", "r", "d"] {
            run("ip", &["netns", "add", &lab.ns(host)]).unwrap();
        }
        lab.build().unwrap();
        lab
    }

    pub fn ns(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    fn build(&self) -> Result<(), String> {
        let (s, r, d) = (self.ns("s"), self.ns("r"), self.ns("d"));
        for (host, ns, own, router) in
            [("s0", &s, "02:00:00:00:00:02", "eth0"), ("d0", &d, "02:00:00:00:00:04", "eth1")]
        {
            let mac = if router == "eth0" { "02:00:00:00:00:01" } else { "02:00:00:00:00:03" };
            run(
                "ip",
                &["-n", &r, "link", "add", router, "address", mac, "type", "veth", "peer", "name", host, "netns", ns],
            )?;
            run("ip", &["-n", ns, "link", "set", host, "address", own])?;
            // Without link-local addresses nobody sends redirects or solicits routers.
            run("ip", &["-n", &r, "link", "set", router, "addrgenmode", "none"])?;
            run("ip", &["-n", ns, "link", "set", host, "addrgenmode", "none"])?;
        }
        for (ns, interface) in [(&r, "lo"), (&r, "eth0"), (&r, "eth1"), (&s, "lo"), (&s, "s0"), (&d, "lo"), (&d, "d0")]
        {
            run("ip", &["-n", ns, "link", "set", interface, "up"])?;
        }
        let settings = "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\nnet.ipv4.conf.all.rp_filter=0\n\
            net.ipv4.conf.default.rp_filter=0\nnet.ipv4.conf.eth0.rp_filter=0\nnet.ipv4.conf.eth1.rp_filter=0\n\
            net.ipv4.icmp_ratelimit=0\nnet.ipv6.icmp.ratelimit=0\nnet.ipv4.icmp_msgs_per_sec=1000000\n\
            net.ipv4.icmp_msgs_burst=1000000\nnet.ipv4.conf.eth0.send_redirects=0\nnet.ipv4.conf.all.send_redirects=0\n\
            net.ipv4.conf.eth1.send_redirects=0\nnet.ipv4.fwmark_reflect=1\nnet.ipv6.fwmark_reflect=1\n\
            net.ipv6.ip_nonlocal_bind=1\nnet.netfilter.nf_conntrack_tcp_be_liberal=1\n";
        // A busy machine may take seconds between a packet and its answer.
        let timeouts = [
            "udp_timeout",
            "icmp_timeout",
            "icmpv6_timeout",
            "generic_timeout",
            "gre_timeout",
            "tcp_timeout_syn_sent",
            "tcp_timeout_syn_recv",
            "tcp_timeout_close",
            "sctp_timeout_cookie_wait",
            "sctp_timeout_cookie_echoed",
            "sctp_timeout_closed",
        ];
        let timeouts = timeouts.map(|name| format!("net.netfilter.nf_conntrack_{name}=600\n")).concat();
        let settings = format!("{settings}{timeouts}");
        let _ = feed("ip", &["netns", "exec", &r, "sysctl", "-q", "-p", "-"], &settings);
        self.addresses()?;
        self.open_ends()?;
        Ok(())
    }

    fn addresses(&self) -> Result<(), String> {
        let (s, r, d) = (self.ns("s"), self.ns("r"), self.ns("d"));
        let in_r = [
            "addr add 10.10.0.1/24 dev eth0",
            "addr add 10.10.0.5/24 dev eth0",
            "addr add 10.20.0.1/24 dev eth1",
            "addr add fd00:10::1/120 dev eth0 nodad",
            "addr add fd00:10::5/120 dev eth0 nodad",
            "addr add fd00:20::1/120 dev eth1 nodad",
            "neigh replace 10.10.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent",
            "neigh replace 10.20.0.2 lladdr 02:00:00:00:00:04 dev eth1 nud permanent",
            "neigh replace fd00:10::2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent",
            "neigh replace fd00:20::2 lladdr 02:00:00:00:00:04 dev eth1 nud permanent",
            "route replace 10.10.0.0/16 via 10.10.0.2 dev eth0",
            "route replace default via 10.20.0.2 dev eth1",
            "-6 route replace fd00:10::/48 via fd00:10::2 dev eth0",
            "-6 route replace default via fd00:20::2 dev eth1",
        ];
        for line in in_r {
            self.ip(&r, line)?;
        }
        // Hosts on the links that are not the next hop of a route answer to no neighbour request otherwise.
        let mut batch = String::new();
        for last in 3..255 {
            for (dev, mac, v4, v6) in [("eth0", 2, "10.10.0", "fd00:10:"), ("eth1", 4, "10.20.0", "fd00:20:")] {
                let tail = format!("lladdr 02:00:00:00:00:0{mac} dev {dev} nud permanent");
                let _ = writeln!(batch, "neigh replace {v4}.{last} {tail}\nneigh replace {v6}:{last:x} {tail}");
            }
        }
        feed("ip", &["-n", &r, "-batch", "-"], &batch)?;
        for (ns, dev, addr, gateway, mac) in
            [(&s, "s0", "2", "fd00:10::", "02:00:00:00:00:01"), (&d, "d0", "2", "fd00:20::", "02:00:00:00:00:03")]
        {
            let v4 = if dev == "s0" { "10.10.0." } else { "10.20.0." };
            for line in [
                format!("addr add {v4}{addr}/32 dev {dev}"),
                format!("addr add {gateway}{addr}/128 dev {dev} nodad"),
                format!("route add {v4}1 dev {dev}"),
                format!("route add default via {v4}1 dev {dev}"),
                format!("neigh replace {v4}1 lladdr {mac} dev {dev} nud permanent"),
                format!("-6 route add {gateway}1 dev {dev}"),
                format!("-6 route add default via {gateway}1 dev {dev}"),
                format!("neigh replace {gateway}1 lladdr {mac} dev {dev} nud permanent"),
            ] {
                self.ip(ns, &line)?;
            }
        }
        Ok(())
    }

    /// What comes to S or D is theirs, whatever its destination; what they send follows their own routes.
    fn open_ends(&self) -> Result<(), String> {
        for (ns, dev) in [(self.ns("s"), "s0"), (self.ns("d"), "d0")] {
            self.ip(&ns, "route add local default dev lo table 100")?;
            self.ip(&ns, &format!("rule add iif {dev} lookup 100 prio 1"))?;
            self.ip(&ns, "-6 route add local default dev lo table 100")?;
            self.ip(&ns, &format!("-6 rule add iif {dev} lookup 100 prio 1"))?;
            for setting in ["all", "default", dev] {
                let _ = run(
                    "ip",
                    &[
                        "netns",
                        "exec",
                        &ns,
                        "sysctl",
                        "-qw",
                        &format!("net.ipv4.conf.{setting}.rp_filter=0"),
                        &format!("net.ipv4.conf.{setting}.accept_local=1"),
                        &format!("net.ipv4.conf.{setting}.route_localnet=1"),
                    ],
                );
            }
        }
        Ok(())
    }

    pub fn ip(&self, ns: &str, line: &str) -> Result<String, String> {
        let mut args = vec!["-n", ns];
        args.extend(line.split(' '));
        run("ip", &args)
    }

    /// Runs a command in R.
    pub fn in_r(&self, line: &str) -> Result<String, String> {
        let r = self.ns("r");
        let mut args = vec!["netns", "exec", &r];
        args.extend(line.split(' '));
        run("ip", &args)
    }

    pub fn feed_r(&self, command: &[&str], input: &str) -> Result<(), String> {
        let r = self.ns("r");
        let mut args = vec!["netns", "exec", &r];
        args.extend(command);
        feed("ip", &args, input)
    }

    /// R's facts as the commands print them, without rule sets.
    pub fn node(&self) -> Node {
        let get = |line: &str| self.in_r(line).unwrap();
        let mut routes = parse_routes("route4", get("ip -4 -j route show table all").as_bytes(), Family::V4).unwrap();
        routes.extend(parse_routes("route6", get("ip -6 -j route show table all").as_bytes(), Family::V6).unwrap());
        let mut rules = parse_rules("rule4", get("ip -4 -j rule").as_bytes(), Family::V4).unwrap();
        rules.extend(parse_rules("rule6", get("ip -6 -j rule").as_bytes(), Family::V6).unwrap());
        Node {
            links: link::merge(
                link::parse("addr", get("ip -j addr").as_bytes()).unwrap(),
                link::parse("link", get("ip -j -d link").as_bytes()).unwrap(),
            ),
            routes: Fib::new(routes),
            rules,
            neighbours: neighbour::parse("neigh", get("ip -j neigh").as_bytes()).unwrap(),
            sysctls: Sysctls::parse("sysctl", get("sysctl -a --pattern ^net").as_bytes()),
            ..Node::default()
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in ["s", "r", "d"] {
            let _ = run("ip", &["netns", "del", &self.ns(host)]);
        }
    }
}

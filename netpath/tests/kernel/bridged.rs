//! The lab with its router turned into a bridge: S' frames to others pass between the ports, those to the router itself go
//! up to it. With `bridge-nf-call-iptables` the IP hooks see both.

use netpath::node::Node;

use crate::lab::{Lab, run};
use crate::random::Random;

const BRIDGE: &str = "br0";
const BRIDGE_MAC: &str = "02:00:00:00:00:09";

/// Whether the node is such a bridge.
pub fn is_bridge(node: &Node) -> bool {
    node.links.iter().any(|link| &*link.name == BRIDGE)
}

/// Whether an address is the bridge's own, so that S and D send it to the bridge's own frame address.
pub fn is_own(node: &Node, address: std::net::IpAddr) -> bool {
    node.links.iter().flat_map(|link| &link.addresses).any(|own| own.local == address)
}

/// Puts both interfaces of the router into a bridge that has their addresses, routes and neighbours.
pub fn bridge(lab: &Lab) -> Result<(), String> {
    let r = lab.ns("r");
    for line in [
        format!("link add {BRIDGE} address {BRIDGE_MAC} type bridge forward_delay 0 mcast_snooping 0"),
        format!("link set {BRIDGE} addrgenmode none"),
        "addr flush dev eth0".to_owned(),
        "addr flush dev eth1".to_owned(),
        format!("link set eth0 master {BRIDGE}"),
        format!("link set eth1 master {BRIDGE}"),
        format!("link set {BRIDGE} up"),
    ] {
        lab.ip(&r, &line)?;
    }
    for (mac, port) in [("02:00:00:00:00:02", "eth0"), ("02:00:00:00:00:04", "eth1")] {
        run("bridge", &["-n", &r, "fdb", "replace", mac, "dev", port, "master", "static"])?;
    }
    router(&r)?;
    for (host, dev, other, v4, v6) in [
        ("s", "s0", "02:00:00:00:00:04", "10.10.0", "fd00:10:"),
        ("d", "d0", "02:00:00:00:00:02", "10.20.0", "fd00:20:"),
    ] {
        let ns = lab.ns(host);
        // The gateway of everything else is the other host; the router's own addresses have another.
        for (family, net) in [("-4", v4), ("-6", v6)] {
            let dot = if family == "-4" { "." } else { ":" };
            lab.ip(&ns, &format!("neigh replace {net}{dot}1 lladdr {other} dev {dev} nud permanent"))?;
            lab.ip(&ns, &format!("neigh replace {net}{dot}99 lladdr {BRIDGE_MAC} dev {dev} nud permanent"))?;
            lab.ip(&ns, &format!("{family} route add {net}{dot}99 dev {dev}"))?;
            let own = if family == "-4" {
                ["10.10.0.1", "10.10.0.5", "10.20.0.1"]
            } else {
                ["fd00:10::1", "fd00:10::5", "fd00:20::1"]
            };
            for address in own {
                lab.ip(&ns, &format!("{family} route replace {address} via {net}{dot}99 dev {dev}"))?;
            }
        }
    }
    Ok(())
}

fn router(r: &str) -> Result<(), String> {
    let mut batch = String::new();
    for address in ["10.10.0.1/24", "10.10.0.5/24", "10.20.0.1/24"] {
        batch.push_str(&format!("addr add {address} dev {BRIDGE}\n"));
    }
    for address in ["fd00:10::1/120", "fd00:10::5/120", "fd00:20::1/120"] {
        batch.push_str(&format!("addr add {address} dev {BRIDGE} nodad\n"));
    }
    let networks = [(2, "10.10.0", "fd00:10:", &[1, 5][..]), (4, "10.20.0", "fd00:20:", &[1][..])];
    for (mac, v4, v6, own) in networks {
        for last in (0..255).filter(|last| !own.contains(last)) {
            let tail = format!("lladdr 02:00:00:00:00:0{mac} dev {BRIDGE} nud permanent");
            batch.push_str(&format!("neigh replace {v4}.{last} {tail}\nneigh replace {v6}:{last:x} {tail}\n"));
        }
    }
    for line in [
        "route replace 10.10.0.0/16 via 10.10.0.2",
        "route replace default via 10.20.0.2",
        "-6 route replace fd00:10::/48 via fd00:10::2",
        "-6 route replace default via fd00:20::2",
    ] {
        batch.push_str(&format!("{line} dev {BRIDGE}\n"));
    }
    // `ip -batch` takes no option before a line's object.
    let (six, four): (Vec<&str>, Vec<&str>) = batch.lines().partition(|line| line.starts_with("-6 "));
    let six: String = six.iter().map(|line| format!("{}\n", &line[3..])).collect();
    let four: String = four.iter().map(|line| format!("{line}\n")).collect();
    crate::lab::feed("ip", &["-n", r, "-batch", "-"], &four)?;
    crate::lab::feed("ip", &["-n", r, "-6", "-batch", "-"], &six)
}

/// Whether the bridge calls the IP hooks, chosen for each batch.
pub fn settings(random: &mut Random) -> String {
    let call = u8::from(random.chance(75));
    format!("net.bridge.bridge-nf-call-iptables={call}\nnet.bridge.bridge-nf-call-ip6tables={call}\n")
}

/// Rules that were made for the router, some of which name the bridge now.
pub fn rules(random: &mut Random, rules: &str) -> String {
    let line = |line: &str| {
        let mut line = line.to_owned();
        for port in ["-i eth0", "-i eth1", "-o eth0", "-o eth1"] {
            if line.contains(port) && random.chance(60) {
                line = line.replace(port, &format!("{} {BRIDGE}", &port[..2]));
            }
        }
        line + "\n"
    };
    rules.lines().map(line).collect()
}

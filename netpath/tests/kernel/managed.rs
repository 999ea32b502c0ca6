//! Rule sets that real programs wrote, and packets at their boundaries.

use netpath::address::Family;
use netpath::packet::Transport;

use crate::frames::{Probe, Side};
use crate::generate_packets::distinct;
use crate::pool::Pool;
use crate::random::Random;

/// What ufw 0.36, firewalld 1.3 (iptables backend) and dockerd 20.10 wrote, as iptables-save printed it. Docker's bridge of
/// published containers is called eth1 and has the lab's addresses.
pub const SAVED_V4: [&str; 4] = [
    include_str!("../data/ufw.save"),
    include_str!("../data/firewalld.save"),
    include_str!("../data/firewalld-masquerade.save"),
    include_str!("../data/docker.save"),
];

/// The same programs' IPv6 half, as ip6tables-save printed it.
pub const SAVED_V6: [&str; 3] = [
    include_str!("../data/ufw.v6.save"),
    include_str!("../data/firewalld.v6.save"),
    include_str!("../data/docker.v6.save"),
];

/// What real firewalld wrote (nftables backend), and a table of kube-proxy's constructs without its translations (which some
/// kernels lack).
pub const NATIVE: [&str; 2] = [include_str!("../data/firewalld.nft"), include_str!("../data/kube-proxy-shaped.nft")];

const GRE: u8 = 47;

/// Packets at what a rule set names.
pub fn probes(random: &mut Random, family: Family, count: usize, rules: &str) -> Vec<Probe> {
    let ports = [22, 25, 53, 67, 68, 80, 137, 443, 546, 547, 6443, 8080, 8081, 8443, 10250, 30000, 30080, 32767];
    let pool = match family {
        Family::V4 => Pool::named(
            &[
                "10.10.0.1",
                "10.20.0.1",
                "10.224.0.5",
                "10.244.3.4",
                "10.10.0.5",
                "172.17.0.2",
                "10.9.0.7",
                "10.20.0.9",
                "10.10.0.255",
                "10.96.0.10",
                "10.96.0.99",
                "10.96.0.1",
            ],
            &ports,
        ),
        Family::V6 => Pool::named(
            &[
                "fd00:10::1",
                "fd00:20::1",
                "fd00:20::9",
                "fd00:10::7",
                "fd00:10::5",
                "fd00:244::7",
                "2001:db8::5",
                "fd99::1",
                "2002:a00::1",
            ],
            &ports,
        ),
    };
    let mut probes = distinct(random, &pool, count, &[Side::S, Side::S, Side::D]);
    // Connections that are given one source must differ in their ports. GRE has none, and test packets of it are too short
    // to be translated.
    let masquerades = rules.contains("MASQUERADE");
    probes.retain(|probe| !masquerades || probe.packet.protocol != GRE);
    for (case, probe) in probes.iter_mut().enumerate() {
        // Half of them from ports that no rule names, so that redirected connections (of port 8081) stay apart.
        if masquerades || case % 2 == 0 || probe.packet.destination_port() == Some(8081) {
            match &mut probe.packet.transport {
                Transport::Tcp { source, .. } | Transport::Ports { source, .. } | Transport::Sctp { source, .. } => {
                    *source = 10_000 + case as u16;
                }
                _ => {}
            }
        }
    }
    probes
}

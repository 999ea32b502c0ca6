//! Which interfaces forward packets. The kernel asks the interface that a packet comes in by
//! (`IN_DEV_FORWARD`, net/ipv4/route.c), so one closed interface stops one direction while `all` says 1.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;

use super::link::{Link, Route};
use super::sysctl::Sysctls;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// What an interface is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A default route leads through it.
    Uplink,
    /// Pods are behind it.
    Pods,
    /// It carries traffic to other nodes' pods.
    Tunnel,
    /// Neither is known of it.
    Other,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Uplink => "uplink",
            Role::Pods => "pods",
            Role::Tunnel => "tunnel",
            Role::Other => "other",
        }
    }

    fn of(interface: &str, uplinks: &BTreeSet<&str>, kinds: &BTreeMap<&str, &str>) -> Role {
        if uplinks.contains(interface) {
            return Role::Uplink;
        }
        const TUNNELS: [&str; 6] = ["vxlan", "geneve", "wireguard", "ipip", "gre", "sit"];
        if kinds.get(interface).is_some_and(|kind| TUNNELS.contains(kind)) || interface.starts_with("flannel.") {
            return Role::Tunnel;
        }
        // The names that the CNI plugins give to their side of a pod's link: bridges of the reference plugins and
        // kubenet, Calico, Azure, Cilium, AWS, Weave, Antrea.
        const BRIDGES: [&str; 3] = ["cni0", "cbr0", "mynet0"];
        const PREFIXES: [&str; 6] = ["cali", "azv", "lxc", "eni", "vethwe", "antrea-gw"];
        if BRIDGES.contains(&interface) || PREFIXES.iter().any(|prefix| interface.starts_with(prefix)) {
            return Role::Pods;
        }
        Role::Other
    }
}

/// The fact of every interface that has the setting.
pub fn value(sysctls: &Sysctls, links: Option<&[Link]>, routes: Option<&[Route]>) -> Value {
    let leads_out = |route: &&Route| route.destination == "default" && route.table == "main";
    let ways_out = routes.unwrap_or_default().iter().filter(leads_out);
    let uplinks: BTreeSet<&str> = ways_out.filter_map(|route| route.interface.as_deref()).collect();
    let links = links.unwrap_or_default().iter();
    let kinds: BTreeMap<&str, &str> =
        links.filter_map(|link| Some((link.name.as_str(), link.kind.as_deref()?))).collect();
    let interface = |name: &str| -> Option<Value> {
        let key = format!("net.ipv4.conf.{}.forwarding", name.replace('.', "/"));
        let on = sysctls.number(&key)? != 0;
        let record = Record::cited(sysctls.citation(&key)?)
            .with("interface", name)
            .with("on", on)
            .with("role", Role::of(name, &uplinks, &kinds).name());
        Some(record.into_value())
    };
    sysctls.interfaces("ipv4", "forwarding").iter().filter_map(|name| interface(name)).collect()
}

/// The fields of an interface's forwarding.
pub static FORWARDING: RecordShape = RecordShape {
    name: "forwarding",
    doc: "Whether an interface forwards what comes in by it.",
    fields: &[
        Field { name: "interface", shape: Shape::Scalar, doc: "The interface." },
        Field { name: "on", shape: Shape::Scalar, doc: "Whether it forwards." },
        Field {
            name: "role",
            shape: Shape::Scalar,
            doc: "uplink (a default route leads through it), pods, tunnel, or other; by routes, kinds and the CNI plugins' names.",
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;
    use crate::facts::node::{link, sysctl};

    #[test]
    fn roles_are_by_routes_kinds_and_names() {
        let text = "net.ipv4.conf.cali12.forwarding = 1\nnet.ipv4.conf.docker0.forwarding = 1\n\
            net.ipv4.conf.eth0.forwarding = 0\nnet.ipv4.conf.flannel/1.forwarding = 1\nnet.ipv4.conf.v9.forwarding = 1\n";
        let sysctls = sysctl::parse(&"s".into(), text.as_bytes());
        let links = br#"[{"ifname": "v9", "linkinfo": {"info_kind": "vxlan"}}]"#;
        let links = link::parse_links(&"l".into(), links).unwrap();
        let routes = link::parse_routes(&"r".into(), br#"[{"dst": "default", "dev": "eth0"}]"#).unwrap();
        let facts = value(&sysctls, Some(&links), Some(&routes));
        static ALL: Shape = Shape::List(&Shape::Record(&FORWARDING));
        assert_shape(&facts, &ALL);
        let got: Vec<String> = facts
            .try_iter()
            .unwrap()
            .map(|fact| {
                let field = |name: &str| fact.get_attr(name).unwrap();
                format!("{} {} {}", field("interface"), field("role"), field("on").is_true())
            })
            .collect();
        let expected =
            ["cali12 pods true", "docker0 other true", "eth0 uplink false", "v9 tunnel true", "flannel.1 tunnel true"];
        assert_eq!(got.len(), expected.len());
        assert!(expected.iter().all(|line| got.iter().any(|have| have == line)), "{got:?}");
    }
}

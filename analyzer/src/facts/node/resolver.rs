//! Whom a node asks for names, and whom it makes its pods ask.

use std::collections::BTreeMap;

use minijinja::Value;

use super::folder::Folder;
use super::kubelet::Kubelet;
use super::opt;
use super::resolv::{self, RESOLV_CONF, ResolvConf};
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The file of systemd-resolved that names the uplinks' servers.
const SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";
/// The file of systemd-resolved that names its stub.
const SYSTEMD_STUB: &str = "/run/systemd/resolve/stub-resolv.conf";
/// The stub's address.
const STUB_ADDRESS: &str = "127.0.0.53";

/// The resolv.conf files of a node.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    /// /etc/resolv.conf.
    pub etc: Option<ResolvConf>,
    /// systemd-resolved's file with the uplinks' servers.
    pub systemd: Option<ResolvConf>,
    /// systemd-resolved's file with its stub.
    pub systemd_stub: Option<ResolvConf>,
    /// The file that the kubelet hands to pods with dnsPolicy Default, such as CoreDNS.
    pub kubelet: Option<ResolvConf>,
}

/// What most nodes of a cluster ask, for comparing one with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Majority {
    /// The servers, sorted.
    pub servers: Vec<String>,
    /// Nodes that ask exactly these.
    pub nodes: usize,
    /// Nodes whose servers are known.
    pub known: usize,
}

impl Resolver {
    /// Reads the files of a node.
    pub fn read(folder: &Folder, kubelet: &Kubelet) -> Resolver {
        let file = |id: &str, host_path: &str| {
            let entry = folder.entry(id)?;
            let mut conf = resolv::parse(&entry.path, &entry.bytes);
            conf.host_path = if host_path.is_empty() { entry.host_path } else { host_path.to_owned() };
            conf.link = entry.link;
            Some(conf)
        };
        let mut resolver = Resolver {
            etc: file("node.resolv.conf", "/etc/resolv.conf"),
            systemd: file("node.resolv.systemd", SYSTEMD),
            systemd_stub: file("node.resolv.systemd-stub", SYSTEMD_STUB),
            kubelet: None,
        };
        // The collector reads the kubelet's file only where it could find out which one that is.
        resolver.kubelet = file("node.resolv.kubelet", "").or_else(|| resolver.named(kubelet));
        resolver
    }

    /// The file that the kubelet was told to use, where it is one of the three.
    fn named(&self, kubelet: &Kubelet) -> Option<ResolvConf> {
        let path = kubelet.resolv_conf()?.value;
        [&self.etc, &self.systemd, &self.systemd_stub]
            .into_iter()
            .flatten()
            .find(|conf| conf.host_path == path)
            .cloned()
    }

    /// The servers that the node's questions end at: those of /etc/resolv.conf, and where that names systemd-resolved's
    /// stub, the uplinks'. None where another local resolver answers, whose servers are not known.
    pub fn uplinks(&self) -> Option<Vec<&str>> {
        let etc = self.etc.as_ref()?;
        let own: Vec<&str> = etc.servers_used().map(|server| server.address.as_str()).collect();
        if !etc.is_stub() {
            return (!own.is_empty()).then_some(own);
        }
        if !own.contains(&STUB_ADDRESS) {
            return None;
        }
        let systemd = self.systemd.as_ref()?;
        let uplinks: Vec<&str> = systemd.servers_used().map(|server| server.address.as_str()).collect();
        (!uplinks.is_empty()).then_some(uplinks)
    }

    /// The file that the uplinks come from.
    fn uplinks_conf(&self) -> Option<&ResolvConf> {
        self.etc.as_ref().filter(|etc| !etc.is_stub()).or(self.systemd.as_ref())
    }

    /// The same servers in an order of their own, for comparing nodes: the order among servers differs with DHCP.
    pub fn uplinks_sorted(&self) -> Option<Vec<String>> {
        let mut servers: Vec<String> = self.uplinks()?.into_iter().map(str::to_owned).collect();
        servers.sort();
        servers.dedup();
        Some(servers)
    }

    /// The fact, as expressions see it.
    pub fn value(&self, majority: Option<&Majority>) -> Value {
        let conf = |conf: &Option<ResolvConf>| opt(conf.as_ref().map(ResolvConf::value));
        let uplinks = self.uplinks_sorted();
        let record = match self.uplinks_conf().or(self.kubelet.as_ref()) {
            Some(conf) => Record::cited(
                crate::fact::citations(&conf.value())
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| crate::citation::Citation::whole(&conf.path, &conf.host_path)),
            ),
            None => Record::derived(),
        };
        record
            .with("etc", conf(&self.etc))
            .with("systemd", conf(&self.systemd))
            .with("systemd_stub", conf(&self.systemd_stub))
            .with("kubelet", conf(&self.kubelet))
            .with("uplinks", opt(uplinks.clone()))
            .with("uplinks_file", opt(self.uplinks_conf().map(ResolvConf::value)))
            .with("majority", opt(majority.map(|majority| majority_value(majority, uplinks.as_deref()))))
            .into_value()
    }
}

/// What more than half of the nodes ask, where at least three are known. Each item is one node's servers, sorted.
pub fn majority(nodes: impl IntoIterator<Item = Vec<String>>) -> Option<Majority> {
    let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut known = 0;
    for servers in nodes {
        known += 1;
        *counts.entry(servers).or_default() += 1;
    }
    let (servers, nodes) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (known >= 3 && nodes * 2 > known).then_some(Majority { servers, nodes, known })
}

fn majority_value(majority: &Majority, own: Option<&[String]>) -> Value {
    let other = |from: &[String], than: &[String]| -> Vec<String> {
        from.iter().filter(|server| !than.contains(server)).cloned().collect()
    };
    Record::derived()
        .with("servers", majority.servers.clone())
        .with("nodes", majority.nodes)
        .with("known", majority.known)
        .with("missing", opt(own.map(|own| other(&majority.servers, own))))
        .with("extra", opt(own.map(|own| other(own, &majority.servers))))
        .into_value()
}

/// The fields of the majority.
pub static MAJORITY: RecordShape = RecordShape {
    name: "majority of resolvers",
    doc: "The servers that more than half of the nodes ask, where at least three nodes are known.",
    fields: &[
        Field { name: "servers", shape: Shape::List(&Shape::Scalar), doc: "The servers, sorted." },
        Field { name: "nodes", shape: Shape::Scalar, doc: "Nodes that ask exactly these." },
        Field { name: "known", shape: Shape::Scalar, doc: "Nodes whose servers are known." },
        Field {
            name: "missing",
            shape: Shape::List(&Shape::Scalar),
            doc: "Servers of the majority that this node does not ask; undefined where its own are unknown.",
        },
        Field {
            name: "extra",
            shape: Shape::List(&Shape::Scalar),
            doc: "Servers that this node asks beside or instead.",
        },
    ],
};

/// The fields of a node's resolver.
pub static RESOLVER: RecordShape = RecordShape {
    name: "resolver",
    doc: "Whom a node asks for names, and whom it makes its pods ask.",
    fields: &[
        Field { name: "etc", shape: Shape::Record(&RESOLV_CONF), doc: "/etc/resolv.conf." },
        Field {
            name: "systemd",
            shape: Shape::Record(&RESOLV_CONF),
            doc: "systemd-resolved's file with the uplinks' servers; undefined where it does not run.",
        },
        Field {
            name: "systemd_stub",
            shape: Shape::Record(&RESOLV_CONF),
            doc: "systemd-resolved's file with its stub at 127.0.0.53.",
        },
        Field {
            name: "kubelet",
            shape: Shape::Record(&RESOLV_CONF),
            doc: "The file that the kubelet hands to pods with dnsPolicy Default, such as CoreDNS.",
        },
        Field {
            name: "uplinks",
            shape: Shape::List(&Shape::Scalar),
            doc: "The servers that the node's questions end at, sorted; undefined behind a local resolver other than systemd-resolved.",
        },
        Field { name: "uplinks_file", shape: Shape::Record(&RESOLV_CONF), doc: "The file that they come from." },
        Field {
            name: "majority",
            shape: Shape::Record(&MAJORITY),
            doc: "What most nodes ask; undefined without a majority.",
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    fn conf(host_path: &str, text: &str) -> Option<ResolvConf> {
        let mut conf = resolv::parse(&"r".into(), text.as_bytes());
        conf.host_path = host_path.to_owned();
        Some(conf)
    }

    #[test]
    fn a_stub_of_systemd_leads_to_the_uplinks() {
        let mut resolver = Resolver {
            etc: conf("/etc/resolv.conf", "nameserver 127.0.0.53\n"),
            systemd: conf(SYSTEMD, "nameserver 10.1.0.11\nnameserver 10.1.0.10\n"),
            ..Resolver::default()
        };
        assert_eq!(resolver.uplinks_sorted().unwrap(), ["10.1.0.10", "10.1.0.11"]);
        resolver.etc = conf("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        assert_eq!(resolver.uplinks(), None, "dnsmasq's servers are not in these files");
        resolver.etc = conf("/etc/resolv.conf", "nameserver 10.9.9.9\n");
        assert_eq!(resolver.uplinks().unwrap(), ["10.9.9.9"]);
    }

    #[test]
    fn a_majority_is_more_than_half_of_three_or_more() {
        let nodes = |sets: &[&[&str]]| majority(sets.iter().map(|set| set.iter().map(|s| (*s).to_owned()).collect()));
        assert_eq!(nodes(&[&["a"], &["a"]]), None);
        assert_eq!(nodes(&[&["a"], &["b"], &["c"]]), None);
        assert_eq!(nodes(&[&["a"], &["a"], &["b"], &["b"]]), None);
        let found = nodes(&[&["a"], &["a"], &["b"]]).unwrap();
        assert_eq!((found.servers.as_slice(), found.nodes, found.known), (["a".to_owned()].as_slice(), 2, 3));
    }

    #[test]
    fn the_fact_has_its_shape() {
        let etc = conf("/etc/resolv.conf", "nameserver 10.1.0.10\n");
        let resolver = Resolver { kubelet: etc.clone(), systemd: etc.clone(), systemd_stub: etc.clone(), etc };
        let majority = Majority { servers: vec!["10.1.0.11".into()], nodes: 2, known: 3 };
        let fact = resolver.value(Some(&majority));
        assert_shape(&fact, &Shape::Record(&RESOLVER));
        let majority = fact.get_attr("majority").unwrap();
        assert_eq!(majority.get_attr("missing").unwrap(), Value::from(vec!["10.1.0.11"]));
        assert_eq!(majority.get_attr("extra").unwrap(), Value::from(vec!["10.1.0.10"]));
    }
}

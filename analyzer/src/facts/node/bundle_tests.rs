//! From a bundle's folder to the fields of `node`: the entries are found by evidence id, joined, and what is missing or
//! damaged stays apart from what is fine.

use std::path::Path;

use bundle::manifest::{RunKind, Tool};
use bundle::{Bundle, ItemRecord, ItemStatus, Limits, Manifest, Scope, Source};
use jiff::Timestamp;

use super::*;
use crate::fact::citations;
use crate::facts::Facts;
use crate::facts::node::shape_test::assert_shape;

const COLLECTED: Timestamp = Timestamp::constant(1_795_000_000, 0);

struct Items {
    folder: tempfile::TempDir,
    items: Vec<ItemRecord>,
}

impl Items {
    fn new() -> Items {
        Items { folder: tempfile::tempdir().unwrap(), items: Vec::new() }
    }

    fn record(&mut self, node: &str, id: &str, status: ItemStatus, host_path: &str) -> &mut ItemRecord {
        self.items.push(ItemRecord {
            id: id.into(),
            scope: Scope::Node(node.into()),
            path: None,
            source: Source::File(host_path.into()),
            plan: "a file".into(),
            status,
            reason: None,
            started: COLLECTED,
            duration_ms: 1,
            exit_code: None,
            bytes: 0,
            bytes_dropped: 0,
            stderr_tail: None,
            sha256: None,
            redactions: Default::default(),
            link_target: None,
        });
        self.items.last_mut().unwrap()
    }

    fn file(&mut self, node: &str, id: &str, below: &str, host_path: &str, text: &str) -> &mut ItemRecord {
        let path = format!("nodes/{node}/{below}");
        let on_disk = self.folder.path().join(&path);
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        std::fs::write(on_disk, text).unwrap();
        let record = self.record(node, id, ItemStatus::Ok, host_path);
        record.path = Some(path);
        record.bytes = text.len() as u64;
        record
    }

    fn facts(&self) -> Facts {
        let tool = Tool { name: "dossier-collect".into(), version: "0".into() };
        let manifest = Manifest { items: self.items.clone(), ..Manifest::empty(tool, RunKind::Node, COLLECTED) };
        write(self.folder.path(), "manifest.json", &serde_json::to_string(&manifest).unwrap());
        Facts::new(Bundle::open(self.folder.path(), Limits::default()).unwrap())
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn field(facts: &Facts, node: &str, name: &str) -> Value {
    facts.node_files(node).unwrap().field(facts, name).unwrap_or_default()
}

fn get(value: &Value, path: &[&str]) -> Value {
    path.iter().fold(value.clone(), |value, name| value.get_item(&Value::from(*name)).unwrap())
}

/// A node with one entry of nearly every kind.
fn whole() -> Items {
    let mut items = Items::new();
    let sysctls = "net.ipv4.conf.eth0.forwarding = 1\nnet.ipv4.ip_forward = 1\nnet.netfilter.nf_conntrack_count = 9\nnet.netfilter.nf_conntrack_max = 10\n";
    items.file("n1", "node.sysctl", "system/sysctl.txt", "/proc/sys/net", sysctls);
    items.file(
        "n1",
        "node.conntrack.stat",
        "net/proc/stat/nf_conntrack",
        "/proc/net/stat/nf_conntrack",
        "entries drop\n9 a\n9 1\n",
    );
    let index = r#"[{"path": "/etc/sysctl.d/10-a.conf", "link_target": null, "bytes": 24}, {"path": "/etc/sysctl.d/50-b.conf", "link_target": "/dev/null", "bytes": 0}]"#;
    items.file("n1", "node.sysctl-files.index", "system/sysctl-files.json", "/etc/sysctl.d", index);
    let below = "system/sysctl-files/etc/sysctl.d/10-a.conf";
    items.file("n1", "node.sysctl-files", below, "/etc/sysctl.d/10-a.conf", "net.ipv4.ip_forward = 0\n");
    items.file(
        "n1",
        "node.kubelet.config",
        "kubelet/config.yaml",
        "/var/lib/kubelet/config.yaml",
        "clusterDNS: [10.96.0.10]\nresolvConf: /run/systemd/resolve/resolv.conf\n",
    );
    items
        .file("n1", "node.resolv.conf", "dns/resolv.conf", "/etc/resolv.conf", "nameserver 127.0.0.53\n")
        .link_target = Some("/run/systemd/resolve/stub-resolv.conf".into());
    items.file(
        "n1",
        "node.resolv.systemd",
        "dns/systemd-resolv.conf",
        "/run/systemd/resolve/resolv.conf",
        "nameserver 10.1.0.10\n",
    );
    items.file(
        "n1",
        "node.cni.conf-index",
        "cni/net.d.json",
        "/etc/cni/net.d",
        r#"[{"name": "10-x.conflist", "kind": "file"}]"#,
    );
    let cni = r#"{"name": "cbr0", "plugins": [{"type": "flannel"}]}"#;
    items.file("n1", "node.cni.conf", "cni/net.d/10-x.conflist", "/etc/cni/net.d/10-x.conflist", cni);
    items.file(
        "n1",
        "node.flannel.subnet-env",
        "cni/flannel-subnet.env",
        "/run/flannel/subnet.env",
        "FLANNEL_SUBNET=10.244.1.1/24\n",
    );
    let store = r#"{"networks": {"cbr0": {"allocations": [{"ip": "10.244.1.2", "container_id": "aa"}, {"ip": "10.244.1.3", "container_id": "bb"}]}}}"#;
    items.file("n1", "node.cni.host-local", "ipam/host-local.json", "/var/lib/cni/networks", store);
    items.file(
        "n1",
        "node.cri.pods",
        "kubelet/crictl-pods.json",
        "",
        r#"{"items": [{"id": "aa", "metadata": {"name": "p", "namespace": "d"}}]}"#,
    );
    let certificates = r#"[{"path": "/etc/kubernetes/pki/apiserver.crt", "certificates": [{"subject": "CN=a", "not_before": "2025-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}]}]"#;
    items.file("n1", "node.certs.files", "kubelet/certificates.json", "/etc/kubernetes/pki", certificates);
    items.file("n1", "node.ip.link", "net/link.json", "", r#"[{"ifname": "eth0", "flags": ["UP"], "mtu": 1500}]"#);
    items.file(
        "n1",
        "node.ip.addr4",
        "net/addr4.json",
        "",
        r#"[{"ifname": "eth0", "addr_info": [{"local": "10.0.0.4", "prefixlen": 24}]}]"#,
    );
    items.file(
        "n1",
        "node.ip.route4",
        "net/route4.json",
        "",
        r#"[{"dst": "default", "gateway": "10.0.0.1", "dev": "eth0"}]"#,
    );
    items.file("n1", "node.system.os-release", "system/os-release", "/etc/os-release", "ID=debian\n");
    items.file("n1", "node.system.modules", "system/modules", "/proc/modules", "bridge 1 0 - Live 0x0\n");
    items.file(
        "n1",
        "node.units.services",
        "system/units.txt",
        "",
        "ufw.service loaded active exited Uncomplicated firewall\n",
    );
    items.file("n1", "node.ufw.status", "firewall/ufw-status.txt", "", "Status: active\nLogging: on (low)\n");
    items.file("n1", "node.iptables.nft-v4", "firewall/iptables-nft.v4", "", "*filter\nCOMMIT\n");
    items.file("n1", "node.log.dmesg", "logs/dmesg.log", "", "2026-11-20T10:00:00,0+00:00 x\n");
    items
}

#[test]
fn every_field_has_its_shape_and_a_value_where_its_evidence_is() {
    let items = whole();
    let facts = items.facts();
    for field_of in FIELDS {
        let value = field(&facts, "n1", field_of.name);
        assert!(!value.is_undefined(), "{} is missing", field_of.name);
        assert_shape(&value, &field_of.shape);
    }
    assert!(facts.node_files("n1").unwrap().unreadable().is_empty());
}

#[test]
fn the_parts_are_joined() {
    let items = whole();
    let facts = items.facts();
    let setting = get(&field(&facts, "n1", "sysctl_files"), &["at_boot", "net.ipv4.ip_forward"]);
    assert_eq!(get(&setting, &["value"]), Value::from("0"));
    assert_eq!(citations(&setting)[0].path.as_ref(), "nodes/n1/system/sysctl-files/etc/sysctl.d/10-a.conf");
    assert!(get(&field(&facts, "n1", "sysctl_files"), &["complete"]).is_true());

    let resolver = field(&facts, "n1", "resolver");
    assert_eq!(get(&resolver, &["uplinks"]), Value::from(vec!["10.1.0.10"]));
    assert_eq!(get(&resolver, &["kubelet", "path"]), Value::from("/run/systemd/resolve/resolv.conf"));
    assert_eq!(get(&resolver, &["etc", "link"]), Value::from("/run/systemd/resolve/stub-resolv.conf"));

    let table = facts.node_files("n1").unwrap().addresses(&addresses::ApiAddresses::default());
    assert_eq!((table.store.as_deref(), table.store_used, table.store_total), (Some("host-local"), Some(2), Some(253)));
    assert_eq!(table.leaked, Some(1));
    assert_eq!(get(&field(&facts, "n1", "conntrack"), &["fill_percent"]), Value::from(90));
    assert_eq!(get(&field(&facts, "n1", "conntrack"), &["counters", "drop"]), Value::from(11));
}

#[test]
fn the_chain_is_complete_where_every_file_that_is_read_was_collected() {
    let complete = |index: &str| {
        let mut items = Items::new();
        items.file("n1", "node.sysctl-files.index", "system/sysctl-files.json", "/etc/sysctl.d", index);
        let below = "system/sysctl-files/usr/lib/sysctl.d/50-a.conf";
        items.file("n1", "node.sysctl-files", below, "/usr/lib/sysctl.d/50-a.conf", "kernel.pid_max = 9\n");
        let facts = items.facts();
        get(&field(&facts, "n1", "sysctl_files"), &["complete"]).is_true()
    };
    let listed = |more: &str| format!(r#"[{{"path": "/usr/lib/sysctl.d/50-a.conf", "bytes": 19}}{more}]"#);
    assert!(complete(&listed("")));
    assert!(
        complete(&listed(r#", {"path": "/lib/sysctl.d/50-a.conf", "bytes": 19}"#)),
        "a second name of the same file"
    );
    assert!(complete(&listed(r#", {"path": "/etc/sysctl.d/README", "bytes": 9}"#)), "not a .conf");
    assert!(complete(&listed(r#", {"path": "/etc/sysctl.d/60-b.conf", "bytes": 0}"#)));
    assert!(!complete(&listed(r#", {"path": "/etc/sysctl.d/60-b.conf", "bytes": 9}"#)));
}

#[test]
fn without_evidence_a_field_is_undefined() {
    let mut items = Items::new();
    items.record("n1", "node.cni.conf-index", ItemStatus::Forbidden, "/etc/cni/net.d");
    let facts = items.facts();
    for name in ["sysctls", "sysctl_files", "conntrack", "kubelet", "cni", "stores", "sandboxes", "links", "units"] {
        assert!(field(&facts, "n1", name).is_undefined(), "{name}");
    }
    assert!(!field(&facts, "n1", "collected").is_true());
}

#[test]
fn a_folder_that_is_absent_is_known_to_be_empty() {
    let mut items = Items::new();
    items.record("n1", "node.cni.conf-index", ItemStatus::Absent, "/etc/cni/net.d");
    items.record("n1", "node.cni.host-local", ItemStatus::Absent, "/var/lib/cni/networks");
    let facts = items.facts();
    let cni = field(&facts, "n1", "cni");
    assert!(get(&cni, &["first"]).is_undefined());
    let citation = &citations(&cni)[0];
    assert_eq!((citation.path.as_ref(), citation.pointer.as_deref()), ("manifest.json", Some("/items/0")));
    assert_eq!(citation.text, "/etc/cni/net.d: absent");
    assert_eq!(field(&facts, "n1", "stores").len(), Some(0));
}

#[test]
fn what_cannot_be_read_is_named_and_hides_nothing_else() {
    let mut items = whole();
    items.items.retain(|item| item.id != "node.cri.pods" && item.id != "node.cni.conf");
    items.file("n1", "node.cri.pods", "kubelet/crictl-pods.json", "", "{ broken");
    items.record("n1", "node.ip.route6", ItemStatus::Ok, "").path = Some("nodes/n1/net/route6.json".into());
    items.file("n1", "node.cni.conf", "cni/net.d/10-x.conflist", "/etc/cni/net.d/10-x.conflist", "{ also broken");
    let facts = items.facts();
    let files = facts.node_files("n1").unwrap();
    let unreadable: Vec<String> = files.unreadable().into_iter().map(|entry| entry.path).collect();
    assert_eq!(unreadable, ["nodes/n1/kubelet/crictl-pods.json", "nodes/n1/net/route6.json"]);
    assert_eq!(field(&facts, "n1", "routes").len(), Some(1));
    assert_eq!(
        files.addresses(&addresses::ApiAddresses::default()).leaked,
        None,
        "without sandboxes a leak is unknown"
    );
    let error = get(&field(&facts, "n1", "cni"), &["first", "error"]);
    assert!(error.as_str().unwrap().contains("not JSON"), "a file that the runtime refuses is a fact");
}

#[test]
fn one_node_of_three_that_asks_another_server_is_told_from_the_majority() {
    let mut items = Items::new();
    for (node, server) in [("n1", "10.1.0.10"), ("n2", "10.1.0.10"), ("n3", "8.8.8.8")] {
        items.file(node, "node.resolv.conf", "dns/resolv.conf", "/etc/resolv.conf", &format!("nameserver {server}\n"));
    }
    let facts = items.facts();
    let odd = get(&field(&facts, "n3", "resolver"), &["majority"]);
    assert_eq!(get(&odd, &["missing"]), Value::from(vec!["10.1.0.10"]));
    assert_eq!(get(&odd, &["extra"]), Value::from(vec!["8.8.8.8"]));
}

#[test]
fn certificates_are_subjects_by_node_and_file() {
    let items = whole();
    let facts = items.facts();
    let subjects = facts.subjects(crate::finding::SubjectKind::Certificate);
    assert_eq!(subjects.len(), 1);
    assert_eq!(subjects.subject(0).name, "n1//etc/kubernetes/pki/apiserver.crt");
    assert!(get(&subjects.value(0), &["expired"]).is_true());
}

const LINK: &str = r#"[{"ifname":"eth0","flags":["UP","LOWER_UP"],"link_type":"ether"}]"#;

/// A node with everything that the packet walk asks for, but for what `without` names.
fn walkable(without: &[&str]) -> Facts {
    let mut items = Items::new();
    for (id, below, text) in [
        ("node.ip.link", "net/link.json", LINK),
        ("node.ip.route4", "net/route4.json", "[]"),
        ("node.ip.route6", "net/route6.json", "[]"),
        ("node.ip.rule4", "net/rule4.json", "[]"),
        ("node.ip.rule6", "net/rule6.json", "[]"),
        ("node.iptables.nft-v4", "firewall/iptables-nft.v4", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"),
        ("node.iptables.nft-v6", "firewall/iptables-nft.v6", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"),
        ("node.nft.ruleset", "firewall/nft.json", r#"{"nftables":[]}"#),
    ] {
        if without.contains(&id) {
            items.record("n", id, ItemStatus::Forbidden, "").reason = Some("you must be root".into());
        } else {
            items.file("n", id, below, "", text);
        }
    }
    for id in ["node.iptables.legacy-v4", "node.iptables.legacy-v6"] {
        let status = if without.contains(&id) { ItemStatus::ToolMissing } else { ItemStatus::ModuleNotLoaded };
        items.record("n", id, status, "");
    }
    let facts = items.facts();
    // The folder is gone afterwards, so everything is read first.
    facts.unreadable();
    facts
}

fn gaps(facts: &Facts) -> Vec<String> {
    let node = facts.node_files("n").unwrap().kernel().unwrap();
    node.gaps.iter().map(|gap| gap.what.clone()).collect()
}

#[test]
fn the_text_of_nft_serves_where_its_json_is_missing() {
    let mut items = Items::new();
    items.file("n", "node.ip.link", "net/link.json", "", LINK);
    items.record("n", "node.nft.ruleset", ItemStatus::Timeout, "");
    items.file("n", "node.nft.text", "firewall/nft.txt", "", "table inet fw {\n\tchain in {\n\t}\n}\n");
    let facts = items.facts();
    let nft = facts.node_files("n").unwrap().kernel().unwrap().nft.as_ref().unwrap();
    assert_eq!(&*nft.tables[0].name, "fw");
    assert!(!gaps(&facts).iter().any(|gap| gap.contains("nftables")), "{:?}", gaps(&facts));
}

#[test]
fn what_the_packet_walk_lacks_is_named_with_its_reason() {
    assert_eq!(gaps(&walkable(&[])), Vec::<String>::new());
    // nft's own list holds the tables of iptables-nft too.
    assert_eq!(gaps(&walkable(&["node.iptables.nft-v4"])), Vec::<String>::new());
    let both = gaps(&walkable(&["node.iptables.nft-v4", "node.nft.ruleset"]));
    assert_eq!(both.len(), 3, "{both:?}");
    assert!(both[0].contains("IPv4 rules of iptables-nft (not collected: forbidden, you must be root)"), "{both:?}");
    let legacy = gaps(&walkable(&["node.iptables.legacy-v6"]));
    assert_eq!(legacy, ["the IPv6 rules of iptables-legacy (not collected: tool-missing)"]);
    assert_eq!(gaps(&walkable(&["node.ip.route6", "node.ip.rule4"])).len(), 2);
}

//! Configurations as their projects ship them (flannel's ConfigMap, kubeadm's and AKS' nodes), and files that break.

use super::*;
use crate::facts::node::shape_test::assert_shape;

const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},{"type":"portmap","capabilities":{"portMappings":true}}]}"#;
const BRIDGE: &str = r#"{
  "cniVersion": "0.4.0", "name": "mynet", "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.22.0.0/16"}], [{"subnet": "fd00:22::/64"}]], "dataDir": "/run/ipam"}
}"#;

fn file(name: &str, text: &str) -> CniFile {
    parse_file(name, &format!("nodes/n1/cni/net.d/{name}").into(), text.as_bytes())
}

#[test]
fn a_list_gives_its_chain() {
    let flannel = file("10-flannel.conflist", FLANNEL);
    assert_eq!(flannel.error, None);
    assert_eq!(flannel.network.as_deref(), Some("cbr0"));
    assert_eq!(flannel.types, ["flannel", "portmap"]);
    assert_eq!(flannel.provider(), Some("flannel"));
    assert_eq!(flannel.ipam, None, "flannel's own delegation brings host-local");
}

#[test]
fn a_single_configuration_gives_its_address_manager() {
    let bridge = file("100-bridge.conf", BRIDGE);
    assert_eq!((bridge.ipam.as_deref(), bridge.data_dir.as_deref()), (Some("host-local"), Some("/run/ipam")));
    assert_eq!(
        bridge.ranges.iter().map(|range| range.subnet.to_string()).collect::<Vec<_>>(),
        ["10.22.0.0/16", "fd00:22::/64"]
    );
}

#[test]
fn what_a_runtime_refuses_says_why() {
    let refused = |name: &str, text: &str| file(name, text).error.unwrap();
    assert!(refused("10-a.conf", FLANNEL).contains(".conflist"));
    assert!(refused("10-a.conf", r#"{"name": "x"}"#).contains("no type"));
    assert!(refused("10-a.conflist", r#"{"plugins": [{"type": "bridge"}]}"#).contains("no name"));
    assert!(refused("10-a.conflist", r#"{"name": "x", "plugins": []}"#).contains("no plugins"));
    assert!(refused("10-a.conflist", r#"{"name": "x", "plugins": [{"mtu": 1}]}"#).contains("without a type"));
    let broken = file("10-a.conflist", "{\n  \"name\": \"x\",\n");
    assert!(broken.error.unwrap().contains("not JSON"));
    assert!(broken.citation.line.is_some());
}

#[test]
fn names_are_sorted_bytewise_and_backups_ignored() {
    let index = br#"[
        {"name": "99-loopback.conf", "kind": "file", "bytes": 70},
        {"name": "10-calico.conflist", "kind": "file", "bytes": 700},
        {"name": "100-crio-bridge.conf", "kind": "link", "bytes": 9, "link_target": "x"},
        {"name": "10-calico.conflist.bak", "kind": "file", "bytes": 700},
        {"name": "calico-kubeconfig", "kind": "file", "bytes": 9},
        {"name": "whatever.d.conf", "kind": "directory"},
        {"name": ".kubernetes-cni-keep", "kind": "file", "bytes": 0},
        {"oddity": 1}
    ]"#;
    let config = parse_index(&"nodes/n1/cni/net.d.json".into(), index).unwrap();
    let names: Vec<_> = config.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["10-calico.conflist", "100-crio-bridge.conf", "99-loopback.conf"]);
    let ignored: Vec<_> = config.ignored.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(ignored, ["10-calico.conflist.bak", "calico-kubeconfig", "whatever.d.conf", ".kubernetes-cni-keep"]);
    assert_eq!(config.ignored[0].1.pointer.as_deref(), Some("/3"));

    let config = config.with_contents([file("10-calico.conflist", FLANNEL)]);
    assert!(config.first().unwrap().read && !config.files[1].read);
    assert_shape(&config.value(None), &Shape::Record(&CNI));
}

#[test]
fn an_empty_folder_can_be_cited() {
    let config = parse_index(&"nodes/n1/cni/net.d.json".into(), b"[]").unwrap();
    let value = config.value(None);
    assert!(value.get_attr("first").unwrap().is_undefined());
    assert_eq!(crate::fact::citations(&value)[0].text, "/etc/cni/net.d: no configuration");
    assert_shape(&value, &Shape::Record(&CNI));
}

#[test]
fn an_agent_runs_where_a_pod_of_its_component_does() {
    let config = CniConfig::default().with_contents([file("10-flannel.conflist", FLANNEL), file("20-x.conf", BRIDGE)]);
    let runs = |components: &[&'static str], place: usize| {
        let components: BTreeSet<&str> = components.iter().copied().collect();
        let files = config.value(Some(&components)).get_attr("files").unwrap();
        files.get_item(&Value::from(place)).unwrap().get_attr("agent_runs").unwrap()
    };
    assert!(runs(&["flannel", "coredns"], 0).is_true());
    assert_eq!(runs(&["calico-node"], 0), Value::from(false));
    assert!(runs(&["flannel"], 1).is_undefined(), "bridge has no agent");
}

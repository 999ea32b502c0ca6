//! azure-vnet.json is of the CNI's own test resources (cni/client/testresources), shortened; the other two follow the
//! structs that write them (ipam.addressPool, restserver.EndpointInfo).

use super::*;
use crate::facts::node::sandbox;
use crate::facts::node::store::Against;

const VNET: &str = r#"{"Network": {"Version": "v1.2.6", "TimeStamp": "2021-06-04T17:15:58.638215441Z", "ExternalInterfaces": {"eth0": {"Name": "eth0", "Networks": {"azure": {"Id": "azure", "Mode": "transparent",
  "Endpoints": {"3f813b02-eth0": {"Id": "3f813b02-eth0", "IfName": "azvd805fb1b0f82", "MacAddress": "ipNAs8jK", "IPAddresses": [{"IP": "10.241.0.17", "Mask": "//8AAA=="}],
    "NetworkNameSpace": "/var/run/netns/cni-e66c52d6-44be-555b-fb65-0b36296b6861", "ContainerID": "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf46", "PODName": "metrics-server-77c8679d7d-6ksdh", "PODNameSpace": "kube-system"}}}}}}}}"#;

const IPAM: &str = r#"{"IPAM": {"Version": "v1.5.0", "AddressSpaces": {"local": {"Id": "local", "Scope": 0, "Pools": {"10.240.0.0/16": {"Id": "10.240.0.0/16", "IfName": "eth0", "Gateway": "10.240.0.1",
  "Addresses": {
    "10.240.0.4": {"ID": "", "Addr": "10.240.0.4", "InUse": true},
    "10.240.0.5": {"ID": "", "Addr": "10.240.0.5", "InUse": false},
    "10.240.0.6": {"ID": "3f813b02-eth0", "Addr": "10.240.0.6", "InUse": true},
    "10.240.0.7": {"ID": "deadbeef-eth0", "Addr": "10.240.0.7", "InUse": true},
    "nonsense": {"InUse": true}},
  "IsIPv6": false, "Priority": 0, "RefCount": 1}}}}}}"#;

const ENDPOINTS: &str = r#"{"Endpoints": {"3f813b029429": {"PodName": "web-0", "PodNamespace": "demo", "IfnameToIPMap": {"eth0": {
  "IPv4": [{"IP": "10.244.0.17", "Mask": "////AA=="}], "IPv6": [{"IP": "fd00::17", "Mask": "//////////8AAAAAAAAAAA=="}], "HostVethName": "azv1", "NICType": "InfraNIC"}}}}}"#;

fn against(sandboxes: &sandbox::Sandboxes) -> Against<'_> {
    Against { sandboxes: Some(sandboxes), pod_ips: None, network: None }
}

#[test]
fn a_pool_counts_what_is_in_use() {
    let endpoints = parse_vnet(VNET.as_bytes()).unwrap();
    let stores = parse_vnet_ipam(&"ipam".into(), IPAM.as_bytes(), &endpoints).unwrap();
    let pool = &stores[0];
    assert_eq!((pool.used(), pool.total, pool.family), (3, Some(4), 4));
    let held = pool.allocations.iter().find(|a| a.address.to_string() == "10.240.0.6").unwrap();
    assert_eq!(held.pod.as_ref().unwrap().1, "metrics-server-77c8679d7d-6ksdh");
    assert_eq!(
        held.citation.pointer.as_deref(),
        Some("/IPAM/AddressSpaces/local/Pools/10.240.0.0~116/Addresses/10.240.0.6")
    );
}

#[test]
fn an_address_whose_sandbox_is_gone_is_an_orphan_and_the_node_s_own_is_not() {
    let endpoints = parse_vnet(VNET.as_bytes()).unwrap();
    let stores = parse_vnet_ipam(&"ipam".into(), IPAM.as_bytes(), &endpoints).unwrap();
    let list = r#"{"items": [{"id": "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf46", "state": "SANDBOX_READY"}]}"#;
    let sandboxes = sandbox::parse(&"p".into(), list.as_bytes()).unwrap();
    let orphans = stores[0].orphans(against(&sandboxes)).unwrap();
    assert_eq!(orphans.iter().map(|a| a.address.to_string()).collect::<Vec<_>>(), ["10.240.0.7"]);

    let with_prefix = r#"{"items": [{"id": "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf46"}, {"id": "deadbeef0000"}]}"#;
    let sandboxes = sandbox::parse(&"p".into(), with_prefix.as_bytes()).unwrap();
    assert!(stores[0].orphans(against(&sandboxes)).unwrap().is_empty());
}

#[test]
fn endpoints_are_counted_per_family() {
    let stores = parse_endpoints(&"e".into(), ENDPOINTS.as_bytes()).unwrap();
    assert_eq!(stores.iter().map(|s| (s.family, s.used(), s.total)).collect::<Vec<_>>(), [(4, 1, None), (6, 1, None)]);
    assert_eq!(stores[0].allocations[0].holder, Holder::Id("3f813b029429".into()));
    assert_eq!(
        stores[0].allocations[0].citation.pointer.as_deref(),
        Some("/Endpoints/3f813b029429/IfnameToIPMap/eth0/IPv4/0")
    );
}

#[test]
fn other_json_is_an_empty_store_and_no_json_an_error() {
    assert!(parse_vnet(b"{}").unwrap().is_empty());
    assert!(parse_vnet_ipam(&"i".into(), b"{\"IPAM\": null}", &Endpoints::default()).unwrap().is_empty());
    assert!(parse_endpoints(&"e".into(), b"\xff").is_err());
}

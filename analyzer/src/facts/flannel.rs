//! flannel's `net-conf.json`: whether flanneld can read it, and whether it fits the nodes.
//!
//! flanneld reads it with Go's encoding/json (flannel-io/flannel, pkg/subnet/config.go): strict JSON, keys whatever
//! their case, `Network` required unless IPv4 is off, `Backend.Type` `udp` where it is missing.

use ipnet::IpNet;
use minijinja::Value;
use serde_json::Value as Json;

use super::Facts;
use super::config_map::ConfigMap;
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// ConfigMaps that flannel's manifests have used, by namespace.
const NAMESPACES: &[&str] = &["kube-flannel", "kube-system"];
/// Their name.
const NAME: &str = "kube-flannel-cfg";
/// The key in them.
const KEY: &str = "net-conf.json";

/// Backends that flannel has or had: pkg/backend of its repository.
const BACKENDS: &[&str] = &[
    "vxlan",
    "host-gw",
    "wireguard",
    "udp",
    "alivpc",
    "ali-vpc",
    "alloc",
    "ipip",
    "ipsec",
    "extension",
    "tencentvpc",
    "tencent-vpc",
    "aws-vpc",
    "gce",
];

/// The shape of a configuration.
pub static SHAPE: RecordShape = RecordShape {
    name: "flannel configuration",
    doc: "A ConfigMap with flannel's net-conf.json.",
    fields: &[
        Field::scalar("namespace", "The ConfigMap's namespace."),
        Field::scalar("name", "The ConfigMap's name."),
        Field::scalar("used", "Whether flannel's DaemonSet is in the same namespace, so that it mounts this one."),
        Field::scalar("problem", "Why flanneld cannot use it, where it cannot."),
        Field::scalar("network", "`Network`: the addresses of all pods."),
        Field::scalar("backend", "`Backend.Type`."),
        Field::scalar("port", "`Backend.Port`, where it is there."),
        Field::of("outside", Shape::List(&Shape::Record(&OUTSIDE)), "Nodes whose pod CIDR is not within the network."),
    ],
};

/// The shape of a node whose pod CIDR is outside.
pub static OUTSIDE: RecordShape = RecordShape {
    name: "node outside flannel's network",
    doc: "A node whose pod CIDR is not within flannel's network.",
    fields: &[Field::scalar("node", "The node's name."), Field::scalar("pod_cidr", "Its pod CIDR.")],
};

/// All configurations.
pub fn values(facts: &Facts) -> Value {
    let config_maps = NAMESPACES.iter().filter_map(|namespace| facts.config_map(namespace, NAME));
    config_maps.map(|config_map| value(facts, config_map)).collect()
}

fn value(facts: &Facts, config_map: &ConfigMap) -> Value {
    let workloads = facts.workloads();
    let mut daemons = workloads.of_component("flannel").into_iter().filter_map(|place| workloads.get(place));
    // A pod mounts ConfigMaps of its own namespace only.
    let used = daemons.any(|workload| *workload.namespace == *config_map.namespace);
    let record = Record::cited(config_map.cite(KEY))
        .with("namespace", config_map.namespace.as_str())
        .with("name", config_map.name.as_str())
        .with("used", used);
    let parsed = match config_map.data.get(KEY) {
        Some(text) => parse(text),
        None => Err(format!("it has no key {KEY}")),
    };
    match parsed {
        Ok(config) => record
            .with_any("network", config.network.map(|network| network.to_string()))
            .with("backend", config.backend.as_str())
            .with_any("port", config.port)
            .with("outside", outside(facts, &config))
            .into_value(),
        Err(problem) => record.with("problem", problem).with("outside", Vec::<Value>::new()).into_value(),
    }
}

#[derive(Debug, PartialEq)]
struct NetConf {
    network: Option<IpNet>,
    network6: Option<IpNet>,
    backend: String,
    port: Option<i64>,
}

fn parse(text: &str) -> Result<NetConf, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("net-conf.json is not JSON: {error}"))?;
    if !json.is_object() {
        return Err("net-conf.json is no JSON object".to_owned());
    }
    let ipv4 = member(&json, "EnableIPv4").and_then(Json::as_bool).unwrap_or(true);
    let ipv6 = member(&json, "EnableIPv6").and_then(Json::as_bool).unwrap_or(false);
    let network = if ipv4 { Some(network(&json, "Network")?) } else { None };
    let network6 = if ipv6 { Some(network_of(&json, "IPv6Network")?) } else { None };
    let backend = member(&json, "Backend");
    let kind = backend.and_then(|backend| member(backend, "Type")).and_then(Json::as_str).unwrap_or("udp");
    if !BACKENDS.contains(&kind) {
        return Err(format!("flannel has no backend `{kind}`"));
    }
    let port = backend.and_then(|backend| member(backend, "Port")).and_then(Json::as_i64);
    Ok(NetConf { network, network6, backend: kind.to_owned(), port })
}

fn network(json: &Json, name: &str) -> Result<IpNet, String> {
    let found = network_of(json, name)?;
    if found.addr().is_ipv4() { Ok(found) } else { Err(format!("`{name}` {found} is no IPv4 network")) }
}

fn network_of(json: &Json, name: &str) -> Result<IpNet, String> {
    let text = member(json, name).and_then(Json::as_str).ok_or_else(|| format!("it has no `{name}`"))?;
    text.parse().map_err(|_| format!("`{name}` {text:?} is no CIDR"))
}

fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let members = object.as_object()?;
    members.get(name).or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Nodes with a pod CIDR that is not within the network of its family.
fn outside(facts: &Facts, config: &NetConf) -> Value {
    let mut outside = Vec::new();
    for node in facts.node_objects() {
        for cidr in node.pod_networks() {
            let network = if cidr.addr().is_ipv4() { config.network } else { config.network6 };
            if network.is_some_and(|network| !network.contains(&cidr)) {
                let cited: Citation =
                    node.origin.cite("/spec/podCIDRs", &format!("node {}: podCIDR {cidr}", node.name));
                let record = Record::cited(cited).with("node", node.name.clone()).with("pod_cidr", cidr.to_string());
                outside.push(record.into_value());
            }
        }
    }
    Value::from(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flanneld_reads() {
        let config =
            parse(r#"{"Network":"10.244.0.0/16","EnableNFTables":false,"Backend":{"Type":"vxlan","Port":8475}}"#)
                .unwrap();
        assert_eq!((config.backend.as_str(), config.port), ("vxlan", Some(8475)));
        assert_eq!(parse(r#"{"network":"10.244.0.0/16"}"#).unwrap().backend, "udp");
    }

    #[test]
    fn what_flanneld_refuses() {
        let trailing = "{\n  \"Network\": \"10.244.0.0/16\",\n  \"Backend\": {\n    \"Type\": \"host-gw\",\n  }\n";
        assert!(parse(trailing).unwrap_err().contains("is not JSON"));
        assert!(parse("{}").unwrap_err().contains("no `Network`"));
        assert!(parse(r#"{"Network":"10.244.0.0"}"#).unwrap_err().contains("no CIDR"));
        assert!(parse(r#"{"Network":"10.244.0.0/16","Backend":{"Type":"vxlam"}}"#).unwrap_err().contains("vxlam"));
    }
}

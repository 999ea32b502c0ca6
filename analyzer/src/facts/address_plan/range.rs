//! Ranges that the cluster's configuration names, each with the place that names it.

use ipnet::IpNet;
use minijinja::Value;
use serde_json::Value as Json;

use crate::citation::Citation;
use crate::fact::Record;
use crate::facts::config_map::ConfigMap;
use crate::facts::{Facts, component};
use crate::shape::{Field, RecordShape};

/// What a range is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Addresses of pods.
    Pods,
    /// Addresses of Services.
    Services,
}

/// A range and who names it.
#[derive(Debug, Clone)]
pub struct Range {
    /// What it is for.
    pub purpose: Purpose,
    /// The range.
    pub network: IpNet,
    /// Who names it: `kubeadm-config podSubnet`.
    pub source: String,
    /// Where.
    pub citation: Citation,
}

/// The shape of a range.
pub static SHAPE: RecordShape = RecordShape {
    name: "range",
    doc: "A range of addresses that the cluster's configuration names.",
    fields: &[
        Field::scalar("purpose", "`pods` or `services`."),
        Field::scalar("cidr", "The range."),
        Field::scalar("source", "Who names it."),
    ],
};

impl Purpose {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Pods => "pods",
            Purpose::Services => "services",
        }
    }
}

impl Range {
    /// As a value.
    pub fn value(&self) -> Value {
        Record::cited(self.citation.clone())
            .with("purpose", self.purpose.name())
            .with("cidr", self.network.to_string())
            .with("source", self.source.as_str())
            .into_value()
    }
}

/// All ranges: of kubeadm, kube-proxy, flannel, Cilium, and of the API server's arguments.
pub fn all(facts: &Facts) -> Vec<Range> {
    let mut ranges = Vec::new();
    if let Some(config_map) = facts.config_map("kube-system", "kubeadm-config") {
        let key = "ClusterConfiguration";
        let config = yaml(config_map, key);
        add(&mut ranges, Purpose::Pods, config_map, key, config.pointer("/networking/podSubnet"), "podSubnet");
        add(
            &mut ranges,
            Purpose::Services,
            config_map,
            key,
            config.pointer("/networking/serviceSubnet"),
            "serviceSubnet",
        );
    }
    if let Some(config_map) = facts.config_map("kube-system", "kube-proxy") {
        let config = yaml(config_map, "config.conf");
        add(&mut ranges, Purpose::Pods, config_map, "config.conf", config.get("clusterCIDR"), "clusterCIDR");
    }
    for namespace in ["kube-flannel", "kube-system"] {
        if let Some(config_map) = facts.config_map(namespace, "kube-flannel-cfg") {
            let config = yaml(config_map, "net-conf.json");
            add(&mut ranges, Purpose::Pods, config_map, "net-conf.json", config.get("Network"), "Network");
        }
    }
    if let Some(config_map) = facts.config_map("kube-system", "cilium-config") {
        let key = "cluster-pool-ipv4-cidr";
        let text = config_map.data.get(key).map(|text| Json::String(text.replace(' ', ",")));
        add(&mut ranges, Purpose::Pods, config_map, key, text.as_ref(), key);
    }
    of_api_servers(facts, &mut ranges);
    ranges
}

/// A key's text as YAML, of which JSON is a part; null where it is none.
fn yaml(config_map: &ConfigMap, key: &str) -> Json {
    config_map.data.get(key).and_then(|text| serde_saphyr::from_str(text).ok()).unwrap_or(Json::Null)
}

/// Adds the ranges that a value lists, separated by commas as dual stack writes them.
fn add(ranges: &mut Vec<Range>, purpose: Purpose, from: &ConfigMap, key: &str, value: Option<&Json>, name: &str) {
    let Some(text) = value.and_then(Json::as_str) else { return };
    for network in text.split(',').filter_map(|part| part.trim().parse().ok()) {
        let source = format!("{} {name}", from.name);
        let cited = from.cite(key);
        let citation = Citation { text: format!("{name}: {text}"), ..cited };
        ranges.push(Range { purpose, network, source, citation });
    }
}

fn of_api_servers(facts: &Facts, ranges: &mut Vec<Range>) {
    const FLAG: &str = "--service-cluster-ip-range=";
    for pod in facts.pods().all().iter().filter(|pod| component::of_pod(pod) == Some("kube-apiserver")) {
        let arguments = pod.template.containers.iter().flat_map(|container| container.arguments.iter());
        for argument in arguments {
            let Some(text) = argument.strip_prefix(FLAG) else { continue };
            for network in text.split(',').filter_map(|part| part.trim().parse::<IpNet>().ok()) {
                if ranges.iter().any(|range| range.purpose == Purpose::Services && range.network == network) {
                    continue;
                }
                let citation = pod.origin.cite("/spec/containers", argument);
                let source = "kube-apiserver --service-cluster-ip-range".to_owned();
                ranges.push(Range { purpose: Purpose::Services, network, source, citation });
            }
        }
    }
}

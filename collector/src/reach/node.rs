//! The nodes that are asked for, what their objects say of them, and the order in which they are tried.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::api::Api;
use crate::cluster::failure::Failure;
use crate::symptom::Ends;

/// How long it may take to find a pod or Service of the symptom.
const SYMPTOM: Duration = Duration::from_secs(5);
/// Endpoints of a Service whose nodes come first.
const ENDPOINTS: usize = 20;
/// Nodes per page of the list.
const PAGE: usize = 500;

/// Which nodes are asked for: `all`, names, or a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every node.
    All,
    /// These.
    Named(Vec<String>),
    /// Those that a label selector selects.
    Selected(String),
}

impl std::str::FromStr for Wanted {
    type Err = String;

    /// A selector is told from names by what no name has: `=`, `!`, `(`.
    fn from_str(text: &str) -> Result<Wanted, String> {
        if text == "all" {
            return Ok(Wanted::All);
        }
        if text.contains(['=', '!', '(']) {
            return Ok(Wanted::Selected(text.to_owned()));
        }
        let names: Vec<String> = text.split(',').map(str::trim).map(str::to_owned).collect();
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(wrong) => {
                Err(format!("`{wrong}` is no node's name; give all, NAME,… or a label selector such as pool=web"))
            }
            None => Ok(Wanted::Named(names)),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wanted::All => f.write_str("all nodes"),
            Wanted::Named(names) => f.write_str(&names.join(", ")),
            Wanted::Selected(selector) => write!(f, "the nodes {selector}"),
        }
    }
}

/// A node, as its object describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its operating system, `linux` or `windows`.
    pub system: String,
    /// Its architecture, as Kubernetes names it.
    pub architecture: String,
    /// What it says, or what is said of it, about being ready.
    pub ready: Ready,
    /// Whether another of its conditions is bad.
    pub troubled: bool,
    /// What makes it different from others: image, kernel, runtime, kubelet, pool.
    pub kind: String,
    /// Its InternalIP.
    pub address: Option<String>,
    /// Images that lie on it, smallest first; each by the name that is most likely to be found again.
    pub images: Vec<String>,
}

/// Whether a node is ready, and whose word that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// The kubelet says so.
    Yes,
    /// The kubelet says no, and why: it is there, and starts pods of the host's network.
    No(String),
    /// The kubelet is silent since.
    Silent(Option<Timestamp>),
}

/// Lists the nodes that are wanted. Names that no node has come second.
pub async fn list(api: &Api, wanted: &Wanted) -> Result<(Vec<Node>, Vec<String>), Failure> {
    let selector = match wanted {
        Wanted::Selected(selector) => format!("&labelSelector={}", escaped(selector)),
        Wanted::All | Wanted::Named(_) => String::new(),
    };
    let mut nodes = Vec::new();
    let mut continue_with = String::new();
    loop {
        let page = api.get(&format!("/api/v1/nodes?limit={PAGE}{selector}{continue_with}")).await?;
        let list: List = serde_json::from_value(page).map_err(|error| Failure::connection(&error))?;
        nodes.extend(list.items.into_iter().map(Node::of));
        match list.metadata.continue_token.filter(|token| !token.is_empty()) {
            Some(token) => continue_with = format!("&continue={}", escaped(&token)),
            None => break,
        }
    }
    let Wanted::Named(names) = wanted else { return Ok((nodes, Vec::new())) };
    nodes.retain(|node| names.contains(&node.name));
    let missing = names.iter().filter(|name| !nodes.iter().any(|node| node.name == **name));
    let missing = missing.cloned().collect();
    Ok((nodes, missing))
}

/// The order in which nodes are tried, so that where the time is too short the most telling were reached: those of the
/// symptom, those that are not well, one of each kind, then a sample that is spread over the rest. `of_symptom` are the
/// nodes that the symptom's pods and Services lead to; its nodes it names itself.
pub fn in_order(mut nodes: Vec<Node>, ends: &Ends, of_symptom: &BTreeSet<String>) -> Vec<Node> {
    // A hash of the name spreads: names that follow each other are often of one rack, pool or day.
    nodes.sort_by_cached_key(|node| bundle::sha256(node.name.as_bytes()));
    let mut kinds = BTreeSet::new();
    let rank = |node: &Node, first_of_kind: bool| {
        if ends.has_node(&node.name, node.address.as_deref()) || of_symptom.contains(&node.name) {
            0
        } else if node.ready != Ready::Yes || node.troubled {
            1
        } else if first_of_kind {
            2
        } else {
            3
        }
    };
    let mut ranked: Vec<(u8, Node)> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let well = node.ready == Ready::Yes && !node.troubled;
        let first_of_kind = well && kinds.insert(node.kind.clone());
        ranked.push((rank(&node, first_of_kind), node));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, node)| node).collect()
}

/// The nodes that the pods and Services at the symptom's ends lead to. What cannot be asked leads nowhere: this decides an
/// order and nothing else.
pub async fn of_symptom(api: &Api, ends: &Ends) -> BTreeSet<String> {
    let mut paths = Vec::new();
    for (namespace, name) in ends.pods() {
        let within = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let field = if name.parse::<std::net::IpAddr>().is_ok() { "status.podIP" } else { "metadata.name" };
        paths.push(format!("/api/v1{within}/pods?limit=20&fieldSelector={}", escaped(&format!("{field}={name}"))));
    }
    for (namespace, name) in ends.services() {
        let label = escaped(&format!("kubernetes.io/service-name={name}"));
        paths.push(format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?limit=5&labelSelector={label}"
        ));
    }
    let mut nodes = BTreeSet::new();
    for path in paths {
        let asked = tokio::time::timeout(SYMPTOM, api.get(&path)).await;
        let list = asked.ok().and_then(Result::ok).unwrap_or_default();
        for object in list["items"].as_array().into_iter().flatten() {
            let endpoints = object["endpoints"].as_array().into_iter().flatten();
            let of_endpoints = endpoints.map(|endpoint| &endpoint["nodeName"]).take(ENDPOINTS);
            let names = std::iter::once(&object["spec"]["nodeName"]).chain(of_endpoints);
            nodes.extend(names.filter_map(|name| name.as_str()).map(str::to_owned));
        }
    }
    nodes
}

/// Percent-encodes a query's value.
pub fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl Node {
    fn of(object: Object) -> Node {
        let Object { metadata, status } = object;
        let info = status.info;
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind);
        let ready = match condition("Ready") {
            Some(ready) if ready.status == "True" => Ready::Yes,
            Some(ready) if ready.status == "False" => Ready::No(format!("{}: {}", ready.reason, ready.message)),
            // Nobody but the node lifecycle controller says Unknown, and a node without the condition never reported.
            other => Ready::Silent(other.and_then(|ready| ready.changed)),
        };
        let bad = |kind: &str| condition(kind).is_some_and(|condition| condition.status == "True");
        let troubled = ["NetworkUnavailable", "DiskPressure", "MemoryPressure", "PIDPressure"].into_iter().any(bad);
        let pool = ["kubernetes.azure.com/agentpool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool"];
        let labels =
            pool.iter().chain(&["node.kubernetes.io/instance-type"]).filter_map(|name| metadata.labels.get(*name));
        let control_plane = metadata.labels.contains_key("node-role.kubernetes.io/control-plane");
        let kind = [&info.os_image, &info.kernel, &info.runtime, &info.kubelet, &control_plane.to_string()];
        let kind = kind.into_iter().chain(labels).map(String::as_str).collect::<Vec<_>>().join("|");
        let mut images = status.images;
        images.sort_by_key(|image| image.bytes);
        Node {
            address: status.addresses.into_iter().find(|address| address.kind == "InternalIP").map(|a| a.address),
            images: images.into_iter().filter_map(Image::best_name).collect(),
            name: metadata.name,
            system: info.system,
            architecture: info.architecture,
            ready,
            troubled,
            kind,
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Object>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    continue_token: Option<String>,
}

/// A node as the API serves it, as far as it is read.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default, rename = "nodeInfo")]
    info: Info,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default, rename = "lastTransitionTime")]
    changed: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default, rename = "sizeBytes")]
    bytes: u64,
}

impl Image {
    /// A tag rather than a digest: not every runtime finds an image that was imported by its digest.
    fn best_name(self) -> Option<String> {
        let tag = self.names.iter().position(|name| !name.contains('@') && !name.contains("<none>"));
        self.names.into_iter().nth(tag.unwrap_or(0)).filter(|name| !name.contains("<none>"))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    #[serde(rename = "operatingSystem")]
    system: String,
    architecture: String,
    os_image: String,
    #[serde(rename = "kernelVersion")]
    kernel: String,
    #[serde(rename = "containerRuntimeVersion")]
    runtime: String,
    #[serde(rename = "kubeletVersion")]
    kubelet: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use bundle::manifest::Symptom;
    use serde_json::json;

    fn node(name: &str, ready: &str, kernel: &str) -> Node {
        let object = json!({"metadata": {"name": name, "labels": {}}, "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "cni", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": "10.0.0.4"}],
            "images": [{"names": ["big@sha256:1", "big:1"], "sizeBytes": 9}, {"names": ["<none>@<none>", "<none>:<none>"], "sizeBytes": 2}, {"names": ["pause@sha256:2"], "sizeBytes": 1}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "arm64", "kernelVersion": kernel}}});
        Node::of(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_is_wanted_is_read_from_the_option() {
        assert_eq!("all".parse(), Ok(Wanted::All));
        assert_eq!("n1,n2.example".parse(), Ok(Wanted::Named(vec!["n1".into(), "n2.example".into()])));
        for selector in ["pool=web", "!gpu", "zone in (a,b)", "a!=b"] {
            assert_eq!(selector.parse(), Ok(Wanted::Selected(selector.to_owned())));
        }
        assert!("n1,,n2".parse::<Wanted>().is_err() && "N1".parse::<Wanted>().is_err());
        assert_eq!(escaped("zone in (a,b)"), "zone%20in%20%28a%2Cb%29");
    }

    #[test]
    fn a_node_is_read_from_its_object() {
        let node = node("n1", "Unknown", "6.1");
        assert_eq!(node.ready, Ready::Silent(Some("2026-01-01T00:00:00Z".parse().unwrap())));
        assert_eq!(node.images, ["pause@sha256:2", "big:1"]);
        assert_eq!(node.address.as_deref(), Some("10.0.0.4"));
        assert_eq!((node.system.as_str(), node.architecture.as_str()), ("linux", "arm64"));
    }

    #[test]
    fn the_most_telling_nodes_come_first() {
        let nodes: Vec<Node> = (0..20)
            .map(|i| node(&format!("n{i}"), if i == 7 { "False" } else { "True" }, if i < 10 { "6.1" } else { "5.15" }))
            .collect();
        let ends = Ends::of(&Symptom::inline("from=pod/shop/web,to=node/n3:10250").unwrap());
        let of_pod = BTreeSet::from(["n12".to_owned()]);
        let names: Vec<String> = in_order(nodes, &ends, &of_pod).into_iter().map(|node| node.name).collect();
        assert_eq!(names.len(), 20);
        assert_eq!(BTreeSet::from([&*names[0], &*names[1]]), BTreeSet::from(["n3", "n12"]));
        assert_eq!(names[2], "n7");
        let old = |name: &String| name[1..].parse::<u32>().unwrap() >= 10;
        assert!(names[..4].iter().any(old) && !names[..4].iter().all(old), "one of each kind: {names:?}");
    }
}

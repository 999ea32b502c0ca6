//! The stores of host-local IPAM, one file per allocated address, as one document; and the CNI result cache.
//!
//! The store: `/var/lib/cni/networks/NETWORK/IP` holds `CONTAINER\r\nIFNAME` (older versions: the container alone),
//! `last_reserved_ip.N` an address, `lock` nothing (containernetworking/plugins, plugins/ipam/host-local/backend/disk).

use std::collections::BTreeMap;
use std::net::IpAddr;

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde::Serialize;
use serde_json::Value;

use super::item::Document;
use super::root::{HostRoot, Refusal};
use super::{Context, json};

const STORE: &str = "/var/lib/cni/networks";
const RESULTS: &str = "/var/lib/cni/results";
/// The beginning of each file that is kept.
const CONTENT_AT_MOST: u64 = 200;
/// Files of one network; a /16 of leaked addresses fits.
const FILES_AT_MOST: usize = 70_000;
/// Results looked at; there is one per interface of a pod, and leaked ones stay.
const RESULTS_AT_MOST: usize = 5_000;

/// All networks of the store.
#[derive(Debug, Default, Serialize)]
pub struct Store {
    networks: BTreeMap<String, Network>,
}

/// One network.
#[derive(Debug, Default, Serialize)]
struct Network {
    allocations: Vec<Allocation>,
    last_reserved: Vec<LastReserved>,
    lock: bool,
    other: Vec<String>,
    unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Allocation {
    ip: String,
    container_id: Option<String>,
    ifname: Option<String>,
    mtime: Option<String>,
    content: String,
}

#[derive(Debug, Serialize)]
struct LastReserved {
    range: String,
    ip: String,
}

/// ipam/host-local.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let store = read(&context.host.root).map_err(|refusal| refusal.end())?;
    let unreadable: usize = store.networks.values().map(|network| network.unreadable.len()).sum();
    Ok(json(&store, (unreadable > 0).then(|| format!("{unreadable} files could not be read; the document names them"))))
}

/// Reads the whole store.
pub fn read(root: &HostRoot) -> Result<Store, Refusal> {
    let mut store = Store::default();
    for name in root.names(STORE)? {
        let folder = format!("{STORE}/{name}");
        let mut network = Network::default();
        match root.names(&folder) {
            Ok(files) => files.into_iter().take(FILES_AT_MOST).for_each(|file| network.file(root, &folder, file)),
            // A file among the networks is none.
            Err(Refusal::System { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => continue,
            Err(refusal) => network.unreadable.push(refusal.to_string()),
        }
        store.networks.insert(name, network);
    }
    Ok(store)
}

impl Network {
    fn file(&mut self, root: &HostRoot, folder: &str, name: String) {
        // On Windows, and only there, a colon is written `_`.
        let is_address = name.parse::<IpAddr>().is_ok() || name.replace('_', ":").parse::<IpAddr>().is_ok();
        let range = name.strip_prefix("last_reserved_ip.");
        if name == "lock" {
            self.lock = true;
            return;
        }
        if !is_address && range.is_none() {
            self.other.push(name);
            return;
        }
        let path = format!("{folder}/{name}");
        let (content, mtime) = match (root.read(&path, CONTENT_AT_MOST), root.open(&path)) {
            (Ok(content), Ok(opened)) => (content, opened.modified.map(|at| at.to_string())),
            // Released between listing and reading: it is not allocated.
            (Err(Refusal::System { source, .. }), _) if source.kind() == std::io::ErrorKind::NotFound => return,
            _ => {
                self.unreadable.push(name);
                return;
            }
        };
        if let Some(range) = range {
            self.last_reserved.push(LastReserved { range: range.to_owned(), ip: content.trim().to_owned() });
            return;
        }
        let mut lines = content.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        let (container_id, ifname) = (lines.next(), lines.next());
        self.allocations.push(Allocation { ip: name, container_id, ifname, mtime, content });
    }
}

/// `{NETWORK: {"allocated": n, "last_reserved": {RANGE: IP}}}`, or null where the store cannot be read.
pub fn counts(root: &HostRoot) -> Value {
    let Ok(store) = read(root) else { return Value::Null };
    let networks = store.networks.iter().map(|(name, network)| {
        let last: BTreeMap<&str, &str> =
            network.last_reserved.iter().map(|last| (last.range.as_str(), last.ip.as_str())).collect();
        (name.clone(), serde_json::json!({ "allocated": network.allocations.len(), "last_reserved": last }))
    });
    Value::Object(networks.collect())
}

/// ipam/cni-results.json: of each cached result who it is for. The configuration in it stays.
pub fn results(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let names = root.names(RESULTS).map_err(|refusal| refusal.end())?;
    let left_out = names.len().saturating_sub(RESULTS_AT_MOST);
    let results: Vec<Value> = names.into_iter().take(RESULTS_AT_MOST).map(|name| result(root, &name)).collect();
    let mut document = json(&results, None);
    if left_out > 0 {
        document.end = ItemEnd::because(ItemStatus::Truncated, format!("{left_out} more results were not read"));
    }
    Ok(document)
}

fn result(root: &HostRoot, name: &str) -> Value {
    let path = format!("{RESULTS}/{name}");
    let mtime = root.open(&path).ok().and_then(|opened| opened.modified).map(|at| at.to_string());
    let text = root.read(&path, 1_000_000).unwrap_or_default();
    let cached: Value = serde_json::from_str(&text).unwrap_or_default();
    let argument = |wanted: &str| {
        let pairs = cached["cniArgs"].as_array()?;
        let pair = pairs.iter().find(|pair| pair[0] == wanted)?;
        pair[1].as_str().map(str::to_owned)
    };
    let ips: Vec<&Value> = cached["result"]["ips"].as_array().into_iter().flatten().map(|ip| &ip["address"]).collect();
    serde_json::json!({
        "file": name,
        "mtime": mtime,
        "network": cached["networkName"],
        "container_id": cached["containerId"],
        "ifname": cached["ifName"],
        "pod_namespace": argument("K8S_POD_NAMESPACE"),
        "pod_name": argument("K8S_POD_NAME"),
        "ips": ips,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn a_store_is_read_as_host_local_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let network = dir.path().join("var/lib/cni/networks/cbr0");
        fs::create_dir_all(&network).unwrap();
        for (name, content) in [
            ("10.244.1.5", "3f813b029429\r\neth0"),
            ("10.244.1.6", "77aa"),
            ("fd00::5", "3f813b029429\neth0\n"),
            ("last_reserved_ip.0", "10.244.1.6"),
            ("lock", ""),
            ("notes.txt", "x"),
        ] {
            fs::write(network.join(name), content).unwrap();
        }
        let root = HostRoot::new(dir.path());
        let store = read(&root).unwrap();
        let cbr0 = &store.networks["cbr0"];
        let told: Vec<_> = cbr0
            .allocations
            .iter()
            .map(|one| (one.ip.as_str(), one.container_id.as_deref().unwrap(), one.ifname.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("10.244.1.5", "3f813b029429", Some("eth0")),
                ("10.244.1.6", "77aa", None),
                ("fd00::5", "3f813b029429", Some("eth0"))
            ]
        );
        assert!(cbr0.lock);
        assert_eq!(cbr0.other, ["notes.txt"]);
        assert_eq!(counts(&root), serde_json::json!({"cbr0": {"allocated": 3, "last_reserved": {"0": "10.244.1.6"}}}));
    }

    #[test]
    fn no_store_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let end = read(&HostRoot::new(dir.path())).unwrap_err().end();
        assert_eq!(end.status, ItemStatus::Absent);
    }
}

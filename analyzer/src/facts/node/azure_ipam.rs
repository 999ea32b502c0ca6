//! The stores of Azure's CNI: azure-vnet-ipam.json and azure-vnet.json of the node-subnet mode, azure-endpoints.json of
//! CNS (Azure/azure-container-networking: ipam/ipam.go, network/manager.go, cns/restserver).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::json;
use super::store::{Allocation, Holder, Store, StoreKind};
use crate::citation::Citation;

/// azure-vnet.json's endpoints: the sandbox and the pod by endpoint id (`3f813b02-eth0`).
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    by_id: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    container_id: Option<String>,
    pod: Option<(String, String)>,
}

impl Endpoints {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// Reads azure-vnet.json.
pub fn parse_vnet(bytes: &[u8]) -> Result<Endpoints, serde_json::Error> {
    let json: Json = serde_json::from_slice(bytes)?;
    let mut endpoints = Endpoints::default();
    let interfaces = json.get("Network").into_iter().flat_map(|network| json::members(network, "ExternalInterfaces"));
    let networks = interfaces.flat_map(|(_, interface)| json::members(interface, "Networks"));
    for (id, endpoint) in networks.flat_map(|(_, network)| json::members(network, "Endpoints")) {
        let container_id = json::text(endpoint, "ContainerID").map(str::to_owned);
        endpoints.by_id.insert(id.clone(), Endpoint { container_id, pod: pod(endpoint, "PODNameSpace", "PODName") });
    }
    Ok(endpoints)
}

/// Reads azure-vnet-ipam.json: a store per pool. Its total is the number of addresses that the pool lists, of which
/// one may be the node's own.
pub fn parse_vnet_ipam(path: &Arc<str>, bytes: &[u8], endpoints: &Endpoints) -> Result<Vec<Store>, serde_json::Error> {
    let json: Json = serde_json::from_slice(bytes)?;
    let mut stores = Vec::new();
    for (space, pools) in json.get("IPAM").into_iter().flat_map(|ipam| json::members(ipam, "AddressSpaces")) {
        for (name, pool) in json::members(pools, "Pools") {
            let at = ["IPAM", "AddressSpaces", space, "Pools", name];
            stores.push(pool_store(path, &at, name, pool, endpoints));
        }
    }
    Ok(stores)
}

fn pool_store(path: &Arc<str>, at: &[&str], name: &str, pool: &Json, endpoints: &Endpoints) -> Store {
    let mut allocations = Vec::new();
    let mut total = 0;
    for (address, record) in json::members(pool, "Addresses") {
        let Ok(ip) = address.parse() else { continue };
        total += 1;
        if record.get("InUse").and_then(Json::as_bool) != Some(true) {
            continue;
        }
        let id = json::text(record, "ID");
        let endpoint = id.and_then(|id| endpoints.by_id.get(id));
        let pointer = json::pointer(at.iter().copied().chain(["Addresses", address.as_str()]));
        allocations.push(Allocation {
            address: ip,
            holder: pool_holder(id, endpoint),
            pod: endpoint.and_then(|endpoint| endpoint.pod.clone()),
            since: None,
            citation: Citation::pointer(path, pointer, &record.to_string()),
        });
    }
    let family = if name.contains(':') { 6 } else { 4 };
    let text = format!("azure-vnet-ipam, pool {name}: {} of {total} addresses in use", allocations.len());
    Store {
        kind: StoreKind::AzureVnetIpam,
        network: name.to_owned(),
        family,
        allocations,
        total: Some(total),
        citation: Citation::pointer(path, json::pointer(at.iter().copied()), &text),
    }
}

/// The endpoint's container id, else the eight characters before the dash. An address in use without an id is the
/// node's own.
fn pool_holder(id: Option<&str>, endpoint: Option<&Endpoint>) -> Holder {
    if let Some(container_id) = endpoint.and_then(|endpoint| endpoint.container_id.clone()) {
        return Holder::Id(container_id);
    }
    match id.and_then(|id| id.split('-').next()).filter(|prefix| prefix.len() >= 8) {
        Some(prefix) => Holder::Prefix(prefix.to_owned()),
        None => Holder::Unknown,
    }
}

/// Reads azure-endpoints.json: a store per family. It does not say how many addresses there are in all.
pub fn parse_endpoints(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<Store>, serde_json::Error> {
    let json: Json = serde_json::from_slice(bytes)?;
    let mut by_family: [(u8, &str, Vec<Allocation>); 2] = [(4, "IPv4", Vec::new()), (6, "IPv6", Vec::new())];
    for (container_id, endpoint) in json::members(&json, "Endpoints") {
        let pod = pod(endpoint, "PodNamespace", "PodName");
        for (interface, addresses) in json::members(endpoint, "IfnameToIPMap") {
            for (_, list, found) in &mut by_family {
                for (index, entry) in json::items(addresses, list) {
                    let Some(address) = json::text(entry, "IP").and_then(|ip| ip.parse().ok()) else { continue };
                    let index = index.to_string();
                    let at = ["Endpoints", container_id, "IfnameToIPMap", interface, list, &index];
                    found.push(Allocation {
                        address,
                        holder: Holder::Id(container_id.clone()),
                        pod: pod.clone(),
                        since: None,
                        citation: Citation::pointer(path, json::pointer(at), &entry.to_string()),
                    });
                }
            }
        }
    }
    let store = |(family, name, allocations): (u8, &str, Vec<Allocation>)| Store {
        kind: StoreKind::AzureEndpoints,
        network: "azure".to_owned(),
        family,
        citation: Citation::pointer(path, "/Endpoints", &format!("{} {name} addresses given out", allocations.len())),
        allocations,
        total: None,
    };
    let wanted = |(family, _, allocations): &(u8, &str, Vec<Allocation>)| *family == 4 || !allocations.is_empty();
    Ok(by_family.into_iter().filter(wanted).map(store).collect())
}

fn pod(object: &Json, namespace: &str, name: &str) -> Option<(String, String)> {
    Some((json::text(object, namespace)?.to_owned(), json::text(object, name)?.to_owned()))
}

#[cfg(test)]
#[path = "azure_ipam_tests.rs"]
mod tests;

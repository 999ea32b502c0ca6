//! Items of ipam/: the stores of the address management that CNIs keep on a node, and counts of them.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde_json::Value;

use super::item::{Document, NodeItem, document, file, own};
use super::loopback::{Question, ask};
use super::root::HostRoot;
use super::{Context, host_local, json, secrets};
use crate::plan::PlanLine;

const AZURE_VNET: &str = "/var/run/azure-vnet.json";
const AZURE_VNET_IPAM: &str = "/var/run/azure-vnet-ipam.json";
const AZURE_ENDPOINTS: &str = "/var/run/azure-cns/azure-endpoints.json";
/// What is read of a store to count in it.
const STORE_AT_MOST: u64 = 64_000_000;

/// The items.
pub fn items() -> Vec<NodeItem> {
    vec![
        document("node.cni.host-local", "ipam/host-local.json", "/var/lib/cni/networks/*/*", host_local::document)
            .bounded("70000 files, 200 bytes each"),
        document("node.cni.results", "ipam/cni-results.json", "/var/lib/cni/results/*", host_local::results)
            .bounded("5000 files"),
        file("node.azure.vnet", "ipam/azure-vnet.json", AZURE_VNET),
        file("node.azure.vnet-ipam", "ipam/azure-vnet-ipam.json", AZURE_VNET_IPAM),
        file("node.azure.endpoints", "ipam/azure-endpoints.json", AZURE_ENDPOINTS),
        file("node.azure.cns-state", "ipam/azure-cns.json", "/var/lib/azure-network/azure-cns.json")
            .edited(secrets::mask_json_text),
        document("node.azure.delete-ids", "ipam/azure-delete-ids.json", "/var/run/azure-vnet/deleteIDs/*", delete_ids),
        document(
            "node.azure.locks",
            "ipam/azure-locks.json",
            "/var/run/azure-vnet*.lock /var/run/azure-vnet/*.lock",
            locks,
        ),
        asked("node.azure.cns-ipaddresses", "POST http://127.0.0.1:10090/debug/ipaddresses", |context, line| {
            let body = r#"{"IPConfigStateFilter":["Assigned","Available","PendingRelease","PendingProgramming"]}"#;
            ask(context, line, &Question { body: Some(body), ..cns("/debug/ipaddresses", "ipam/cns-ipaddresses.json") })
        }),
        asked("node.azure.cns-podcontext", "GET http://127.0.0.1:10090/debug/podcontext", |context, line| {
            ask(context, line, &cns("/debug/podcontext", "ipam/cns-podcontext.json"))
        }),
        asked("node.azure.cns-restdata", "GET http://127.0.0.1:10090/debug/restdata", |context, line| {
            let edit = Some(secrets::mask_json_text as super::item::Edit);
            ask(context, line, &Question { edit, ..cns("/debug/restdata", "ipam/cns-restdata.json") })
        }),
        asked("node.azure.cns-metrics", "GET http://127.0.0.1:10092/metrics", |context, line| {
            ask(context, line, &get(10_092, "/metrics", "ipam/cns-metrics.txt"))
        }),
        asked("node.aws.enis", "GET http://127.0.0.1:61679/v1/enis", |context, line| {
            ask(context, line, &get(61_679, "/v1/enis", "ipam/aws-enis.json"))
        }),
        asked("node.aws.pods", "GET http://127.0.0.1:61679/v1/pods", |context, line| {
            ask(context, line, &get(61_679, "/v1/pods", "ipam/aws-pods.json"))
        }),
        asked(
            "node.aws.networkutils-env",
            "GET http://127.0.0.1:61679/v1/networkutils-env-settings",
            |context, line| {
                ask(context, line, &get(61_679, "/v1/networkutils-env-settings", "ipam/aws-networkutils-env.json"))
            },
        ),
        asked("node.aws.ipamd-env", "GET http://127.0.0.1:61679/v1/ipamd-env-settings", |context, line| {
            ask(context, line, &get(61_679, "/v1/ipamd-env-settings", "ipam/aws-ipamd-env.json"))
        }),
        asked("node.aws.eni-configs", "GET http://127.0.0.1:61679/v1/eni-configs", |context, line| {
            ask(context, line, &get(61_679, "/v1/eni-configs", "ipam/aws-eni-configs.json"))
        }),
        asked("node.aws.metrics", "GET http://127.0.0.1:61678/metrics", |context, line| {
            ask(context, line, &get(61_678, "/metrics", "ipam/aws-metrics.txt"))
        }),
        file("node.aws.ipam-file", "ipam/aws-ipam.json", "/var/run/aws-node/ipam.json"),
        document("node.ipam.counts", "ipam/counts.json", "counted in the stores above", counts),
    ]
}

type Gatherer = fn(&Context<'_>, &PlanLine) -> anyhow::Result<()>;

fn asked(id: &'static str, what: &str, gather: Gatherer) -> NodeItem {
    own(id, &format!("{what} (only where something listens there)"), gather).bounded("5 s, 10.0 MB")
}

fn get(port: u16, url_path: &'static str, path: &'static str) -> Question {
    Question { port, url_path, body: None, path, edit: None }
}

fn cns(url_path: &'static str, path: &'static str) -> Question {
    get(10_090, url_path, path)
}

/// Names, times and sizes of marker files.
fn listing(root: &HostRoot, paths: &[String]) -> Vec<Value> {
    let describe = |path: &String| {
        let meta = std::fs::symlink_metadata(root.at(path)).ok()?;
        let modified = meta.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
        Some(serde_json::json!({
            "name": path.rsplit('/').next(),
            "mtime": modified.map(|at| at.to_string()),
            "bytes": meta.len(),
        }))
    };
    paths.iter().filter_map(describe).collect()
}

fn delete_ids(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let folder = "/var/run/azure-vnet/deleteIDs";
    let names = context.host.root.names(folder).map_err(|refusal| refusal.end())?;
    let paths: Vec<String> = names.iter().take(20_000).map(|name| format!("{folder}/{name}")).collect();
    Ok(json(&listing(&context.host.root, &paths), None))
}

fn locks(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let patterns = ["/var/run/azure-vnet*.lock", "/var/run/azure-vnet/*.lock", "/var/run/azure-cns/*.lock"];
    let found = super::gather::find(context, &patterns);
    if found.paths.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Absent, "there is no lock file"));
    }
    Ok(json(&listing(&context.host.root, &found.paths), None))
}

/// ipam/counts.json.
fn counts(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let read = |path: &str| -> Option<Value> { serde_json::from_str(&root.read(path, STORE_AT_MOST).ok()?).ok() };
    let whole = serde_json::json!({
        "host_local": host_local::counts(root),
        "azure_vnet": read(AZURE_VNET).map(|store| vnet_counts(&store)),
        "azure_vnet_ipam": read(AZURE_VNET_IPAM).map(|store| vnet_ipam_counts(&store)),
        "azure_endpoints": read(AZURE_ENDPOINTS).map(|store| endpoint_counts(&store)),
    });
    if whole.as_object().is_some_and(|stores| stores.values().all(Value::is_null)) {
        return Err(ItemEnd::because(ItemStatus::Absent, "no store that is counted here could be read on this host"));
    }
    Ok(json(&whole, None))
}

fn fields<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[name].as_object().into_iter().flatten()
}

/// `Network.ExternalInterfaces.*.Networks.*.Endpoints` (Azure CNI, cni state).
fn vnet_counts(store: &Value) -> Value {
    let interfaces = fields(&store["Network"], "ExternalInterfaces").map(|(_, interface)| interface);
    let networks = interfaces.flat_map(|interface| fields(interface, "Networks")).map(|(_, network)| network);
    let endpoints: usize = networks.map(|network| fields(network, "Endpoints").count()).sum();
    serde_json::json!({ "endpoints": endpoints })
}

/// `IPAM.AddressSpaces.*.Pools.*.Addresses.*.InUse` (Azure CNI, azure-vnet-ipam).
fn vnet_ipam_counts(store: &Value) -> Value {
    let spaces = fields(&store["IPAM"], "AddressSpaces").map(|(_, space)| space);
    let pools = spaces.flat_map(|space| fields(space, "Pools")).map(|(name, pool)| {
        let addresses = fields(pool, "Addresses");
        let in_use = fields(pool, "Addresses").filter(|(_, address)| address["InUse"] == true).count();
        (name.clone(), serde_json::json!({ "addresses": addresses.count(), "in_use": in_use }))
    });
    Value::Object(pools.collect())
}

/// `Endpoints.*.IfnameToIPMap.*.{IPv4,IPv6}` (Azure CNS, endpoint state).
fn endpoint_counts(store: &Value) -> Value {
    let endpoints = fields(store, "Endpoints").count();
    let interfaces = fields(store, "Endpoints").flat_map(|(_, endpoint)| fields(endpoint, "IfnameToIPMap"));
    let addresses: usize = interfaces
        .flat_map(|(_, interface)| [&interface["IPv4"], &interface["IPv6"]])
        .map(|list| list.as_array().map_or(0, Vec::len))
        .sum();
    serde_json::json!({ "endpoints": endpoints, "addresses": addresses })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stores_of_azure_are_counted() {
        // Shapes from Azure/azure-container-networking: cni/client/testresources, ipam and cns/restserver structs.
        let vnet = serde_json::json!({"Network": {"ExternalInterfaces": {"eth0": {"Networks": {"azure": {"Endpoints":
            {"3f813b02-eth0": {}, "aa-eth0": {}}}}}}}});
        assert_eq!(vnet_counts(&vnet), serde_json::json!({"endpoints": 2}));
        let ipam = serde_json::json!({"IPAM": {"AddressSpaces": {"local": {"Pools": {"10.240.0.0/16": {"Addresses":
            {"10.240.0.5": {"InUse": false}, "10.240.0.6": {"InUse": true}}}}}}}});
        assert_eq!(vnet_ipam_counts(&ipam), serde_json::json!({"10.240.0.0/16": {"addresses": 2, "in_use": 1}}));
        let endpoints =
            serde_json::json!({"Endpoints": {"c1": {"IfnameToIPMap": {"eth0": {"IPv4": [{"IP": "10.244.0.17"}]}}}}});
        assert_eq!(endpoint_counts(&endpoints), serde_json::json!({"endpoints": 1, "addresses": 1}));
        assert_eq!(vnet_counts(&serde_json::json!([])), serde_json::json!({"endpoints": 0}));
    }
}

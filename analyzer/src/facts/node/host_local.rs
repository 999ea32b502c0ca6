//! The stores of host-local: /var/lib/cni/networks/<network>/, a file per address.
//!
//! A file is an allocation if its name is an address; `lock` and `last_reserved_ip.<range>` are the store's own.
//! Its content is the sandbox's id, CRLF, the interface; older versions wrote the id alone
//! (plugins/ipam/host-local/backend/disk/backend.go).

use std::sync::Arc;

use serde_json::Value as Json;

use super::address_range::AddressRange;
use super::cni::CniConfig;
use super::json;
use super::store::{Allocation, Holder, Store, StoreKind};
use crate::citation::Citation;

/// One network's folder.
#[derive(Debug, Clone)]
pub struct HostLocal {
    /// The network, which is the folder's name.
    pub network: String,
    /// Allocations of both families, by file name.
    pub allocations: Vec<Allocation>,
    /// Files that could not be read.
    pub unreadable: Vec<String>,
    path: Arc<str>,
}

/// Reads the collector's account of the folders.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<HostLocal>, serde_json::Error> {
    let json: Json = serde_json::from_slice(bytes)?;
    let networks = json::members(&json, "networks").map(|(network, folder)| HostLocal {
        network: network.clone(),
        allocations: json::items(folder, "allocations")
            .filter_map(|(index, entry)| allocation(path, network, index, entry))
            .collect(),
        unreadable: json::items(folder, "unreadable")
            .filter_map(|(_, name)| name.as_str())
            .map(str::to_owned)
            .collect(),
        path: path.clone(),
    });
    Ok(networks.collect())
}

fn allocation(path: &Arc<str>, network: &str, index: usize, entry: &Json) -> Option<Allocation> {
    let address = json::text(entry, "ip")?.parse().ok()?;
    let pointer = json::pointer(["networks", network, "allocations", &index.to_string()]);
    Some(Allocation {
        address,
        holder: json::text(entry, "container_id").map_or(Holder::Unknown, |id| Holder::Id(id.to_owned())),
        pod: None,
        since: json::text(entry, "mtime").map(str::to_owned),
        citation: Citation::pointer(path, pointer, &entry.to_string()),
    })
}

/// What host-local may give from, beside the CNI configuration's own ranges.
#[derive(Debug, Clone, Default)]
pub struct Subnets {
    /// flannel's subnet of this node, where a configuration of type flannel delegates to host-local.
    pub flannel: Vec<AddressRange>,
    /// The Node object's podCIDRs, which kubenet and its likes give from.
    pub pod_cidrs: Vec<AddressRange>,
}

impl HostLocal {
    /// The network's stores, one per family that has an allocation or a range.
    pub fn stores(&self, cni: Option<&CniConfig>, subnets: &Subnets) -> Vec<Store> {
        let ranges = self.ranges(cni, subnets);
        let family = |family: u8| {
            let of_family = |a: &&Allocation| a.address.is_ipv4() == (family == 4);
            let allocations: Vec<Allocation> = self.allocations.iter().filter(of_family).cloned().collect();
            let mut capacities = ranges.iter().filter(|range| range.family() == family).map(AddressRange::capacity);
            let total = capacities.next().map(|first| capacities.fold(first, u64::saturating_add));
            let pointer = json::pointer(["networks", &self.network]);
            let count = allocations.len();
            let text = format!("host-local, network {}, IPv{family}: {count} addresses given out", self.network);
            (!allocations.is_empty() || (family == 4 && self.allocations.is_empty())).then(|| Store {
                kind: StoreKind::HostLocal,
                network: self.network.clone(),
                family,
                allocations,
                total,
                citation: Citation::pointer(&self.path, pointer, &text),
            })
        };
        [4, 6].into_iter().filter_map(family).collect()
    }

    /// The ranges that the network gives from: its configuration's; of flannel, the node's subnet; of a configuration
    /// that takes the node's podCIDR, that. A folder without a configuration has no known range.
    fn ranges(&self, cni: Option<&CniConfig>, subnets: &Subnets) -> Vec<AddressRange> {
        let configured =
            cni.and_then(|cni| cni.files.iter().find(|file| file.network.as_deref() == Some(self.network.as_str())));
        match configured {
            Some(file) if !file.ranges.is_empty() => file.ranges.clone(),
            Some(file) if file.types.iter().any(|plugin| plugin == "flannel") => {
                if subnets.flannel.is_empty() {
                    subnets.pod_cidrs.clone()
                } else {
                    subnets.flannel.clone()
                }
            }
            // Calico writes `"subnet": "usePodCidr"`, which is no subnet; kubenet's network has no file at all.
            Some(file) if file.ipam.as_deref() == Some("host-local") => subnets.pod_cidrs.clone(),
            None if self.network == "kubenet" => subnets.pod_cidrs.clone(),
            _ => Vec::new(),
        }
    }
}

/// flannel's subnets, of /run/flannel/subnet.env: `FLANNEL_SUBNET=10.244.1.1/24`, the gateway within its subnet.
pub fn parse_subnet_env(bytes: &[u8]) -> Vec<AddressRange> {
    let text = super::lines::text(bytes);
    text.lines()
        .filter_map(|line| line.strip_prefix("FLANNEL_SUBNET=").or_else(|| line.strip_prefix("FLANNEL_IPV6_SUBNET=")))
        .filter_map(|subnet| subnet.trim().parse().ok())
        .map(AddressRange::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::cni;

    /// Written by host-local 1.7.1 into a dual-stack network, as the collector accounts for it; the last allocation is
    /// of an older version's form.
    const STORE: &str = r#"{"networks": {"cbr0": {"allocations": [
        {"ip": "10.244.1.2", "container_id": "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf41", "ifname": "eth0", "mtime": "2026-11-21T08:33:00Z", "content": "3f813b02…\r\neth0"},
        {"ip": "fd00:1::2", "container_id": "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf41", "ifname": "eth0", "mtime": "2026-11-21T08:33:00Z", "content": "3f813b02…\r\neth0"},
        {"ip": "10.244.1.3", "container_id": null, "ifname": null, "mtime": null, "content": ""},
        {"ip": "not an address"}],
        "last_reserved": [{"range": "0", "ip": "10.244.1.3"}], "lock": true, "other": [], "unreadable": []},
        "old": {"allocations": [], "last_reserved": [], "lock": true, "other": [], "unreadable": ["10.0.0.1"]}}}"#;

    fn stores(cni_text: &str, subnets: &Subnets) -> Vec<Store> {
        let file = cni::parse_file("10-x.conflist", &"f".into(), cni_text.as_bytes());
        let cni = CniConfig::default().with_contents([file]);
        let networks = parse(&"nodes/n1/ipam/host-local.json".into(), STORE.as_bytes()).unwrap();
        networks[0].stores(Some(&cni), subnets)
    }

    #[test]
    fn each_family_is_a_store_of_its_own() {
        let stores = stores(r#"{"name": "other", "plugins": [{"type": "bridge"}]}"#, &Subnets::default());
        assert_eq!(
            stores.iter().map(|s| (s.family, s.used(), s.total)).collect::<Vec<_>>(),
            [(4, 2, None), (6, 1, None)]
        );
        let first = &stores[0].allocations[0];
        assert_eq!(first.citation.pointer.as_deref(), Some("/networks/cbr0/allocations/0"));
        assert_eq!(stores[0].allocations[1].holder, Holder::Unknown);
    }

    #[test]
    fn the_total_is_of_the_configuration_that_has_the_network_s_name() {
        let own = r#"{"name": "cbr0", "plugins": [{"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.1.0/29"}]]}}]}"#;
        assert_eq!(stores(own, &Subnets::default())[0].total, Some(5));

        let flannel = r#"{"name": "cbr0", "plugins": [{"type": "flannel"}]}"#;
        let env =
            b"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        let subnets = Subnets { flannel: parse_subnet_env(env), pod_cidrs: Vec::new() };
        assert_eq!(stores(flannel, &subnets)[0].total, Some(253));
    }

    #[test]
    fn an_empty_folder_is_a_store_and_keeps_what_was_unreadable() {
        let networks = parse(&"s".into(), STORE.as_bytes()).unwrap();
        assert_eq!(networks[1].unreadable, ["10.0.0.1"]);
        let stores = networks[1].stores(None, &Subnets::default());
        assert_eq!((stores.len(), stores[0].used()), (1, 0));
    }
}

//! A node's addresses in all books that keep them: the NodeNetworkConfig, the store on the node, the pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::Value;

use super::address_range::AddressRange;
use super::host_local::Subnets;
use super::parts::NodeFacts;
use super::store::{Against, Store, StoreKind};
use crate::finding::NodeAddresses;

/// What the API says of a node's addresses; none where the list was not collected.
#[derive(Debug, Clone, Default)]
pub struct ApiAddresses {
    /// `spec.requestedIPCount` of the node's NodeNetworkConfig.
    pub requested: Option<u64>,
    /// `status.assignedIPCount` of it.
    pub assigned: Option<u64>,
    /// Addresses of the node's pods that are not on the host's network and have not ended.
    pub pod_ips: Option<BTreeSet<IpAddr>>,
    /// How many such pods there are.
    pub running_pods: Option<u64>,
    /// The Node object's podCIDRs.
    pub pod_cidrs: Vec<IpNet>,
}

impl NodeFacts {
    /// All stores that were found on the node; none where none was looked for.
    pub fn all_stores(&self, api: &ApiAddresses) -> Option<Vec<Store>> {
        let subnets = Subnets {
            flannel: self.flannel().to_vec(),
            pod_cidrs: api.pod_cidrs.iter().copied().map(AddressRange::of).collect(),
        };
        let mut stores = self.azure().to_vec();
        let host_local = self.host_local();
        for network in host_local.into_iter().flatten() {
            stores.extend(network.stores(self.cni(), &subnets));
        }
        let looked = ["node.cni.host-local", "node.azure.vnet-ipam", "node.azure.endpoints"];
        let absent = looked.iter().any(|id| self.folder.nothing(id).is_some());
        (!stores.is_empty() || host_local.is_some() || absent).then_some(stores)
    }

    /// What a store is compared with.
    fn against<'a>(&'a self, api: &'a ApiAddresses) -> Against<'a> {
        let first = self.cni().and_then(|cni| cni.first());
        Against {
            sandboxes: self.running(),
            pod_ips: api.pod_ips.as_ref(),
            network: first.filter(|file| file.provider() != Some("multus")).and_then(|file| file.network.as_deref()),
        }
    }

    /// The stores, as expressions see them.
    pub fn store_values(&self, api: &ApiAddresses) -> Option<Value> {
        let against = self.against(api);
        self.all_stores(api).map(|stores| stores.iter().map(|store| store.value(against)).collect())
    }

    /// The node's line of the report's table.
    pub fn addresses(&self, api: &ApiAddresses) -> NodeAddresses {
        let against = self.against(api);
        let stores = self.all_stores(api).unwrap_or_default();
        let store = serving(&stores, against.network);
        NodeAddresses {
            node: self.node().to_owned(),
            nnc_requested: api.requested,
            nnc_assigned: api.assigned,
            store: store.map(|store| store.kind.name().to_owned()),
            store_used: store.map(Store::used),
            store_total: store.and_then(|store| store.total),
            running_pods: api.running_pods,
            leaked: store.and_then(|store| store.leaked(against)),
        }
    }
}

/// The store that pods get their first address from: Azure's own before host-local, there the one of the first CNI
/// configuration's network, else the fullest; IPv4 before IPv6.
fn serving<'s>(stores: &'s [Store], network: Option<&str>) -> Option<&'s Store> {
    stores.iter().min_by_key(|store| {
        let serves = store.kind != StoreKind::HostLocal || network == Some(store.network.as_str());
        (store.kind, !serves, store.family, std::cmp::Reverse(store.used()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::citation::Citation;
    use crate::facts::node::store::{Allocation, Holder};

    fn store(kind: StoreKind, network: &str, family: u8, used: u8) -> Store {
        let citation = Citation::whole(&"s".into(), network);
        let allocation = |n: u8| Allocation {
            address: IpAddr::from([10, 0, 0, n]),
            holder: Holder::Unknown,
            pod: None,
            since: None,
            citation: citation.clone(),
        };
        let allocations = (0..used).map(allocation).collect();
        Store { kind, network: network.into(), family, allocations, total: None, citation }
    }

    #[test]
    fn the_serving_store_is_of_the_first_configuration_s_network() {
        let stores = [
            store(StoreKind::HostLocal, "kubenet", 4, 200),
            store(StoreKind::HostLocal, "cbr0", 6, 9),
            store(StoreKind::HostLocal, "cbr0", 4, 3),
        ];
        let network = |name: Option<&str>| serving(&stores, name).map(|s| (s.network.as_str(), s.family)).unwrap();
        assert_eq!(network(Some("cbr0")), ("cbr0", 4));
        assert_eq!(network(None), ("kubenet", 4), "without a configuration the fullest");
        let azure = [store(StoreKind::HostLocal, "cbr0", 4, 9), store(StoreKind::AzureEndpoints, "azure", 4, 1)];
        assert_eq!(serving(&azure, Some("azure")).unwrap().kind, StoreKind::AzureEndpoints);
        assert!(serving(&[], None).is_none());
    }
}

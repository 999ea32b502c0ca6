//! What tccli says of TKE's clusters and of what is around them: `tke DescribeClusters`, `DescribeClusterEndpoints` and
//! `DescribeClusterInstances`, `clb DescribeLoadBalancers`, `vpc DescribeSubnets`, `DescribeRouteTables` and
//! `DescribeCcnRoutes`. The members follow Tencent's API documentation
//! (<https://www.tencentcloud.com/document/product/457/34507>, `…/214/33830`, `…/215/38007`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use crate::citation::Citation;

/// What is known.
#[derive(Debug, Default)]
pub struct Tke {
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// The endpoints of a cluster's API server.
    pub endpoints: Vec<Endpoints>,
    /// Load balancers.
    pub balancers: Vec<Balancer>,
    /// Networks of subnets, by id.
    pub subnets: BTreeMap<String, IpNet>,
    /// Routes to networks beyond the VPC's own.
    pub routes: Vec<Route>,
    /// Ids and addresses of the instances that are masters.
    pub masters: Vec<(String, Option<IpAddr>)>,
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// `cls-…`.
    pub id: String,
    /// `MANAGED_CLUSTER`, `INDEPENDENT_CLUSTER`.
    pub kind: String,
    /// Where it is said.
    pub citation: Citation,
}

/// The endpoints of a cluster's API server.
#[derive(Debug)]
pub struct Endpoints {
    /// The address on the Internet; none where access from there is off.
    pub internet: Option<String>,
    /// The networks that may reach that address, for clusters that have such a list.
    pub allowed: Vec<String>,
    /// The security group of that address.
    pub group: Option<String>,
    /// The address in the VPC; none where access from there is off.
    pub intranet: Option<String>,
    /// The subnet that was chosen for that address.
    pub subnet: Option<String>,
    /// The security group of that address.
    pub intranet_group: Option<String>,
    /// Names of the cluster.
    pub domains: Vec<String>,
    /// Where it is said.
    pub citation: Citation,
}

/// A load balancer.
#[derive(Debug)]
pub struct Balancer {
    /// `lb-…`.
    pub id: String,
    /// Whether it is on the Internet.
    pub open: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its security groups; without any it takes everything.
    pub groups: Vec<String>,
    /// Whether its targets take what it passes whatever their own groups say.
    pub passes_to_target: Option<bool>,
    /// Where it is said.
    pub citation: Citation,
}

/// A route to a network beyond the VPC's own.
#[derive(Debug)]
pub struct Route {
    /// The network.
    pub network: IpNet,
    /// What is there.
    pub kind: RouteKind,
    /// Where it is said.
    pub citation: Citation,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Another VPC.
    Peer,
    /// A data centre, by a dedicated line or a VPN.
    DataCentre,
}

impl Tke {
    /// Adds a document, with or without `Response`; whether it was one of these.
    pub fn add(&mut self, file: &Arc<str>, bytes: &[u8]) -> bool {
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return false };
        let (said, root) = match document.get("Response") {
            Some(said) => (said, "/Response"),
            None => (&document, ""),
        };
        let at = |pointer: &str, value: &Value| Citation::pointer(file, format!("{root}{pointer}"), &value.to_string());
        let list = |name: &str| {
            let items = said.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
            items.map(|(place, item)| (format!("/{name}/{place}"), item)).collect::<Vec<_>>()
        };
        let before = self.count();
        self.clusters.extend(list("Clusters").into_iter().filter_map(|(pointer, item)| {
            Some(Cluster {
                id: text(item, "ClusterId")?,
                kind: text(item, "ClusterType")?,
                citation: at(&pointer, item),
            })
        }));
        if ["ClusterExternalEndpoint", "ClusterIntranetEndpoint"].iter().any(|name| said.get(name).is_some()) {
            self.endpoints.push(endpoints(said, endpoint_citation(file, root, said)));
        }
        self.balancers.extend(list("LoadBalancerSet").into_iter().map(|(pointer, item)| Balancer {
            id: text(item, "LoadBalancerId").unwrap_or_default(),
            open: text(item, "LoadBalancerType").as_deref() == Some("OPEN"),
            addresses: addresses(item),
            groups: texts(item, "SecureGroups"),
            passes_to_target: item.get("LoadBalancerPassToTarget").and_then(flag),
            citation: at(&pointer, item),
        }));
        self.subnets.extend(
            list("SubnetSet")
                .into_iter()
                .filter_map(|(_, item)| Some((text(item, "SubnetId")?, text(item, "CidrBlock")?.parse().ok()?))),
        );
        self.masters.extend(list("InstanceSet").into_iter().filter_map(|(_, item)| {
            let role = text(item, "InstanceRole")?;
            let address = text(item, "LanIP").and_then(|address| address.parse().ok());
            (role.starts_with("MASTER")).then_some((text(item, "InstanceId")?, address))
        }));
        let tables = list("RouteTableSet").into_iter().flat_map(|(pointer, table)| {
            let routes = table.get("RouteSet").and_then(Value::as_array).into_iter().flatten().enumerate();
            routes.map(move |(place, route)| (format!("{pointer}/RouteSet/{place}"), route))
        });
        let routes = tables.chain(list("RouteSet"));
        self.routes.extend(routes.filter_map(|(pointer, item)| route(item, at(&pointer, item))));
        self.count() > before || list("InstanceSet").iter().any(|(_, item)| text(item, "InstanceRole").is_some())
    }

    fn count(&self) -> usize {
        let lists = [self.clusters.len(), self.endpoints.len(), self.balancers.len(), self.routes.len()];
        lists.iter().sum::<usize>() + self.subnets.len() + self.masters.len()
    }

    /// The load balancer that has an address, or this id.
    pub fn balancer(&self, id: Option<&str>, shown: &[String]) -> Option<&Balancer> {
        let by_id = id.and_then(|id| self.balancers.iter().find(|known| known.id == id));
        let has = |known: &&Balancer| known.addresses.iter().any(|own| shown.contains(&own.to_string()));
        by_id.or_else(|| self.balancers.iter().find(has))
    }

    /// The route with the longest prefix to an address.
    pub fn route_to(&self, address: IpAddr) -> Option<&Route> {
        let leads = self.routes.iter().filter(|route| route.network.contains(&address));
        leads.max_by_key(|route| route.network.prefix_len())
    }
}

fn endpoints(said: &Value, citation: Citation) -> Endpoints {
    Endpoints {
        internet: text(said, "ClusterExternalEndpoint"),
        allowed: texts(said, "ClusterExternalACL"),
        group: text(said, "SecurityGroup"),
        intranet: text(said, "ClusterIntranetEndpoint"),
        subnet: text(said, "ClusterIntranetSubnetId"),
        intranet_group: text(said, "IntranetSecurityGroup"),
        domains: ["ClusterDomain", "ClusterExternalDomain", "ClusterIntranetDomain"]
            .into_iter()
            .filter_map(|name| text(said, name))
            .collect(),
        citation,
    }
}

/// The members that are looked at; the certificate beside them is long.
fn endpoint_citation(file: &Arc<str>, root: &str, said: &Value) -> Citation {
    let names = ["ClusterExternalEndpoint", "ClusterExternalACL", "SecurityGroup", "ClusterIntranetEndpoint"];
    let names = names.into_iter().chain(["ClusterIntranetSubnetId", "IntranetSecurityGroup"]);
    let shown: serde_json::Map<String, Value> =
        names.filter_map(|name| Some((name.to_owned(), said.get(name)?.clone()))).collect();
    Citation::pointer(file, root, &Value::Object(shown).to_string())
}

/// Routes that are on, to another VPC or to a data centre.
fn route(item: &Value, citation: Citation) -> Option<Route> {
    if item.get("Enabled").and_then(Value::as_bool) == Some(false) {
        return None;
    }
    let network: IpNet = text(item, "DestinationCidrBlock")?.parse().ok()?;
    let kind = text(item, "GatewayType").or_else(|| text(item, "InstanceType"))?;
    let kind = match kind.as_str() {
        "PEERCONNECTION" | "VPC" => RouteKind::Peer,
        "DIRECTCONNECT" | "VPN" | "VPNGW" => RouteKind::DataCentre,
        _ => return None,
    };
    (network.prefix_len() > 0).then_some(Route { network: network.trunc(), kind, citation })
}

fn addresses(item: &Value) -> Vec<IpAddr> {
    let listed = texts(item, "LoadBalancerVips").into_iter().chain(text(item, "AddressIPv6"));
    listed.filter_map(|text| text.parse().ok()).collect()
}

/// `true`, or 1 as some answers have it.
fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_u64().map(|number| number != 0))
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    let list = value.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(documents: &[Value]) -> Tke {
        let mut tke = Tke::default();
        for document in documents {
            assert!(tke.add(&Arc::from("t.json"), document.to_string().as_bytes()), "{document}");
        }
        tke
    }

    #[test]
    fn answers_of_tccli_are_told_apart_by_their_members() {
        let tke = read(&[
            json!({"TotalCount": 1, "Clusters": [{"ClusterId": "cls-1", "ClusterType": "MANAGED_CLUSTER"}]}),
            json!({"Response": {"ClusterExternalEndpoint": "", "ClusterIntranetEndpoint": "10.0.1.9", "ClusterExternalACL": null,
                "ClusterIntranetSubnetId": "subnet-1", "SecurityGroup": "", "CertificationAuthority": "-----BEGIN"}}),
            json!({"LoadBalancerSet": [{"LoadBalancerId": "lb-1", "LoadBalancerType": "OPEN", "LoadBalancerVips": ["203.0.113.8"],
                "SecureGroups": ["sg-1"], "LoadBalancerPassToTarget": true}]}),
            json!({"SubnetSet": [{"SubnetId": "subnet-1", "CidrBlock": "10.0.1.0/24"}]}),
            json!({"InstanceSet": [{"InstanceId": "ins-9", "InstanceRole": "MASTER_ETCD", "LanIP": "10.0.0.9"},
                {"InstanceId": "ins-1", "InstanceRole": "WORKER", "LanIP": "10.0.0.4"}]}),
            json!({"RouteTableSet": [{"RouteSet": [{"DestinationCidrBlock": "192.168.0.0/16", "GatewayType": "DIRECTCONNECT", "Enabled": true},
                {"DestinationCidrBlock": "10.9.0.0/16", "GatewayType": "PEERCONNECTION", "Enabled": false},
                {"DestinationCidrBlock": "0.0.0.0/0", "GatewayType": "NAT"}]}]}),
            json!({"RouteSet": [{"DestinationCidrBlock": "10.8.0.0/16", "InstanceType": "VPC", "Enabled": true}]}),
        ]);
        assert_eq!((tke.clusters.len(), tke.masters.len(), tke.routes.len()), (1, 1, 2));
        let endpoints = &tke.endpoints[0];
        assert_eq!((endpoints.intranet.as_deref(), endpoints.internet.as_deref()), (Some("10.0.1.9"), None));
        assert!(!endpoints.citation.text.contains("BEGIN"));
        assert_eq!(tke.route_to("192.168.3.4".parse().unwrap()).map(|route| route.kind), Some(RouteKind::DataCentre));
        assert!(tke.route_to("10.9.0.1".parse().unwrap()).is_none());
        let balancer = tke.balancer(None, &["203.0.113.8".to_owned()]).unwrap();
        assert!(balancer.open && balancer.passes_to_target == Some(true));
        assert_eq!(balancer.citation.pointer.as_deref(), Some("/LoadBalancerSet/0"));
    }

    #[test]
    fn odd_documents_are_none_of_these() {
        for odd in
            [json!(null), json!([]), json!({"Clusters": 7}), json!({"RouteSet": [{"DestinationCidrBlock": "x"}]})]
        {
            assert!(!Tke::default().add(&Arc::from("t.json"), odd.to_string().as_bytes()), "{odd}");
        }
        assert!(!Tke::default().add(&Arc::from("t.json"), b"\xff"));
    }
}

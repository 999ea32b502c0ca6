//! The root `cluster`, which every expression has.

use minijinja::Value;

use super::address_plan::{duplicate, overlap, range};
use super::cloud::{api_access, peers};
use super::{Facts, api_health, config_map, event, flannel, nnc, node_root, policy, provider, tunnel};
use crate::citation::Citation;
use crate::fact::{Fact, Fields};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of `cluster`.
pub static SHAPE: RecordShape = RecordShape {
    name: "cluster",
    doc: "The cluster as a whole.",
    fields: &[
        Field::scalar("name", "Its name in the sender's kubeconfig."),
        Field::scalar("version", "The API server's gitVersion."),
        Field::scalar(
            "provider",
            "Whose it is, by its nodes: `aks`, `eks`, `gke`, `tke`, `ack`, `openshift`, `rke2`, `k3s`.",
        ),
        Field::of(
            "nodes",
            list(&Shape::Record(&node_root::SHAPE)),
            "All nodes, of the API and of the bundle's folders, by name.",
        ),
        Field::of("nncs", list(&Shape::Record(&nnc::SHAPE)), "All NodeNetworkConfigs."),
        Field::of(
            "subnets",
            list(&Shape::Record(&nnc::SUBNET)),
            "Azure's subnets: whether they have run out of addresses.",
        ),
        Field::of(
            "config_maps",
            Shape::Map(&Shape::Record(&config_map::SHAPE)),
            "ConfigMaps of known components: config_maps[\"kube-system/coredns\"].",
        ),
        Field::of(
            "warnings",
            Shape::Map(&Shape::List(&Shape::Record(&event::SHAPE))),
            "Events that are warnings, by reason, the oldest first: warnings.FailedCreatePodSandBox.",
        ),
        Field::record("tke", &api_access::SHAPE, "What Tencent Cloud says of it, where it is TKE's."),
        Field::of(
            "peers",
            list(&Shape::Record(&peers::SHAPE)),
            "Networks beyond its own that routes and the symptom name, and what security groups make of packets between them.",
        ),
        Field::record("policy", &policy::SHAPE, "Network policies, and what enforces them."),
        Field::record("api", &api_health::SHAPE, "What the API server says of itself."),
        Field::record(
            "tunnel",
            &tunnel::SHAPE,
            "What the API server reaches the nodes through, where it is elsewhere.",
        ),
        Field::record(
            "tunnel_autoscaler",
            &tunnel::AUTOSCALER_SHAPE,
            "What scales konnectivity's agents, where its ConfigMap is there.",
        ),
        Field::of("flannel", list(&Shape::Record(&flannel::SHAPE)), "flannel's configurations."),
        Field::of("ranges", list(&Shape::Record(&range::SHAPE)), "Ranges of addresses that the configuration names."),
        Field::of(
            "overlaps",
            list(&Shape::Record(&overlap::SHAPE)),
            "Ranges and addresses that collide, the real ones first.",
        ),
        Field::of("shared_ips", list(&Shape::Record(&duplicate::SHAPE)), "Addresses that several running pods claim."),
    ],
};

/// A list of such values.
const fn list(of: &'static Shape) -> Shape {
    Shape::List(of)
}

/// The root variable.
pub fn value(facts: &Facts) -> Value {
    Fact::value(ClusterFact(facts.clone()))
}

#[derive(Debug)]
struct ClusterFact(Facts);

impl Fields for ClusterFact {
    fn field(&self, name: &str) -> Option<Value> {
        let cluster = self.0.evidence().bundle().manifest().cluster.as_ref();
        match name {
            "provider" => provider::of(&self.0).map(Value::from),
            "nncs" => Some((0..self.0.node_network_configs().len()).map(|place| nnc::value(&self.0, place)).collect()),
            "subnets" => Some(self.0.subnet_states().iter().map(nnc::SubnetState::value).collect()),
            "config_maps" => Some(config_map::values(&self.0)),
            "warnings" => Some(event::values_of_warnings(&self.0)),
            "tke" => api_access::value(&self.0),
            "peers" => Some(peers::values(&self.0)),
            "policy" => Some(policy::value(&self.0)),
            "api" => Some(api_health::value(&self.0)),
            "tunnel_autoscaler" => tunnel::autoscaler(&self.0),
            "tunnel" => tunnel::value(&self.0),
            "flannel" => Some(flannel::values(&self.0)),
            "ranges" => Some(self.0.ranges().iter().map(range::Range::value).collect()),
            "overlaps" => Some(overlap::values(&self.0)),
            "shared_ips" => Some(duplicate::values(&self.0)),
            "name" => cluster.map(|cluster| Value::from(cluster.name.as_str())),
            "version" => cluster.and_then(|cluster| cluster.version.as_deref()).map(Value::from),
            "nodes" => Some(self.0.node_names().iter().map(|node| node_root::value(&self.0, node)).collect()),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        SHAPE.fields.iter().map(|field| field.name).collect()
    }

    fn citation(&self) -> Option<Citation> {
        None
    }
}

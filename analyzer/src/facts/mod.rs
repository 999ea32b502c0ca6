//! Facts: what a bundle's evidence says, parsed once, lazily, each with the place that it comes from.
//!
//! ```text
//! subject.rs       what rules range over, and the root variables of their expressions
//! unreadable.rs    what no parser could read: evidence too
//! list/            lists of objects, as streams: a list of 150,000 pods never lies in memory whole
//! json.rs intern.rs metadata.rs    what all objects have in common
//! node_object.rs pod/ service/ event.rs workload.rs nnc.rs    a kind of object each
//! config_map.rs flannel.rs tunnel/ service_proxy.rs api_health.rs provider.rs    what components are told, and do
//! address_plan/    which addresses are for what, and where two want the same
//! policy/          policies, what enforces them, and the ends of flows
//! cloud/           a cloud's security groups, and what they make of whole ranges of clients and ports
//! security_group.rs    what they make of a node's packets
//! component.rs     which pods and workloads are of a known component
//! certificates.rs  all certificates, of the cluster and of its nodes
//! cluster.rs       the root `cluster`
//! node_root.rs     the root `node`: the Node object, and what its folder below nodes/ says
//! node/            what a node's folder says
//! reach/           what becomes on a node of the packets that a cluster lives by, walked by netpath
//! log.rs           which logs there are
//! symptom/         between whom something is said to be broken
//! ```
//!
//! **Invariants.** The store holds data. The values that expressions see hold a handle to the store and are made when
//! they are asked for, so the store never holds itself. A part that is being parsed waits for no other thread of the
//! pool that rules run in: it uses threads of its own ([`list`]), because a waiting thread of a pool may take up
//! another rule, which would ask for the same part again.

pub mod address_plan;
pub mod api_health;
pub mod certificates;
pub mod cloud;
pub mod cluster;
pub mod component;
pub mod config_map;
pub mod event;
pub mod flannel;
pub mod intern;
pub mod json;
pub mod list;
pub mod log;
pub mod metadata;
pub mod nnc;
pub mod node;
pub mod node_object;
pub mod node_root;
pub mod pod;
pub mod policy;
pub mod provider;
pub mod quantity;
pub mod reach;
#[cfg(test)]
pub(crate) mod sample;
pub mod security_group;
pub mod service;
pub mod service_proxy;
pub mod subject;
pub mod symptom;
pub mod tunnel;
pub mod unreadable;
pub mod workload;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bundle::Bundle;
use bundle::manifest::Symptom;
use jiff::Timestamp;

use crate::evidence::Evidence;
use crate::finding::{SubjectKind, Unreadable};
use crate::shape::RecordShape;
use address_plan::overlap::Overlap;
use address_plan::range::Range;
use certificates::Placed;
use config_map::ConfigMap;
use event::Events;
use log::LogFile;
use netpath::iptables::Specifications;
use netpath::policy::Policies;
use nnc::{NodeNetworkConfig, SubnetState};
use node::NodeFacts;
use node::default_route::WithDefault;
use node::resolver::Majority;
use node_object::NodeObject;
use pod::{Pod, Pods};
use policy::endpoint::Namespaces;
use policy::enforcement::Enforcer;
use service::Services;
use service::slice::Slices;
use service_proxy::Replacement;
pub use subject::Subjects;
use tunnel::usage::Usage;
use workload::Workloads;

/// All facts of a bundle. A handle: cloning it is cheap, and all clones share what was parsed.
#[derive(Clone)]
pub struct Facts(Arc<Store>);

/// Something that is parsed when it is first asked for, with what of it could not be read.
type Part<T> = OnceLock<(T, Vec<Unreadable>)>;

struct Store {
    evidence: Arc<Evidence>,
    symptom: Option<Symptom>,
    symptom_ends: OnceLock<symptom::Ends>,
    node_objects: Part<Vec<NodeObject>>,
    pods: Part<Pods>,
    services: Part<Services>,
    slices: Part<Slices>,
    told_services: OnceLock<Vec<netpath::service::Service>>,
    events: Part<Events>,
    workloads: Part<Workloads>,
    node_network_configs: Part<Vec<NodeNetworkConfig>>,
    subnet_states: Part<Vec<SubnetState>>,
    config_maps: Part<Vec<ConfigMap>>,
    usage: Part<Usage>,
    policies: Part<Policies>,
    clouds: Part<cloud::Clouds>,
    namespaces: Part<Namespaces>,
    enforcer: OnceLock<Enforcer>,
    kube_proxy_as_pods: OnceLock<bool>,
    kube_proxy_replacement: OnceLock<Option<Replacement>>,
    ranges: OnceLock<Vec<Range>>,
    overlaps: OnceLock<Vec<Overlap>>,
    shared_addresses: OnceLock<Vec<(IpAddr, Vec<u32>)>>,
    node_names: OnceLock<Vec<Arc<str>>>,
    node_files: OnceLock<BTreeMap<Arc<str>, NodeFacts>>,
    logs: OnceLock<Vec<LogFile>>,
    certificates: Part<Vec<Placed>>,
    resolvers: OnceLock<Option<Majority>>,
    nodes_with_default_route: OnceLock<Vec<WithDefault>>,
    reach: OnceLock<BTreeMap<Arc<str>, OnceLock<reach::NodeReach>>>,
    group_classes: OnceLock<Vec<cloud::machine::Class>>,
    endpoint_reach: OnceLock<reach::endpoints::EndpointReach>,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

impl Facts {
    /// The facts of a bundle. Nothing is parsed yet.
    pub fn new(bundle: Bundle) -> Facts {
        Facts::about(bundle, None)
    }

    /// The facts of a bundle and of what whoever analyzes it was told is broken; without that, what the bundle's sender
    /// said counts.
    pub fn about(bundle: Bundle, symptom: Option<Symptom>) -> Facts {
        let symptom = symptom.or_else(|| bundle.manifest().symptom.clone());
        Facts(Arc::new(Store {
            symptom,
            symptom_ends: OnceLock::new(),
            evidence: Arc::new(Evidence::new(bundle)),
            node_objects: OnceLock::new(),
            pods: OnceLock::new(),
            services: OnceLock::new(),
            slices: OnceLock::new(),
            told_services: OnceLock::new(),
            events: OnceLock::new(),
            workloads: OnceLock::new(),
            node_network_configs: OnceLock::new(),
            subnet_states: OnceLock::new(),
            config_maps: OnceLock::new(),
            usage: OnceLock::new(),
            policies: OnceLock::new(),
            clouds: OnceLock::new(),
            namespaces: OnceLock::new(),
            enforcer: OnceLock::new(),
            kube_proxy_as_pods: OnceLock::new(),
            kube_proxy_replacement: OnceLock::new(),
            ranges: OnceLock::new(),
            overlaps: OnceLock::new(),
            shared_addresses: OnceLock::new(),
            node_names: OnceLock::new(),
            node_files: OnceLock::new(),
            logs: OnceLock::new(),
            certificates: OnceLock::new(),
            resolvers: OnceLock::new(),
            nodes_with_default_route: OnceLock::new(),
            reach: OnceLock::new(),
            group_classes: OnceLock::new(),
            endpoint_reach: OnceLock::new(),
        }))
    }

    /// The bundle, as evidence.
    pub fn evidence(&self) -> &Arc<Evidence> {
        &self.0.evidence
    }

    /// What is said to be broken.
    pub fn symptom(&self) -> Option<&Symptom> {
        self.0.symptom.as_ref()
    }

    /// Between whom it is said to be broken.
    pub fn symptom_ends(&self) -> &symptom::Ends {
        self.0.symptom_ends.get_or_init(|| symptom::Ends::read(self))
    }

    /// The time of collection, from which every age is counted.
    pub fn collected(&self) -> Timestamp {
        self.0.evidence.bundle().manifest().finished
    }

    /// The shape of the root variable that a rule over this kind of subject has, beside `cluster`.
    pub fn root(kind: SubjectKind) -> &'static RecordShape {
        subject::root(kind)
    }

    /// The subjects of a kind, in an order that depends on the bundle alone.
    pub fn subjects(&self, kind: SubjectKind) -> Subjects {
        Subjects::new(self.clone(), kind)
    }

    /// The Node objects, in the API's order.
    pub fn node_objects(&self) -> &[NodeObject] {
        &self.0.node_objects.get_or_init(|| node_object::read(self.evidence())).0
    }

    /// The Node object of this name.
    pub fn node_object(&self, name: &str) -> Option<&NodeObject> {
        let objects = self.node_objects();
        // The API lists by name.
        let found = objects.binary_search_by(|node| (*node.name).cmp(name)).ok().and_then(|at| objects.get(at));
        found.or_else(|| objects.iter().find(|node| &*node.name == name))
    }

    /// The pods.
    pub fn pods(&self) -> &Pods {
        &self.0.pods.get_or_init(|| Pods::read(self.evidence())).0
    }

    /// The pods on a node that hold an address of the pod network, with their places.
    pub fn networked_pods<'a>(&'a self, node: &str) -> impl Iterator<Item = (u32, &'a Pod)> + use<'a> {
        let pods = self.pods();
        let places = pods.on_node(node).iter().filter_map(|place| Some((*place, pods.get(*place)?)));
        places.filter(|(_, pod)| pod.is_networked())
    }

    /// The Services.
    pub fn services(&self) -> &Services {
        &self.0.services.get_or_init(|| Services::read(self.evidence())).0
    }

    /// The EndpointSlices.
    pub fn slices(&self) -> &Slices {
        &self.0.slices.get_or_init(|| Slices::read(self.evidence())).0
    }

    /// The Services with their slices as kube-proxy is told of them, in the places of [`Facts::services`].
    pub fn told_services(&self) -> &[netpath::service::Service] {
        self.0.told_services.get_or_init(|| service::proxy::services(self))
    }

    /// The events.
    pub fn events(&self) -> &Events {
        &self.0.events.get_or_init(|| Events::read(self.evidence())).0
    }

    /// The workloads.
    pub fn workloads(&self) -> &Workloads {
        &self.0.workloads.get_or_init(|| Workloads::read(self.evidence())).0
    }

    /// The NodeNetworkConfigs, in the API's order.
    pub fn node_network_configs(&self) -> &[NodeNetworkConfig] {
        &self.0.node_network_configs.get_or_init(|| nnc::read(self.evidence())).0
    }

    /// The ClusterSubnetStates.
    pub fn subnet_states(&self) -> &[SubnetState] {
        &self.0.subnet_states.get_or_init(|| nnc::read_subnets(self.evidence())).0
    }

    /// The ConfigMaps whose data the collector takes, sorted by namespace and name.
    pub fn config_maps(&self) -> &[ConfigMap] {
        &self.0.config_maps.get_or_init(|| config_map::read(self.evidence())).0
    }

    /// The ConfigMap of this name, where its data was taken.
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&ConfigMap> {
        self.config_maps().iter().find(|found| found.namespace == namespace && found.name == name)
    }

    /// The policies of the cluster, of every kind.
    pub fn policies(&self) -> &Policies {
        &self.0.policies.get_or_init(|| policy::read(self.evidence())).0
    }

    /// The security groups of the cloud that the cluster runs in.
    pub fn clouds(&self) -> &cloud::Clouds {
        &self.0.clouds.get_or_init(|| cloud::read(self.evidence())).0
    }

    /// The nodes, by what the cloud's security groups let enter them.
    pub fn group_classes(&self) -> &[cloud::machine::Class] {
        self.0.group_classes.get_or_init(|| cloud::machine::classes(self))
    }

    /// The labels of the namespaces, by name.
    pub fn namespaces(&self) -> &Namespaces {
        &self.0.namespaces.get_or_init(|| policy::endpoint::read_namespaces(self.evidence())).0
    }

    /// What enforces policies in the cluster.
    pub fn enforcer(&self) -> &Enforcer {
        self.0.enforcer.get_or_init(|| policy::enforcement::find(self))
    }

    /// The memory of the containers of known components.
    pub fn usage(&self) -> &Usage {
        &self.0.usage.get_or_init(|| tunnel::usage::read(self.evidence())).0
    }

    /// Whether kube-proxy runs as pods.
    pub fn kube_proxy_as_pods(&self) -> bool {
        *self.0.kube_proxy_as_pods.get_or_init(|| service_proxy::runs_as_pods(self))
    }

    /// What replaces kube-proxy in the whole cluster.
    pub fn kube_proxy_replacement(&self) -> Option<&Replacement> {
        self.0.kube_proxy_replacement.get_or_init(|| service_proxy::replacement(self)).as_ref()
    }

    /// The ranges of addresses that the cluster's configuration names.
    pub fn ranges(&self) -> &[Range] {
        self.0.ranges.get_or_init(|| address_plan::range::all(self))
    }

    /// Ranges and addresses that collide.
    pub fn overlaps(&self) -> &[Overlap] {
        self.0.overlaps.get_or_init(|| address_plan::overlap::all(self, self.ranges()))
    }

    /// Addresses that several pods claim, with the pods' places.
    pub fn shared_addresses(&self) -> &[(IpAddr, Vec<u32>)] {
        self.0.shared_addresses.get_or_init(|| address_plan::duplicate::shared(self))
    }

    /// The names of all nodes, sorted: those of the API's list and those that have a folder in the bundle. A bundle
    /// that was gathered on a host alone knows only folders.
    pub fn node_names(&self) -> &[Arc<str>] {
        self.0.node_names.get_or_init(|| node_root::names(self))
    }

    /// What a node's folder in the bundle says. A node without a folder has such facts too, all of them absent.
    pub fn node_files(&self, node: &str) -> Option<&NodeFacts> {
        let known = Arc::new(Specifications::default());
        let make =
            |name: &Arc<str>| (name.clone(), NodeFacts::new(self.evidence().clone(), name.clone(), known.clone()));
        self.0.node_files.get_or_init(|| self.node_names().iter().map(make).collect()).get(node)
    }

    /// All certificates, of the cluster and of its nodes.
    pub fn certificates(&self) -> &[Placed] {
        &self.0.certificates.get_or_init(|| certificates::read(self)).0
    }

    /// What most nodes ask for names.
    pub fn resolvers(&self) -> Option<&Majority> {
        let files = || self.node_names().iter().filter_map(|name| self.node_files(name));
        let read = || node::resolver::majority(files().filter_map(|files| files.resolver().uplinks_sorted()));
        self.0.resolvers.get_or_init(read).as_ref()
    }

    /// The nodes that have a default route.
    pub fn nodes_with_default_route(&self) -> &[WithDefault] {
        let files = || self.node_names().iter().filter_map(|name| Some((name, self.node_files(name)?.routes()?)));
        self.0.nodes_with_default_route.get_or_init(|| node::default_route::of_nodes(files()))
    }

    /// What becomes of packets on each node; walked when it is asked for.
    pub fn reach(&self) -> &BTreeMap<Arc<str>, OnceLock<reach::NodeReach>> {
        self.0.reach.get_or_init(|| reach::all(self))
    }

    /// What nodes make of packets to the endpoints of Services.
    pub fn endpoint_reach(&self) -> &reach::endpoints::EndpointReach {
        self.0.endpoint_reach.get_or_init(|| reach::endpoints::EndpointReach::new(self))
    }

    /// All logs in the bundle, by path.
    pub fn logs(&self) -> &[LogFile] {
        self.0.logs.get_or_init(|| log::files(self.evidence()))
    }

    /// What of this kind's evidence could not be read. Asking parses it.
    pub fn unreadable_of(&self, kind: SubjectKind) -> Vec<Unreadable> {
        unreadable::of(self, kind)
    }

    /// Everything that could not be read. Asking parses everything.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        unreadable::all(self)
    }
}

#[cfg(test)]
mod cluster_tests;

//! EndpointSlices: which addresses stand behind a Service.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::evidence::Evidence;
use crate::facts::intern::Strings;
use crate::facts::json::{Seconds, Text, or_default};
use crate::facts::list::{self, Origin, Parser};
use crate::facts::metadata::Metadata;
use crate::finding::Unreadable;

/// The evidence id of the list.
pub const EVIDENCE: &str = "api.endpointslices";

/// The label that names the Service a slice belongs to.
const SERVICE: &str = "kubernetes.io/service-name";

/// The label that names who keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// An EndpointSlice.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Where it is in the bundle.
    pub origin: Origin,
    /// Its name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The Service it belongs to; empty where it belongs to none.
    pub service: Arc<str>,
    /// Who keeps it; empty where nobody says so.
    pub managed_by: Arc<str>,
    /// Its ports.
    pub ports: Box<[SlicePort]>,
    /// Its endpoints.
    pub endpoints: Box<[Endpoint]>,
    /// Whether kube-proxy takes it: one of a headless Service or of another proxy has a label that says so.
    pub proxied: bool,
    /// When it changed last.
    pub changed: Seconds,
}

/// A port of a slice: that of the pods, not of the Service.
#[derive(Debug, Clone)]
pub struct SlicePort {
    /// The name of the Service's port; may be empty.
    pub name: Arc<str>,
    /// The number; 0 where the slice does not say.
    pub number: u16,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: Arc<str>,
}

/// An endpoint of a slice.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its addresses.
    pub addresses: Box<[Arc<str>]>,
    /// Whether it takes traffic. Absence is to be read as ready, as the API's documentation says.
    pub ready: bool,
    /// Whether it still serves while it is being deleted.
    pub serving: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The node it runs on; may be empty.
    pub node: Arc<str>,
    /// The pod it is; empty where it is none.
    pub pod: Box<str>,
    /// `hints`, where there are any; most slices have none.
    pub hints: Option<Box<Hints>>,
}

/// For whom an endpoint is meant.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `forZones`.
    pub zones: Vec<Arc<str>>,
    /// `forNodes`.
    pub nodes: Vec<Arc<str>>,
}

/// All slices, with what finds them.
#[derive(Debug, Default)]
pub struct Slices {
    all: Vec<Slice>,
    by_service: HashMap<(Arc<str>, Arc<str>), Vec<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SliceView<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    ports: Vec<PortView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    endpoints: Vec<EndpointView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PortView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    port: Option<u16>,
    #[serde(borrow)]
    protocol: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct EndpointView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    addresses: Vec<Text<'a>>,
    #[serde(deserialize_with = "or_default")]
    conditions: ConditionsView,
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    target_ref: TargetView<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    hints: HintsView<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct HintsView<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    for_zones: Vec<NamedView<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    for_nodes: Vec<NamedView<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamedView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConditionsView {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TargetView<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Default)]
struct SliceParser(Strings);

impl Parser<Slice> for SliceParser {
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<Slice>, serde_json::Error> {
        let SliceView { metadata, ports, endpoints } = serde_json::from_slice(object)?;
        let strings = &mut self.0;
        let label = |key: &str| metadata.labels.get(key).unwrap_or_default();
        let ports = ports.iter().map(|view| SlicePort {
            name: strings.get(&view.name),
            number: view.port.unwrap_or_default(),
            protocol: strings.get(if view.protocol.is_empty() { "TCP" } else { &view.protocol }),
        });
        let ports = ports.collect();
        let endpoints = endpoints.iter().map(|view| Endpoint {
            addresses: view.addresses.iter().map(|address| Arc::from(&**address)).collect(),
            ready: view.conditions.ready.unwrap_or(true),
            serving: view.conditions.serving.or(view.conditions.ready).unwrap_or(true),
            terminating: view.conditions.terminating.unwrap_or(false),
            node: strings.get(&view.node_name),
            hints: hints(&view.hints, strings),
            pod: Box::from(if &*view.target_ref.kind == "Pod" { &*view.target_ref.name } else { "" }),
        });
        Ok(Some(Slice {
            origin,
            endpoints: endpoints.collect(),
            ports,
            proxied: !super::proxy::is_label_of_others(|key| metadata.labels.get(key).is_some()),
            changed: metadata.latest_change(),
            name: Box::from(&*metadata.name),
            namespace: strings.get(&metadata.namespace),
            service: strings.get(label(SERVICE)),
            managed_by: strings.get(label(MANAGED_BY)),
        }))
    }
}

fn hints(view: &HintsView, strings: &mut Strings) -> Option<Box<Hints>> {
    if view.for_zones.is_empty() && view.for_nodes.is_empty() {
        return None;
    }
    let mut names = |views: &[NamedView]| views.iter().map(|view| strings.get(&view.name)).collect();
    Some(Box::new(Hints { zones: names(&view.for_zones), nodes: names(&view.for_nodes) }))
}

impl Slices {
    /// Reads the list.
    pub(in crate::facts) fn read(evidence: &Evidence) -> (Slices, Vec<Unreadable>) {
        let listed = list::read(evidence, EVIDENCE, SliceParser::default);
        let mut slices = Slices { all: listed.items, by_service: HashMap::new() };
        for (place, slice) in (0..).zip(&slices.all) {
            let key = (slice.namespace.clone(), slice.service.clone());
            slices.by_service.entry(key).or_default().push(place);
        }
        (slices, listed.unreadable)
    }

    /// All of them, in the API's order.
    pub fn all(&self) -> &[Slice] {
        &self.all
    }

    /// The slices of a Service.
    pub fn of_service<'a>(
        &'a self,
        namespace: &Arc<str>,
        name: &Arc<str>,
    ) -> impl Iterator<Item = &'a Slice> + use<'a> {
        let places = self.by_service.get(&(namespace.clone(), name.clone())).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.all.get(*place as usize))
    }
}

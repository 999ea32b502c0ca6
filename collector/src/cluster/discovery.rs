//! What the server serves, in two requests (aggregated discovery, stable since Kubernetes 1.30), so that only what is
//! served is listed and what is not served is proved absent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kube::core::discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList};
use serde_json::json;

use super::failure::Failure;
use super::request::{Ask, Requests};
use super::resource::Resource;

/// The longest answer that is believed; 2,000 resources with their verbs are about 1.5 MB.
const LONGEST: u64 = 64 << 20;

/// A resource as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its group; "" is the core group.
    pub group: String,
    /// The version that the server prefers.
    pub version: String,
    /// Its kind, where discovery told it.
    pub kind: Option<String>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
}

/// Whether a resource is there to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is served.
    Served(Served),
    /// It is not known; asking will tell. The version is the usual one.
    Unknown(Served),
    /// It is not served: no such group, or none with such a resource.
    Absent,
}

/// All that the server serves.
#[derive(Debug, Default)]
pub struct Discovery {
    served: BTreeMap<(String, String), Served>,
    /// Groups whose own server did not answer the API server, so that what it serves is unknown or old.
    stale: BTreeSet<String>,
    /// Whether one of the two requests failed or was answered in the old way.
    incomplete: bool,
}

impl Discovery {
    /// Asks. A failure comes beside what the other request told.
    pub fn ask(requests: &Requests, deadline: Instant) -> (Discovery, Option<Failure>) {
        let mut discovery = Discovery::default();
        let mut failed = None;
        for path in ["/api", "/apis"] {
            match ask_one(requests, path, deadline) {
                Ok(list) => discovery.add(list),
                Err(failure) => {
                    discovery.incomplete = true;
                    failed = Some(failure);
                }
            }
        }
        (discovery, failed)
    }

    /// Whether and how a resource is served; the first of its groups that serves it counts.
    pub fn find(&self, resource: &Resource) -> Presence {
        let known = resource
            .groups
            .iter()
            .find_map(|(group, _)| self.served.get(&((*group).to_owned(), resource.name.to_owned())));
        if let Some(served) = known {
            return Presence::Served(served.clone());
        }
        let doubtful = resource.groups.iter().find(|(group, _)| self.incomplete || self.stale.contains(*group));
        match doubtful {
            Some((group, version)) => Presence::Unknown(Served {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                kind: None,
                namespaced: true,
            }),
            None => Presence::Absent,
        }
    }

    /// The description that goes into the bundle.
    pub fn describe(&self) -> Vec<u8> {
        let resources: Vec<_> = self
            .served
            .iter()
            .map(|((_, name), served)| {
                json!({"group": served.group, "version": served.version, "resource": name, "kind": served.kind, "namespaced": served.namespaced})
            })
            .collect();
        let mut text = json!({"complete": !self.incomplete, "stale_groups": self.stale, "resources": resources})
            .to_string()
            .into_bytes();
        text.push(b'\n');
        text
    }

    fn add(&mut self, list: APIGroupDiscoveryList) {
        for group in list.items {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in group.versions {
                if version.freshness.as_deref() == Some("Stale") {
                    self.stale.insert(name.clone());
                }
                let Some(version_name) = version.version else { continue };
                for resource in version.resources {
                    let Some(resource_name) = resource.resource else { continue };
                    if !resource.verbs.iter().any(|verb| verb == "list") {
                        continue;
                    }
                    let served = Served {
                        group: name.clone(),
                        version: version_name.clone(),
                        kind: resource.response_kind.and_then(|kind| kind.kind),
                        namespaced: resource.scope.as_deref() == Some("Namespaced"),
                    };
                    // Versions come in the server's order of preference.
                    self.served.entry((name.clone(), resource_name)).or_insert(served);
                }
            }
        }
    }
}

fn ask_one(requests: &Requests, path: &str, deadline: Instant) -> Result<APIGroupDiscoveryList, Failure> {
    let answer = requests.send(&Ask::get(path, deadline).accept(ACCEPT_AGGREGATED_DISCOVERY_V2))?;
    parse(&answer.body.read_whole(LONGEST)?)
}

fn parse(body: &[u8]) -> Result<APIGroupDiscoveryList, Failure> {
    /// What is asked of the answer before it is taken for what it should be.
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(default)]
        kind: String,
    }

    let unreadable = |what: String| Failure::new(bundle::ItemStatus::Error, what);
    let kind: Kind =
        serde_json::from_slice(body).map_err(|error| unreadable(format!("the answer is not JSON: {error}")))?;
    if kind.kind != "APIGroupDiscoveryList" {
        // Servers before 1.26 do not know the form that was asked for and answer with a list of group names.
        return Err(unreadable(format!(
            "the server answered with a {} instead of an APIGroupDiscoveryList",
            kind.kind
        )));
    }
    serde_json::from_slice(body).map_err(|error| unreadable(format!("the answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cluster::resource::RESOURCES;

    /// Shortened from what kube-apiserver v1.34.4 answers with an APIService whose server is down.
    const GROUPS: &str = r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[
        {"metadata":{"name":"apps","creationTimestamp":null},"versions":[{"version":"v1","freshness":"Current","resources":[
          {"resource":"deployments","responseKind":{"group":"apps","version":"v1","kind":"Deployment"},"scope":"Namespaced","singularResource":"deployment","verbs":["get","list"]}]}]},
        {"metadata":{"name":"metrics.k8s.io","creationTimestamp":null},"versions":[{"version":"v1beta1","freshness":"Stale"}]}]}"#;

    fn find(discovery: &Discovery, id: &str) -> Presence {
        discovery.find(RESOURCES.iter().find(|resource| resource.id == id).unwrap())
    }

    #[test]
    fn served_absent_and_unknown_are_three() {
        let mut discovery = Discovery::default();
        discovery.add(parse(GROUPS.as_bytes()).unwrap());
        let Presence::Served(deployments) = find(&discovery, "workloads.deployments") else { panic!() };
        assert_eq!((deployments.version.as_str(), deployments.namespaced), ("v1", true));
        assert_eq!(find(&discovery, "azure.nodenetworkconfigs"), Presence::Absent);
        assert!(matches!(find(&discovery, "metrics.nodes"), Presence::Unknown(_)));
    }

    #[test]
    fn nothing_is_absent_where_discovery_failed() {
        let discovery = Discovery { incomplete: true, ..Discovery::default() };
        let Presence::Unknown(pods) = find(&discovery, "pods") else { panic!() };
        assert_eq!(pods.version, "v1");
        let old = parse(br#"{"kind":"APIGroupList","groups":[]}"#).unwrap_err();
        assert!(old.reason.contains("APIGroupList"));
    }
}

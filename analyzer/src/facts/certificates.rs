//! All certificates of a bundle: those on nodes, the API server's own, and those that the API trusts for webhooks and
//! aggregated APIs (the collector leaves names and dates of a `caBundle`).

use std::sync::Arc;

use bundle::Scope;
use serde_json::Value as Json;

use super::Facts;
use super::node::certificate::{Certificate, certificate_of, set_aside_renewed};
use super::node::json;
use crate::finding::Unreadable;

/// A certificate and whose it is.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The node that it lies on; none for the cluster's.
    pub node: Option<Arc<str>>,
    /// The certificate.
    pub certificate: Certificate,
}

impl Placed {
    /// What reports call it.
    pub fn name(&self) -> String {
        match &self.node {
            Some(node) => format!("{node}/{}", self.certificate.name()),
            None => self.certificate.name(),
        }
    }
}

/// Reads all of them: the cluster's first, then each node's.
pub(super) fn read(facts: &Facts) -> (Vec<Placed>, Vec<Unreadable>) {
    let mut unreadable = Vec::new();
    let mut cluster = of_list(facts, "api.health.certificate", &mut unreadable, server);
    for id in ["api.webhooks.validating", "api.webhooks.mutating"] {
        cluster.extend(of_list(facts, id, &mut unreadable, webhooks));
    }
    cluster.extend(of_list(facts, "api.apiservices", &mut unreadable, api_services));
    set_aside_renewed(&mut cluster, facts.collected());
    let mut all: Vec<Placed> = cluster.into_iter().map(|certificate| Placed { node: None, certificate }).collect();
    for node in facts.node_names() {
        let own = facts.node_files(node).map(|files| files.certificates()).unwrap_or_default();
        all.extend(own.iter().map(|certificate| Placed { node: Some(node.clone()), certificate: certificate.clone() }));
    }
    (all, unreadable)
}

/// The certificates in the entries of an evidence id.
fn of_list(
    facts: &Facts,
    id: &str,
    unreadable: &mut Vec<Unreadable>,
    find: fn(&Arc<str>, &Json) -> Vec<Certificate>,
) -> Vec<Certificate> {
    let mut found = Vec::new();
    for item in facts.evidence().items(id, &Scope::Cluster) {
        let Some(path) = item.path.as_deref() else { continue };
        let read = facts.evidence().bundle().read(path).map_err(|error| error.to_string());
        match read.and_then(|bytes| serde_json::from_slice::<Json>(&bytes).map_err(|error| error.to_string())) {
            Ok(json) => found.extend(find(&Arc::from(path), &json)),
            Err(reason) => unreadable.push(Unreadable { path: path.to_owned(), reason }),
        }
    }
    found
}

fn server(path: &Arc<str>, json: &Json) -> Vec<Certificate> {
    let name = format!("kube-apiserver/{}", json::text(json, "server").unwrap_or("?"));
    chain(path, "", &name, json)
}

fn webhooks(path: &Arc<str>, list: &Json) -> Vec<Certificate> {
    let kind =
        if path.contains("mutating") { "MutatingWebhookConfiguration" } else { "ValidatingWebhookConfiguration" };
    let mut found = Vec::new();
    for (index, item) in json::items(list, "items") {
        for (hook, webhook) in json::items(item, "webhooks") {
            let place = format!("{kind}/{}/{}", name_of(item), json::text(webhook, "name").unwrap_or("?"));
            let Some(bundle) = webhook.pointer("/clientConfig/caBundle") else { continue };
            found.extend(chain(path, &format!("/items/{index}/webhooks/{hook}/clientConfig/caBundle"), &place, bundle));
        }
    }
    found
}

fn api_services(path: &Arc<str>, list: &Json) -> Vec<Certificate> {
    let mut found = Vec::new();
    for (index, item) in json::items(list, "items") {
        let Some(bundle) = item.pointer("/spec/caBundle") else { continue };
        let place = format!("APIService/{}", name_of(item));
        found.extend(chain(path, &format!("/items/{index}/spec/caBundle"), &place, bundle));
    }
    found
}

fn name_of(item: &Json) -> &str {
    item.pointer("/metadata/name").and_then(Json::as_str).unwrap_or("?")
}

/// `{"certificates": [CERT]}` below a pointer.
fn chain(path: &Arc<str>, pointer: &str, place: &str, json: &Json) -> Vec<Certificate> {
    let one = |(number, certificate): (usize, &Json)| {
        let pointer = format!("{pointer}/certificates/{number}");
        certificate_of(path, pointer, place, number, certificate, Some(true))
    };
    json::items(json, "certificates").map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::sample::Sample;
    use crate::finding::SubjectKind;

    fn certificate(subject: &str, not_after: &str) -> Json {
        json!({"subject": subject, "issuer": subject, "is_ca": true, "not_before": "2020-01-01T00:00:00Z", "not_after": not_after})
    }

    #[test]
    fn a_bundle_of_trust_with_the_old_and_the_new_signer_is_fine() {
        let hooks = json!([{"metadata": {"name": "w"}, "webhooks": [{"name": "w.example", "clientConfig": {"caBundle": {"certificates": [
            certificate("CN=old", "2021-01-01T00:00:00Z"), certificate("CN=new", "2031-01-01T00:00:00Z")]}}}]}]);
        let services = json!([{"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {"caBundle": {"error": "no PEM"}}},
            {"metadata": {"name": "v1.x"}, "spec": {"caBundle": {"certificates": [certificate("CN=gone", "2021-01-01T00:00:00Z")]}}}]);
        let facts = Sample::new()
            .list(
                "api.webhooks.mutating",
                "cluster/admissionregistration.k8s.io/mutatingwebhookconfigurations.json",
                hooks,
            )
            .list("api.apiservices", "cluster/apiregistration.k8s.io/apiservices.json", services)
            .facts();
        let subjects = facts.subjects(SubjectKind::Certificate);
        let all: Vec<(String, Option<bool>)> =
            facts.certificates().iter().map(|placed| (placed.name(), placed.certificate.in_use)).collect();
        assert_eq!(
            all,
            [
                ("MutatingWebhookConfiguration/w/w.example".to_owned(), Some(false)),
                ("MutatingWebhookConfiguration/w/w.example[1]".to_owned(), Some(true)),
                ("APIService/v1.x".to_owned(), Some(true)),
            ]
        );
        assert_eq!((subjects.len(), subjects.scope(2)), (3, Scope::Cluster));
        let citation = &facts.certificates()[1].certificate.citation;
        assert_eq!(citation.pointer.as_deref(), Some("/items/0/webhooks/0/clientConfig/caBundle/certificates/1"));
    }
}

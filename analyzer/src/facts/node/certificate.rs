//! Certificates that the collector read on a node: names and dates, never keys.
//!
//! Whether a certificate is in use decides what its expiry means: the kubelet leaves every rotated certificate in its
//! folder (pkg: k8s.io/client-go/util/certificate), and only the one that `…-current.pem` leads to counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::Value;
use serde_json::Value as Json;

use super::{json, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// A certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The file on the host, and in a kubeconfig the user or cluster behind a `#`.
    pub file: String,
    /// Its place among the certificates of the file, from 0.
    pub index: usize,
    /// The subject's name.
    pub subject: String,
    /// The issuer's name.
    pub issuer: String,
    /// The first and the last moment at which it is valid.
    pub validity: Option<(Timestamp, Timestamp)>,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// Whether it signs others.
    pub is_ca: bool,
    /// Whether somebody uses it; none where that is unknown.
    pub in_use: Option<bool>,
    /// Its place in the bundle.
    pub citation: Citation,
}

/// Reads the collector's list of certificate files.
pub fn parse_files(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<Certificate>, serde_json::Error> {
    let files: Vec<Json> = serde_json::from_slice(bytes)?;
    let current = current_links(&files);
    let mut all = Vec::new();
    for (index, entry) in files.iter().enumerate() {
        let Some(file) = json::text(entry, "path") else { continue };
        let in_use = in_use(file, json::text(entry, "link_target"), &current);
        for (number, certificate) in json::items(entry, "certificates") {
            let pointer = format!("/{index}/certificates/{number}");
            all.push(certificate_of(path, pointer, file, number, certificate, in_use));
        }
    }
    Ok(all)
}

/// Reads the certificates within kubeconfigs: users' own and the clusters' CAs.
pub fn parse_kubeconfigs(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<Certificate>, serde_json::Error> {
    let configs: Vec<Json> = serde_json::from_slice(bytes)?;
    let mut all = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let Some(file) = json::text(config, "path") else { continue };
        for (list, field) in [("users", "certificates"), ("clusters", "ca")] {
            for (at, entry) in json::items(config, list) {
                let place = format!("{file}#{}", json::text(entry, "name").unwrap_or_default());
                for (number, certificate) in json::items(entry, field) {
                    let pointer = format!("/{index}/{list}/{at}/{field}/{number}");
                    let in_use = (!is_set_aside(file)).then_some(true).or(Some(false));
                    all.push(certificate_of(path, pointer, &place, number, certificate, in_use));
                }
            }
        }
    }
    Ok(all)
}

/// A certificate as the collector describes it, at a place of the bundle.
pub fn certificate_of(
    path: &Arc<str>,
    pointer: String,
    file: &str,
    index: usize,
    json: &Json,
    in_use: Option<bool>,
) -> Certificate {
    let time = |name: &str| json::text(json, name).and_then(|text| text.parse::<Timestamp>().ok());
    let names = ["dns_names", "ip_addresses"].into_iter().flat_map(|list| json::items(json, list));
    let field = |name: &str| json::text(json, name).unwrap_or_default().to_owned();
    let (not_before, not_after) = (field("not_before"), field("not_after"));
    let text = format!("{file}: {}, valid {not_before} to {not_after}", field("subject"));
    Certificate {
        file: file.to_owned(),
        index,
        subject: field("subject"),
        issuer: field("issuer"),
        validity: time("not_before").zip(time("not_after")),
        names: names.filter_map(|(_, name)| name.as_str()).map(str::to_owned).collect(),
        is_ca: json.get("is_ca").and_then(Json::as_bool).unwrap_or(false),
        in_use,
        citation: Citation::pointer(path, pointer, &text),
    }
}

/// Takes signers out of use that expired while another one of the same file or bundle is valid: trust is handed over by
/// listing both for a while.
pub fn set_aside_renewed(certificates: &mut [Certificate], collected: Timestamp) {
    let expired = |certificate: &Certificate| certificate.validity.is_some_and(|(_, to)| to <= collected);
    let valid: BTreeSet<String> = certificates
        .iter()
        .filter(|certificate| certificate.is_ca && certificate.validity.is_some() && !expired(certificate))
        .map(|certificate| certificate.file.clone())
        .collect();
    for certificate in certificates.iter_mut().filter(|certificate| certificate.is_ca) {
        if expired(certificate) && valid.contains(&certificate.file) {
            certificate.in_use = Some(false);
        }
    }
}

/// Where each `…-current.pem` leads: folder and name of the one that counts, by the link's folder and stem.
fn current_links(files: &[Json]) -> BTreeMap<String, String> {
    let link = |entry: &Json| {
        let stem = json::text(entry, "path")?.strip_suffix("-current.pem")?.to_owned();
        let target = json::text(entry, "link_target")?;
        Some((stem, target.rsplit('/').next().unwrap_or(target).to_owned()))
    };
    files.iter().filter_map(link).collect()
}

/// Whether a file is in use. A kubelet's dated certificate is where `-current.pem` leads to it. A name that says
/// "backup" is not. What lies in the kubeadm folders under its own name is. Of anything else it is unknown.
fn in_use(file: &str, link_target: Option<&str>, current: &BTreeMap<String, String>) -> Option<bool> {
    if is_set_aside(file) {
        return Some(false);
    }
    let (folder, name) = file.rsplit_once('/')?;
    if name.ends_with("-current.pem") {
        // A link is judged by itself or by its target, whichever the collector could read; both are the same one.
        return Some(true);
    }
    for kind in ["kubelet-client", "kubelet-server"] {
        if let Some(rest) = name.strip_prefix(kind)
            && rest.starts_with("-2")
        {
            return current.get(&format!("{folder}/{kind}")).map(|target| target == name);
        }
    }
    if name == "kubelet.crt" {
        // The self-signed serving certificate gives way to a signed one.
        return Some(!current.contains_key(&format!("{folder}/kubelet-server")));
    }
    let known = ["/etc/kubernetes/pki", "/var/lib/minikube/certs", "/var/lib/rancher", "/etc/kubernetes/certs"];
    (link_target.is_some() || known.iter().any(|root| folder.starts_with(root))).then_some(true)
}

/// Whether a path says that it was set aside.
fn is_set_aside(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    lower
        .split(['/', '.', '-', '_'])
        .any(|word| matches!(word, "bak" | "backup" | "backups" | "old" | "orig" | "save" | "expired"))
        || lower.ends_with('~')
}

impl Certificate {
    /// The name that tells it apart on its node.
    pub fn name(&self) -> String {
        if self.index == 0 { self.file.clone() } else { format!("{}[{}]", self.file, self.index) }
    }

    /// The fact, as expressions see it, at the time of collection.
    pub fn value(&self, node: Option<&str>, collected: Timestamp) -> Value {
        let days = self.validity.map(|(_, not_after)| days_between(collected, not_after));
        Record::cited(self.citation.clone())
            .with("node", opt(node))
            .with("file", self.file.as_str())
            .with("subject", self.subject.as_str())
            .with("issuer", self.issuer.as_str())
            .with("not_before", opt(self.validity.map(|(from, _)| from.to_string())))
            .with("not_after", opt(self.validity.map(|(_, to)| to.to_string())))
            .with("expired", opt(self.validity.map(|(_, to)| to <= collected)))
            .with("not_yet_valid", opt(self.validity.map(|(from, _)| from > collected)))
            .with("days_left", opt(days))
            .with("days_in_all", opt(self.validity.map(|(from, to)| days_between(from, to))))
            .with("names", Value::from_iter(self.names.iter().map(String::as_str)))
            .with("is_ca", self.is_ca)
            .with("in_use", opt(self.in_use))
            .into_value()
    }
}

/// Whole days from one moment to the other, towards zero; negative where the other is earlier.
fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()) / 86_400
}

/// The fields of a certificate.
pub static CERTIFICATE: RecordShape = RecordShape {
    name: "certificate",
    doc: "A certificate on a node: names and dates, never keys.",
    fields: &[
        Field { name: "node", shape: Shape::Scalar, doc: "The node it lies on; undefined for the cluster's." },
        Field {
            name: "file",
            shape: Shape::Scalar,
            doc: "Its file; within a kubeconfig the user or cluster behind a #.",
        },
        Field { name: "subject", shape: Shape::Scalar, doc: "The subject's name." },
        Field { name: "issuer", shape: Shape::Scalar, doc: "The issuer's name." },
        Field { name: "not_before", shape: Shape::Scalar, doc: "The first moment at which it is valid (RFC 3339)." },
        Field { name: "not_after", shape: Shape::Scalar, doc: "The last moment at which it is valid (RFC 3339)." },
        Field { name: "expired", shape: Shape::Scalar, doc: "Whether it had expired when the bundle was collected." },
        Field { name: "not_yet_valid", shape: Shape::Scalar, doc: "Whether it was not valid yet at that time." },
        Field { name: "days_left", shape: Shape::Scalar, doc: "Whole days from then to its end; negative after it." },
        Field { name: "days_in_all", shape: Shape::Scalar, doc: "Whole days from its beginning to its end." },
        Field { name: "names", shape: Shape::List(&Shape::Scalar), doc: "DNS names and addresses that it is for." },
        Field { name: "is_ca", shape: Shape::Scalar, doc: "Whether it signs others." },
        Field {
            name: "in_use",
            shape: Shape::Scalar,
            doc: "Whether somebody uses it; false for the kubelet's rotated ones and for backups; undefined where unknown.",
        },
    ],
};

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;

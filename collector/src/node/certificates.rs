//! Certificates are read here and stay here: names, dates and hashes leave, key material never does.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde::Serialize;

use super::item::Document;
use super::root::Refusal;
use super::{Context, json};
use crate::certificate::{Description, describe_pem};

/// A bundle of certificate authorities has about 150; what is longer than this is no certificate file.
const FILE_AT_MOST: u64 = 2_000_000;
/// Files looked at in all.
const FILES_AT_MOST: usize = 300;
/// Certificates told of one file.
const CERTIFICATES_AT_MOST: usize = 300;
/// Where the certificates of a node's components lie: kubeadm, AKS, the kubelet, k3s and RKE2, etcd, Calico, CNI.
const FOLDERS: [&str; 10] = [
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/etcd",
    "/etc/kubernetes/certs",
    "/etc/kubernetes/ssl",
    "/var/lib/kubelet/pki",
    "/var/lib/kubernetes",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/k3s/server/tls",
    "/var/lib/rancher/rke2/server/tls",
    "/etc/etcd/pki",
];

/// A file with certificates in it.
#[derive(Debug, Serialize)]
struct CertificateFile {
    path: String,
    link_target: Option<String>,
    certificates: Vec<Description>,
    /// Whether the file holds a private key too; the key itself is not looked at.
    private_key: bool,
    error: Option<String>,
}

/// kubelet/certificates.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let mut files = Vec::new();
    let mut refused: Option<ItemEnd> = None;
    for folder in FOLDERS {
        match root.names(folder) {
            Ok(names) => {
                let named = names.into_iter().filter(|name| name.ends_with(".crt") || name.ends_with(".pem"));
                files.extend(named.map(|name| read(context, format!("{folder}/{name}"))));
            }
            Err(refusal) => {
                let end = refusal.end();
                if end.status != ItemStatus::Absent {
                    refused = Some(end);
                }
            }
        }
    }
    files.truncate(FILES_AT_MOST);
    match (files.is_empty(), refused) {
        (true, Some(end)) => Err(end),
        (true, None) => Err(ItemEnd::because(ItemStatus::Absent, "none of the usual folders holds a certificate")),
        (false, Some(end)) => Ok(json(&files, end.reason)),
        (false, None) => Ok(json(&files, None)),
    }
}

fn read(context: &Context<'_>, path: String) -> CertificateFile {
    let link_target = std::fs::read_link(context.host.root.at(&path)).ok();
    let link_target = link_target.map(|target| target.to_string_lossy().into_owned());
    let mut file = CertificateFile { path, link_target, certificates: Vec::new(), private_key: false, error: None };
    match context.host.root.read(&file.path, FILE_AT_MOST) {
        Ok(text) => {
            file.private_key = text.contains("PRIVATE KEY-----");
            match from_pem(text.as_bytes()) {
                Ok(certificates) => file.certificates = certificates,
                Err(error) => file.error = Some(error),
            }
        }
        Err(Refusal::System { source, .. }) => file.error = Some(source.to_string()),
        Err(refusal) => file.error = Some(refusal.to_string()),
    }
    file
}

/// The certificates of a PEM text; every other block is passed over.
pub fn from_pem(text: &[u8]) -> Result<Vec<Description>, String> {
    let mut certificates = describe_pem(text).map_err(|error| error.to_string())?;
    certificates.truncate(CERTIFICATES_AT_MOST);
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PEM: &str = include_str!("testdata/kubelet-client.pem");

    #[test]
    fn names_dates_and_hash_leave_and_the_key_does_not() {
        assert!(PEM.contains("PRIVATE KEY"), "the test's file holds a key, as kubelet-client-current.pem does");
        let certificates = from_pem(PEM.as_bytes()).unwrap();
        let [certificate] = certificates.as_slice() else { panic!("one certificate was expected") };
        assert!(certificate.subject.contains("system:node:n1"), "{}", certificate.subject);
        assert_eq!(certificate.dns_names, ["n1"]);
        assert_eq!(certificate.ip_addresses, ["10.0.0.5"]);
        assert!(certificate.not_after > certificate.not_before);
        let told = serde_json::to_string(&certificates).unwrap();
        let key = PEM.split("PRIVATE KEY-----").nth(1).unwrap().lines().nth(1).unwrap();
        assert!(!told.contains(key));
    }

    #[test]
    fn what_is_no_certificate_is_an_error_and_no_panic() {
        assert!(from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
        assert!(from_pem(b"nothing of the kind").is_err());
    }
}

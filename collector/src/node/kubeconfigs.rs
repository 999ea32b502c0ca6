//! Of a kubeconfig only the server, the kind of credentials and the dates of certificates leave.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::certificates;
use super::gather::find;
use super::item::Document;
use super::{Context, json};
use crate::certificate::Description;

/// Where kubeconfigs of components lie.
const PATTERNS: [&str; 8] = [
    "/etc/kubernetes/*.conf",
    "/etc/kubernetes/*.kubeconfig",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/kubelet/bootstrap-kubeconfig",
    "/var/lib/kube-proxy/kubeconfig*",
    "/etc/cni/net.d/*kubeconfig*",
    "/etc/cni/net.d/multus.d/*kubeconfig*",
    "/var/lib/rancher/k3s/agent/*.kubeconfig",
];
/// A kubeconfig is small; what is longer is none.
const FILE_AT_MOST: u64 = 1_000_000;

/// The fields of a kubeconfig that are looked at
/// (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<ByteString>,
    insecure_skip_tls_verify: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: User,
}

/// Only that there is a token is looked at, never the token.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<ByteString>,
    token: Option<serde::de::IgnoredAny>,
    #[serde(rename = "tokenFile")]
    token_file: Option<serde::de::IgnoredAny>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
    username: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Serialize)]
struct Told {
    path: String,
    link_target: Option<String>,
    clusters: Vec<Value>,
    users: Vec<Value>,
    error: Option<String>,
}

/// kubelet/kubeconfigs.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let found = find(context, &PATTERNS);
    let files: Vec<Told> = found.paths.into_iter().take(50).map(|path| read(context, path)).collect();
    match (files.is_empty(), found.refused.into_iter().next()) {
        (true, Some((_, end))) => Err(end),
        (true, None) => Err(ItemEnd::because(ItemStatus::Absent, "there is no kubeconfig in the usual places")),
        (false, refused) => Ok(json(&files, refused.and_then(|(_, end)| end.reason))),
    }
}

fn read(context: &Context<'_>, path: String) -> Told {
    let link_target = std::fs::read_link(context.host.root.at(&path)).ok();
    let link_target = link_target.map(|target| target.to_string_lossy().into_owned());
    let mut told = Told { path, link_target, clusters: Vec::new(), users: Vec::new(), error: None };
    let text = match context.host.root.read(&told.path, FILE_AT_MOST) {
        Ok(text) => text,
        Err(refusal) => {
            told.error = Some(refusal.to_string());
            return told;
        }
    };
    match serde_saphyr::from_str::<Kubeconfig>(&text) {
        Ok(kubeconfig) => {
            let from_file = |path: &Option<String>| path.as_deref().map(|path| certificates_at(context, path));
            told.clusters = kubeconfig.clusters.iter().map(|cluster| tell_cluster(cluster, &from_file)).collect();
            told.users = kubeconfig.users.iter().map(|user| tell_user(user, &from_file)).collect();
        }
        // The parser's message may quote the text around the error, which may be a token.
        Err(_) => told.error = Some("it is not the YAML of a kubeconfig".to_owned()),
    }
    told
}

type FromFile<'a> = dyn Fn(&Option<String>) -> Option<Result<Vec<Description>, String>> + 'a;

fn tell_cluster(named: &NamedCluster, from_file: &FromFile<'_>) -> Value {
    let ca = of(named.cluster.certificate_authority_data.as_ref(), from_file(&named.cluster.certificate_authority));
    serde_json::json!({
        "name": named.name,
        "server": named.cluster.server.as_deref().map(super::secrets::mask_text),
        "insecure_skip_tls_verify": named.cluster.insecure_skip_tls_verify,
        "ca_file": named.cluster.certificate_authority,
        "ca": ca.as_ref().ok(),
        "error": ca.as_ref().err(),
    })
}

fn tell_user(named: &NamedUser, from_file: &FromFile<'_>) -> Value {
    let user = &named.user;
    let kind = match user {
        _ if user.client_certificate.is_some() || user.client_certificate_data.is_some() => "certificate",
        _ if user.token.is_some() => "token",
        _ if user.token_file.is_some() => "token-file",
        _ if user.exec.is_some() => "exec",
        _ if user.auth_provider.is_some() => "auth-provider",
        _ if user.username.is_some() => "basic",
        _ => "none",
    };
    let certificates = of(user.client_certificate_data.as_ref(), from_file(&user.client_certificate));
    serde_json::json!({
        "name": named.name,
        "kind": kind,
        "certificate_file": user.client_certificate,
        "certificates": certificates.as_ref().ok(),
        "error": certificates.as_ref().err(),
    })
}

/// Certificates that are written in the file, else those it points at.
fn of(data: Option<&ByteString>, file: Option<Result<Vec<Description>, String>>) -> Result<Vec<Description>, String> {
    match (data, file) {
        (Some(data), _) => certificates::from_pem(&data.0),
        (None, Some(file)) => file,
        (None, None) => Ok(Vec::new()),
    }
}

fn certificates_at(context: &Context<'_>, path: &str) -> Result<Vec<Description>, String> {
    let text = context.host.root.read(path, FILE_AT_MOST).map_err(|refusal| refusal.to_string())?;
    certificates::from_pem(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_is_known_to_be_there_and_not_read() {
        let text = "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://10.0.0.1:6443\n\
                    users:\n- name: u\n  user:\n    token: very-secret\n";
        let kubeconfig: Kubeconfig = serde_saphyr::from_str(text).unwrap();
        let none: &FromFile<'_> = &|_| None;
        let cluster = tell_cluster(&kubeconfig.clusters[0], none);
        let user = tell_user(&kubeconfig.users[0], none);
        assert_eq!(cluster["server"], "https://10.0.0.1:6443");
        assert_eq!(user["kind"], "token");
        assert!(!format!("{cluster}{user}{kubeconfig:?}").contains("very-secret"));
    }
}

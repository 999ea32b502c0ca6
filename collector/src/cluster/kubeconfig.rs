//! The kubeconfig: which one is used, and what it says of the cluster that is asked.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{Cluster, Context, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::credentials;
use super::proxy::{self, Environment};

/// The kubeconfig that was named or found; none where the pod's service account is to be used.
pub fn find(named: Option<&Path>) -> anyhow::Result<Option<Kubeconfig>> {
    if let Some(path) = named {
        let read = Kubeconfig::read_from(path);
        let unreadable = |error| {
            let (path, reason) = (path.display(), credentials::of_kubeconfig(&error));
            anyhow::anyhow!("{path} cannot be used: {reason}; name a readable kubeconfig with --kubeconfig")
        };
        return Ok(Some(read.map_err(unreadable)?));
    }
    match by_default() {
        Ok(config) => Ok(Some(config)),
        Err(_) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => Ok(None),
        Err(error) => Err(anyhow::anyhow!(
            "no cluster to ask: {}; name a kubeconfig with --kubeconfig, or read this host alone with `dossier-collect node`",
            credentials::of_kubeconfig(&error)
        )),
    }
}

/// The kubeconfig of kubectl's own rules. Without `HOME`, which no pod need have, there is no home to look into: asking the
/// C library for it would load modules of the system.
fn by_default() -> Result<Kubeconfig, KubeconfigError> {
    match ["KUBECONFIG", "HOME"].iter().any(|name| std::env::var_os(name).is_some()) {
        true => Kubeconfig::read(),
        false => Err(KubeconfigError::FindPath),
    }
}

/// The context of this name, else the current one.
fn context<'a>(config: &'a Kubeconfig, name: Option<&str>) -> Option<&'a Context> {
    let name = name.or(config.current_context.as_deref())?;
    config.contexts.iter().find(|named| named.name == name)?.context.as_ref()
}

/// The name of the cluster in the context of this name, else in the current one.
pub fn cluster_name(config: &Kubeconfig, chosen: Option<&str>) -> Option<String> {
    context(config, chosen).map(|context| context.cluster.clone())
}

/// The configuration of a client in the context of this name, else in the current one, and the name of its cluster.
pub fn client_config(kubeconfig: &Kubeconfig, chosen: Option<&str>) -> anyhow::Result<(kube::Config, String)> {
    let context = context(kubeconfig, chosen).with_context(|| no_context(kubeconfig, chosen))?;
    let name = context.cluster.clone();
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == name).and_then(|named| named.cluster.as_ref());
    let cluster = cluster.with_context(|| format!("the kubeconfig has no cluster {name}, which its context names"))?;
    let mut config = of_cluster(cluster, &Environment::of_process())?;
    if let Some(namespace) = &context.namespace {
        config.default_namespace.clone_from(namespace);
    }
    // Like kubectl: whoever is missing from the kubeconfig is nobody.
    let user = kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
    config.auth_info = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    if let Some(plugin) = config.auth_info.exec.as_mut().filter(|plugin| plugin.provide_cluster_info) {
        let told = cluster.try_into();
        plugin.cluster = Some(told.map_err(|error| anyhow::anyhow!(credentials::of_kubeconfig(&error)))?);
    }
    Ok((config, name))
}

/// The configuration of a client that nobody is known to. kube would make the same of it but for the proxy.
pub fn of_cluster(cluster: &Cluster, environment: &Environment) -> anyhow::Result<kube::Config> {
    let server = cluster.server.as_deref().filter(|server| !server.is_empty());
    let server = server.context("the kubeconfig's cluster has no server; see `kubectl config view`")?;
    let server: Uri = server.parse().context("the kubeconfig's server is no URL; see `kubectl config view`")?;
    let proxy = proxy::before(&server, cluster.proxy_url.as_deref(), environment)?;
    let mut config = kube::Config::new(server);
    config.proxy_url = proxy;
    config.root_cert = authority(cluster).context("the kubeconfig's certificate authority cannot be used")?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    Ok(config)
}

/// The certificates that the server's own must descend from; none where the system's do.
fn authority(cluster: &Cluster) -> anyhow::Result<Option<Vec<Vec<u8>>>> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let pem = match (given(&cluster.certificate_authority_data), given(&cluster.certificate_authority)) {
        (Some(data), _) => {
            let data: String = data.split_whitespace().collect();
            STANDARD.decode(data).context("certificate-authority-data is no base64")?
        }
        (None, Some(file)) => std::fs::read(&file).with_context(|| file.clone())?,
        (None, None) => return Ok(None),
    };
    let certificates: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| anyhow::anyhow!("it is no PEM"))?;
    Ok(Some(certificates.iter().map(|certificate| certificate.to_vec()).collect()))
}

fn no_context(config: &Kubeconfig, chosen: Option<&str>) -> String {
    let names: Vec<&str> = config.contexts.iter().map(|named| named.name.as_str()).collect();
    let known = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    match chosen.or(config.current_context.as_deref()) {
        Some(context) => format!("the kubeconfig has no context {context} ({known}); choose one with --context"),
        None => format!("the kubeconfig has no current context ({known}); choose one with --context"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TWO: &str = r"{apiVersion: v1, kind: Config, current-context: b,
        clusters: [{name: east, cluster: {server: 'https://127.0.0.1:1'}}, {name: west, cluster: {server: 'https://[::1]:1'}}],
        contexts: [{name: a, context: {cluster: east}}, {name: b, context: {cluster: west}}]}";

    #[test]
    fn the_name_is_that_of_the_contexts_cluster() {
        let config = Kubeconfig::from_yaml(TWO).unwrap();
        assert_eq!(cluster_name(&config, None).as_deref(), Some("west"));
        assert_eq!(cluster_name(&config, Some("a")).as_deref(), Some("east"));
        assert_eq!(cluster_name(&config, Some("c")), None);
        assert_eq!(
            no_context(&config, Some("c")),
            "the kubeconfig has no context c (it has a, b); choose one with --context"
        );
    }
}

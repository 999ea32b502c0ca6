//! Where an API server may answer to a node, for the collector that runs there.

use super::api::Api;

/// Addresses that are tried.
const AT_MOST: usize = 5;

/// The server's own addresses first, for they need neither DNS nor kube-proxy; then what the kubeconfig names, then the
/// Service.
pub async fn find(api: &Api, of_kubeconfig: &str) -> Vec<String> {
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
    let slices = api.get(slices).await.unwrap_or_default();
    let mut servers = Vec::new();
    for slice in slices["items"].as_array().into_iter().flatten() {
        let Some(port) = slice["ports"][0]["port"].as_u64() else { continue };
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        for address in endpoints.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten()) {
            let address = address.as_str().unwrap_or_default();
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            servers.push(format!("https://{host}:{port}"));
        }
    }
    servers.push(of_kubeconfig.trim_end_matches('/').to_owned());
    // Listed, as everything is that the minimum role reads.
    let service = "/api/v1/namespaces/default/services?fieldSelector=metadata.name%3Dkubernetes";
    let service = api.get(service).await.unwrap_or_default();
    servers.extend(service["items"][0]["spec"]["clusterIP"].as_str().map(|address| format!("https://{address}")));
    servers.truncate(AT_MOST);
    servers
}

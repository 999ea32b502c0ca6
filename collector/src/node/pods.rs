//! What may leave of pods as a node knows them: static pod manifests and what the container runtime lists.

use serde_json::{Map, Value};

use super::secrets;

/// A static pod's manifest as JSON: without annotations, values of environment variables and headers of probes, and
/// with secret-looking arguments masked.
pub fn static_pod(text: &str) -> Result<String, String> {
    // The parser's message may quote what is around the error, so it stays here.
    let mut pod: Value = serde_saphyr::from_str(text).map_err(|_| "it is not the YAML of one pod".to_owned())?;
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("annotations");
        metadata.remove("managedFields");
    }
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
    for (_, containers) in spec.into_iter().flatten().filter(|(name, _)| name.to_lowercase().ends_with("containers")) {
        containers.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut).for_each(strip_container);
    }
    secrets::mask_json(&mut pod);
    print(&pod)
}

fn strip_container(container: &mut Map<String, Value>) {
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(variable) = variable.as_object_mut() {
            variable.remove("value");
        }
    }
    for field in ["command", "args"] {
        if let Some(Value::Array(arguments)) = container.get_mut(field) {
            let texts: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
            let masked = secrets::mask_arguments(texts.into_iter());
            *arguments = masked.into_iter().map(Value::String).collect();
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
        if let Some(probe) = container.get_mut(field) {
            drop_headers(probe);
        }
    }
}

fn drop_headers(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("httpHeaders");
        fields.values_mut().for_each(drop_headers);
    }
}

/// What crictl lists, without annotations, which are the users' and may hold anything.
pub fn without_annotations(text: &str) -> Result<String, String> {
    let mut list: Value = serde_json::from_str(text).map_err(|_| "crictl did not print JSON".to_owned())?;
    for items in ["items", "containers"] {
        for item in list.get_mut(items).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(item) = item.as_object_mut() {
                item.remove("annotations");
            }
        }
    }
    secrets::mask_json(&mut list);
    print(&list)
}

/// Of `crictl info` the conditions and the container network's state; its configuration holds registry credentials.
pub fn runtime_status(text: &str) -> Result<String, String> {
    let info: Value = serde_json::from_str(text).map_err(|_| "crictl did not print JSON".to_owned())?;
    let fields = info.as_object().ok_or("crictl did not print a JSON object")?;
    let kept = fields.iter().filter(|(name, _)| {
        ["status", "cniconfig", "runtimeHandlers"].contains(&name.as_str()) || name.starts_with("lastCNILoadStatus")
    });
    let mut kept = Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect());
    // Each network's `Source` is its configuration as a text, where masking by field names does not reach.
    for network in kept["cniconfig"]["Networks"].as_array_mut().into_iter().flatten() {
        if let Some(config) = network.get_mut("Config").and_then(Value::as_object_mut) {
            config.remove("Source");
        }
    }
    secrets::mask_json(&mut kept);
    print(&kept)
}

fn print(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_static_pod_loses_what_may_be_secret() {
        let manifest = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-apiserver\n  annotations: {a: hush1}\nspec:\n  \
            hostNetwork: true\n  containers:\n  - name: c\n    command: [kube-apiserver, --etcd-password=hush2, --v=2]\n    \
            env:\n    - {name: HTTP_PROXY, value: \"http://hush3\"}\n    livenessProbe:\n      httpGet:\n        path: /livez\n        \
            httpHeaders: [{name: Authorization, value: hush4}]\n";
        let stripped = static_pod(manifest).unwrap();
        assert!(!stripped.contains("hush"), "{stripped}");
        for kept in ["HTTP_PROXY", "/livez", "--v=2", "--etcd-password=[masked]", "hostNetwork"] {
            assert!(stripped.contains(kept), "{kept} is gone: {stripped}");
        }
        assert!(static_pod("a: [hush").is_err_and(|why| !why.contains("hush")));
    }

    #[test]
    fn the_runtime_tells_its_status_alone() {
        let info = r#"{"status": {"conditions": []}, "config": {"registry": {"auths": {"r": {"auth": "hush"}}}},
            "lastCNILoadStatus": "OK", "cniconfig": {"Networks": [{"Config": {"Name": "cbr0", "Source": "hush"}}]}}"#;
        let told = runtime_status(info).unwrap();
        assert!(!told.contains("hush") && told.contains("lastCNILoadStatus") && told.contains("cbr0"), "{told}");
    }

    #[test]
    fn annotations_of_listed_pods_stay() {
        let told =
            without_annotations(r#"{"items": [{"id": "a", "annotations": {"x": "hush"}, "labels": {"b": "c"}}]}"#);
        assert!(told.is_ok_and(|told| !told.contains("hush") && told.contains("labels")));
    }
}

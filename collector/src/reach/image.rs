//! Which images a node's pod may be made of: those that certainly lie on it.

use serde_json::Value;

use super::api::Api;
use super::node::{Node, escaped};

/// How many images are tried on a node.
pub const TRIED: usize = 3;

/// Images to try, the surest first: those of running pods of the system, then what the node's object names, pause
/// before others and the small before the large.
///
/// The node's object names fifty images at most, the largest, so that what runs is asked for first. Pods that may not
/// be listed are no failure.
pub async fn candidates(api: &Api, node: &Node) -> Vec<String> {
    let on_node = escaped(&format!("spec.nodeName={}", node.name));
    let pods = api.get(&format!("/api/v1/namespaces/kube-system/pods?fieldSelector={on_node}&limit=50")).await;
    let mut running = pods.map(|list| running_images(&list)).unwrap_or_default();
    if running.is_empty() {
        let pods = api.get(&format!("/api/v1/pods?fieldSelector={on_node}&limit=50")).await;
        running = pods.map(|list| running_images(&list)).unwrap_or_default();
    }
    choose(running, &node.images)
}

fn choose(running: Vec<String>, of_node: &[String]) -> Vec<String> {
    let pause = of_node.iter().filter(|image| image.contains("pause"));
    let others = of_node.iter().filter(|image| !image.contains("pause"));
    // One that runs is as good as certain; a second is not better than what the node says of itself.
    let mut candidates: Vec<String> =
        running.iter().take(1).chain(pause).chain(running.iter().skip(1)).chain(others).cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|image| seen.insert(image.clone()));
    candidates.truncate(TRIED);
    candidates
}

/// The images of containers that run at this moment, as their pods name them.
fn running_images(list: &Value) -> Vec<String> {
    let pods = list["items"].as_array().into_iter().flatten();
    let mut images: Vec<String> = pods
        .flat_map(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array();
            let runs = move |name: &Value| {
                statuses.is_some_and(|all| {
                    all.iter().any(|one| one["name"] == *name && one["state"]["running"].is_object())
                })
            };
            let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
            containers
                .filter(move |container| runs(&container["name"]))
                .filter_map(|container| container["image"].as_str())
        })
        .map(str::to_owned)
        .collect();
    images.dedup();
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_runs_comes_first_and_no_image_twice() {
        let list = json!({"items": [
            {"spec": {"containers": [{"name": "a", "image": "proxy:1"}, {"name": "b", "image": "down:1"}]},
             "status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}, {"name": "b", "state": {"waiting": {}}}]}},
            {"spec": {"containers": [{"name": "a", "image": "dns:1"}]}, "status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}},
            {"metadata": {}},
        ]});
        let running = running_images(&list);
        assert_eq!(running, ["proxy:1", "dns:1"]);
        let of_node = ["tiny:1", "proxy:1", "k8s/pause:3.9"].map(str::to_owned);
        assert_eq!(choose(running, &of_node), ["proxy:1", "k8s/pause:3.9", "dns:1"]);
        assert_eq!(choose(Vec::new(), &of_node), ["k8s/pause:3.9", "tiny:1", "proxy:1"]);
    }
}

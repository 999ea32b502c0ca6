//! The objects that are made for a node: a pod, the ConfigMap that stage0 comes from, and what the way without exec needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::program::Programs;

/// The label that all objects have, by which `dossier-collect cleanup` finds them.
pub const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "dossier-collect");
/// The label with the run that made an object.
const RUN: &str = "dossier/run";
/// The only container.
pub const CONTAINER: &str = "collect";
/// Where the host's root lies in the pod.
pub const HOST: &str = "/host";
/// Where the ConfigMaps lie in the pod.
const STAGE: &str = "/dossier";
/// Where the collector is put in the pod: memory, so that nothing is written to the node's disk.
const TARGET: &str = "/dossier-run/dossier-collect";

/// What all objects of a run have in common.
#[derive(Debug, Clone)]
pub struct Run {
    /// Names the run.
    pub id: String,
    /// The namespace that all of them are in.
    pub namespace: String,
    /// Seconds after which a pod ends by itself, and the kubelet ends it if it does not.
    pub pod_seconds: u64,
}

impl Run {
    /// The collection that objects of a core resource are created in.
    pub fn collection(&self, resource: &str) -> String {
        format!("/api/v1/namespaces/{}/{resource}", self.namespace)
    }

    /// The ConfigMap that holds stage0.
    pub fn stage0_name(&self) -> String {
        format!("dossier-{}", self.id)
    }

    /// The name of the pod for a node: readable, and its own also where two names begin alike.
    pub fn pod_name(&self, node: &str, attempt: usize) -> String {
        let readable: String = node.chars().take(40).collect();
        let readable = readable.trim_end_matches(['.', '-']);
        let hash = bundle::sha256(node.as_bytes());
        format!("dossier-{}-{readable}-{}{attempt}", self.id, hash.get(..4).unwrap_or_default())
    }

    /// An object's metadata.
    pub fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace,
            "labels": { OWNER.0: OWNER.1, RUN: self.id },
            "annotations": { "dossier/purpose": "Made by `dossier-collect --nodes`, which removes it; `dossier-collect cleanup` removes what a killed run left" },
        })
    }

    /// The ConfigMap with stage0, for every architecture there is a collector for.
    pub fn stage0(&self, programs: &Programs) -> Value {
        let files: serde_json::Map<String, Value> = programs
            .all()
            .map(|(architecture, program)| (stage0_file(architecture), json!(STANDARD.encode(&program.stage0))))
            .collect();
        let metadata = self.metadata(&self.stage0_name());
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": files })
    }

    /// The pod that waits for an exec.
    pub fn waiting(&self, name: &str, node: &str, image: &str, architecture: &str) -> Value {
        let command = [stage0_path(architecture), "wait".to_owned(), self.pod_seconds.to_string()];
        self.pod(name, node, image, &command, &[json!({ "configMap": { "name": self.stage0_name() } })])
    }

    /// A pod whose image is of no matter: it starts what `sources` mount at [`STAGE`].
    pub fn pod(&self, name: &str, node: &str, image: &str, command: &[String], sources: &[Value]) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self.metadata(name),
            "spec": {
                "nodeName": node,
                "hostNetwork": true,
                "hostPID": true,
                "restartPolicy": "Never",
                "activeDeadlineSeconds": self.pod_seconds,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{
                    "name": CONTAINER,
                    "image": image,
                    "imagePullPolicy": "Never",
                    "command": command,
                    // The user of many images, pause among them, is not root, and then nothing of the host can be read.
                    "securityContext": { "privileged": true, "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false },
                    "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "512Mi" } },
                    "volumeMounts": [
                        { "name": "host", "mountPath": HOST, "readOnly": true, "recursiveReadOnly": "IfPossible" },
                        { "name": "stage", "mountPath": STAGE, "readOnly": true },
                        { "name": "run", "mountPath": "/dossier-run" },
                    ],
                }],
                "volumes": [
                    // Without a type, a path that is missing would be made on the host.
                    { "name": "host", "hostPath": { "path": "/", "type": "Directory" } },
                    { "name": "stage", "projected": { "sources": sources, "defaultMode": 0o555 } },
                    { "name": "run", "emptyDir": { "medium": "Memory", "sizeLimit": "128Mi" } },
                ],
            },
        })
    }
}

fn stage0_file(architecture: &str) -> String {
    format!("stage0-{architecture}")
}

/// Where stage0 lies in the pod.
pub fn stage0_path(architecture: &str) -> String {
    format!("{STAGE}/{}", stage0_file(architecture))
}

/// The command that takes the collector from `source` and runs it on the node.
pub fn collect_command(architecture: &str, source: &str, node: &str, seconds: u64) -> Vec<String> {
    let mut command = vec![stage0_path(architecture), "run".to_owned(), source.to_owned(), TARGET.to_owned()];
    command.extend(["node", "--framed", "--root", HOST, "--node-name", node, "--deadline"].map(str::to_owned));
    command.push(seconds.to_string());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run { id: "0a1b2c3d".to_owned(), namespace: "support".to_owned(), pod_seconds: 300 }
    }

    #[test]
    fn names_are_valid_and_differ() {
        let long = format!("{}.example.com", "node-".repeat(12));
        let (one, two) = (run().pod_name(&long, 0), run().pod_name(&format!("{long}.other"), 0));
        assert_ne!(one, two);
        for name in [one, two, run().pod_name("n1", 2)] {
            assert!(name.len() < 64 && !name.contains(".-") && !name.contains("--"), "{name}");
        }
    }

    #[test]
    fn a_pod_changes_nothing_and_pulls_nothing() {
        let pod = run().waiting("p", "n1", "pause:3", "amd64");
        let spec = &pod["spec"];
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["readOnly"], true);
        assert_eq!(spec["volumes"][0]["hostPath"]["type"], "Directory");
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["activeDeadlineSeconds"], 300);
        assert_eq!(pod["metadata"]["labels"][OWNER.0], OWNER.1);
    }
}

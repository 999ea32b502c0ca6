//! What the kubelets of a sample's cluster do, as far as it can be seen from outside: pods become Running, with an address
//! from their node's range, and logs are served.
//!
//! On the host that is real every pod gets a network namespace through the real CNI plugins, so that its address, its
//! veth and its entry in the IPAM store are real.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fabric::{self, Fabric};
use super::{NODE, dated};
use crate::api_server::{ApiServer, User};
use crate::host::Host;
use crate::programs;

/// How long controllers may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The kubelets of the nodes whose hosts are not real.
#[derive(Debug)]
pub struct Others {
    serving: Vec<Child>,
    _logs: TempDir,
}

impl Others {
    /// Serves the logs at the addresses of those nodes.
    pub fn start(logs: &[(PathBuf, String)], _fabric: &Fabric) -> Result<Self> {
        let program = programs::kubelet_stand_in().map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let folder = TempDir::with_prefix("dossier-logs-")?;
        for (name, text) in logs {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a log lies in no folder")?)?;
            fs::write(path, text)?;
        }
        let serving = fabric::OTHERS.map(|node| {
            let mut kubelet = Command::new(&program);
            kubelet.arg("--address").arg(format!("{}:10250", fabric::address(node))).arg("--logs").arg(folder.path());
            kubelet
                .arg("--attached")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .context("cannot start a kubelet's stand-in")
        });
        let serving = serving.into_iter().collect::<Result<_>>()?;
        Ok(Others { serving, _logs: folder })
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.serving {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Answers for the kubelets until every workload has the pods it wants and all of them run.
pub fn bring_up_pods(server: &ApiServer, host: &Host) -> Result<()> {
    let mut given = BTreeMap::new();
    wait_until("all pods run", || {
        let pods = objects(server, &["pods", "-A"])?;
        let mut waiting = 0;
        for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Pending") {
            waiting += 1;
            if pod["spec"]["nodeName"].is_string() {
                run(pod, server, host, &mut given)?;
            }
        }
        Ok(waiting == 0 && !pods.is_empty() && workloads_are_whole(server)?)
    })
}

fn workloads_are_whole(server: &ApiServer) -> Result<bool> {
    let workloads = objects(server, &["deployments,daemonsets", "-A"])?;
    Ok(workloads.iter().all(|workload| {
        let status = &workload["status"];
        let (wanted, ready) = match workload["kind"] == "DaemonSet" {
            true => (status["desiredNumberScheduled"].as_u64(), status["numberReady"].as_u64()),
            false => (workload["spec"]["replicas"].as_u64(), status["readyReplicas"].as_u64()),
        };
        wanted.is_some_and(|wanted| wanted > 0) && wanted == ready
    }))
}

/// Sets the status of a pod that was bound to a node.
fn run(pod: &Value, server: &ApiServer, host: &Host, given: &mut BTreeMap<String, u32>) -> Result<()> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (node, namespace, name) = (text("/spec/nodeName"), text("/metadata/namespace"), text("/metadata/name"));
    let uid = text("/metadata/uid");
    let node_address = fabric::address(&node).to_string();
    let address = if pod["spec"]["hostNetwork"] == true {
        node_address.clone()
    } else if node == NODE {
        sandbox(host, &namespace, &name, &uid)?
    } else {
        let count = given.entry(node.clone()).or_insert(1);
        *count += 1;
        format!("10.244.{}.{count}", if node == "cp-1" { 0 } else { 2 })
    };
    let status = running(pod, &node_address, &address, &uid);
    let mut patch = server.kubectl(User::Admin);
    patch.args(["patch", "pod", &name, "-n", &namespace, "--subresource=status", "--type=strategic", "-p"]);
    programs::run(patch.arg(status.to_string()))
}

fn running(pod: &Value, node_address: &str, address: &str, uid: &str) -> Value {
    // Nine hours ago the cluster was whole: the pods look as if they had been there since.
    let since = dated("<9h ago>");
    let conditions: Vec<Value> =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
            .iter()
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": since}))
            .collect();
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let statuses: Vec<Value> = containers
        .iter()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": true, "started": true,
                "restartCount": 0, "containerID": format!("containerd://{}", container_id(uid, &container["name"])),
                "state": {"running": {"startedAt": since}},
            })
        })
        .collect();
    json!({"status": {
        "phase": "Running", "hostIP": node_address, "hostIPs": [{"ip": node_address}], "podIP": address,
        "podIPs": [{"ip": address}], "startTime": since, "conditions": conditions, "containerStatuses": statuses,
    }})
}

/// 64 hexadecimal digits, as containerd names its containers.
fn container_id(uid: &str, salt: &Value) -> String {
    let seed = format!("{uid} {salt}");
    (0..8).map(|part| crate::cache::digest(format!("{seed} {part}").as_bytes())).collect()
}

/// Gives a pod of the real host a network namespace through the CNI plugins, and returns its address.
///
/// The flannel plugin does nothing itself but to hand this configuration, made of its subnet file, to bridge.
fn sandbox(host: &Host, namespace: &str, pod: &str, uid: &str) -> Result<String> {
    let netns = format!("cni-{uid}");
    host.output(&["ip", "netns", "add", &netns])?;
    let configuration = json!({
        "cniVersion": "0.3.1", "name": "cbr0", "type": "bridge", "bridge": "cni0", "mtu": 1450, "isGateway": true,
        "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "10.244.0.0/16"}]},
    });
    let script = format!(
        "export CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin CNI_CONTAINERID={} CNI_NETNS=/run/netns/{netns}\n\
         export CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod}'\n\
         exec /opt/cni/bin/bridge <<'C'\n{configuration}\nC",
        container_id(uid, &Value::Null)
    );
    let result: Value = serde_json::from_slice(&host.output(&["sh", "-c", &script])?)?;
    host.output(&["sh", "-c", &pause(&netns, uid)])?;
    let address = result.pointer("/ips/0/address").and_then(Value::as_str).context("the plugin gave no address")?;
    Ok(address.split('/').next().unwrap_or_default().to_owned())
}

/// Shell that starts what holds a sandbox open: a process in its network namespace, in the cgroup that containerd and a
/// kubelet with the systemd driver give it.
pub fn pause(netns: &str, uid: &str) -> String {
    let slice = format!("kubepods-besteffort-pod{}.slice", uid.replace('-', "_"));
    let scope = format!("cri-containerd-{}.scope", container_id(uid, &Value::Null));
    format!(
        "[ -x /usr/local/bin/pause ] || cp /bin/sleep /usr/local/bin/pause\n\
         setsid systemd-run --quiet --scope --slice={slice} --unit={scope} \\\n\
         nsenter --net=/run/netns/{netns} /usr/local/bin/pause infinity </dev/null >/dev/null 2>&1 &"
    )
}

/// The objects that `kubectl get` gives for these arguments.
pub fn objects(server: &ApiServer, what: &[&str]) -> Result<Vec<Value>> {
    let output = server.kubectl(User::Admin).arg("get").args(what).args(["-o", "json"]).output()?;
    if !output.status.success() {
        bail!("kubectl get {}: {}", what.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut list: Value = serde_json::from_slice(&output.stdout)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Asks until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > deadline {
            bail!("after {} s it is not so that {what} ({})", PATIENCE.as_secs(), Timestamp::now());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

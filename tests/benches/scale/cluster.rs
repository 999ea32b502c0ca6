//! A big cluster, the same each time up to uids and times: objects go in through the API as their real writers send them,
//! so that defaults, managed fields and resource versions are the server's own.
//!
//! Sizes of objects follow a managed cluster: a pod of two containers with probes and environment is 10 kB of JSON, a node
//! with forty images 10 kB. One pod in fifty crashes again and again. All kubelets are one program on the loopback interface.

use std::net::TcpListener;
use std::ops::Range;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::Missing;
use tests::programs;

use super::curl::{Curl, Request};

/// Pods of an application, and so of its ReplicaSet and its Service.
const PODS_OF_APP: usize = 5;
/// Events for each pod.
const EVENTS_OF_POD: f64 = 0.5;
/// When everything happened that has a time.
const THEN: &str = "2026-01-05T10:00:00Z";

/// How big it is, beside the pods.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Nodes; every hundredth is NotReady.
    pub nodes: usize,
    /// Namespaces over which the pods are spread.
    pub namespaces: usize,
}

/// What answers for every kubelet, ended when dropped.
pub struct Kubelet {
    child: Child,
    port: u16,
    _logs: TempDir,
}

impl Kubelet {
    /// Starts it; every container has the same log, of so many lines.
    pub fn start(lines: usize) -> Result<Kubelet, Missing> {
        let program = programs::kubelet_stand_in()?;
        let logs = TempDir::with_prefix("dossier-logs-").expect("a folder for logs");
        for namespace in 0..1_000 {
            let folder = logs.path().join(namespace_name(namespace));
            std::fs::create_dir(&folder).unwrap();
            // A container that restarted has a log of its life before.
            for name in ["app.log", "app.previous.log", "proxy.log"] {
                let place = folder.join(name);
                let shared = logs.path().join("log");
                if !shared.exists() {
                    std::fs::write(&shared, log(lines)).unwrap();
                }
                std::os::unix::fs::symlink(&shared, place).unwrap();
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let mut kubelet = Command::new(program);
        kubelet.arg("--address").arg(format!("127.0.0.1:{port}")).arg("--logs").arg(logs.path()).arg("--attached");
        let child = kubelet.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the stand-in starts");
        Ok(Kubelet { child, port, _logs: logs })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(lines: usize) -> String {
    // Within the day that logs are asked for.
    let now = jiff::Timestamp::now();
    let line = |number: usize| {
        let stamp = now - jiff::SignedDuration::from_secs(i64::try_from(lines - number).unwrap_or(0));
        format!(
            "{stamp:.9} {{\"level\":\"info\",\"ts\":\"{stamp:.0}\",\"msg\":\"request done\",\"path\":\"/v1/orders/{}\",\"status\":200,\"ms\":{}}}\n",
            number * 7_919 % 10_007,
            number * 31 % 250
        )
    };
    (0..lines).map(line).collect()
}

/// Namespaces and nodes.
pub fn fill_base(curl: &Curl, sizes: &Sizes, kubelet_port: u16) {
    let namespaces = (0..sizes.namespaces).map(|number| {
        post(
            "/api/v1/namespaces",
            json!({"metadata": {"name": namespace_name(number), "labels": {"team": format!("t{}", number % 10)}}}),
            "kubectl",
        )
    });
    let nodes = (0..sizes.nodes).flat_map(|number| {
        let lease = json!({"metadata": {"name": node_name(number)}, "spec": {"holderIdentity": node_name(number), "leaseDurationSeconds": 40}});
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        [post("/api/v1/nodes", node(number, kubelet_port), "kubelet"), post(leases, lease, "kubelet")]
    });
    curl.send(&namespaces.collect::<Vec<_>>());
    curl.send(&nodes.collect::<Vec<_>>());
}

/// Applications with pods of these numbers, and all that belongs to them.
pub fn fill_pods(curl: &Curl, sizes: &Sizes, pods: Range<usize>) {
    let apps = pods.start / PODS_OF_APP..pods.end / PODS_OF_APP;
    let of_apps: Vec<Request> = apps.flat_map(|app| app_objects(sizes, app)).collect();
    curl.send(&of_apps);
    curl.send(&pods.clone().map(|pod| pod_request(sizes, pod)).collect::<Vec<_>>());
    curl.send(&pods.clone().map(|pod| status_request(sizes, pod)).collect::<Vec<_>>());
    let events = (pods.start as f64 * EVENTS_OF_POD) as usize..(pods.end as f64 * EVENTS_OF_POD) as usize;
    curl.send(&events.map(|event| event_request(sizes, event)).collect::<Vec<_>>());
}

/// Lets the viewers list pods and read their logs, and nothing else.
pub fn allow_logs(curl: &Curl) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]);
    let role = json!({"metadata": {"name": "logs"}, "rules": rules});
    let binding = json!({
        "metadata": {"name": "logs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "logs"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "support"}],
    });
    // Applied, so that the second time changes nothing.
    let apply = |path: String, mut body: Value, kind: &str| {
        body["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
        body["kind"] = kind.into();
        Request::apply(path, body)
    };
    curl.send(&[
        apply(format!("{rbac}/clusterroles/logs"), role, "ClusterRole"),
        apply(format!("{rbac}/clusterrolebindings/logs"), binding, "ClusterRoleBinding"),
    ]);
}

fn post(collection: &str, object: Value, writer: &str) -> Request {
    Request::write("POST", collection.to_owned(), object, writer)
}

fn namespace_name(number: usize) -> String {
    format!("team-{}-{number:03}", number % 10)
}

fn node_name(number: usize) -> String {
    format!("aks-pool{}-{:08}-vmss{number:06x}", number % 5, 10_000_000 + number)
}

/// 64 hexadecimal digits that compress as little as real ones.
fn digest(what: &str, number: usize) -> String {
    (0..8).map(|part| tests::cache::digest(format!("{what} {number} {part}").as_bytes())).collect()
}

fn node(number: usize, kubelet_port: u16) -> Value {
    let name = node_name(number);
    let ready = number % 100 != 99;
    let images: Vec<Value> = (0..40)
        .map(|image| {
            let name = format!("registry.example.com/team{}/app{}", image % 10, (number + image) % 10);
            json!({"names": [format!("{name}@sha256:{}", digest("image", image)), format!("{name}:v1.{image}")], "sizeBytes": 41_000_000 + image})
        })
        .collect();
    let condition = |kind: &str, sound: &str| {
        let status = match (ready, kind) {
            (false, _) => "Unknown",
            (true, "Ready") => "True",
            _ => "False",
        };
        json!({"type": kind, "status": status, "reason": sound, "message": sound, "lastHeartbeatTime": THEN, "lastTransitionTime": THEN})
    };
    json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "Standard_D8s_v5", "topology.kubernetes.io/zone": format!("westeurope-{}", number % 3 + 1)}},
        "spec": {"podCIDR": format!("10.{}.{}.0/24", 128 + number / 256, number % 256), "providerID": format!("azure:///vm/{number}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "capacity": {"cpu": "8", "memory": "32863000Ki", "pods": "110"}, "allocatable": {"cpu": "7820m", "memory": "28347928Ki", "pods": "110"},
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {"machineID": digest("machine", number), "systemUUID": digest("system", number), "bootID": digest("boot", number),
                "kernelVersion": "5.15.0-1073-azure", "osImage": "Ubuntu 22.04.5 LTS", "containerRuntimeVersion": "containerd://1.7.23-1",
                "kubeletVersion": "v1.34.4", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"},
            "images": images,
            "conditions": [condition("MemoryPressure", "KubeletHasSufficientMemory"), condition("DiskPressure", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "KubeletHasSufficientPID"), condition("Ready", "KubeletReady")]}})
}

fn template(sizes: &Sizes, app: usize) -> Value {
    let (namespace, name) = place(sizes, app);
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 8080}, "initialDelaySeconds": 10, "timeoutSeconds": 3, "periodSeconds": 10});
    let resources = json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}});
    json!({
        "metadata": {
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm", "tier": "backend"},
            "annotations": {"checksum/config": digest("config", app), "prometheus.io/scrape": "true", "prometheus.io/port": "9090"}},
        "spec": {
            "serviceAccountName": "default", "securityContext": {"runAsNonRoot": true, "runAsUser": 10_001},
            "containers": [
                {"name": "app", "image": format!("registry.example.com/{name}:v1.18.3"),
                 "args": ["--listen=:8080", format!("--service={name}"), "--config=/etc/app/config.yaml"],
                 "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
                 "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "DB_HOST", "value": format!("postgres.{namespace}.svc.cluster.local")},
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
                 "resources": resources, "livenessProbe": probe("/healthz"), "readinessProbe": probe("/ready"),
                 "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}]},
                {"name": "proxy", "image": "registry.example.com/mesh/proxyv2:1.22.1",
                 "args": ["proxy", "sidecar", "--domain", format!("{namespace}.svc.cluster.local"), "--proxyLogLevel=warning"],
                 "ports": [{"name": "envoy-prom", "containerPort": 15_090}], "resources": resources}],
            "volumes": [{"name": "config", "configMap": {"name": format!("{name}-config")}}]}})
}

/// The namespace and the name of an application.
fn place(sizes: &Sizes, app: usize) -> (String, String) {
    (namespace_name(app % sizes.namespaces), format!("app-{:03}", app / sizes.namespaces))
}

fn app_objects(sizes: &Sizes, app: usize) -> Vec<Request> {
    let (namespace, name) = place(sizes, app);
    let selector = json!({"app.kubernetes.io/name": name});
    let set = json!({"replicas": PODS_OF_APP, "selector": {"matchLabels": selector}, "template": template(sizes, app)});
    let settings: String =
        (0..40).map(|line| format!("option_{line}: {}\n", digest("option", app * 40 + line))).collect();
    let addresses: Vec<Value> = (0..PODS_OF_APP)
        .map(|pod| json!({"addresses": [format!("10.128.{}.{}", app % 256, pod + 2)], "conditions": {"ready": true}, "nodeName": node_name((app * PODS_OF_APP + pod) % sizes.nodes)}))
        .collect();
    let in_namespace = |group: &str, kind: &str| format!("{group}/namespaces/{namespace}/{kind}");
    let meta = |name: String| json!({"name": name, "labels": selector});
    vec![
        post(
            &in_namespace("/api/v1", "configmaps"),
            json!({"metadata": meta(format!("{name}-config")), "data": {"config.yaml": settings}}),
            "helm",
        ),
        post(
            &in_namespace("/apis/apps/v1", "deployments"),
            json!({"metadata": meta(name.clone()), "spec": set}),
            "helm",
        ),
        post(
            &in_namespace("/apis/apps/v1", "replicasets"),
            json!({"metadata": meta(format!("{name}-new")), "spec": set}),
            "kube-controller-manager",
        ),
        post(
            &in_namespace("/apis/apps/v1", "replicasets"),
            json!({"metadata": meta(format!("{name}-old")), "spec": set}),
            "kube-controller-manager",
        ),
        post(
            &in_namespace("/api/v1", "services"),
            json!({"metadata": meta(name.clone()), "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
            "helm",
        ),
        post(
            &in_namespace("/apis/discovery.k8s.io/v1", "endpointslices"),
            json!({"metadata": {"name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
                "endpoints": addresses, "ports": [{"name": "http", "port": 8080}]}),
            "kube-controller-manager",
        ),
    ]
}

/// The path of the pods of a pod's namespace, and its name.
fn pod_place(sizes: &Sizes, pod: usize) -> (String, String) {
    let (namespace, name) = place(sizes, pod / PODS_OF_APP);
    (format!("/api/v1/namespaces/{namespace}/pods"), format!("{name}-new-{}", pod % PODS_OF_APP))
}

fn pod_request(sizes: &Sizes, pod: usize) -> Request {
    let (collection, name) = pod_place(sizes, pod);
    let mut object = template(sizes, pod / PODS_OF_APP);
    object["metadata"]["name"] = name.into();
    object["spec"]["nodeName"] = node_name(pod % sizes.nodes).into();
    post(&collection, object, "kube-controller-manager")
}

fn status_request(sizes: &Sizes, pod: usize) -> Request {
    let (collection, name) = pod_place(sizes, pod);
    let crashes = pod % 50 == 49;
    let ready = if crashes { "False" } else { "True" };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": THEN});
    let running = json!({"running": {"startedAt": THEN}});
    let app = match crashes {
        true => {
            json!({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off 5m0s restarting failed container=app pod={name}")}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": THEN, "finishedAt": THEN}}, "ready": false, "started": false, "restartCount": 17})
        }
        false => json!({"state": running, "lastState": {}, "ready": true, "started": true, "restartCount": 0}),
    };
    let mut app = app;
    for (field, value) in [
        ("name", "app".to_owned()),
        ("image", format!("registry.example.com/{name}:v1.18.3")),
        ("imageID", digest("id", pod)),
        ("containerID", format!("containerd://{}", digest("app", pod))),
    ] {
        app[field] = value.into();
    }
    let proxy = json!({"name": "proxy", "image": "registry.example.com/mesh/proxyv2:1.22.1", "imageID": digest("proxy", 0),
        "containerID": format!("containerd://{}", digest("proxy", pod)), "state": running, "ready": true, "started": true, "restartCount": 0});
    let address = format!("10.128.{}.{}", pod / 250 % 256, pod % 250 + 2);
    let status = json!({"status": {
        "phase": "Running", "hostIP": "127.0.0.1", "podIP": address, "podIPs": [{"ip": address}], "startTime": THEN, "qosClass": "Burstable",
        "conditions": [condition("PodReadyToStartContainers", "True"), condition("Initialized", "True"), condition("Ready", ready),
            condition("ContainersReady", ready), condition("PodScheduled", "True")],
        "containerStatuses": [app, proxy]}});
    Request::write("PATCH", format!("{collection}/{name}/status"), status, "kubelet")
}

fn event_request(sizes: &Sizes, event: usize) -> Request {
    let (namespace, name) = place(sizes, event);
    let (reason, message) = [
        ("BackOff", "Back-off restarting failed container app in pod"),
        (
            "Unhealthy",
            "Readiness probe failed: Get \"http://10.128.3.7:8080/ready\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        ),
        ("Pulled", "Container image \"registry.example.com/mesh/proxyv2:1.22.1\" already present on machine"),
    ][event % 3];
    let pod = format!("{name}-new-0");
    let object = json!({
        "metadata": {"name": format!("{pod}.{}", &digest("event", event)[..16])}, "type": "Warning", "reason": reason, "message": message,
        "count": event % 40 + 1, "firstTimestamp": THEN, "lastTimestamp": THEN, "source": {"component": "kubelet", "host": node_name(event % sizes.nodes)},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod}});
    post(&format!("/api/v1/namespaces/{namespace}/events"), object, "kubelet")
}

//! The selftest of the kubelets, through a real API server: one that answers, one that refuses, one that hangs.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bundle::{Bundle, ItemRecord, ItemStatus, Limits, Scope};
use serde_json::Value;
use tests::fault_proxy::{Fault, FaultProxy};
use tests::{ApiServer, Options, User, product, programs, require};

/// A program that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn node(name: &str, address: &str, port: u16, ready: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus:\n  addresses: [{{type: InternalIP, address: {address}}}]\n  \
         conditions: [{{type: Ready, status: \"{ready}\"}}]\n  daemonEndpoints: {{kubeletEndpoint: {{Port: {port}}}}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: on-{name}, namespace: default}}\nspec:\n  nodeName: {name}\n  \
         containers: [{{name: c, image: x}}]\nstatus: {{phase: Running}}\n"
    )
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn each_kubelet_is_told_by_what_the_way_to_it_does() {
    let stand_in = require!(programs::kubelet_stand_in());
    let server = require!(ApiServer::start(&Options::default()));
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("default")).unwrap();
    fs::write(folder.path().join("default/c.log"), "2026-01-01T00:00:00Z well\n").unwrap();
    let port = free_port();
    let mut kubelet = Command::new(stand_in);
    kubelet.arg("--address").arg(format!("127.0.0.2:{port}")).arg("--logs").arg(folder.path()).arg("--attached");
    let _kubelet = Serving(kubelet.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    // Takes connections and says nothing.
    let hanging = TcpListener::bind("127.0.0.4:0").unwrap();
    let nodes = [
        node("answers", "127.0.0.2", port, "True"),
        node("refuses", "127.0.0.3", free_port(), "True"),
        node("hangs", "127.0.0.4", hanging.local_addr().unwrap().port(), "Unknown"),
    ];
    server.load(&nodes.join("---\n")).unwrap();

    let out = folder.path().join("bundle.zip");
    let mut collector = product::collector();
    collector.arg("--kubeconfig").arg(server.kubeconfig(User::Admin)).arg("--out").arg(&out);
    let started = Instant::now();
    let output = collector.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(90), "a hanging kubelet must not hold the run");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();

    let log_try = |node: &str| {
        let item = selftest(&bundle, node);
        assert_eq!(item.status, ItemStatus::Ok, "{item:?}");
        let said: Value = serde_json::from_slice(&bundle.read(item.path.as_ref().unwrap()).unwrap()).unwrap();
        let tries = said["tries"].as_array().unwrap().clone();
        assert_eq!(tries.len(), 2, "{said}");
        tries[1].clone()
    };
    assert_eq!(log_try("answers")["verdict"], "answered");
    let refused = log_try("refuses");
    assert_eq!(refused["verdict"], "refused", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("127.0.0.3"), "the API server's words are kept: {refused}");
    let hung = log_try("hangs");
    assert_eq!(hung["verdict"], "timeout", "{hung}");
    assert!((4_500.0..9_000.0).contains(&hung["milliseconds"].as_f64().unwrap()), "{hung}");
}

/// More nodes than are tried: the sick ones and the symptom's are among them, and no more are asked at once than is said.
#[test]
fn of_many_nodes_the_sick_are_tried_first_and_sixteen_at_once() {
    const TRIED: usize = 200;
    let server = require!(ApiServer::start(&Options::default()));
    let is_sick = |n: usize| n % 50 == 49;
    // Nothing listens there, and the API server does not even dial loopback addresses for proxies.
    let one = |n: usize| {
        let ready = if is_sick(n) { "False" } else { "True" };
        let node = node(&format!("n{n:03}"), "127.0.0.9", 1, ready);
        // One of them has a pod, which the symptom names.
        if n == 150 { node } else { node.split("---").next().unwrap().to_owned() }
    };
    server.load(&(0..230).map(one).collect::<Vec<_>>().join("---\n")).unwrap();
    let proxy = FaultProxy::start(&server, User::Admin).unwrap();
    let health = "/proxy/healthz";
    proxy.spoil(health, Fault::Delay(Duration::from_millis(400)), usize::MAX);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    let mut collector = product::collector();
    collector.arg("--kubeconfig").arg(proxy.kubeconfig()).arg("--out").arg(&out);
    // Nothing is created on these: they do not say that they run Linux.
    collector.args(["--nodes", "all", "--symptom", "from=pod/default/on-n150,to=node/n200:10250"]);
    let output = collector.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let asked: Vec<String> =
        proxy.seen().into_iter().map(|seen| seen.line).filter(|line| line.contains(health)).collect();
    assert_eq!(asked.len(), TRIED);
    assert_eq!(proxy.most_in_flight_of(health), 16);
    let first = |node: &str| asked[..16].iter().any(|line| line.contains(&format!("/nodes/{node}/")));
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    // Records stand in the order in which they ended, and ten nodes are visited at once.
    let reached = bundle.manifest().items.iter().filter(|item| item.id == "node.reach").take(20);
    let reached: Vec<String> = reached.map(|item| item.scope.to_string()).collect();
    for node in ["n150", "n200", "n049", "n099", "n149", "n199"] {
        assert!(first(node), "{node} is not among the first: {:?}", &asked[..16]);
        assert!(reached.contains(&format!("node/{node}")), "{node} is not among the first: {reached:?}");
    }
    let limit = bundle.manifest().limits.iter().find(|hit| hit.limit == "selftest.kubelet-proxy");
    assert_eq!(limit.map(|hit| hit.effect.as_str()), Some("30 nodes were not tried"));
    let tried = bundle.manifest().items.iter().filter(|item| item.id == "selftest.kubelet-proxy");
    assert_eq!(tried.count(), TRIED);
}

#[test]
fn who_may_not_ask_the_kubelets_is_told_so() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(&node("n1", "127.0.0.2", free_port(), "True")).unwrap();
    let reader = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reads}\nrules:\n\
                  - {apiGroups: [\"\"], resources: [nodes, pods], verbs: [get, list]}\n---\n\
                  apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: reads}\n\
                  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads}\n\
                  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: stranger}]\n";
    server.load(reader).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    let mut collector = product::collector();
    collector.arg("--kubeconfig").arg(server.kubeconfig(User::Stranger)).arg("--out").arg(&out);
    let output = collector.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let item = selftest(&bundle, "n1");
    assert_eq!(item.status, ItemStatus::Forbidden, "{item:?}");
    assert!(item.reason.as_ref().unwrap().contains("nodes/proxy"), "{item:?}");
}

fn selftest<'b>(bundle: &'b Bundle, node: &str) -> &'b ItemRecord {
    let of = |item: &&ItemRecord| item.id == "selftest.kubelet-proxy" && item.scope == Scope::Node(node.to_owned());
    bundle.manifest().items.iter().find(of).unwrap_or_else(|| panic!("{node} was not tried"))
}

//! A cluster whose nodes are real: a Debian with systemd, containerd and a kubelet in namespaces, for what is done to
//! nodes through the API server. The process must already be in network and mount namespaces of its own.
//!
//! There are two nodes. The network between them and the API server is the bridge of [`Fabric`], whose iptables stand for
//! a provider's; the only image is `pause`, as on a node that runs nothing yet. One node has no CNI, so that it says
//! NotReady and yet starts pods of the host's network.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api_server::{ApiServer, Options, User};
use crate::host::{Files, Host};
use crate::pki::ALWAYS;
use crate::programs::{self, run};
use crate::require::Missing;
use crate::scenario::Fabric;

/// Longer than a node takes on a busy machine to register itself.
const PATIENCE: Duration = Duration::from_secs(180);
/// The only image.
pub const PAUSE: &str = "dossier.test/pause:1";
/// What makes service accounts, the ConfigMap with the server's authority, and pods of Jobs and DaemonSets.
const CONTROLLERS: [&str; 4] =
    ["serviceaccount-controller", "root-ca-certificate-publisher-controller", "job-controller", "daemonset-controller"];

/// A node that is up.
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its host; none once it was taken away.
    pub host: Option<Host>,
}

/// A cluster of two nodes, ended when dropped.
pub struct Cluster {
    /// The API server.
    pub server: ApiServer,
    /// The nodes: the first is ready, the second has no CNI.
    pub nodes: Vec<Node>,
    _fabric: Fabric,
}

impl Cluster {
    /// Brings it up.
    pub fn start() -> Result<Cluster> {
        let missing = |missing: Missing| anyhow::anyhow!("{missing}");
        let image = Host::node_image().map_err(missing)?;
        let pause = programs::pause().map_err(missing)?;
        let fabric = Fabric::lay()?;
        let options = Options {
            address: crate::scenario::CONTROL_PLANE,
            port: Some(6443),
            netns: None,
            cluster: "quay".into(),
            controllers: CONTROLLERS.map(String::from).to_vec(),
            scheduler: true,
        };
        let server = ApiServer::start(&options).map_err(missing)?;
        let mut cluster = Cluster { server, nodes: Vec::new(), _fabric: fabric };
        for (name, last, cni) in [("quay-1", 21, true), ("quay-2", 22, false)] {
            let node = cluster.node(name, Ipv4Addr::new(10, 240, 0, last), cni, &image, &pause)?;
            cluster.nodes.push(node);
        }
        cluster.wait_for_nodes()?;
        Ok(cluster)
    }

    fn node(&self, name: &'static str, address: Ipv4Addr, cni: bool, image: &Path, pause: &Path) -> Result<Node> {
        let files = Files::new(name)?;
        let kube = programs::kube("kubelet").map_err(|missing| anyhow::anyhow!("{missing}"))?;
        files.copy(&kube.file, "usr/local/bin/kube")?;
        files.copy(pause, "root/pause.tar")?;
        let authority = self.server.authority();
        let user = format!("kubelet-{name}");
        authority.issue(&user, &format!("/O=system:nodes/CN=system:node:{name}"), "", ALWAYS)?;
        files.copy(&authority.kubeconfig(&user, "quay", self.server.url())?, "etc/kubernetes/kubelet.conf")?;
        files.write("var/lib/kubelet/config.yaml", KUBELET.as_bytes())?;
        let unit = KUBELET_UNIT.replace("@NAME@", name).replace("@ADDRESS@", &address.to_string());
        files.write("etc/systemd/system/kubelet.service", unit.as_bytes())?;
        files.write("etc/containerd/config.toml", CONTAINERD.replace("@PAUSE@", PAUSE).as_bytes())?;
        files.write("etc/systemd/system/containerd.service.d/memory.conf", CONTAINERD_UNIT.as_bytes())?;
        files.write("etc/resolv.conf", b"nameserver 10.240.0.10\n")?;
        if cni {
            files.write("etc/cni/net.d/10-quay.conflist", CNI.as_bytes())?;
        }
        let netns = self._fabric.attach(name, address)?;
        let host = Host::boot(name, &netns, image, files)?;
        host.output(&["systemctl", "start", "containerd"])?;
        host.output(&["ctr", "-n", "k8s.io", "images", "import", "/root/pause.tar"])?;
        host.output(&["systemctl", "start", "kubelet"])?;
        Ok(Node { name, address, host: Some(host) })
    }

    /// Waits until the kubelets have said how their nodes are.
    fn wait_for_nodes(&self) -> Result<()> {
        let wanted: Vec<(&str, &str)> = vec![("quay-1", "True"), ("quay-2", "False")];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.get(&["nodes"])?;
            let is = |name: &str, status: &str| {
                let nodes = list["items"].as_array().into_iter().flatten();
                nodes.filter(|node| node["metadata"]["name"] == name && !node["status"]["images"].is_null()).any(
                    |node| {
                        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
                        conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == status)
                    },
                )
            };
            if wanted.iter().all(|(name, status)| is(name, status)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let logs = self.nodes.iter().filter_map(|node| node.host.as_ref()).map(|host| {
                    let log =
                        host.output(&["journalctl", "-u", "kubelet", "-n", "20", "--no-pager"]).unwrap_or_default();
                    String::from_utf8_lossy(&log).into_owned()
                });
                bail!("the nodes are not as they should be: {list}\n{}", logs.collect::<String>());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// What `kubectl get` says, as administrator.
    pub fn get(&self, what: &[&str]) -> Result<Value> {
        let output = self.server.kubectl(User::Admin).arg("get").args(what).args(["-o", "json"]).output()?;
        if !output.status.success() {
            bail!("kubectl get {}: {}", what.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs kubectl as administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        run(self.server.kubectl(User::Admin).args(arguments))
    }

    /// A node.
    pub fn node_of(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("the test names its nodes")
    }

    /// Runs a command on a node's host.
    pub fn on(&self, name: &str, argv: &[&str]) -> Result<String> {
        let host = self.node_of(name).host.as_ref().context("the node is gone")?;
        Ok(String::from_utf8_lossy(&host.output(argv)?).into_owned())
    }

    /// Copies a file to a node's host.
    pub fn copy(&self, name: &str, from: &Path, to: &str) -> Result<()> {
        let host = self.node_of(name).host.as_ref().context("the node is gone")?;
        let file = std::fs::File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
        let copied = host.command("dd").arg(format!("of={to}")).arg("status=none").stdin(file).status()?;
        if !copied.success() {
            bail!("{} cannot be copied to {name}", from.display());
        }
        Ok(())
    }

    /// Takes a node away: its processes end at once, and its kubelet's last word gets old as the node lifecycle
    /// controller would have it after 50 s.
    pub fn take_away(&mut self, name: &str) -> Result<()> {
        let node = self.nodes.iter_mut().find(|node| node.name == name).context("there is no such node")?;
        drop(node.host.take());
        let patch = r#"{"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
        self.kubectl(&["patch", "node", name, "--subresource=status", "--type=strategic", "-p", patch])
    }

    /// Lets packets to a node's kubelet vanish in the network between, or no longer.
    pub fn block(&self, name: &str, block: bool) -> Result<()> {
        let address = self.node_of(name).address.to_string();
        let change = if block { "-I" } else { "-D" };
        let mut iptables = Command::new("iptables");
        run(iptables.args([change, "OUTPUT", "-p", "tcp", "-d", &address, "--dport", "10250", "-j", "DROP"]))
    }
}

/// Puts the process into network and mount namespaces of its own by starting it again, unless it is in some already.
pub fn enter_namespaces() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    const INSIDE: &str = "DOSSIER_TESTS_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--propagation=private"]).arg(std::env::current_exe()?);
        return Err(unshare.args(std::env::args_os().skip(1)).env(INSIDE, "1").exec()).context("cannot run unshare");
    }
    std::fs::create_dir_all("/run/netns")?;
    let mut mount = Command::new("mount");
    run(mount.args(["-t", "tmpfs", "tmpfs", "/run/netns"]).stdin(Stdio::null()))
}

/// The archive with the only image, for `ctr images import`.
pub fn pause_archive(program: &Path, archive: &Path) -> Result<()> {
    // The user is that of the upstream pause image, with which nothing of the host could be read.
    program_archive(program, archive, PAUSE, "65535:65535")
}

/// The archive of an image that holds a program and nothing else.
pub fn program_archive(program: &Path, archive: &Path, name: &str, user: &str) -> Result<()> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs/host/program-image");
    run(Command::new(script).arg(program).arg(archive).args([name, user]))
}

const KUBELET: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
failSwapOn: false
featureGates: {NodeLogQuery: true}
enableSystemLogHandler: true
enableSystemLogQuery: true
evictionHard: {memory.available: 10Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
nodeStatusReportFrequency: 10s
resolvConf: /etc/resolv.conf
";

const KUBELET_UNIT: &str = "\
[Unit]
Description=kubelet: The Kubernetes Node Agent
After=containerd.service
[Service]
ExecStart=/usr/local/bin/kube kubelet --config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf --hostname-override=@NAME@ --node-ip=@ADDRESS@
Restart=always
RestartSec=1
";

/// Overlays need a file system of their own below them; the host's root is one already.
const CONTAINERD_UNIT: &str = "\
[Service]
ExecStartPre=/bin/mkdir -p /var/lib/containerd
ExecStartPre=/bin/mount -t tmpfs tmpfs /var/lib/containerd
";

const CONTAINERD: &str = r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "@PAUSE@"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
"#;

const CNI: &str = r#"{"cniVersion": "0.4.0", "name": "quay", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.250.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
"#;

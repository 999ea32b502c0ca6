//! A sample from real state: a cluster of three nodes, one of whose hosts is booted, brought into the state that a
//! folder of `samples/scenarios/` describes, and collected.
//!
//! Every scenario begins as `samples/scenarios/base/`: a healthy cluster whose objects real controllers, the real scheduler
//! and the real API server made, on a host with a real kube-proxy. A scenario then changes it:
//!
//! * `more-workloads.yaml` is what runs there besides;
//! * `host` is a shell script that runs on the host as root;
//! * `cluster` is a shell script that runs beside the API server with `kubectl` as administrator;
//! * `logs/NAMESPACE/[POD/]CONTAINER[.previous].log` and `logs/kubelet.log` are what containers and the kubelet said;
//! * `kernel.log` is what the host's kernel said;
//! * `collect` is a shell script that runs on the host instead of the usual collection.
//!
//! In all of them `<5m ago>` (s, m, h, d) stands for that moment.

mod fabric;
mod kubelets;
mod moment;
mod node;
mod tidy;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::api_server::{ApiServer, Options, User};
use crate::host::Host;
use crate::product;
use crate::programs;
use crate::require::Missing;

pub use fabric::{CONTROL_PLANE, Fabric};
pub use kubelets::{objects, pause};
pub use moment::{dated, dated_at};

/// The host that is real.
const NODE: &str = "worker-1";
/// Where the collector leaves the bundle on the host.
const BUNDLE: &str = "/root/bundle.zip";

/// Longer than what a rule takes for new and passes over.
const AGEING: Duration = Duration::from_secs(130);

/// The controllers of a sample's cluster. The one that watches nodes is not among them: what nodes say is the scenario's.
const CONTROLLERS: [&str; 6] = [
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
    "endpointslice-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
];

/// The folder of a scenario, over that of the healthy cluster.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The sample's name.
    pub name: String,
    folder: PathBuf,
    base: PathBuf,
}

impl Scenario {
    /// All scenarios of the repository, by name.
    pub fn all() -> Result<Vec<Scenario>> {
        let scenarios = product::workspace().join("samples/scenarios");
        let mut all = Vec::new();
        for entry in fs::read_dir(&scenarios).with_context(|| format!("cannot read {}", scenarios.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "base" && entry.file_type()?.is_dir() {
                all.push(Scenario { name, folder: entry.path(), base: scenarios.join("base") });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Brings up the cluster and the host, changes them, collects, and writes the sample to `to`.
    pub fn make(&self, fabric: &Fabric, to: &Path) -> Result<()> {
        let missing = |missing: Missing| anyhow::anyhow!("{missing}");
        let image = Host::image().map_err(missing)?;
        let options = Options {
            address: fabric::CONTROL_PLANE,
            port: Some(6443),
            netns: None,
            cluster: "harbor".into(),
            controllers: CONTROLLERS.map(String::from).to_vec(),
            scheduler: true,
        };
        let server = ApiServer::start(&options).map_err(missing)?;
        self.load(&server)?;

        let others = kubelets::Others::start(&self.logs()?, fabric)?;
        let netns = fabric.attach(NODE, fabric::address(NODE))?;
        let host = Host::boot(NODE, &netns, &image, node::files(self, &server)?)?;
        self.on_host(&host, &self.base.join("host"))?;
        kubelets::bring_up_pods(&server, &host)?;

        self.on_host(&host, &self.folder.join("host"))?;
        self.beside_server(&server)?;
        // The server sets the time of creation itself, and controllers need a moment to see a change.
        std::thread::sleep(AGEING);
        self.collect(&host)?;
        let bundle = host.output(&["cat", BUNDLE])?;
        drop((host, others, server));
        fabric.detach(NODE)?;
        tidy::write(&bundle, to)
    }

    /// The text of a file of this scenario, or of the healthy cluster, with its moments.
    fn text(&self, name: &str) -> Result<Option<String>> {
        for folder in [&self.folder, &self.base] {
            let path = folder.join(name);
            if path.exists() {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                return Ok(Some(dated(&text)));
            }
        }
        Ok(None)
    }

    /// The logs of all containers, the scenario's before the healthy cluster's: path below `logs/`, and text.
    fn logs(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut logs: Vec<(PathBuf, String)> = Vec::new();
        for folder in [self.folder.join("logs"), self.base.join("logs")] {
            for path in files_below(&folder)? {
                let name = path.strip_prefix(&folder)?.to_owned();
                if logs.iter().all(|(known, _)| *known != name) {
                    logs.push((name, dated(&fs::read_to_string(&path)?)));
                }
            }
        }
        Ok(logs)
    }

    fn load(&self, server: &ApiServer) -> Result<()> {
        for name in ["crds.yaml", "namespaces.yaml", "nodes.yaml", "configmaps.yaml"] {
            server.load(&self.text(name)?.with_context(|| format!("there is no {name}"))?)?;
        }
        // The server taints every new node; the controller that takes the taint away from a ready one does not run here.
        let mut untaint = server.kubectl(User::Admin);
        programs::run(untaint.args(["taint", "nodes", "--all", "node.kubernetes.io/not-ready:NoSchedule-"]))?;
        kubelets::wait_until("the namespaces have service accounts", || {
            let accounts = kubelets::objects(server, &["serviceaccounts", "-A"])?;
            Ok(["kube-system", "kube-flannel", "shop"].iter().all(|ns| {
                accounts.iter().any(|a| a["metadata"]["namespace"] == *ns && a["metadata"]["name"] == "default")
            }))
        })?;
        server.load(&self.text("workloads.yaml")?.context("there is no workloads.yaml")?)?;
        self.text("more-workloads.yaml")?.map_or(Ok(()), |more| server.load(&more))
    }

    fn on_host(&self, host: &Host, script: &Path) -> Result<()> {
        if !script.exists() {
            return Ok(());
        }
        feed(host.command("bash").arg("-s"), script).with_context(|| format!("on the host of {}", self.name))
    }

    fn beside_server(&self, server: &ApiServer) -> Result<()> {
        let script = self.folder.join("cluster");
        if !script.exists() {
            return Ok(());
        }
        let kubectl = programs::kubectl().map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let folder = kubectl.parent().context("kubectl lies in no folder")?;
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("bash");
        bash.arg("-s").env("KUBECONFIG", server.kubeconfig(User::Admin)).env("PATH", path);
        feed(&mut bash, &script).with_context(|| format!("beside the API server of {}", self.name))
    }

    fn collect(&self, host: &Host) -> Result<()> {
        let own = self.folder.join("collect");
        if own.exists() {
            return self.on_host(host, &own);
        }
        let mut collect = host.command("env");
        collect.args(["KUBECONFIG=/etc/kubernetes/admin.conf", "dossier-collect", "--this-host", "--out", BUNDLE]);
        let output = collect.output().context("cannot run nsenter")?;
        let said = String::from_utf8_lossy(&output.stderr);
        eprint!("{said}{}", String::from_utf8_lossy(&output.stdout));
        // 2 is a partial bundle, which a sick cluster may well give.
        match output.status.code() {
            Some(0 | 2) => Ok(()),
            _ => bail!("dossier-collect ended with {}: {said}", output.status),
        }
    }
}

/// Runs a shell with a script, whose moments are filled in, as its standard input.
fn feed(shell: &mut Command, script: &Path) -> Result<()> {
    let text = dated(&fs::read_to_string(script)?);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("the shell has no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{} ended with {}: {}", script.display(), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
    let mut files = Vec::new();
    for entry in walk.into_iter().filter(|_| folder.exists()) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

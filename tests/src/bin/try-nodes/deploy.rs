//! The manifests of `deploy/`: what each role adds, and the Job and the DaemonSet run for real.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::{Bundle, ItemStatus, Limits, verify};
use tests::cluster::{Cluster, PAUSE, program_archive};
use tests::{product, programs};

use super::ran::{Ran, run_with};

/// What is asked of kubelets through the API server.
pub const KUBELETS: [&str; 4] =
    ["node.kubelet.configz", "node.kubelet.stats", "node.log.kubelet-query", "selftest.kubelet-proxy"];
const NODES: [&str; 2] = ["quay-1", "quay-2"];

/// Applies a manifest of `deploy/`.
pub fn apply(cluster: &Cluster, file: &str) -> Result<()> {
    cluster.kubectl(&["apply", "-f", &path(file)])
}

/// Removes what it made.
pub fn delete(cluster: &Cluster, file: &str) -> Result<()> {
    cluster.kubectl(&["delete", "--timeout=60s", "-f", &path(file)])
}

fn path(file: &str) -> String {
    product::workspace().join("deploy").join(file).display().to_string()
}

/// The ids of items with this status.
fn with(ran: &Ran, status: ItemStatus) -> Result<BTreeSet<&str>> {
    Ok(ran.items()?.iter().filter(|item| item.status == status).map(|item| item.id.as_str()).collect())
}

/// From the minimum on, role by role: what was forbidden before is there, and nothing else changed.
pub fn roles(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, "rbac.yaml")?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    cluster.server.account_kubeconfig("dossier", "dossier-collect", &kubeconfig)?;
    let collected = each_role(cluster, &kubeconfig);
    // The namespace stays: nothing in this cluster ends one.
    for file in ["rbac-replies.yaml", "rbac-exec.yaml", "rbac-pods.yaml", "rbac-kubelets.yaml"] {
        // Where a role failed, those behind it are not there.
        let _ = delete(cluster, file);
    }
    collected
}

fn each_role(cluster: &Cluster, kubeconfig: &Path) -> Result<()> {
    let kubelets = BTreeSet::from(KUBELETS);
    let minimum = run_with(kubeconfig, &[])?;
    // The selftest reads a line of a log besides, which the minimum allows where a pod runs on the node.
    let mut forbidden = with(&minimum, ItemStatus::Forbidden)?;
    forbidden.insert("selftest.kubelet-proxy");
    ensure!(forbidden == kubelets, "{forbidden:?}");

    apply(cluster, "rbac-kubelets.yaml")?;
    let asked = run_with(kubeconfig, &[])?;
    let partial: Vec<_> = asked.items()?.iter().filter(|item| item.status.makes_partial()).collect();
    ensure!(asked.code == Some(0) && partial.is_empty(), "exit code {:?}: {partial:?}", asked.code);
    let mut was_ok = with(&minimum, ItemStatus::Ok)?;
    was_ok.extend(kubelets);
    ensure!(was_ok == with(&asked, ItemStatus::Ok)?, "more than the kubelets' items changed: {:?}", asked.said);

    let nodes = ["--nodes", "all"];
    let refused = run_with(kubeconfig, &nodes)?;
    ensure!(with(&refused, ItemStatus::Forbidden)? == BTreeSet::from(["node.reach"]), "{}", refused.said);

    // A pod may be made and not be entered: its termination message is all that comes.
    apply(cluster, "rbac-pods.yaml")?;
    let told = run_with(kubeconfig, &nodes)?;
    for node in NODES {
        ensure!(told.reach(node)?.status == ItemStatus::Forbidden, "{node}: {:?}", told.reach(node)?);
        let digest = told.bundle()?.read(&format!("nodes/{node}/reach-digest.txt"));
        digest.with_context(|| format!("{node} sent no digest: {:?}", told.reach(node)))?;
    }

    // Each of the two other roles is enough for everything.
    apply(cluster, "rbac-exec.yaml")?;
    let entered = run_with(kubeconfig, &nodes)?;
    delete(cluster, "rbac-exec.yaml")?;
    apply(cluster, "rbac-replies.yaml")?;
    let replied = run_with(kubeconfig, &nodes)?;
    for node in NODES {
        entered.is_whole(node)?;
        replied.is_whole(node)?;
        let (by_exec, by_map) = (entered.reach(node)?, replied.reach(node)?);
        ensure!(format!("{:?}", by_exec.source).contains("exec"), "{by_exec:?}");
        ensure!(format!("{:?}", by_map.source).contains("through a ConfigMap"), "{by_map:?}");
    }
    ensure!((entered.code, replied.code) == (Some(0), Some(0)), "{} {}", entered.said, replied.said);
    Ok(())
}

/// The Job brings the cluster's half, the DaemonSet each node's, and merge folds them by machine-id.
pub fn manifests(cluster: &mut Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("dossier-collect.tar");
    let program = product::static_collector().get_program().to_owned();
    program_archive(Path::new(&program), &archive, "registry.example/dossier-collect:0.1.0", "")?;
    let address = cluster.server.url().trim_start_matches("https://").to_owned();
    for node in NODES {
        cluster.copy(node, &archive, "/root/collect.tar")?;
        cluster.on(node, &["ctr", "-n", "k8s.io", "images", "import", "/root/collect.tar"])?;
        cluster.on(node, &["ctr", "-n", "k8s.io", "images", "tag", "--force", PAUSE, "registry.k8s.io/pause:3.10"])?;
        // What kube-proxy would do, for the pod finds the API server by its Service.
        let service = ["OUTPUT", "-d", "10.96.0.1", "-p", "tcp", "--dport", "443", "-j", "DNAT", "--to", &address];
        cluster.on(node, &[&["iptables", "-t", "nat", "-A"], &service[..]].concat())?;
    }
    for file in ["rbac.yaml", "job.yaml", "daemonset.yaml"] {
        apply(cluster, file)?;
    }
    let done = finished(cluster);
    let fetched = done.and_then(|()| fetch(cluster, folder.path()));
    for file in ["daemonset.yaml", "job.yaml"] {
        delete(cluster, file)?;
    }
    for node in NODES {
        cluster.on(node, &["rm", "-r", "/var/tmp/dossier", "/root/collect.tar"])?;
        cluster.on(node, &["iptables", "-t", "nat", "-F", "OUTPUT"])?;
    }
    fetched
}

fn finished(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    loop {
        let job = cluster.get(&["job", "-n", "dossier", "dossier-collect"])?;
        let set = cluster.get(&["daemonset", "-n", "dossier", "dossier-collect-node"])?;
        if job["status"]["succeeded"] == 1 && set["status"]["numberReady"] == 2 {
            return Ok(());
        }
        if job["status"]["failed"] == 1 || began.elapsed() > Duration::from_secs(150) {
            let pods = cluster.get(&["pods", "-n", "dossier"])?;
            let states: Vec<_> = pods["items"].as_array().into_iter().flatten().map(|pod| &pod["status"]).collect();
            anyhow::bail!("Job {}, DaemonSet {}, pods {states:?}", job["status"], set["status"]);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Takes the bundles from the nodes and folds them.
fn fetch(cluster: &Cluster, folder: &Path) -> Result<()> {
    let mut merge = product::static_collector();
    merge.arg("merge");
    for node in NODES {
        let host = cluster.node_of(node).host.as_ref().context("the node is there")?;
        let list = cluster.on(node, &["ls", "/var/tmp/dossier"])?;
        for name in list.lines() {
            let path = folder.join(name);
            std::fs::write(&path, host.output(&["cat", &format!("/var/tmp/dossier/{name}")])?)?;
            merge.arg(path);
        }
    }
    let merged = folder.join("merged.zip");
    programs::run(merge.arg("--out").arg(&merged))?;
    let bundle = Bundle::open(&merged, Limits::default())?;
    ensure!(verify::verify(&bundle).is_empty(), "the merged bundle contradicts its manifest");
    let manifest = bundle.manifest();
    let hosts: Vec<&str> = manifest.hosts.iter().map(|host| host.node.as_str()).collect();
    ensure!(hosts == NODES && manifest.hosts.iter().all(|host| host.privileged), "{:?}", manifest.hosts);
    ensure!(manifest.cluster.is_some(), "the Job's half is missing");
    let conflicts = manifest.merged.as_ref().map(|merged| merged.conflicts.clone()).unwrap_or_default();
    ensure!(conflicts.is_empty(), "{conflicts:?}");
    for path in ["cluster/core/nodes.json", "nodes/quay-1/net/link.json", "nodes/quay-2/net/link.json"] {
        bundle.read(path).with_context(|| format!("{path} is missing"))?;
    }
    Ok(())
}

//! A customer's broken cluster: one node gone, one whose port 10250 is blocked by ufw, no right to events, a disk nearly
//! full. The bundle is partial, and the report says these four things.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use bundle::ItemStatus;
use serde_json::Value;
use tests::cluster::Cluster;
use tests::programs;

use super::deploy::{apply, delete};
use super::ran::{Ran, collector, ran};

const ROLES: [&str; 4] = ["rbac.yaml", "rbac-kubelets.yaml", "rbac-pods.yaml", "rbac-replies.yaml"];

/// To be tried when quay-2 was taken away.
pub fn is_told(cluster: &mut Cluster) -> Result<()> {
    for file in ROLES {
        apply(cluster, file)?;
    }
    without_events(cluster)?;
    cluster.on("quay-1", &["ufw", "--force", "enable"])?;
    cluster.on("quay-1", &["ufw", "default", "allow", "incoming"])?;
    cluster.on("quay-1", &["ufw", "deny", "10250/tcp"])?;
    let ran = on_a_small_disk(cluster);
    cluster.on("quay-1", &["ufw", "disable"])?;
    for file in &ROLES[1..] {
        delete(cluster, file)?;
    }
    told(&ran?)
}

/// Takes the right to events out of the minimum.
fn without_events(cluster: &Cluster) -> Result<()> {
    let mut role = cluster.get(&["clusterrole", "dossier-collect"])?;
    for rule in role["rules"].as_array_mut().context("a role has rules")? {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|resource| resource != "events");
        }
    }
    let rules = role["rules"].as_array_mut().context("a role has rules")?;
    rules.retain(|rule| rule["resources"].as_array().is_none_or(|resources| !resources.is_empty()));
    let patch = serde_json::json!([{ "op": "replace", "path": "/rules", "value": rules }]).to_string();
    cluster.kubectl(&["patch", "clusterrole", "dossier-collect", "--type=json", "-p", &patch])
}

/// The mount is seen by this process's namespace alone, and goes with it.
fn on_a_small_disk(cluster: &Cluster) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    programs::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=190m", "dossier-test"]).arg(folder.path()))?;
    let run = || {
        let kubeconfig = folder.path().join("kubeconfig");
        cluster.server.account_kubeconfig("dossier", "dossier-collect", &kubeconfig)?;
        let (mut command, target) = collector(&kubeconfig, &folder);
        let began = std::time::Instant::now();
        let output = command.args(["--nodes", "all"]).output()?;
        ran(&output, &target, began.elapsed())
    };
    let ran = run();
    programs::run(Command::new("umount").arg(folder.path()))?;
    ran
}

fn told(ran: &Ran) -> Result<()> {
    ensure!(ran.code == Some(2), "exit code {:?}: {}", ran.code, ran.said);
    ran.is_whole("quay-1")?;
    ensure!(ran.reach("quay-2")?.status == ItemStatus::Unreachable, "{:?}", ran.reach("quay-2")?);
    let told = ran.analyzed()?;
    told.finds("node-silent", "quay-2", "is gone for the API server")?;
    told.finds("ufw-active-blocks-10250", "quay-1", "10250")?;
    let missing: Vec<&Value> = told.0["not_checked"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|check| check["missing"].as_array().into_iter().flatten())
        .collect();
    let is_missing = |id: &str, status: &str, words: &str| {
        let has = |missing: &&Value| {
            let reason = missing["reason"].as_str().unwrap_or_default();
            missing["id"] == id && missing["status"] == status && reason.contains(words)
        };
        ensure!(missing.iter().any(has), "{id} {status} is not said: {missing:?}");
        Ok(())
    };
    is_missing("api.events", "forbidden", "cannot list resource \"events\"")?;
    is_missing("node.reach", "unreachable", "silent since")?;
    let of_gone = missing.iter().filter(|missing| missing["scope"] == "node/quay-2");
    let others: Vec<_> = of_gone.filter(|missing| missing["id"] != "node.reach").collect();
    ensure!(others.is_empty(), "what the node that is gone lacks is more than one gap: {others:?}");
    let limits = told.0["bundle"]["limits"].as_array().cloned().unwrap_or_default();
    let space = limits
        .iter()
        .any(|hit| hit["limit"] == "keep-free-mb" && hit["value"].as_str().is_some_and(|v| v.contains("only 1")));
    ensure!(space, "space is not spoken of: {limits:?}");
    println!("# the broken cluster in {:.1} s", ran.took.as_secs_f64());
    Ok(())
}

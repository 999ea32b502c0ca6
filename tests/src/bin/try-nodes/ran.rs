//! A run of the collector in the cluster, and what it left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bundle::{Bundle, ItemRecord, ItemStatus, Limits, Scope, verify};
use serde_json::Value;
use tests::cluster::Cluster;
use tests::{User, product};

/// A run of the collector, and the bundle that it wrote.
pub struct Ran {
    pub code: Option<i32>,
    pub said: String,
    bundle: Option<Bundle>,
    bytes: Vec<u8>,
    pub took: Duration,
}

/// The collector as a customer runs it, ready for more arguments; it writes `bundle.zip` in a folder of its own.
pub fn collector(kubeconfig: &Path, folder: &tempfile::TempDir) -> (Command, PathBuf) {
    let mut command = product::static_collector();
    let target = folder.path().join("bundle.zip");
    command.arg("--kubeconfig").arg(kubeconfig).arg("--out").arg(&target);
    (command, target)
}

/// Runs it to its end as one of the users that every server of tests has.
pub fn run(cluster: &Cluster, user: User, arguments: &[&str]) -> Result<Ran> {
    run_with(&cluster.server.kubeconfig(user), arguments)
}

/// Runs it to its end with a kubeconfig.
pub fn run_with(kubeconfig: &Path, arguments: &[&str]) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let (mut command, target) = collector(kubeconfig, &folder);
    let began = Instant::now();
    let output = command.args(arguments).output().context("cannot run the collector")?;
    ran(&output, &target, began.elapsed())
}

/// What a run left, its hashes computed again.
pub fn ran(output: &Output, target: &Path, took: Duration) -> Result<Ran> {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let bytes = std::fs::read(target).unwrap_or_default();
    let bundle = match bytes.is_empty() {
        true => None,
        false => Some(Bundle::from_bytes(target, bytes.clone(), Limits::default())?),
    };
    if let Some(bundle) = &bundle {
        let wrong = verify::verify(bundle);
        ensure!(wrong.is_empty(), "the bundle contradicts its manifest: {wrong:?}");
    }
    Ok(Ran { code: output.status.code(), said, bundle, bytes, took })
}

impl Ran {
    pub fn bundle(&self) -> Result<&Bundle> {
        self.bundle.as_ref().with_context(|| format!("there is no bundle: {}", self.said))
    }

    pub fn items(&self) -> Result<&[ItemRecord]> {
        Ok(&self.bundle()?.manifest().items)
    }

    /// What `dossier analyze` finds in it.
    pub fn analyzed(&self) -> Result<Told> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("bundle.zip");
        std::fs::write(&path, &self.bytes)?;
        let output = product::analyzer().arg("analyze").arg(&path).arg("--out").arg(folder.path()).output()?;
        ensure!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(Told(serde_json::from_slice(&std::fs::read(folder.path().join("findings.json"))?)?))
    }

    pub fn of<'a>(&'a self, node: &str) -> Result<impl Iterator<Item = &'a ItemRecord> + use<'a>> {
        let scope = Scope::Node(node.to_owned());
        Ok(self.items()?.iter().filter(move |item| item.scope == scope))
    }

    /// The record of how a node was reached.
    pub fn reach(&self, node: &str) -> Result<&ItemRecord> {
        let mut records = self.of(node)?.filter(|item| item.id == "node.reach");
        records.next().with_context(|| format!("{node} has no record: {}", self.said))
    }

    /// That a node's evidence is there, as the collector on the host itself would give it.
    pub fn is_whole(&self, node: &str) -> Result<()> {
        let statuses: BTreeMap<&str, ItemStatus> = self.of(node)?.map(|item| (item.id.as_str(), item.status)).collect();
        let reach = self.reach(node)?;
        ensure!(reach.status == ItemStatus::Ok, "{node}: {:?} {:?}", reach.status, reach.reason);
        for id in [
            "node.ip.link",
            "node.sysctl",
            "node.iptables.nft-v4",
            "node.log.journal-kubelet",
            "node.system.os-release",
        ] {
            ensure!(statuses.get(id) == Some(&ItemStatus::Ok), "{node}: {id} is {:?}", statuses.get(id));
        }
        let bad: Vec<_> =
            self.of(node)?.filter(|item| item.status.makes_partial()).map(|item| (&item.id, &item.reason)).collect();
        ensure!(bad.is_empty(), "{node}: {bad:?}");
        let hosts = &self.bundle()?.manifest().hosts;
        ensure!(
            hosts.iter().any(|host| host.node == node && host.privileged),
            "{node} is not among the hosts: {hosts:?}"
        );
        Ok(())
    }

    /// What came of the log of the pod of DNS on a node.
    pub fn log(&self, pod: &str) -> Result<&ItemRecord> {
        let scope = Scope::Pod("kube-system".to_owned(), pod.to_owned());
        let mut logs = self.items()?.iter().filter(|item| item.scope == scope);
        logs.next().with_context(|| format!("no log of {pod} was asked for"))
    }
}

/// `findings.json` of a bundle.
pub struct Told(pub Value);

impl Told {
    /// That a rule found something about a node, in these words.
    pub fn finds(&self, rule: &str, node: &str, words: &str) -> Result<()> {
        let mut of_rule = self.0["findings"].as_array().into_iter().flatten().filter(|finding| finding["rule"] == rule);
        let found = of_rule.any(|finding| {
            finding["scope"]["name"] == node
                && finding["message"].as_str().is_some_and(|message| message.contains(words))
        });
        ensure!(found, "{rule} does not say {words:?} of {node}: {}", self.0["findings"]);
        Ok(())
    }
}

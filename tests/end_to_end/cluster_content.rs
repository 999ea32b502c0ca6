//! The collector against a real API server: what it takes, what it leaves, and what it makes of answers that fail.

mod faults;
mod pace;

use std::path::{Path, PathBuf};
use std::process::Output;

use bundle::{Bundle, ItemRecord, ItemStatus, Limits};
use regex::Regex;
use tempfile::TempDir;
use tests::{ApiServer, Options, User, product, require};

/// What a run of the collector left.
struct Collected {
    output: Output,
    folder: TempDir,
}

impl Collected {
    /// Runs the collector in an empty folder.
    fn run(kubeconfig: &Path, arguments: &[&str]) -> Collected {
        let folder = TempDir::with_prefix("dossier-collected-").unwrap();
        let mut collector = product::collector();
        collector.arg("--kubeconfig").arg(kubeconfig).args(["--out", "bundle.zip"]).args(arguments);
        let output = collector.current_dir(folder.path()).output().unwrap();
        Collected { output, folder }
    }

    fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The bundle, of which every hash was recomputed.
    fn bundle(&self) -> Bundle {
        let path = self.folder.path().join("bundle.zip");
        let bundle = Bundle::open(&path, Limits::default()).unwrap_or_else(|e| panic!("{e}: {}", self.stderr()));
        let mismatches = bundle::verify::verify(&bundle);
        assert!(mismatches.is_empty(), "{mismatches:?}");
        bundle
    }

    /// The names of the files that the run left.
    fn left(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn item<'a>(bundle: &'a Bundle, id: &str) -> &'a ItemRecord {
    let found = bundle.manifest().items.iter().find(|item| item.id == id);
    found.unwrap_or_else(|| panic!("the manifest has no {id}"))
}

fn text(bundle: &Bundle, path: &str) -> String {
    String::from_utf8(bundle.read(path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

#[test]
fn a_complete_run_says_so_and_knows_the_cluster() {
    let server = require!(ApiServer::start(&Options { cluster: "east".into(), ..Options::default() }));
    let collected = Collected::run(&server.kubeconfig(User::Admin), &[]);
    let bundle = collected.bundle();
    let lacking: Vec<_> = bundle.manifest().items.iter().filter(|item| item.status.makes_partial()).collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
    assert_eq!(collected.code(), 0);
    let cluster = bundle.manifest().cluster.as_ref().unwrap();
    assert_eq!((cluster.name.as_str(), cluster.version.as_deref().map(|v| &v[..5])), ("east", Some("v1.34")));
    assert!(cluster.uid.as_ref().is_some_and(|uid| uid.len() == 36));
    let clock = &bundle.manifest().clocks[0];
    assert!(clock.ahead_seconds.unwrap().abs() <= clock.uncertainty_seconds.unwrap(), "{clock:?}");
    assert!(text(&bundle, "cluster/readyz.txt").contains("[+]etcd ok"));
    assert!(text(&bundle, "cluster/server-certificates.json").contains("CN=kube-apiserver"));
    assert!(text(&bundle, "cluster/access.json").contains("\"resourceRules\""));
    assert_eq!(item(&bundle, "api.azure.nodenetworkconfigs").status, ItemStatus::Absent);
    assert_eq!(item(&bundle, "api.endpoints").status, ItemStatus::NotRequested);
    assert_eq!(item(&bundle, "api.metrics.nodes").status, ItemStatus::Absent);
}

#[test]
fn the_texts_are_what_kubectl_prints() {
    // Built before the objects are made, so that these are young when both programs read them.
    product::collector();
    let server = require!(ApiServer::start(&Options::default()));
    server.load(include_str!("cluster_content/nnc-crd.yaml")).unwrap();
    server.load(include_str!("cluster_content/objects.yaml")).unwrap();
    server.load(include_str!("cluster_content/nnc.yaml")).unwrap();
    let bundle = Collected::run(&server.kubeconfig(User::Admin), &[]).bundle();
    for resource in ["nodes", "pods", "services", "endpointslices", "events", "nnc"] {
        let kubectl = server.kubectl(User::Admin).args(["get", resource, "-A", "-o", "wide"]).output().unwrap();
        let expected = String::from_utf8(kubectl.stdout).unwrap();
        assert!(expected.lines().count() > 1, "kubectl prints no {resource}");
        let printed = text(&bundle, &format!("kubectl/{resource}.txt"));
        assert_eq!(timeless(&printed), timeless(&expected), "{resource}");
    }
}

/// A text without its ages, which differ by the seconds between the two programs, and without what pads them.
fn timeless(text: &str) -> String {
    let ages = Regex::new(r"\b(\d+[smhd](\d+[smh])?|AGE)( +|$)").unwrap();
    text.lines().map(|line| ages.replace_all(line, "AGE ").trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_table_has_a_row_for_every_object_in_its_order() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(include_str!("cluster_content/objects.yaml")).unwrap();
    let bundle = Collected::run(&server.kubeconfig(User::Admin), &[]).bundle();
    for (objects, table) in [
        ("cluster/core/pods.json", "cluster/core/pods.table.json"),
        ("cluster/core/services.json", "cluster/core/services.table.json"),
    ] {
        let objects: serde_json::Value = serde_json::from_slice(&bundle.read(objects).unwrap()).unwrap();
        let table: serde_json::Value = serde_json::from_slice(&bundle.read(table).unwrap()).unwrap();
        assert_eq!(objects["metadata"], table["metadata"], "they are of one moment");
        let names: Vec<_> = objects["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
        let rows: Vec<_> = table["rows"].as_array().unwrap().iter().map(|row| &row["cells"][0]).collect();
        assert_eq!(names, rows);
        assert!(names.len() > 1);
    }
}

#[test]
fn secrets_stay_where_they_are() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(include_str!("cluster_content/secrets.yaml")).unwrap();
    let collected = Collected::run(&server.kubeconfig(User::Admin), &[]);
    let bundle = collected.bundle();
    // "canary-cage" is the namespace, which must be there.
    let canary = Regex::new("canary-(?:[a-bd-z]|co|c[^ao])|Y2FuYXJ5|MFkwEwYHKoZIzj0CAQ").unwrap();
    let mut all = String::new();
    for entry in bundle.entries() {
        let content = text(&bundle, &entry.path);
        if let Some(found) = canary.find(&content) {
            let around: String = content[found.start()..].chars().take(60).collect();
            panic!("{}: {around}", entry.path);
        }
        all.push_str(&content);
    }
    for keeper in [
        "keeper-key",
        "keeper-upstream",
        "keeper-annotation",
        "KEEPER_NAME",
        "keeper-reference",
        "/keeper-path",
        "--proxy-mode=keepermode",
        "--auth-token=[stripped]",
        "keeper-deployment",
        "keeper-service",
        "CN=keeper.example.com",
        "\"manager\":\"kubectl",
    ] {
        assert!(all.contains(keeper), "{keeper} is gone");
    }
    assert!(!all.contains("fieldsV1\":"), "fieldsV1 is there");
    assert_eq!(item(&bundle, "api.cm.coredns").status, ItemStatus::Ok);
    assert_eq!(item(&bundle, "api.cm.cilium-config").status, ItemStatus::Absent);
}

#[test]
fn a_stranger_learns_what_was_refused() {
    let server = require!(ApiServer::shared());
    let collected = Collected::run(&server.kubeconfig(User::Stranger), &[]);
    assert_eq!(collected.code(), 2, "{}", collected.stderr());
    let bundle = collected.bundle();
    let pods = item(&bundle, "api.pods");
    assert_eq!((pods.status, pods.exit_code), (ItemStatus::Forbidden, Some(403)));
    assert!(pods.reason.as_ref().is_some_and(|reason| reason.contains("stranger")), "{pods:?}");
    assert_eq!(item(&bundle, "log.coredns").status, ItemStatus::Forbidden);
    assert_eq!(item(&bundle, "api.access").status, ItemStatus::Ok);
    assert_eq!(item(&bundle, "api.azure.nodenetworkconfigs").status, ItemStatus::Absent);
}

#[test]
fn an_unreachable_server_leaves_the_manifest_alone() {
    let folder = TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]}";
    std::fs::write(&kubeconfig, text).unwrap();
    let collected = Collected::run(&kubeconfig, &[]);
    assert_eq!(collected.code(), 3);
    let stderr = collected.stderr();
    assert!(stderr.contains("error: the API server https://127.0.0.1:1/ cannot be reached"), "{stderr}");
    assert!(stderr.contains("refused") && stderr.contains("kubectl version"), "{stderr}");
    let bundle = collected.bundle();
    let items = &bundle.manifest().items;
    assert!(!items.is_empty() && items.iter().all(|item| item.path.is_none()), "{items:?}");
    assert!(items.iter().all(|item| item.status == ItemStatus::Unreachable), "{items:?}");
}

#[test]
fn a_bad_kubeconfig_is_named() {
    let folder = TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    for (text, complaint) in [
        (": : :", "YAML"),
        ("{apiVersion: v1, kind: Config}", "no current context"),
        ("{apiVersion: v1, kind: Config, current-context: gone}", "no context gone"),
    ] {
        std::fs::write(&kubeconfig, text).unwrap();
        let collected = Collected::run(&kubeconfig, &[]);
        assert_eq!(collected.code(), 3, "{text}");
        assert!(collected.stderr().contains(complaint), "{text}: {}", collected.stderr());
        assert!(collected.left().is_empty(), "{:?}", collected.left());
    }
    let missing = Collected::run(&folder.path().join("missing"), &[]);
    assert_eq!(missing.code(), 3);
    assert!(missing.stderr().contains("--kubeconfig"), "{}", missing.stderr());
}

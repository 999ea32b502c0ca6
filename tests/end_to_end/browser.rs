//! The HTML report in a real browser: hostile evidence stays text, the report's own policy refuses nothing of its own, and
//! it can be read with scripts switched off.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bundle::manifest::{Manifest, RunKind, Tool};
use bundle::{BundleWriter, ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use serde_json::json;
use std::io::Write as _;
use tests::{product, require};

/// Markup that would show itself in the document if it were ever taken for markup, with ANSI, bidirectional controls and
/// every kind of quote.
const HOSTILE: &str = "</pre></script><img id=owned src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\
                       '\"`\u{1b}[31m\u{202e}{{7*7}}<b id=owned-too>";

/// What the browser made of a page.
struct Seen {
    /// The document after its scripts ran, as HTML.
    dom: String,
    /// What the browser's console said: refusals of the Content-Security-Policy among it.
    console: String,
}

fn browse(chromium: &Path, page: &Path, more: &[&str]) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether hostile text came alive: an element it names exists, or its script ran.
fn came_alive(seen: &Seen) -> bool {
    seen.dom.contains("<title>owned</title>") || seen.dom.contains("<img") || seen.dom.contains("<b id=")
}

/// A bundle in which every string that a cluster's users choose is hostile, with enough wrong that findings quote it.
fn hostile_bundle(path: &Path) {
    let writer = BundleWriter::create(path, "A hostile bundle.\n").unwrap();
    let item = |id: &str, at: String, content: &str| {
        let draft = ItemDraft {
            id: id.to_owned(),
            scope: Scope::Cluster,
            source: Source::Request(format!("/{HOSTILE}")),
            plan: id.to_owned(),
        };
        let mut item = writer.begin(draft, at).unwrap();
        item.write_all(content.as_bytes()).unwrap();
        item.end(ItemEnd::new(ItemStatus::Ok)).unwrap();
    };
    let pod = |name: &str| {
        json!({"metadata": {"name": format!("{name}{HOSTILE}"), "namespace": HOSTILE, "uid": name, "labels": {"app": HOSTILE}},
            "spec": {"nodeName": "n1", "containers": [{"name": HOSTILE, "image": HOSTILE}]},
            "status": {"phase": "Running", "podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}],
                "conditions": [{"type": "Ready", "status": "False", "reason": HOSTILE, "message": HOSTILE}]}})
    };
    let list =
        |kind: &str, items: serde_json::Value| json!({"kind": kind, "apiVersion": "v1", "items": items}).to_string();
    item("api.pods", layout::objects("", "pods"), &list("PodList", json!([pod("a"), pod("b")])));
    let node = json!({"metadata": {"name": "n1", "labels": {"x": HOSTILE}}, "status": {"conditions":
        [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": HOSTILE}]}});
    item("api.nodes", layout::objects("", "nodes"), &list("NodeList", json!([node])));
    let service = json!({"metadata": {"name": HOSTILE, "namespace": HOSTILE}, "spec": {"selector": {"app": "none"},
        "clusterIP": "10.96.0.9", "ports": [{"name": HOSTILE, "port": 80, "protocol": "TCP", "targetPort": HOSTILE}]}});
    item("api.services", layout::objects("", "services"), &list("ServiceList", json!([service])));
    item(
        "api.endpointslices",
        layout::objects("discovery.k8s.io", "endpointslices"),
        &list("EndpointSliceList", json!([])),
    );
    // Whether a Service's pods were scaled away is asked of the workloads.
    for workloads in ["deployments", "daemonsets", "statefulsets", "replicasets"] {
        let id = format!("api.workloads.{workloads}");
        item(&id, layout::objects("apps", workloads), &list("List", json!([])));
    }
    let event = json!({"metadata": {"name": HOSTILE, "namespace": HOSTILE, "uid": "e"}, "type": "Warning",
        "reason": "FailedCreatePodSandBox", "count": 9, "lastTimestamp": "2026-11-21T07:59:00Z",
        "involvedObject": {"kind": "Pod", "namespace": HOSTILE, "name": format!("a{HOSTILE}")},
        "message": format!("Failed to create pod sandbox: {HOSTILE}")});
    item("api.events", layout::objects("", "events"), &list("EventList", json!([event])));
    let log = format!(
        "[FATAL] plugin/loop: Loop ({HOSTILE}127.0.0.1:5 -> :53) detected for zone \".\", see https://coredns.io/plugins/loop\n"
    );
    item("log.coredns", layout::container_log("kube-system", "coredns-1", "coredns", false), &log);
    let forbidden = ItemDraft {
        id: "api.cm.coredns".to_owned(),
        scope: Scope::Cluster,
        source: Source::Request("/".to_owned()),
        plan: "api.cm.coredns".to_owned(),
    };
    let time = "2026-11-21T08:00:00Z".parse().unwrap();
    writer.record(forbidden, ItemEnd::because(ItemStatus::Forbidden, HOSTILE), time);
    let tool = Tool { name: HOSTILE.to_owned(), version: HOSTILE.to_owned() };
    writer
        .finish(Manifest {
            cluster: Some(bundle::manifest::Cluster {
                name: HOSTILE.to_owned(),
                server: None,
                version: Some(HOSTILE.to_owned()),
                uid: None,
            }),
            ..Manifest::empty(tool, RunKind::Cluster, time)
        })
        .unwrap();
}

fn report(folder: &Path) -> PathBuf {
    let bundle = folder.join("hostile.zip");
    hostile_bundle(&bundle);
    let out = folder.join("out");
    let status = product::analyzer().arg("analyze").arg(&bundle).arg("--out").arg(&out).output().unwrap();
    assert!(matches!(status.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&status.stderr));
    out.join("report.html")
}

#[test]
fn hostile_evidence_stays_text() {
    let chromium = require!(require::program("chromium"));
    let folder = tempfile::tempdir().unwrap();
    let seen = browse(&chromium, &report(folder.path()), &[]);
    assert!(seen.dom.contains("id=\"findings\""), "the report was not shown:\n{}", seen.console);
    assert!(seen.dom.contains("&lt;img id=owned"), "no finding quotes the hostile text, so nothing is proved");
    assert!(!came_alive(&seen), "hostile text came alive");
    assert!(!seen.console.contains("Content Security Policy"), "the policy refused something:\n{}", seen.console);
    assert!(seen.dom.contains("<form class=\"filter\">"), "the report's own script did not run:\n{}", seen.console);
}

#[test]
fn the_same_text_unescaped_is_caught() {
    let chromium = require!(require::program("chromium"));
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, format!("<!doctype html><title>x</title><pre>{HOSTILE}</pre>")).unwrap();
    assert!(came_alive(&browse(&chromium, &page, &[])), "this test could not see hostile text come alive");
}

#[test]
fn the_policy_stops_a_script_that_is_not_the_reports_own() {
    let chromium = require!(require::program("chromium"));
    let folder = tempfile::tempdir().unwrap();
    let path = report(folder.path());
    let html = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, html.replace("<main>", "<main><script>document.title='owned'</script>")).unwrap();
    let seen = browse(&chromium, &path, &[]);
    assert!(!seen.dom.contains("<title>owned</title>"), "the policy let a foreign script run");
}

#[test]
fn the_report_reads_whole_without_scripts() {
    let chromium = require!(require::program("chromium"));
    let folder = tempfile::tempdir().unwrap();
    let path = report(folder.path());
    let html = std::fs::read_to_string(&path).unwrap();
    let without = html.split("<script>").next().unwrap().to_owned() + "</body></html>";
    std::fs::write(&path, without).unwrap();
    let seen = browse(&chromium, &path, &[]);
    for section in ["causes", "not-checked", "findings", "nodes", "passed", "not-applicable", "not-judged"] {
        assert!(seen.dom.contains(&format!("id=\"{section}\"")), "no section {section}");
    }
    assert!(
        !seen.dom.contains("<details class=\"finding error\" id") || seen.dom.contains(" open=\"\""),
        "findings are folded"
    );
    assert!(seen.dom.contains("<form class=\"filter\" hidden"), "a filter that cannot work is shown");
}

//! One answer fails in every way in which answers fail, and no other is the worse for it.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bundle::ItemStatus;
use serde_json::Value;
use tests::fault_proxy::{Fault, FaultProxy};
use tests::pki::{ALWAYS, Authority, Validity};
use tests::{ApiServer, Options, User, require};

use super::{Collected, item, text};

/// The list that is spoilt. Few objects are of it, and no other item rests on it.
const SPOILT: &str = "GET /api/v1/services?";

fn status(code: u16, reason: &str, message: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
    )
}

/// Spoils every request for one list and asks that only that item differs from a run with nothing spoilt.
fn only_services_become(fault: Fault, expected: ItemStatus, reason: &str) {
    let server = require!(ApiServer::shared());
    let proxy = FaultProxy::start(server, User::Admin).unwrap();
    let before = Collected::run(&proxy.kubeconfig(), &[]);
    let sound = before.bundle();
    assert_eq!(item(&sound, "api.services").status, ItemStatus::Ok);
    proxy.spoil(SPOILT, fault, usize::MAX);
    let collected = Collected::run(&proxy.kubeconfig(), &["--request-timeout", "4"]);
    let spoilt = collected.bundle();
    let services = item(&spoilt, "api.services");
    assert_eq!(services.status, expected, "{services:?}");
    assert!(services.reason.as_ref().is_some_and(|text| text.contains(reason)), "{services:?}");
    assert_eq!(collected.code(), if expected == ItemStatus::Absent { before.code() } else { 2 });
    for before in sound.manifest().items.iter().filter(|item| item.plan != "api.services") {
        // Other tests of this binary load objects into the same server, so content may differ, outcomes may not.
        let after = spoilt.manifest().items.iter().find(|item| item.id == before.id && item.scope == before.scope);
        assert_eq!(after.map(|item| item.status), Some(before.status), "{}: {after:?}", before.id);
    }
}

#[test]
fn forbidden() {
    let fault = Fault::Answer(403, "", status(403, "Forbidden", "services is forbidden: for a test"));
    only_services_become(fault, ItemStatus::Forbidden, "services is forbidden: for a test");
}

#[test]
fn not_found() {
    only_services_become(
        Fault::Answer(404, "", status(404, "NotFound", "not found")),
        ItemStatus::Absent,
        "it was served a moment ago",
    );
}

#[test]
fn too_many_requests() {
    let fault = Fault::Answer(429, "Retry-After: 1\r\n", status(429, "TooManyRequests", "please wait"));
    only_services_become(fault, ItemStatus::Error, "429 Too Many Requests: please wait (asked 4 times)");
}

#[test]
fn internal_error() {
    only_services_become(
        Fault::Answer(500, "", "<html>proxy says no</html>".into()),
        ItemStatus::Error,
        "proxy says no",
    );
}

#[test]
fn hang() {
    only_services_become(Fault::Hang, ItemStatus::Timeout, "no answer within 4 s");
}

#[test]
fn reset() {
    only_services_become(Fault::Reset, ItemStatus::Unreachable, "(asked 4 times)");
}

#[test]
fn a_passing_failure_is_passed_over() {
    let server = require!(ApiServer::shared());
    let proxy = FaultProxy::start(server, User::Admin).unwrap();
    proxy.spoil(SPOILT, Fault::Answer(429, "Retry-After: 1\r\n", status(429, "TooManyRequests", "wait")), 1);
    proxy.spoil("GET /api/v1/nodes?", Fault::Reset, 1);
    let bundle = Collected::run(&proxy.kubeconfig(), &[]).bundle();
    assert_eq!(item(&bundle, "api.services").status, ItemStatus::Ok);
    assert_eq!(item(&bundle, "api.nodes").status, ItemStatus::Ok);
}

/// A ConfigMap a number, enough for several pages.
fn many(count: usize) -> String {
    let one = |n| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: many-{n:04}, namespace: default}}\ndata: {{key: \"{n}\"}}\n"
        )
    };
    (0..count).map(one).collect::<Vec<_>>().join("---\n")
}

fn names(bundle: &bundle::Bundle) -> Vec<String> {
    let list: Value = serde_json::from_slice(&bundle.read("cluster/core/configmaps.json").unwrap()).unwrap();
    let items = list["items"].as_array().unwrap();
    let names = items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("many-")).collect()
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("many-{n:04}")).collect()
}

#[test]
fn a_list_that_breaks_off_is_taken_up_again_at_its_version() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(&many(600)).unwrap();
    let proxy = FaultProxy::start(&server, User::Admin).unwrap();
    proxy.spoil("GET /api/v1/configmaps?resourceVersion=0", Fault::CutAfter(100_000), 1);
    let collected = Collected::run(&proxy.kubeconfig(), &[]);
    let bundle = collected.bundle();
    let list = item(&bundle, "api.configmaps");
    assert_eq!(list.status, ItemStatus::Ok, "{list:?}");
    assert!(
        list.reason.as_ref().is_some_and(|reason| reason.contains("taken up again at the same version")),
        "{list:?}"
    );
    assert_eq!(names(&bundle), expected(600));
    assert_eq!(collected.code(), 0);
}

#[test]
fn a_list_that_keeps_breaking_off_is_closed_behind_its_last_object() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(&many(600)).unwrap();
    let proxy = FaultProxy::start(&server, User::Admin).unwrap();
    proxy.spoil("GET /api/v1/configmaps?resourceVersion", Fault::CutAfter(100_000), usize::MAX);
    let collected = Collected::run(&proxy.kubeconfig(), &[]);
    let bundle = collected.bundle();
    let list = item(&bundle, "api.configmaps");
    assert_eq!(list.status, ItemStatus::Unreachable, "{list:?}");
    let kept = names(&bundle);
    assert!(!kept.is_empty() && kept.len() < 600);
    assert_eq!(kept, expected(kept.len()), "what is there is whole and in order");
    assert!(list.reason.as_ref().is_some_and(|reason| reason.starts_with("only its first ")), "{list:?}");
    assert_eq!(collected.code(), 2);
}

#[test]
fn an_old_server_is_asked_in_pages_and_a_forgotten_version_is_said() {
    let server = require!(ApiServer::start(&Options::default()));
    server.load(&many(1_200)).unwrap();
    let proxy = FaultProxy::start(&server, User::Admin).unwrap();
    proxy.spoil(
        "GET /version",
        Fault::Answer(200, "", r#"{"major":"1","minor":"30","gitVersion":"v1.30.4"}"#.into()),
        usize::MAX,
    );
    let bundle = Collected::run(&proxy.kubeconfig(), &[]).bundle();
    assert_eq!(names(&bundle), expected(1_200));
    assert_eq!(item(&bundle, "api.configmaps").reason, None);
    assert_eq!(item(&bundle, "table.configmaps").reason, None, "rows and objects agree");
    let whole: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.line.contains("resourceVersion=0")).collect();
    assert!(whole.is_empty(), "{whole:?}");

    // The token of the second page is a sound one, as is the one that the real server gives with its 410.
    let page = proxy
        .seen()
        .into_iter()
        .find(|seen| seen.line.starts_with("GET /api/v1/configmaps?limit=500&continue="))
        .unwrap();
    let token = page.line.split("continue=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let token = token.replace("%3D", "=");
    let gone = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{"continue":"{token}"}},"status":"Failure","message":"expired","reason":"Expired","code":410}}"#
    );
    proxy.spoil("GET /api/v1/configmaps?limit=500&continue=", Fault::Answer(410, "", gone), 1);
    let bundle = Collected::run(&proxy.kubeconfig(), &[]).bundle();
    let list = item(&bundle, "api.configmaps");
    assert_eq!(list.status, ItemStatus::Ok);
    assert!(list.reason.as_ref().is_some_and(|reason| reason.contains("410")), "{list:?}");
    assert_eq!(names(&bundle), expected(1_200));
}

#[test]
fn eight_requests_are_in_flight_and_the_server_does_not_indent() {
    // A server of its own: the kubelets of nodes that other tests load are asked beside the eight, with a limit of their own.
    let server = require!(ApiServer::start(&Options::default()));
    let proxy = FaultProxy::start(&server, User::Admin).unwrap();
    proxy.spoil("GET /api", Fault::Delay(Duration::from_millis(50)), usize::MAX);
    let bundle = Collected::run(&proxy.kubeconfig(), &[]).bundle();
    assert_eq!(proxy.most_in_flight(), 8);
    for seen in proxy.seen() {
        assert!(seen.head.to_lowercase().contains("\r\nuser-agent: dossier-collect/"), "{}", seen.head);
        assert!(!seen.line.contains("secrets"), "{}", seen.line);
    }
    // The namespaces are written as they came: an object a line.
    let namespaces = text(&bundle, "cluster/core/namespaces.json");
    assert!(namespaces.lines().skip(1).all(|line| line.starts_with("{\"") || line == "]}"), "{namespaces}");
}

#[test]
fn who_is_let_in_nowhere_leaves_the_manifest_alone() {
    let server = require!(ApiServer::shared());
    for (code, reason, message) in
        [(401, "Unauthorized", "Unauthorized"), (403, "Forbidden", "everything is forbidden")]
    {
        let proxy = FaultProxy::start(server, User::Admin).unwrap();
        proxy.spoil(" /", Fault::Answer(code, "", status(code, reason, message)), usize::MAX);
        let collected = Collected::run(&proxy.kubeconfig(), &["--request-timeout", "4"]);
        let bundle = collected.bundle();
        let content: Vec<_> = bundle.manifest().items.iter().filter(|item| item.path.is_some()).collect();
        assert!(content.is_empty(), "{content:#?}");
        assert_eq!(collected.code(), 3, "{}", collected.stderr());
        let forbidden = bundle.manifest().items.iter().filter(|item| item.status == ItemStatus::Forbidden);
        assert!(forbidden.count() > 30, "{code}");
        assert_eq!(collected.left().len(), 1, "{:?}", collected.left());
    }
}

#[test]
fn half_of_an_answer() {
    let fault = Fault::Answer(
        200,
        "",
        r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"na"#.into(),
    );
    only_services_become(fault, ItemStatus::Unreachable, "ends in the middle of the list");
}

#[test]
fn no_answer_but_something_else() {
    only_services_become(Fault::Answer(200, "", "<html>log in first</html>".into()), ItemStatus::Error, "");
}

#[test]
fn an_answer_that_drips() {
    only_services_become(Fault::Drip, ItemStatus::Timeout, "4 s");
}

/// Ended long ago.
const PAST: Validity = Validity { from: "20200101000000Z", until: "20210101000000Z" };

#[test]
fn an_expired_certificate_of_the_server_is_named() {
    let openssl = require!(require::program("openssl"));
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path()).unwrap();
    authority.issue("server", "/CN=kube-apiserver", "IP:127.0.0.1", PAST).unwrap();
    authority.issue("admin", "/O=system:masters/CN=admin", "", ALWAYS).unwrap();
    // Who does not believe the certificate sends no request, so that any server of TLS does.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(openssl);
    server.args(["s_server", "-quiet", "-cert", "server.crt", "-key", "server.key", "-accept", &port.to_string()]);
    let mut server = server.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let kubeconfig = authority.kubeconfig("admin", "late", &format!("https://127.0.0.1:{port}")).unwrap();
    let collected = Collected::run(&kubeconfig, &[]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(collected.code(), 3, "{}", collected.stderr());
    assert!(collected.stderr().contains("expired"), "{}", collected.stderr());
    let bundle = collected.bundle();
    let nodes = item(&bundle, "api.nodes");
    assert_eq!(nodes.status, ItemStatus::Unreachable);
    assert!(nodes.reason.as_ref().is_some_and(|reason| reason.contains("expired")), "{nodes:?}");
    assert!(bundle.manifest().items.iter().all(|item| item.path.is_none()));
}

#[test]
fn an_expired_certificate_of_ours_is_a_refusal() {
    let server = require!(ApiServer::shared());
    server.authority().issue("late", "/O=system:masters/CN=late", "", PAST).unwrap();
    let kubeconfig = server.authority().kubeconfig("late", "real", server.url()).unwrap();
    let collected = Collected::run(&kubeconfig, &[]);
    let bundle = collected.bundle();
    let nodes = item(&bundle, "api.nodes");
    assert_eq!(nodes.status, ItemStatus::Forbidden, "{nodes:?}");
    assert!(nodes.reason.as_ref().is_some_and(|reason| reason.contains("401")), "{nodes:?}");
    // What the server shows to everybody before it asks who we are.
    let content: Vec<_> = bundle.manifest().items.iter().filter_map(|item| item.path.as_deref()).collect();
    assert_eq!(content, ["cluster/server-certificates.json"]);
    assert_eq!(collected.code(), 2, "{}", collected.stderr());
}

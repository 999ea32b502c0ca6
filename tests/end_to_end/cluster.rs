//! The collector against the real API server, and the bundle on its way to the analyzer.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bundle::manifest::{Ended, ItemStatus};
use bundle::{Bundle, Limits};
use tests::product::{analyzer, collector};
use tests::{ApiServer, User, require};

#[test]
fn a_run_over_cluster_and_host_accounts_for_every_line_of_its_plan() {
    let server = require!(ApiServer::shared());
    let unzip = require!(require::program("unzip"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("both.zip");
    let run = this_host(server, User::Admin, &out);
    assert!(matches!(run.status.code(), Some(0 | 2)), "{run:?}");

    let tested = Command::new(unzip).arg("-tqq").arg(&out).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    let verified = analyzer().arg("verify").arg(&out).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let kept: BTreeSet<&str> = bundle.manifest().items.iter().map(|item| item.plan.as_str()).collect();
    let planned = planned(server);
    assert!(planned.len() > 150, "the plan is not read as it should be: {planned:?}");
    let lost: Vec<_> = planned.iter().filter(|id| !kept.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "planned and not accounted for: {lost:?}");
    let unplanned: Vec<_> = kept.iter().filter(|id| !planned.contains(**id)).collect();
    assert!(unplanned.is_empty(), "gathered and never announced: {unplanned:?}");
}

#[test]
fn a_stranger_gets_a_partial_bundle_that_says_what_was_forbidden() {
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("stranger.zip");
    let run = cluster(server, User::Stranger, &out);
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let pods = bundle.manifest().items.iter().find(|item| item.id == "api.pods").unwrap();
    assert_eq!(pods.status, ItemStatus::Forbidden);
    assert!(pods.reason.as_deref().unwrap_or_default().contains("stranger"), "{pods:?}");
    let version = bundle.manifest().items.iter().find(|item| item.id == "api.health.version").unwrap();
    assert_eq!(version.status, ItemStatus::Ok, "what a stranger may see is there");
}

#[test]
fn an_interrupt_leaves_a_valid_partial_bundle() {
    // That it asks for more than the version is the sign that it is at work.
    interrupted(|request| request.starts_with(b"GET /version"));
}

#[test]
fn an_interrupt_before_the_server_said_anything_still_leaves_the_host() {
    interrupted(|_| false);
}

#[test]
fn an_interrupt_before_the_server_said_anything_leaves_the_manifest() {
    let (bundle, code) = interrupted_run(|_| false, &[]);
    assert_eq!(code, Some(3));
    assert!(bundle.manifest().items.len() > 100);
    for item in &bundle.manifest().items {
        let said = item.reason.as_deref().unwrap_or_default();
        assert!(item.status == ItemStatus::NotReached && said.contains("a signal ended the run"), "{item:?}");
    }
}

/// Interrupts a run over cluster and host once it made a request that the server does not answer.
fn interrupted(answers: fn(&[u8]) -> bool) {
    let (bundle, code) = interrupted_run(answers, &["--this-host"]);
    assert_eq!(code, Some(2));
    assert!(bundle.manifest().items.iter().any(|item| item.status == ItemStatus::NotReached));
}

/// The bundle and the exit code of such a run.
fn interrupted_run(answers: fn(&[u8]) -> bool, arguments: &[&str]) -> (Bundle, Option<i32>) {
    let (address, left_waiting) = silent_server(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &format!("http://{address}"));
    let out = folder.path().join("interrupted.zip");
    let mut run = collector();
    run.env("KUBECONFIG", &kubeconfig).args(arguments).arg("--out").arg(&out);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    left_waiting.recv_timeout(Duration::from_secs(60)).unwrap();
    let told = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(told.success());
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let bundle = Bundle::open(&out, Limits::default()).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(bundle.manifest().ended, Ended::Signal, "{said}");
    assert!(analyzer().arg("verify").arg(&out).status().unwrap().success());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only the kubeconfig and the bundle may be there: {left:?}");
    (bundle, status.code())
}

fn this_host(server: &ApiServer, user: User, out: &Path) -> Output {
    let mut run = collector();
    run.env("KUBECONFIG", server.kubeconfig(user)).args(["--this-host", "--out"]).arg(out).output().unwrap()
}

fn cluster(server: &ApiServer, user: User, out: &Path) -> Output {
    collector().env("KUBECONFIG", server.kubeconfig(user)).arg("--out").arg(out).output().unwrap()
}

/// The ids of the plan's lines.
fn planned(server: &ApiServer) -> BTreeSet<String> {
    let mut plan = collector();
    let output =
        plan.env("KUBECONFIG", server.kubeconfig(User::Admin)).args(["--this-host", "--plan"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// A server that tells its version to the requests that it answers, and accepts all others without ever answering; and
/// a word for each of those.
fn silent_server(answers: fn(&[u8]) -> bool) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, tell) = (connection.unwrap(), tell.clone());
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok(length @ 1..) = connection.read(&mut request) {
                    if !answers(&request[..length]) {
                        // Nobody may be listening any more.
                        let _ = tell.send(());
                        continue;
                    }
                    let body = r#"{"major":"1","minor":"34","gitVersion":"v1.34.4"}"#;
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
                    connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
                }
            });
        }
    });
    (address, told)
}

fn write_kubeconfig(path: &Path, server: &str) {
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\ncurrent-context: c\n"
    );
    fs::write(path, text).unwrap();
}

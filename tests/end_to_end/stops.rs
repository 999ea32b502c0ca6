//! Signals at random moments, and two runs at once: always a bundle that holds, or none, and nothing left.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bundle::manifest::Ended;
use bundle::{Bundle, Limits};
use tests::product::collector;
use tests::{ApiServer, User, require};

/// How many signals are sent: 20, or as many as `DOSSIER_TESTS_SIGNALS` says.
fn signals() -> u32 {
    std::env::var("DOSSIER_TESTS_SIGNALS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Opens a bundle and holds it to its own hashes.
fn open(path: &Path) -> Bundle {
    let bundle = Bundle::open(path, Limits::default()).unwrap();
    assert_eq!(bundle::verify::verify(&bundle), []);
    bundle
}

/// Commands that a collector started and that were left to init: they have the environment that it gives them.
fn commands_of_the_collector() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let orphans = processes.filter_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let environment = fs::read(process.path().join("environ")).ok()?;
        let ours = environment.windows(16).any(|part| part == b"SYSTEMD_COLORS=0")
            && environment.windows(9).any(|part| part == b"TERM=dumb");
        (ours && fields.get(1) == Some(&"1") && fields.first() != Some(&"Z")).then_some(stat)
    });
    orphans.collect()
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Sends signals to runs with these arguments, each after a time between nothing and what a whole run takes.
fn stopped_at_any_moment(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    let start = || {
        let mut command = collector();
        command.args(arguments).arg("--out").arg(&out);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // Once for the program to be built and to be in memory, once for the time that a run takes.
    assert!(matches!(start().wait().unwrap().code(), Some(0 | 2)));
    let began = Instant::now();
    assert!(matches!(start().wait().unwrap().code(), Some(0 | 2)));
    let whole = began.elapsed();
    let random = RandomState::new();
    let (mut before, mut cut, mut complete) = (0, 0, 0);
    for n in 0..signals() {
        let _ = fs::remove_file(&out);
        let part = (random.hash_one(n) % 1_000) as u32;
        let signal = if part.is_multiple_of(2) { "-TERM" } else { "-INT" };
        let mut child = start();
        std::thread::sleep(whole * part / 1_000);
        send(&child, signal);
        let status = child.wait().unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let running = commands_of_the_collector();
        assert!(running.is_empty(), "{signal} after {part} of 1000 left {running:?}");
        if !out.exists() {
            // It came before the run began to listen, and before there was a file.
            assert!(left.is_empty(), "{signal} after {part} of 1000 left {left:?}");
            before += 1;
            continue;
        }
        assert_eq!(left, ["bundle.zip"], "{signal} after {part} of 1000");
        let bundle = open(&out);
        match bundle.manifest().ended {
            Ended::Signal => {
                assert!(matches!(status.code(), Some(2 | 3)), "{status:?}");
                cut += 1;
            }
            // It came too late to cut anything short.
            _ => {
                assert!(matches!(status.code(), Some(0 | 2)), "{status:?}");
                complete += 1;
            }
        }
        let unnamed = bundle.manifest().items.iter().filter(|item| item.path.is_none() && item.reason.is_none());
        let silent: Vec<_> = unnamed.filter(|item| item.status.makes_partial()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }
    println!("{before} before the run began, {cut} cut it short, {complete} came too late");
    assert!(cut > 0, "no signal met a run: {before} came before, {complete} after");
}

#[test]
fn a_host_at_any_moment() {
    stopped_at_any_moment(&["node", "--node-name", "n1"]);
}

#[test]
fn a_cluster_at_any_moment() {
    let server = require!(ApiServer::shared());
    let kubeconfig = server.kubeconfig(User::Admin);
    stopped_at_any_moment(&["--kubeconfig", kubeconfig.to_str().unwrap()]);
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let mut command = collector();
        command.args(["node", "--node-name", "n1", "--out", name]).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Beside one another, each is a run as any other.
    for child in [start("a.zip"), start("b.zip")] {
        let output = child.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    }
    open(&folder.path().join("a.zip"));
    open(&folder.path().join("b.zip"));
    // At one place, one writes and the other says so, or they come one after the other.
    let children = [start("c.zip"), start("c.zip"), start("c.zip")];
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let codes: Vec<_> = outputs.iter().map(|output| output.status.code()).collect();
    assert!(codes.iter().any(|code| matches!(code, Some(0 | 2))), "{outputs:?}");
    for output in outputs.iter().filter(|output| !matches!(output.status.code(), Some(0 | 2))) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("another run is writing") && said.contains("c.zip"), "{said}");
    }
    open(&folder.path().join("c.zip"));
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.zip", "b.zip", "c.zip"]);
}

/// What a run may take to notice a signal and to write what it has.
#[test]
fn a_signal_is_answered_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    let mut command = collector();
    command.args(["node", "--out"]).arg(&out).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    send(&child, "-HUP");
    assert!(child.wait().unwrap().code().is_some_and(|code| [0, 2, 3].contains(&code)));
    open(&out);
}

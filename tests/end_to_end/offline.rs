//! The analyzer in a network namespace without so much as a loopback interface that is up.

use std::path::Path;
use std::process::{Command, Output};

use tests::product::{analyzer, workspace};
use tests::require;

#[test]
fn all_commands_work_without_any_network() {
    require!(require::namespaces());
    let folder = tempfile::tempdir().unwrap();
    let sample = workspace().join("samples/ip-forward-off.zip");
    let sample = sample.to_str().unwrap();
    let report = folder.path().join("report");
    for (arguments, code) in [
        (vec!["analyze", sample, "--out", report.to_str().unwrap()], 1),
        (vec!["inspect", sample], 0),
        (vec!["verify", sample], 0),
        (vec!["path", sample, "--from", "10.0.0.9", "--to", "10.0.0.1:80", "--via", "worker-1"], 0),
        (vec!["path", sample, "--all"], 0),
        (vec!["rules", "list"], 0),
        (vec!["rules", "show", "ip-forward-zero"], 0),
        (vec!["rules", "facts"], 0),
        (vec!["rules", "check", workspace().join("rules").to_str().unwrap()], 0),
        (vec!["rules", "test"], 0),
        (vec!["test", workspace().join("samples").to_str().unwrap()], 0),
    ] {
        let output = without_network(&arguments, folder.path());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(report.join("report.html").is_file());
}

#[test]
fn the_commands_tried_are_all_there_are() {
    let help = analyzer().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands =
        help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(
        commands,
        ["analyze", "inspect", "path", "rules", "test", "verify", "help"],
        "try new commands offline, too"
    );
}

fn without_network(arguments: &[&str], folder: &Path) -> Output {
    let mut unshare = Command::new("unshare");
    unshare.arg("--net").arg(analyzer().get_program()).args(arguments);
    unshare.current_dir(folder).output().unwrap()
}

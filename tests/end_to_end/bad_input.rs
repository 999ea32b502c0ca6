//! What goes wrong is said in a line that tells what to do, with the documented exit code, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tests::product::{analyzer, collector, workspace};
use tests::require;

#[test]
fn a_file_that_is_no_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.zip");
    fs::write(&path, "these are my notes\n").unwrap();
    refused(&path, &["zip"]);
}

#[test]
fn a_bundle_that_was_cut_off_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(workspace().join("samples/healthy.zip")).unwrap();
    for part in [whole.len() - 1, whole.len() / 2, 100] {
        let path = folder.path().join("cut.zip");
        fs::write(&path, &whole[..part]).unwrap();
        refused(&path, &["cut.zip"]);
    }
}

#[test]
fn an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    fs::create_dir(&path).unwrap();
    refused(&path, &["manifest.json"]);
}

#[test]
fn a_manifest_of_a_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("manifest.json"), r#"{"format": 99, "items": []}"#).unwrap();
    refused(&path, &["99", "newer"]);
}

#[test]
fn a_path_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("nowhere.zip"), &["nowhere.zip"]);
}

#[test]
fn a_rule_with_a_typo_shows_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let source = workspace().join("rules");
    let mut found = walkdir::WalkDir::new(&source).into_iter().filter_map(Result::ok).map(walkdir::DirEntry::into_path);
    let rule = found.find(|path| path.ends_with("ip-forward-zero.yaml")).unwrap();
    let family = folder.path().join("rules/mine");
    fs::create_dir_all(&family).unwrap();
    let text = fs::read_to_string(&rule).unwrap();
    fs::write(family.join("ip-forward-zero.yaml"), text.replacen("severity:", "severty:", 1)).unwrap();
    fs::copy(rule.with_extension("md"), family.join("ip-forward-zero.md")).unwrap();
    let report = folder.path().join("report");
    let mut analyze = analyzer();
    analyze.arg("analyze").arg(workspace().join("samples/healthy.zip")).arg("--out").arg(&report);
    let output = analyze.arg("--rules").arg(folder.path().join("rules")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in ["severty", "ip-forward-zero.yaml", "^"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!report.exists(), "a report was begun");
}

#[test]
fn a_server_that_cannot_be_reached_still_gives_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago, and on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\ncurrent-context: c\n"
    );
    fs::write(&kubeconfig, text).unwrap();
    let out = folder.path().join("bundle.zip");
    let run = collector().env("KUBECONFIG", &kubeconfig).arg("--out").arg(&out).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    // Nothing was gathered, and it says so; whatever is left is a bundle that can be sent.
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
    assert!(!folder.path().join("bundle.zip.partial").exists());
    if out.exists() {
        assert!(analyzer().arg("verify").arg(&out).status().unwrap().success());
    }
}

#[test]
fn a_kubeconfig_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    let mut run = collector();
    let run =
        run.env("KUBECONFIG", folder.path().join("none")).env("HOME", folder.path()).arg("--out").arg(&out).output();
    let run = run.unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(matches!(run.status.code(), Some(3 | 64)), "{run:?}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn a_folder_that_may_not_be_written_to() {
    let setpriv = require!(require::program("setpriv"));
    require!(require::namespaces());
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let programs = tempfile::tempdir().unwrap();
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The programs may lie where nobody can reach them, and so is the sample.
    for (from, name) in [
        (collector().get_program().to_owned(), "dossier-collect"),
        (analyzer().get_program().to_owned(), "dossier"),
        (workspace().join("samples/healthy.zip").into_os_string(), "healthy.zip"),
    ] {
        fs::copy(from, programs.path().join(name)).unwrap();
    }
    let as_nobody = |arguments: &[&str]| -> Output {
        let mut command = Command::new(&setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(arguments);
        command.current_dir(folder.path()).output().unwrap()
    };
    let program = |name: &str| programs.path().join(name).display().to_string();

    let out = folder.path().join("bundle.zip").display().to_string();
    let run = as_nobody(&[&program("dossier-collect"), "node", "--out", &out]);
    one_line(&run, 3, &["ermission denied", "--out"]);
    let report = folder.path().join("report").display().to_string();
    let run = as_nobody(&[&program("dossier"), "analyze", &program("healthy.zip"), "--out", &report]);
    one_line(&run, 2, &["ermission denied", "report"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left");
}

#[test]
fn a_command_line_that_is_not_understood() {
    let run = collector().arg("--no-such-option").output().unwrap();
    assert_eq!(run.status.code(), Some(64));
    let run = collector().args(["node", "--deadline", "soon"]).output().unwrap();
    assert_eq!(run.status.code(), Some(64));
}

/// Analyzing must be refused with one line that holds these words, and leave no report.
fn refused(bundle: &Path, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let output = analyzer().arg("analyze").arg(bundle).arg("--out").arg(&report).output().unwrap();
    one_line(&output, 2, words);
    assert!(!report.exists(), "a report was begun");
    for command in ["inspect", "verify"] {
        let output = analyzer().arg(command).arg(bundle).output().unwrap();
        one_line(&output, 2, words);
    }
}

fn one_line(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "not one line: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

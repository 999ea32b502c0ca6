//! `kubectl dossier`: made for a release, installed by the real krew, and run by the real kubectl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bundle::{Bundle, Limits};
use sha2::{Digest as _, Sha256};
use tests::product::{plugin, workspace};
use tests::{ApiServer, User, programs, require};

/// Where the archives of a release would lie.
const URL: &str = "https://downloads.example/dossier";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This machine, as krew names it.
fn platform() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-amd64" }
}

fn release(out: &Path, version: &str) -> Output {
    let mut release = Command::new(workspace().join("deploy/krew/release"));
    let program = plugin();
    let program = program.get_program().to_str().unwrap();
    release.arg(out).args([version, URL]).arg(format!("{}={program}", platform()));
    // Programs of other machines cannot be run here, and need not be.
    release.arg(format!("darwin-arm64={program}")).stdin(Stdio::null()).output().unwrap()
}

fn archive(out: &Path) -> PathBuf {
    out.join(format!("kubectl-dossier-{VERSION}-{}.tar.gz", platform()))
}

fn said(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

#[test]
fn a_release_is_installed_by_krew_and_run_by_kubectl() {
    let krew = require!(programs::krew());
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("release");
    let made = release(&out, VERSION);
    assert!(made.status.success(), "{}", said(&made));
    let manifest = fs::read_to_string(out.join("dossier.yaml")).unwrap();
    let sum: String = Sha256::digest(fs::read(archive(&out)).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert!(manifest.contains(&format!("sha256: \"{sum}\"")), "{manifest}");
    assert!(manifest.contains(&format!("uri: {URL}/{}", archive(&out).file_name().unwrap().display())), "{manifest}");
    assert!(manifest.contains(&format!("\n  version: v{VERSION}\n")), "{manifest}");

    // krew validates the manifest, compares the archive's checksum, and lays the program where kubectl finds it.
    let root = folder.path().join("krew");
    let install = |manifest: &Path| {
        let mut install = Command::new(&krew);
        install.env("KREW_ROOT", &root).env("KREW_NO_UPGRADE_CHECK", "1").arg("install");
        install
            .arg("--manifest")
            .arg(manifest)
            .arg("--archive")
            .arg(archive(&out))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let spoilt = folder.path().join("dossier.yaml");
    fs::write(&spoilt, manifest.replace(&sum, &"a".repeat(64))).unwrap();
    let refused = install(&spoilt);
    assert!(!refused.status.success() && said(&refused).contains("checksum"), "{}", said(&refused));
    let installed = install(&out.join("dossier.yaml"));
    assert!(installed.status.success(), "{}", said(&installed));

    let path = format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap());
    let listed = server.kubectl(User::Admin).env("PATH", &path).args(["plugin", "list"]).output().unwrap();
    assert!(said(&listed).contains("kubectl-dossier") && !said(&listed).contains("warning"), "{}", said(&listed));
    let bundle = folder.path().join("bundle.zip");
    let mut kubectl = Command::new(server.kubectl(User::Admin).get_program());
    kubectl.env("PATH", &path).env("KUBECONFIG", server.kubeconfig(User::Admin));
    let ran = kubectl.args(["dossier", "--out"]).arg(&bundle).stdin(Stdio::null()).output().unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 2)), "{}", said(&ran));
    assert!(Bundle::open(&bundle, Limits::default()).unwrap().manifest().cluster.is_some());
    // It speaks of itself as what was typed.
    let mut kubectl = Command::new(server.kubectl(User::Admin).get_program());
    let help = kubectl.env("PATH", &path).args(["dossier", "--help"]).output().unwrap();
    assert!(said(&help).contains("kubectl dossier"), "{}", said(&help));
}

#[test]
fn a_release_is_the_same_twice_and_refuses_a_version_that_the_program_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1"), folder.path().join("2"));
    assert!(release(&one, VERSION).status.success() && release(&two, VERSION).status.success());
    for name in ["dossier.yaml", archive(&one).file_name().unwrap().to_str().unwrap()] {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(two.join(name)).unwrap(), "{name} differs");
    }
    let wrong = release(&folder.path().join("3"), "99.0.0");
    assert!(!wrong.status.success() && said(&wrong).contains("not 99.0.0"), "{}", said(&wrong));
    assert!(!folder.path().join("3/dossier.yaml").exists());
}

//! The hosts that the collector is tried on and the samples are made of.

use std::fs;
use std::path::Path;
use std::process::{Command, id};

use tests::host::{Files, Host};
use tests::require;

#[test]
fn a_host_is_its_own_and_leaves_nothing() {
    let image = require!(Host::image());
    let network = Namespace::create("own");
    let files = Files::new("try-me").unwrap();
    files.write("etc/sysctl.d/10-test.conf", b"net.ipv4.ip_forward = 1\n").unwrap();
    let host = Host::boot("try-me", &network.0, &image, files).unwrap();

    let said = |argv: &[&str]| String::from_utf8(host.output(argv).unwrap()).unwrap();
    assert_eq!(said(&["hostname"]), "try-me\n");
    assert_eq!(said(&["cat", "/etc/sysctl.d/10-test.conf"]), "net.ipv4.ip_forward = 1\n");
    assert_eq!(said(&["cat", "/proc/1/comm"]), "systemd\n");
    assert!(
        !said(&["cat", "/proc/version"]).contains(fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim())
    );
    // A firewall of its own: what it refuses is not refused here.
    said(&["ufw", "--force", "enable"]);
    assert!(said(&["ufw", "status"]).starts_with("Status: active"));

    drop(host);
    let left = Command::new("find").args(["/sys/fs/cgroup", "-name", "dossier-try-me-*"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "cgroups are left");
}

/// A network namespace, removed when dropped.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn create(name: &str) -> Self {
        let name = format!("dossier-{name}-{}", id());
        assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
        assert!(Path::new("/run/netns").join(&name).exists());
        Namespace(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

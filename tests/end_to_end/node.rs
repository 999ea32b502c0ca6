//! `dossier-collect node` on this machine's own kernel: complete, bounded, gentle, silent about secrets.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bundle::manifest::{Ended, ItemRecord, ItemStatus, Source};
use bundle::{Bundle, Limits};
use sha2::{Digest, Sha256};
use tests::require;
use tests::require::{Missing, namespaces, program};

/// Runs the collector with a bundle in `dir`, and gives both.
fn collect(dir: &Path, arguments: &[&str]) -> (Output, Bundle) {
    let path = dir.join("bundle.zip");
    let output = tests::product::collector()
        .arg("node")
        .args(["--node-name", "n1", "--out"])
        .arg(&path)
        .args(arguments)
        .output();
    (output.unwrap(), open(&path))
}

/// Opens a bundle and holds it to its own hashes.
fn open(path: &Path) -> Bundle {
    let bundle = Bundle::open(path, Limits::default()).unwrap();
    assert_eq!(bundle::verify::verify(&bundle), []);
    bundle
}

fn item<'a>(bundle: &'a Bundle, id: &str) -> &'a ItemRecord {
    bundle.manifest().items.iter().find(|item| item.id == id).unwrap_or_else(|| panic!("no record of {id}"))
}

fn text(bundle: &Bundle, id: &str) -> String {
    let path = item(bundle, id).path.clone().unwrap_or_else(|| panic!("{id} has no content"));
    String::from_utf8(bundle.read(&path).unwrap()).unwrap()
}

/// The ids of the plan's lines, from what `--plan` prints.
fn planned() -> BTreeSet<String> {
    let output = tests::product::collector().args(["node", "--plan", "--node-name", "n1"]).output().unwrap();
    assert!(output.status.success());
    let plan = String::from_utf8(output.stdout).unwrap();
    plan.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn is_root() -> Result<(), Missing> {
    let id = Command::new("id").arg("-u").output().map_err(|error| Missing(format!("id cannot be run: {error}")))?;
    if id.stdout == b"0\n" { Ok(()) } else { Err(Missing("it needs root".to_owned())) }
}

#[test]
fn every_line_of_the_plan_has_a_record_and_the_bundle_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (output, bundle) = collect(dir.path(), &[]);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    let manifest = bundle.manifest();
    assert_eq!(manifest.ended, Ended::Done);
    let told: BTreeSet<String> = manifest.items.iter().map(|item| item.plan.clone()).collect();
    assert_eq!(told, planned());
    for item in &manifest.items {
        let reason = item.reason.as_deref().unwrap_or_default();
        assert!(!reason.contains("a defect of the collector"), "{item:?}");
        assert!(item.path.as_deref().is_none_or(|path| path.starts_with("nodes/n1/")), "{item:?}");
        assert!(item.path.is_some() || item.status == ItemStatus::Empty || !reason.is_empty(), "{item:?}");
    }
    let path = dir.path().join("bundle.zip");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::metadata(&path).unwrap().len() < 20_000_000);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left beside the bundle");
    // The last lines say path, size, hash and statuses.
    let last = String::from_utf8(output.stdout).unwrap();
    let sha256: String = Sha256::digest(fs::read(&path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    for said in [path.to_str().unwrap(), &sha256, " ok", "bytes"] {
        assert!(last.contains(said), "`{said}` is not in: {last}");
    }
    // A few facts that any Linux has.
    assert!(text(&bundle, "node.sysctl").contains("\nnet.ipv4.ip_forward = "));
    assert!(text(&bundle, "node.sock.snmp").starts_with("Ip: "));
    assert!(text(&bundle, "node.system.proc-version").starts_with("Linux version "));
}

#[test]
fn a_plan_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = tests::product::collector().args(["node", "--plan"]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let plan = String::from_utf8(output.stdout).unwrap();
    for line in ["iptables-nft-save -c", "/proc/sys/net/**", "ip -j -4 route show table all", "ufw status verbose"] {
        assert!(plan.contains(line), "`{line}` is not planned");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn standard_output_takes_the_bundle() {
    let output = tests::product::collector().args(["node", "--out", "-"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("streamed.zip");
    fs::write(&path, &output.stdout).unwrap();
    open(&path);
    assert!(String::from_utf8_lossy(&output.stderr).contains("sha256"));
}

#[test]
fn a_wrong_command_line_is_told_by_its_exit_code() {
    for arguments in [&["node", "--bogus"][..], &["nodes"], &["--node-name", "x"]] {
        let output = tests::product::collector().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
    }
    let output = tests::product::collector().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_in_one_line() {
    let output = tests::product::collector().args(["node", "--out", "/nonexistent/bundle.zip"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("--out") && said.contains("/nonexistent"), "{said}");
}

#[test]
fn no_time_at_all_still_gives_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let (output, bundle) = collect(dir.path(), &["--deadline", "0"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(bundle.manifest().ended, Ended::Deadline);
    let told: BTreeSet<String> = bundle.manifest().items.iter().map(|item| item.plan.clone()).collect();
    assert_eq!(told, planned());
    assert!(bundle.manifest().items.iter().all(|item| item.status == ItemStatus::NotReached));
}

#[test]
fn without_rights_it_says_item_by_item_what_is_hidden() {
    require!(is_root());
    let setpriv = require!(program("setpriv"));
    // A folder that the other user may enter, with a copy of the program: ours may lie where it may not.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = dir.path().join("dossier-collect");
    fs::copy(tests::product::collector().get_program(), &copy).unwrap();
    let path = dir.path().join("bundle.zip");
    let output = Command::new(setpriv)
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["node", "--node-name", "n1", "--out"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let bundle = open(&path);
    assert!(!bundle.manifest().hosts[0].privileged);
    let told: BTreeSet<String> = bundle.manifest().items.iter().map(|item| item.plan.clone()).collect();
    assert_eq!(told, planned());
    for id in ["node.iptables.nft-v4", "node.nft.ruleset", "pod.netns"] {
        // Where the tool or the module is missing, that is said instead.
        let item = item(&bundle, id);
        let known = [ItemStatus::Forbidden, ItemStatus::ToolMissing, ItemStatus::ModuleNotLoaded];
        assert!(known.contains(&item.status) && item.reason.is_some(), "{item:?}");
    }
    // What everybody may see is seen.
    assert_eq!(item(&bundle, "node.ip.route4").status, ItemStatus::Ok);
}

/// Runs the collector in a mount namespace in which `ip` is a script, and its own session.
fn with_slow_ip(dir: &Path, script: &str, arguments: &[&str]) -> Result<(Command, PathBuf), Missing> {
    namespaces()?;
    let ip = program("ip")?;
    let slow = dir.join("slow-ip");
    fs::write(&slow, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.join("bundle.zip");
    let mut command = Command::new(program("unshare")?);
    command.args(["--mount", "sh", "-c", r#"mount --bind "$0" "$1" && shift && exec "$@""#]).arg(&slow).arg(ip);
    command.arg(tests::product::collector().get_program()).args(["node", "--node-name", "n1", "--out"]).arg(&path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((command, path))
}

/// Whether a process runs with this word among its arguments.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes()))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_leaves_a_valid_partial_bundle_and_no_process() {
    let dir = tempfile::tempdir().unwrap();
    // The number in the argument is ours alone, so that the process is known again.
    let (mut command, path) = require!(with_slow_ip(dir.path(), "echo '[]'; sleep 61.0371", &[]));
    for signal in ["-TERM", "-INT"] {
        let _ = fs::remove_file(&path);
        let mut child = command.spawn().unwrap();
        wait_until("the slow command", || runs("61.0371"));
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(2));
        assert!(!runs("61.0371"), "the command that was running was left behind");
        let bundle = open(&path);
        assert_eq!(bundle.manifest().ended, Ended::Signal);
        let link = item(&bundle, "node.ip.link");
        assert_eq!(link.status, ItemStatus::Truncated, "{link:?}");
        assert_eq!(text(&bundle, "node.ip.link"), "[]\n", "what had been printed is kept");
        assert_eq!(item(&bundle, "node.sysctl").status, ItemStatus::NotReached);
        let told: BTreeSet<String> = bundle.manifest().items.iter().map(|item| item.plan.clone()).collect();
        assert_eq!(told, planned());
    }
}

#[test]
fn the_deadline_of_the_run_ends_what_is_slow_and_ignores_signals() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM INT; while :; do sleep 0.0372; done";
    let (mut command, path) = require!(with_slow_ip(dir.path(), script, &["--deadline", "2"]));
    assert_eq!(command.status().unwrap().code(), Some(2));
    assert!(!runs("0.0372"), "the command was left behind");
    let bundle = open(&path);
    assert_eq!(bundle.manifest().ended, Ended::Deadline);
    assert_eq!(item(&bundle, "node.ip.link").status, ItemStatus::NotReached);
    // The other lane went on meanwhile.
    assert_ne!(item(&bundle, "node.ufw.status").status, ItemStatus::NotReached);
}

#[test]
fn an_old_ip_is_asked_without_json() {
    let dir = tempfile::tempdir().unwrap();
    // What iproute2 4.11 (EL 7) says.
    let script = r#"case "$1" in -j) echo 'Option "-j" is unknown, try "ip -help".' >&2; exit 255;; *) echo "1: lo: <LOOPBACK>";; esac"#;
    let (mut command, path) = require!(with_slow_ip(dir.path(), script, &[]));
    assert!(matches!(command.status().unwrap().code(), Some(0 | 2)));
    let bundle = open(&path);
    let link = item(&bundle, "node.ip.link");
    assert_eq!(link.path.as_deref(), Some("nodes/n1/net/link.txt"));
    assert_eq!(link.source, Source::Argv(["ip", "-d", "-s", "link"].map(str::to_owned).to_vec()));
    assert_eq!(link.status, ItemStatus::Ok);
}

#[test]
fn rules_of_both_backends_are_read_and_none_is_made() {
    require!(namespaces());
    let unshare = require!(program("unshare"));
    for tool in ["iptables-nft", "iptables-legacy", "ipset"] {
        require!(program(tool));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    // Rules of IPv4 alone, in both backends; afterwards the legacy tables of IPv6 must still not be there.
    let script = r#"
        PATH=$PATH:/usr/sbin:/sbin
        iptables-nft -A INPUT -p tcp --dport 10250 -j DROP && iptables-nft -A INPUT -p tcp --dport 10250 -j DROP
        iptables-legacy -A FORWARD -s 10.244.0.0/16 -j ACCEPT
        ipset create blocked hash:ip && ipset add blocked 192.0.2.7
        "$@" >/dev/null 2>&1
        cat /proc/net/ip6_tables_names
    "#;
    let output = Command::new(unshare)
        .args(["--net", "sh", "-c", script, "sh"])
        .arg(tests::product::collector().get_program())
        .args(["node", "--node-name", "n1", "--out"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "legacy tables of IPv6 were made: {output:?}");
    let bundle = open(&path);
    assert!(text(&bundle, "node.iptables.nft-v4").contains("-A INPUT -p tcp -m tcp --dport 10250 -j DROP"));
    assert!(text(&bundle, "node.iptables.legacy-v4").contains("-A FORWARD -s 10.244.0.0/16 -j ACCEPT"));
    assert_eq!(item(&bundle, "node.iptables.legacy-v6").status, ItemStatus::Empty);
    assert!(text(&bundle, "node.ipset.sets").contains("add blocked 192.0.2.7"));
    let counts: serde_json::Value = serde_json::from_str(&text(&bundle, "node.xtables.counts")).unwrap();
    assert_eq!(counts["nft-v4"]["rules"], 2);
    assert_eq!(counts["nft-v4"]["duplicate_rules"], 1);
    assert_eq!(counts["legacy-v4"]["tables"]["filter"]["chains"]["FORWARD"]["rules"], 1);
    let ruleset: serde_json::Value = serde_json::from_str(&text(&bundle, "node.nft.ruleset")).unwrap();
    assert!(ruleset["nftables"].is_array());
}

#[test]
fn secrets_stay_on_the_host() {
    // A host of files alone, below a root of its own; every secret has the same word in it.
    let host = tempfile::tempdir().unwrap();
    let key = "-----BEGIN EC PRIVATE KEY-----\nhush1\n-----END EC PRIVATE KEY-----\n";
    let files = [
        ("etc/kubernetes/azure.json", r#"{"aadClientSecret": "hush2", "vnetName": "vnet-1"}"#.to_owned()),
        ("etc/kubernetes/admin.conf", "users:\n- name: u\n  user: {token: hush3}\nclusters: []\n".to_owned()),
        (
            "etc/kubernetes/manifests/etcd.yaml",
            "spec:\n  containers:\n  - name: etcd\n    env: [{name: P, value: hush4}]\n".to_owned(),
        ),
        ("etc/kubernetes/pki/apiserver.crt", key.to_owned()),
        ("etc/containerd/config.toml", "[a.auth]\npassword = \"hush5\"\n[b]\nbin_dir = \"/opt/cni/bin\"\n".to_owned()),
        (
            "etc/cni/net.d/10-calico.conflist",
            r#"{"name": "k8s-pod-network", "plugins": [{"etcd_token": "hush6"}]}"#.to_owned(),
        ),
        ("etc/cni/multus/net.d/10-calico.conflist", "{}".to_owned()),
        ("etc/cni/net.d/calico-kubeconfig", "users:\n- name: u\n  user:\n    token: hush7\n".to_owned()),
        ("etc/default/kubelet", "KUBELET_EXTRA_ARGS=--bootstrap-token=hush8 --node-ip=10.0.0.5\n".to_owned()),
        ("var/lib/kubelet/config.yaml", "resolvConf: /root/resolv.conf\nstaticPodURLHeader: {X: [hush9]}\n".to_owned()),
        ("root/resolv.conf", "hush10\n".to_owned()),
        ("etc/shadow", "root:hush11\n".to_owned()),
    ];
    for (path, content) in &files {
        let path = host.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    std::os::unix::fs::symlink("/etc/shadow", host.path().join("etc/hosts")).unwrap();
    std::os::unix::fs::symlink("/root/resolv.conf", host.path().join("etc/resolv.conf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (_, bundle) = collect(dir.path(), &["--root", host.path().to_str().unwrap()]);
    for entry in bundle.entries() {
        let content = String::from_utf8_lossy(&bundle.read(&entry.path).unwrap()).into_owned();
        // `hush` alone would be found in nothing else.
        assert!(!content.contains("hush"), "{}: {content}", entry.path);
    }
    assert!(text(&bundle, "node.kubelet.azure-json").contains("vnet-1"));
    assert!(text(&bundle, "node.cni.containerd").contains("/opt/cni/bin"));
    assert!(text(&bundle, "node.cni.conf").contains("k8s-pod-network"));
    assert!(text(&bundle, "node.kubelet.defaults").contains("--node-ip=10.0.0.5"));
    let kubeconfigs = text(&bundle, "node.certs.kubeconfigs");
    assert!(kubeconfigs.contains("calico-kubeconfig") && kubeconfigs.contains("\"token\""));
    let hosts = item(&bundle, "node.resolv.hosts");
    assert_eq!((hosts.status, hosts.link_target.as_deref()), (ItemStatus::Unsupported, Some("/etc/shadow")));
    assert_eq!(item(&bundle, "node.resolv.kubelet").status, ItemStatus::Withheld);
}

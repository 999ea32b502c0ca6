//! Folding bundles together.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use bundle::manifest::{Cluster, Host, LimitHit, RunKind, Symptom, Tool};
use bundle::merge::{KnownNode, MergeError, MergeOutcome, merge, merge_with_nodes};
use bundle::verify::verify;
use bundle::{Bundle, BundleWriter, ItemEnd, ItemStatus, Manifest, Scope};
use jiff::Timestamp;
use support::{README, contents, draft, manifest, node, open};

fn tool() -> Tool {
    Tool { name: "dossier-collect".into(), version: "0.1.0".into() }
}

fn host(name: &str, hostname: &str, machine: &str, address: &str) -> Host {
    Host {
        node: name.into(),
        hostname: hostname.into(),
        machine_id_sha256: Some(machine.into()),
        addresses: vec![address.into()],
        platform: "linux/amd64".into(),
        privileged: true,
    }
}

fn cluster(uid: &str) -> Cluster {
    Cluster { name: "prod".into(), server: None, version: Some("v1.34.4".into()), uid: Some(uid.into()) }
}

/// An item of a bundle to be: evidence id, scope, path and content; without content it is forbidden.
type Item<'a> = (&'a str, Scope, Option<(&'a str, &'a [u8])>);

fn bundle(path: PathBuf, minute: i8, items: &[Item<'_>], change: impl FnOnce(&mut Manifest)) -> Bundle {
    let writer = BundleWriter::create(&path, README).unwrap();
    for (id, scope, content) in items {
        match content {
            Some((path, content)) => {
                let mut item = writer.begin(draft(id, scope.clone()), (*path).to_owned()).unwrap();
                std::io::Write::write_all(&mut item, content).unwrap();
                item.end(ItemEnd::new(ItemStatus::Ok)).unwrap();
            }
            None => {
                let end = ItemEnd::because(ItemStatus::Forbidden, "not allowed");
                writer.record(draft(id, scope.clone()), end, Timestamp::now());
            }
        }
    }
    let mut manifest = manifest(RunKind::Node);
    manifest.started = format!("2026-11-20T10:{minute:02}:00Z").parse().unwrap();
    manifest.finished = format!("2026-11-20T10:{minute:02}:30Z").parse().unwrap();
    change(&mut manifest);
    writer.finish(manifest).unwrap();
    open(&path).unwrap()
}

fn merged(dir: &Path, bundles: &[Bundle]) -> Result<(Bundle, MergeOutcome), MergeError> {
    let path = dir.join("merged.zip");
    let outcome = merge(bundles, BundleWriter::create(&path, README).unwrap(), tool())?;
    Ok((open(&path).unwrap(), outcome))
}

#[test]
fn a_cluster_and_its_nodes_become_one_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let log = "the same line again and again\n".repeat(10_000);
    let bundles = [
        bundle(
            dir.path().join("c.zip"),
            0,
            &[
                ("api.nodes", Scope::Cluster, Some(("cluster/core/nodes.json", b"{}"))),
                ("node.link", node("n1.example.com"), None),
            ],
            |m| {
                m.kind = RunKind::Cluster;
                m.cluster = Some(cluster("u1"));
                m.hosts = vec![host("n1.example.com", "n1", "m1", "10.0.0.1")];
            },
        ),
        bundle(
            dir.path().join("n1.zip"),
            5,
            &[
                ("node.link", node("n1"), Some(("nodes/n1/net/link.json", b"[1]"))),
                ("node.log.kubelet", node("n1"), Some(("nodes/n1/logs/kubelet.log", log.as_bytes()))),
            ],
            |m| m.hosts = vec![host("n1", "n1", "m1", "10.0.0.1")],
        ),
        bundle(
            dir.path().join("n2.zip"),
            3,
            &[("node.link", node("n2"), Some(("nodes/n2/net/link.json", b"[2]")))],
            |m| m.hosts = vec![host("n2", "n2", "m2", "10.0.0.2")],
        ),
    ];
    let (bundle, outcome) = merged(dir.path(), &bundles).unwrap();
    assert_eq!(
        outcome.conflicts,
        [
            "the cluster's list of nodes is in no bundle, so that hosts keep the names that they were collected under",
            "host n1 is called n1.example.com and n1; n1.example.com was kept",
        ]
    );
    let paths: Vec<String> = bundle.entries().map(|entry| entry.path).collect();
    let expected = [
        "README.txt",
        "cluster/core/nodes.json",
        "manifest.json",
        "nodes/n1.example.com/logs/kubelet.log",
        "nodes/n1.example.com/net/link.json",
        "nodes/n2/net/link.json",
        "redactions.json",
    ];
    assert_eq!(paths, expected);
    assert_eq!(bundle.read("nodes/n1.example.com/logs/kubelet.log").unwrap(), log.as_bytes());
    assert_eq!(verify(&bundle), []);

    let m = bundle.manifest();
    assert_eq!((m.kind, m.cluster.as_ref()), (RunKind::Merged, Some(&cluster("u1"))));
    assert_eq!(m.finished, "2026-11-20T10:05:30Z".parse().unwrap());
    assert_eq!(m.items.len(), 4, "the forbidden record of n1 gave way to the known one");
    assert!(m.items.iter().all(|item| item.status == ItemStatus::Ok));
    assert_eq!(m.items[1].scope, node("n1.example.com"));
    assert_eq!(m.hosts.len(), 2);
    assert_eq!(m.merged.as_ref().unwrap().bundles.len(), 3);
}

#[test]
fn the_order_in_which_bundles_are_given_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let n1 = &[("node.link", node("n1"), Some(("nodes/n1/net/link.json", &b"[1]"[..])))];
    let n2 = &[("node.link", node("n2"), Some(("nodes/n2/net/link.json", &b"[2]"[..])))];
    bundle(dir.path().join("1.zip"), 1, n1, |_| ());
    bundle(dir.path().join("2.zip"), 2, n2, |_| ());
    let bytes = |names: &[&str]| {
        let bundles: Vec<Bundle> = names.iter().map(|name| open(&dir.path().join(name)).unwrap()).collect();
        merged(dir.path(), &bundles).unwrap();
        fs::read(dir.path().join("merged.zip")).unwrap()
    };
    let expected = bytes(&["1.zip", "2.zip"]);
    assert!(expected == bytes(&["2.zip", "1.zip"]));
    assert!(expected == bytes(&["2.zip", "1.zip", "1.zip"]), "the same bundle twice is one");
}

#[test]
fn the_later_of_two_runs_is_kept_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let item = |content: &'static [u8]| ("node.link", node("n1"), Some(("nodes/n1/net/link.json", content)));
    let first = bundle(dir.path().join("1.zip"), 1, &[item(b"old")], |_| ());
    let second = bundle(dir.path().join("2.zip"), 2, &[item(b"new")], |_| ());
    let (bundle, outcome) = merged(dir.path(), &[second, first]).unwrap();
    assert_eq!(bundle.read("nodes/n1/net/link.json").unwrap(), b"new");
    assert_eq!(outcome.conflicts.len(), 1);
    assert!(outcome.conflicts[0].contains("node/n1 was collected more than once"));
    assert_eq!(bundle.manifest().merged.as_ref().unwrap().conflicts, outcome.conflicts);
}

#[test]
fn two_items_at_one_path_are_both_kept() {
    let dir = tempfile::tempdir().unwrap();
    let one = bundle(dir.path().join("1.zip"), 1, &[("extra.a", Scope::Cluster, Some(("extra/x", b"1")))], |_| ());
    let two = bundle(dir.path().join("2.zip"), 2, &[("extra.b", Scope::Cluster, Some(("extra/X", b"2")))], |_| ());
    let (bundle, outcome) = merged(dir.path(), &[one, two]).unwrap();
    assert_eq!(bundle.read("extra/X").unwrap(), b"2");
    assert_eq!(bundle.read("extra/x~2").unwrap(), b"1");
    assert!(outcome.conflicts.iter().any(|c| c.contains("two items lie at extra/x")), "{:?}", outcome.conflicts);
    assert_eq!(verify(&bundle), []);
}

#[test]
fn what_cannot_be_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, uid: &str| bundle(dir.path().join(name), 1, &[], |m| m.cluster = Some(cluster(uid)));
    let error = merged(dir.path(), &[of("1.zip", "u1"), of("2.zip", "u2")]).err().unwrap();
    assert!(error.to_string().contains("two clusters, prod (u1) and prod (u2)"), "{error}");
    let on = |name: &str, host: Host| bundle(dir.path().join(name), 1, &[], |m| m.hosts = vec![host]);
    let (a, b) = (host("worker", "a", "m1", "10.0.0.1"), host("worker", "b", "m2", "10.0.0.2"));
    let error = merged(dir.path(), &[on("3.zip", a), on("4.zip", b)]).err().unwrap();
    assert!(error.to_string().contains("--node-name"), "{error}");
    assert!(matches!(merged(dir.path(), &[]), Err(MergeError::Nothing)));
    assert!(!dir.path().join("merged.zip").exists() && !dir.path().join("merged.zip.partial").exists());
}

#[test]
fn clones_that_share_a_machine_id_stay_two_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let on = |name: &str, minute, host: Host| bundle(dir.path().join(name), minute, &[], |m| m.hosts = vec![host]);
    let one = on("1.zip", 1, host("n1", "n1", "same", "10.0.0.1"));
    let two = on("2.zip", 2, host("n2", "n2", "same", "10.0.0.2"));
    let (bundle, outcome) = merged(dir.path(), &[one, two]).unwrap();
    assert_eq!(bundle.manifest().hosts.len(), 2);
    assert!(outcome.conflicts[0].contains("clones"), "{:?}", outcome.conflicts);
}

#[test]
fn folders_and_bundles_packed_again_merge_too() {
    let dir = tempfile::tempdir().unwrap();
    let items =
        [("node.link", node("n1"), Some(("nodes/n1/net/link.json", &b"[1]"[..]))), ("node.x", node("n1"), None)];
    let zip = bundle(dir.path().join("1.zip"), 1, &items, |m| {
        m.limits = vec![LimitHit { limit: "max-size".into(), value: "1 GB".into(), effect: "logs".into() }];
        m.symptom = Some(Symptom { error: Some("i/o timeout".into()), ..Symptom::default() });
    });
    let folder = dir.path().join("folder");
    for (path, content) in contents(&zip) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.unwrap()).unwrap();
    }
    let (from_zip, _) = merged(dir.path(), &[zip]).unwrap();
    let expected = (contents(&from_zip), from_zip.manifest().clone());
    let (from_folder, _) = merged(dir.path(), &[open(&folder).unwrap()]).unwrap();
    assert_eq!((contents(&from_folder), from_folder.manifest().clone()), expected);
    assert_eq!(expected.1.limits.len(), 1);
    assert!(expected.1.symptom.is_some());
}

#[test]
fn content_that_is_missing_or_damaged_does_not_stop_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let items = [
        ("node.a", node("n1"), Some(("nodes/n1/a", &b"1"[..]))),
        ("node.b", node("n1"), Some(("nodes/n1/b", &b"2"[..]))),
    ];
    let zip = bundle(dir.path().join("1.zip"), 1, &items, |_| ());
    let folder = dir.path().join("folder/nodes/n1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("b"), b"2").unwrap();
    fs::write(dir.path().join("folder/manifest.json"), zip.read("manifest.json").unwrap()).unwrap();
    let (bundle, _) = merged(dir.path(), &[open(&dir.path().join("folder")).unwrap()]).unwrap();
    assert_eq!(bundle.read("nodes/n1/b").unwrap(), b"2");
    let lost = bundle.manifest().items.iter().find(|item| item.id == "node.a").unwrap();
    assert_eq!((lost.status, lost.path.as_deref()), (ItemStatus::Error, None));
    assert!(lost.reason.as_deref().unwrap().contains("missing"));
    assert_eq!(verify(&bundle), []);
}

#[test]
fn a_host_goes_by_the_name_of_the_node_that_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let known = |name: &str, machine: &str, address: &str| KnownNode {
        name: name.into(),
        machine_id_sha256: Some(machine.into()),
        addresses: vec![address.into()],
    };
    // w1 is known by its id; w2 and w3 are clones, which their addresses tell apart; the last is nobody's.
    let nodes = [known("w1", "m1", "10.0.0.1"), known("w2", "mm", "10.0.0.2"), known("w3", "mm", "10.0.0.3")];
    let hosts = [("a", "m1", "192.0.2.1"), ("b", "mm", "10.0.0.3"), ("c", "m9", "192.0.2.9")];
    let bundles: Vec<Bundle> = hosts
        .iter()
        .enumerate()
        .map(|(minute, (name, machine, address))| {
            let path = format!("nodes/{name}/net/link.json");
            let items = [("node.link", node(name), Some((path.as_str(), &b"[1]"[..])))];
            bundle(dir.path().join(format!("{name}.zip")), minute as i8, &items, |m| {
                m.hosts = vec![host(name, name, machine, address)];
            })
        })
        .collect();
    let path = dir.path().join("merged.zip");
    let outcome = merge_with_nodes(&bundles, &nodes, BundleWriter::create(&path, README).unwrap(), tool()).unwrap();
    assert_eq!(
        outcome.conflicts,
        [
            "host a is node w1 by its machine-id; it was called a",
            "host b is node w3 by its InternalIP; it was called b",
            "host c is none of the cluster's nodes, by machine-id or InternalIP; it stays c",
        ]
    );
    let merged = open(&path).unwrap();
    assert_eq!(verify(&merged), []);
    for name in ["w1", "w3", "c"] {
        assert!(merged.read(&format!("nodes/{name}/net/link.json")).is_ok(), "{name}");
    }
}

/// A bundle of one host, with one item.
fn of_host(dir: &Path, minute: i8, host: Host) -> Bundle {
    let name = host.node.clone();
    let path = format!("nodes/{name}/net/link.json");
    let content = format!("[{minute}]");
    let items = [("node.link", node(&name), Some((path.as_str(), content.as_bytes())))];
    bundle(dir.join(format!("{name}-{minute}.zip")), minute, &items, |m| m.hosts = vec![host])
}

fn known(name: &str, machine: Option<&str>, address: &str) -> KnownNode {
    KnownNode { name: name.into(), machine_id_sha256: machine.map(str::to_owned), addresses: vec![address.into()] }
}

/// What merging says, and the nodes that the merged bundle has.
fn said(dir: &Path, bundles: &[Bundle], nodes: &[KnownNode]) -> (Vec<String>, Vec<String>) {
    let path = dir.join("merged.zip");
    let outcome = merge_with_nodes(bundles, nodes, BundleWriter::create(&path, README).unwrap(), tool()).unwrap();
    let merged = open(&path).unwrap();
    assert_eq!(verify(&merged), []);
    (outcome.conflicts, merged.manifest().hosts.iter().map(|host| host.node.clone()).collect())
}

#[test]
fn two_bundles_of_one_node_under_two_names_become_one() {
    let dir = tempfile::tempdir().unwrap();
    // Two lists of one cluster name the node twice; that makes it no less one node.
    let nodes = [known("w1", Some("m1"), "10.0.0.1"), known("w1", Some("m1"), "10.0.0.1")];
    let bundles = [
        of_host(dir.path(), 1, host("a", "vm-a", "m1", "10.0.0.1")),
        of_host(dir.path(), 2, host("b", "vm-a", "m1", "10.0.0.1")),
    ];
    let (said, hosts) = said(dir.path(), &bundles, &nodes);
    assert_eq!(hosts, ["w1"]);
    assert_eq!(
        said,
        [
            "host vm-a is node w1 by its machine-id; it was called a",
            "host vm-a is node w1 by its machine-id; it was called b",
            "node/w1 was collected more than once; of 1 items that changed in between the later content was kept",
        ]
    );
    let merged = open(&dir.path().join("merged.zip")).unwrap();
    assert_eq!(merged.read("nodes/w1/net/link.json").unwrap(), b"[2]");
}

#[test]
fn an_address_alone_does_not_make_another_machine_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = [known("w1", Some("m1"), "10.0.0.1"), known("w2", None, "10.0.0.2")];
    // The first has a machine-id that is not the node's; of the second node none is known.
    let bundles = [
        of_host(dir.path(), 1, host("a", "vm-a", "m7", "10.0.0.1")),
        of_host(dir.path(), 2, host("b", "vm-b", "m8", "10.0.0.2")),
    ];
    let (said, hosts) = said(dir.path(), &bundles, &nodes);
    assert_eq!(hosts, ["a", "w2"]);
    assert_eq!(
        said,
        [
            "host vm-a has the InternalIP of node w1 and another machine-id: another machine, or one that was installed \
             anew; it stays a",
            "host vm-b is node w2 by its InternalIP; it was called b",
        ]
    );
}

#[test]
fn a_host_that_only_its_name_ties_to_a_node_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = [known("w1", Some("m1"), "10.0.0.1")];
    let (told, hosts) = said(dir.path(), &[of_host(dir.path(), 1, host("w1", "vm", "m7", "192.0.2.1"))], &nodes);
    assert_eq!(hosts, ["w1"]);
    let expected = "host vm is none of the cluster's nodes, by machine-id or InternalIP; it was taken for node w1 by its name alone";
    assert_eq!(told, [expected]);
}

#[test]
fn hosts_with_one_address_and_two_machine_ids_are_two() {
    let dir = tempfile::tempdir().unwrap();
    let bundles = [
        of_host(dir.path(), 1, host("a", "vm-a", "m1", "10.0.0.1")),
        of_host(dir.path(), 2, host("b", "vm-b", "m2", "10.0.0.1")),
    ];
    let (said, hosts) = said(dir.path(), &bundles, &[]);
    assert_eq!(hosts, ["a", "b"]);
    let expected =
        "hosts a and b have the same name or addresses and different machine-ids; they were taken for two machines";
    assert_eq!(said, [expected]);
}

#[test]
fn an_address_that_every_host_has_makes_clones_not_one() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, own: &str| {
        let docker = "172.17.0.1".to_owned();
        Host { addresses: vec![own.to_owned(), docker], ..host(name, name, "same", own) }
    };
    let bundles = [of_host(dir.path(), 1, of("n1", "10.0.0.1")), of_host(dir.path(), 2, of("n2", "10.0.0.2"))];
    let (said, hosts) = said(dir.path(), &bundles, &[]);
    assert_eq!(hosts, ["n1", "n2"]);
    assert!(said[0].contains("taken for clones"), "{said:?}");
}

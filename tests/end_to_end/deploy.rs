//! The manifests of `deploy/` on a real API server: they are accepted, and the minimum role is what the plan asks for, enough
//! and no more. What the further roles add shows where there are real nodes: `src/bin/try-nodes.rs`.

use std::collections::BTreeSet;

use bundle::{Bundle, ItemRecord, ItemStatus, Limits};
use serde_json::Value;
use tests::product::{collector, workspace};
use tests::{ApiServer, Options, User, require};

/// Runs kubectl with a manifest as administrator, and gives what it printed.
fn kubectl(server: &ApiServer, arguments: &[&str], file: &str) -> String {
    let path = workspace().join("deploy").join(file);
    let output = server.kubectl(User::Admin).args(arguments).arg("-f").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{file}: {said}");
    // Pod Security warns of what it would refuse.
    assert!(!said.contains("Warning"), "{file}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Group, resource and verb that the lines of a plan need: a list, or an object by its name.
fn planned() -> BTreeSet<(String, String, String)> {
    let output = collector().arg("--plan").output().unwrap();
    let plan = String::from_utf8(output.stdout).unwrap();
    let path = regex::Regex::new(r"(?:/api|/apis/([a-z0-9.-]+))/v[a-z0-9]+/(\S+)").unwrap();
    let mut needed = BTreeSet::new();
    for line in plan.lines().filter(|line| !line.contains("/proxy/") && !line.contains("POST ")) {
        for found in path.captures_iter(line) {
            let group = found.get(1).map_or("", |group| group.as_str());
            let parts: Vec<&str> = found[2].trim_end_matches(',').split('/').collect();
            let (resource, verb) = match parts[..] {
                [resource] | ["namespaces", _, resource] => (resource.to_owned(), "list"),
                ["namespaces", _] => ("namespaces".to_owned(), "get"),
                ["namespaces", _, resource, _] => (resource.to_owned(), "get"),
                ["namespaces", _, resource, _, below] => (format!("{resource}/{below}"), "get"),
                _ => panic!("{line}"),
            };
            needed.insert((group.to_owned(), resource, verb.to_owned()));
        }
    }
    needed
}

/// Group, resource and verb that a role allows.
fn allowed(role: &Value) -> BTreeSet<(String, String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut allowed = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    allowed.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    allowed
}

#[test]
fn the_manifests_are_accepted_and_the_minimum_role_is_what_the_plan_asks_for() {
    let server = require!(ApiServer::start(&Options::default()));
    kubectl(&server, &["apply", "--validate=strict"], "rbac.yaml");
    for file in
        ["rbac-kubelets.yaml", "rbac-pods.yaml", "rbac-exec.yaml", "rbac-replies.yaml", "job.yaml", "daemonset.yaml"]
    {
        // Strict: a field that the server does not know is an error.
        kubectl(&server, &["apply", "--dry-run=server", "--validate=strict"], file);
    }

    let role = server.kubectl(User::Admin).args(["get", "clusterrole", "dossier-collect", "-o", "json"]).output();
    let role: Value = serde_json::from_slice(&role.unwrap().stdout).unwrap();
    let (allowed, planned) = (allowed(&role), planned());
    assert!(planned.len() > 90, "{planned:?}");
    let lacking: Vec<_> = planned.difference(&allowed).collect();
    assert!(lacking.is_empty(), "the plan asks for what the minimum does not allow: {lacking:?}");
    // Calico's API server asks for rights on tiers before it lists policies.
    let beyond = allowed.difference(&planned).filter(|(group, _, _)| group != "projectcalico.org");
    let beyond: Vec<_> = beyond.collect();
    assert!(beyond.is_empty(), "the minimum allows what nothing asks for: {beyond:?}");
}

#[test]
fn the_minimum_role_alone_brings_all_but_what_kubelets_say() {
    let server = require!(ApiServer::start(&Options::default()));
    let node =
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {conditions: [{type: Ready, status: \"False\"}]}\n";
    server.load(node).unwrap();
    kubectl(&server, &["apply"], "rbac.yaml");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    server.account_kubeconfig("dossier", "dossier-collect", &kubeconfig).unwrap();
    let out = folder.path().join("bundle.zip");
    let output = collector().arg("--kubeconfig").arg(&kubeconfig).arg("--out").arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let partial = bundle.manifest().items.iter().filter(|item| item.status.makes_partial());
    let partial: Vec<&ItemRecord> = partial.collect();
    let ids: BTreeSet<&str> = partial.iter().map(|item| item.id.as_str()).collect();
    let kubelets = ["node.kubelet.configz", "node.kubelet.stats", "node.log.kubelet-query", "selftest.kubelet-proxy"];
    assert_eq!(ids, BTreeSet::from(kubelets), "{partial:?}");
    assert!(partial.iter().all(|item| item.status == ItemStatus::Forbidden), "{partial:?}");
}

//! `dossier-collect --nodes` on a cluster with real nodes (`src/cluster.rs`): `src/bin/try-nodes.rs` tries everything once, and
//! each test here is one thing that it must have found in order.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tests::Missing;
use tests::host::Host;
use tests::{programs, require};

/// What the program said, line by line.
fn said() -> Result<&'static str, Missing> {
    static SAID: OnceLock<Result<String, Missing>> = OnceLock::new();
    let said = SAID.get_or_init(|| {
        require::namespaces()?;
        Host::node_image()?;
        programs::kube("kubelet")?;
        programs::pause()?;
        let mut tries = Command::new(env!("CARGO_BIN_EXE_try-nodes"));
        let output = tries.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("the program is built");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    said.as_deref().map_err(Missing::clone)
}

fn is_ok(name: &str) {
    let said = require!(said());
    assert!(said.lines().any(|line| line == format!("ok {name}")), "{said}");
}

#[test]
fn every_node_is_read_by_exec() {
    is_ok("every node is read by exec");
}

#[test]
fn limits_and_deep_hold_on_nodes_too() {
    is_ok("limits and --deep hold on nodes too");
}

#[test]
fn a_blocked_port_10250_is_gone_round() {
    is_ok("a blocked port 10250 is gone round");
}

#[test]
fn without_the_right_to_exec_and_to_make_roles_the_deciding_lines_come() {
    is_ok("without the right to exec and to make roles the deciding lines come");
}

#[test]
fn signals_leave_a_bundle_and_nothing_in_the_cluster() {
    is_ok("signals leave a bundle and nothing in the cluster");
}

#[test]
fn two_runs_on_the_same_nodes_do_not_meet() {
    is_ok("two runs on the same nodes do not meet");
}

#[test]
fn cleanup_finds_what_a_killed_run_left() {
    is_ok("cleanup finds what a killed run left");
}

#[test]
fn a_namespace_that_refuses_the_pods_is_named() {
    is_ok("a namespace that refuses the pods is named");
}

#[test]
fn a_kubelet_that_is_down_and_a_firewall_that_rejects_are_told_apart() {
    is_ok("a kubelet that is down and a firewall that rejects are told apart");
}

#[test]
fn each_role_of_deploy_adds_its_items_and_no_others() {
    is_ok("each role of deploy adds its items and no others");
}

#[test]
fn the_manifests_of_deploy_read_the_cluster_and_its_nodes() {
    is_ok("the manifests of deploy read the cluster and its nodes");
}

#[test]
fn a_node_that_is_gone_gets_no_pod_and_its_command_is_printed() {
    is_ok("a node that is gone gets no pod and its command is printed");
}

#[test]
fn the_report_of_a_broken_cluster_says_what_is_broken_and_what_is_missing() {
    is_ok("the report of a broken cluster says what is broken and what is missing");
}

//! The test cluster itself: what the other tests rest on.

use std::process::Command;
use std::time::{Duration, Instant};

use tests::{ApiServer, Options, User, require};

#[test]
fn it_serves_what_was_loaded_with_its_status() {
    let server = require!(ApiServer::shared());
    server.load(include_str!("api_server/node.yaml")).unwrap();
    let ready = output(server.kubectl(User::Admin).args([
        "get",
        "node",
        "loaded-by-a-test",
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.spec.podCIDR}",
    ]));
    assert_eq!(ready, "False 10.244.7.0/24");
}

#[test]
fn its_version_is_the_pinned_one() {
    let server = require!(ApiServer::shared());
    let version = output(server.kubectl(User::Stranger).args(["get", "--raw", "/version"]));
    assert!(version.contains("\"gitVersion\": \"v1.34"), "{version}");
}

#[test]
fn a_stranger_may_not_list_pods() {
    let server = require!(ApiServer::shared());
    let refused = server.kubectl(User::Stranger).args(["get", "pods", "-A"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Forbidden"), "{refused:?}");
}

#[test]
fn its_controllers_make_endpoint_slices_of_services_and_pods() {
    let controllers = ["endpointslice-controller", "serviceaccount-controller"].map(String::from).to_vec();
    let server = require!(ApiServer::start(&Options { controllers, ..Options::default() }));
    let deadline = Instant::now() + Duration::from_secs(60);
    while output(server.kubectl(User::Admin).args(["get", "serviceaccounts", "-n", "default", "-o", "name"])).is_empty()
    {
        assert!(Instant::now() < deadline, "the default service account does not appear");
        std::thread::sleep(Duration::from_millis(200));
    }
    // The controller leaves out pods whose node does not exist.
    server.load(include_str!("api_server/node.yaml")).unwrap();
    server.load(include_str!("api_server/service.yaml")).unwrap();
    let addresses = || {
        output(server.kubectl(User::Admin).args([
            "get",
            "endpointslices",
            "-l",
            "kubernetes.io/service-name=web",
            "-o",
            "jsonpath={.items[*].endpoints[*].addresses[*]}",
        ]))
    };
    while addresses() != "10.244.7.5" {
        assert!(Instant::now() < deadline, "the slice does not name the pod: {}\n{}", addresses(), server.log_tail());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn nothing_is_left_of_it_when_it_is_dropped() {
    let server = require!(ApiServer::start(&Options::default()));
    let folder = server.kubeconfig(User::Admin).parent().unwrap().parent().unwrap().to_owned();
    let pids: Vec<String> =
        ["etcd.pid", "apiserver.pid"].map(|f| std::fs::read_to_string(folder.join(f)).unwrap().trim().into()).to_vec();
    drop(server);
    assert!(!folder.exists(), "{} is left", folder.display());
    for pid in pids {
        assert!(!std::path::Path::new("/proc").join(&pid).exists(), "process {pid} still runs");
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

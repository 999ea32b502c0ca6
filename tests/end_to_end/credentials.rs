//! Credentials that are of no use: what is said of them tells what to mend, and holds nothing of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bundle::{Bundle, ItemStatus, Limits};
use serde_json::{Value, json};
use tests::product::collector;
use tests::{ApiServer, require};

/// Runs the collector with a kubeconfig of this text, and gives its exit code and what it said.
fn said_of(kubeconfig: &str, plugin: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("plugin");
    fs::write(&program, format!("#!/bin/sh\n{plugin}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, kubeconfig.replace("PLUGIN", &program.display().to_string())).unwrap();
    let mut run = collector();
    // Whether it is named or found makes no difference.
    run.env("KUBECONFIG", &path).args(["--request-timeout", "2", "--out"]).arg(folder.path().join("b.zip"));
    let found = run.output().unwrap();
    let mut run = collector();
    run.arg("--kubeconfig").arg(&path).args(["--request-timeout", "2", "--out"]).arg(folder.path().join("b.zip"));
    let named = run.output().unwrap();
    assert_eq!(found.status.code(), named.status.code());
    let bundle = fs::read(folder.path().join("b.zip")).unwrap_or_default();
    let all = [found.stdout, found.stderr, named.stdout, named.stderr, bundle].concat();
    (named.status.code(), String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn a_kubeconfig_that_does_not_parse_is_not_quoted() {
    for text in [
        "users:\n- name: u\n  user: {token: hush-token-1\nclusters: hush-token-2: x\n",
        "users:\n- name: u\n  user:\n    token: [hush-token-1]\n",
        "users:\n- name: u\n  user:\n\ttoken: hush-token-1\n",
        "apiVersion: v1\nusers: hush-token-1\n",
    ] {
        let (code, said) = said_of(text, "");
        assert_eq!(code, Some(3), "{said}");
        assert!(!said.contains("hush"), "{said}");
        assert!(said.contains("it is not the YAML of a kubeconfig (line ") && said.contains("--kubeconfig"), "{said}");
    }
}

#[test]
fn a_plugin_that_fails_is_told_without_what_it_printed() {
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\nusers:\n- name: u\n  user:\n    exec:\n      \
        apiVersion: client.authentication.k8s.io/v1\n      command: PLUGIN\n      args: [--client-secret=hush-secret-1]\n      \
        env: [{name: ODD, value: hush-secret-2}]\n      interactiveMode: Never\n";
    let (code, said) = said_of(text, "echo hush-token-3; echo 'log in again, password=hush-secret-4' >&2; exit 7");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("credential plugin ended with exit status: 7: log in again"), "{said}");
    assert!(!said.contains("hush"), "{said}");

    let printed = r#"echo '{"kind": "ExecCredential", "status": "hush-token-5"}'"#;
    let (code, said) = said_of(text, printed);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("printed is no ExecCredential") && !said.contains("hush"), "{said}");
}

#[test]
fn a_plugin_is_told_the_cluster_where_the_kubeconfig_says_so_and_what_it_gives_is_used() {
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read_to_string(server.authority().path(name)).unwrap();
    let given = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "status": {"clientCertificateData": read("admin.crt"), "clientKeyData": read("admin.key")}});
    fs::write(place("given"), given.to_string()).unwrap();
    fs::write(place("plugin"), "#!/bin/sh\nprintf %s \"$KUBERNETES_EXEC_INFO\" >\"$1\"\ncat \"$2\"\n").unwrap();
    fs::set_permissions(place("plugin"), fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "east", "cluster": {"server": server.url(), "certificate-authority": server.authority().path("ca.crt")}}],
        "contexts": [{"name": "c", "context": {"cluster": "east", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": place("plugin"), "args": [place("told"), place("given")],
            "interactiveMode": "Never", "provideClusterInfo": true}}}],
    });
    fs::write(place("kubeconfig"), kubeconfig.to_string()).unwrap();
    let mut run = collector();
    run.arg("--kubeconfig").arg(place("kubeconfig")).arg("--out").arg(place("b.zip"));
    let output = run.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&fs::read(place("told")).unwrap()).unwrap();
    let cluster = &told["spec"]["cluster"];
    assert_eq!(cluster["server"], server.url());
    assert!(cluster["certificate-authority-data"].as_str().is_some_and(|data| !data.is_empty()), "{told}");
    let bundle = Bundle::open(&place("b.zip"), Limits::default()).unwrap();
    let nodes = bundle.manifest().items.iter().find(|item| item.id == "api.nodes").unwrap();
    assert_eq!(nodes.status, ItemStatus::Ok, "{nodes:?}");
    assert_eq!(bundle.manifest().cluster.as_ref().map(|cluster| cluster.name.as_str()), Some("east"));
}

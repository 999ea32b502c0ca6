//! What the sender gives: the symptom, files of their own, the cloud's answers, and bundles of hosts to fold in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use bundle::{Bundle, ItemRecord, ItemStatus, Limits};
use serde_json::Value;
use tests::product::{analyzer, collector, workspace};
use tests::{ApiServer, User, require};

fn run(server: &ApiServer, out: &Path, path: &str, arguments: &[&str]) -> Output {
    let mut run = collector();
    run.arg("--kubeconfig").arg(server.kubeconfig(User::Admin)).arg("--out").arg(out).args(arguments);
    run.env("PATH", path).output().unwrap()
}

fn item<'b>(bundle: &'b Bundle, id: &str) -> &'b ItemRecord {
    bundle.manifest().items.iter().find(|item| item.id == id).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn a_symptom_and_files_come_along_and_the_report_speaks_to_them() {
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("what I have.txt");
    fs::write(&notes, "it began on Monday; password: hunter3hunter3\n").unwrap();
    let out = folder.path().join("bundle.zip");
    let symptom =
        "from=pod/shop/web,to=10.0.0.5:10250,error=dial tcp 10.0.0.5:10250: i/o timeout, password=hunter2hunter2";
    let notes = notes.to_str().unwrap();
    let output = run(server, &out, "", &["--symptom", symptom, "--attach", notes, "/no/such/file"]);
    assert_eq!(output.status.code(), Some(2), "a file that is not there makes it partial: {output:?}");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let said = bundle.manifest().symptom.clone().unwrap();
    assert_eq!((said.from.as_deref(), said.to.as_deref()), (Some("pod/shop/web"), Some("10.0.0.5:10250")));
    let error = said.error.unwrap();
    assert!(error.contains("i/o timeout") && !error.contains("hunter2hunter2"), "{error}");
    assert_eq!(item(&bundle, "extra.1").path.as_deref(), Some("extra/1-what%20I%20have.txt"));
    let taken = String::from_utf8(bundle.read("extra/1-what%20I%20have.txt").unwrap()).unwrap();
    assert!(taken.contains("it began on Monday") && !taken.contains("hunter3"), "{taken}");
    assert_eq!(item(&bundle, "extra.2").status, ItemStatus::Error);

    let report = folder.path().join("report");
    let analyzed = analyzer().args(["analyze"]).arg(&out).arg("--out").arg(&report).output().unwrap();
    let summary = String::from_utf8_lossy(&analyzed.stdout).into_owned();
    assert!(summary.contains("kubelet-dial-timeout: the API server gets no answer"), "{summary}");
    let html = fs::read_to_string(report.join("report.html")).unwrap();
    assert!(html.find("id=\"symptom\"").unwrap() < html.find("id=\"causes\"").unwrap());
}

/// The JSON files of a rule's first case, in the shapes that kubectl, az and tccli print, each by the name of the file.
fn documents(rule: &str) -> Vec<(String, String)> {
    let case = fs::read_to_string(workspace().join("rules/cloud").join(rule)).unwrap();
    let sick = case.split("```expect").next().unwrap();
    let blocks = sick.split("```json ").skip(1).map(|block| block.split_once('\n').unwrap());
    let name =
        |head: &str| Path::new(head.split(' ').next().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    blocks.map(|(head, rest)| (name(head), rest.split("```").next().unwrap().to_owned())).collect()
}

/// Attaches the documents to a run that sees nothing by itself, and gives what the analyzer makes of them.
fn judged_of(server: &ApiServer, documents: &[(String, String)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("bundle.zip"), folder.path().join("report"));
    let mut run = collector();
    run.arg("--kubeconfig").arg(server.kubeconfig(User::Stranger)).arg("--out").arg(&out).arg("--attach");
    for (name, content) in documents {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        run.arg(path);
    }
    assert_eq!(run.output().unwrap().status.code(), Some(2));
    let analyzed = analyzer().arg("analyze").arg(&out).arg("--out").arg(&report).output().unwrap();
    assert!(matches!(analyzed.status.code(), Some(0 | 1)), "{analyzed:?}");
    serde_json::from_slice(&fs::read(report.join("findings.json")).unwrap()).unwrap()
}

#[test]
fn what_kubectl_az_and_tccli_printed_is_judged_as_if_it_were_collected() {
    let server = require!(ApiServer::shared());
    let told = judged_of(server, &documents("nsg-blocks-10250.md"));
    let found: Vec<&Value> = told["findings"].as_array().unwrap().iter().collect();
    let blocked =
        found.iter().find(|finding| finding["rule"] == "nsg-blocks-10250").unwrap_or_else(|| panic!("{told}"));
    assert_eq!(blocked["scope"]["name"], "n1");
    assert!(blocked["evidence"][0]["path"].as_str().unwrap().starts_with("extra/"), "{blocked}");

    // What links a node has cannot be attached, so that the rule on Tencent's groups lacks that, and that alone.
    let told = judged_of(server, &documents("node-sg-blocks-pod-cidr.md"));
    let lacks: Vec<&Value> = told["not_checked"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["rule"] == "node-sg-blocks-pod-cidr")
        .flat_map(|one| one["missing"].as_array().unwrap().iter().map(|missing| &missing["id"]))
        .collect();
    assert!(!lacks.is_empty() && !lacks.iter().any(|id| *id == "cloud.tke" || *id == "api.nodes"), "{lacks:?}");
}

#[test]
fn a_symptom_that_is_none_is_a_usage_error() {
    let output = collector().args(["--symptom", "it is broken", "--plan"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not begin with a field"), "{said}");
}

/// An az that answers in the shapes of B.14 and B.15 of the project's notes, and writes down what it was asked.
const AZ: &str = r##"#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
group=/subscriptions/s1/resourceGroups
case "$*" in
  "account show"*) echo '{"id": "s1", "name": "prod", "state": "Enabled"}' ;;
  "aks list"*) echo '[{"name": "other", "fqdn": "x.example"}, {"name": "shop", "resourceGroup": "rg", "fqdn": "127.0.0.1",
    "nodeResourceGroup": "MC_rg", "agentPoolProfiles": [{"vnetSubnetId": "'$group'/net-rg/providers/Microsoft.Network/virtualNetworks/v/subnets/a"}],
    "servicePrincipalProfile": {"clientId": "msi"}, "identity": {"principalId": "p1"}}]' ;;
  "aks show"*) echo '{"id": "'$group'/rg/providers/Microsoft.ContainerService/managedClusters/shop", "networkProfile": {"networkPlugin": "azure"}}' ;;
  "vmss list"*MC_rg*) echo '[{"name": "aks-pool-vmss"}]' ;;
  "network nsg list"*net-rg*) echo "ERROR: (AuthorizationFailed) The client does not have authorization to perform action" >&2; exit 1 ;;
  "network nsg list"*) echo '[{"name": "aks-nsg", "securityRules": [{"name": "deny-10250", "priority": 200, "access": "Deny"}]}]' ;;
  "network lb list"*MC_rg*) echo '[{"name": "kubernetes", "id": "'$group'/MC_rg/providers/Microsoft.Network/loadBalancers/kubernetes"}]' ;;
  *) echo '[]' ;;
esac
"##;

fn az(folder: &Path, script: &str) -> String {
    let path = folder.join("az");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", folder.display())
}

#[test]
fn the_cloud_is_asked_where_az_is_logged_in_and_only_read() {
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let path = az(folder.path(), AZ);
    let out = folder.path().join("bundle.zip");
    let output = run(server, &out, &path, &["--cloud", "az"]);
    assert_eq!(output.status.code(), Some(2), "one group may not be read: {output:?}");
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    for (id, status) in [
        ("cloud.aks.show", ItemStatus::Ok),
        ("cloud.nsg.list.MC_rg", ItemStatus::Ok),
        ("cloud.nsg.list.net-rg", ItemStatus::Forbidden),
        ("cloud.nsg.nics.aks-pool-vmss", ItemStatus::Ok),
        ("cloud.lb.snat.kubernetes", ItemStatus::Ok),
        ("cloud.identity.roles", ItemStatus::Ok),
    ] {
        assert_eq!(item(&bundle, id).status, status, "{:?}", item(&bundle, id));
    }
    let rules = String::from_utf8(bundle.read("cloud/az/nsg.list.MC_rg.json").unwrap()).unwrap();
    assert!(rules.contains("deny-10250"), "{rules}");
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    let reads = |line: &str| line.split(" --").next().unwrap().split(' ').any(|word| ["show", "list"].contains(&word));
    assert!(asked.lines().count() > 10 && asked.lines().all(reads), "{asked}");
}

#[test]
fn an_az_that_is_missing_or_logged_out_is_a_clear_status() {
    let server = require!(ApiServer::shared());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle.zip");
    run(server, &out, "/nonexistent", &["--cloud", "az"]);
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    assert_eq!(item(&bundle, "cloud.nsg").status, ItemStatus::ToolMissing);

    let out = folder.path().join("second.zip");
    let path = az(folder.path(), "#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1\n");
    run(server, &out, &path, &["--cloud", "az"]);
    let bundle = Bundle::open(&out, Limits::default()).unwrap();
    let lost = item(&bundle, "cloud.nsg");
    assert_eq!(lost.status, ItemStatus::Forbidden);
    assert!(lost.reason.as_ref().unwrap().contains("not logged in"), "{lost:?}");
}

#[test]
fn a_host_read_by_hand_is_folded_into_its_node() {
    let server = require!(ApiServer::start(&tests::Options::default()));
    let folder = tempfile::tempdir().unwrap();
    let (cluster, host, merged) =
        (folder.path().join("c.zip"), folder.path().join("h.zip"), folder.path().join("m.zip"));
    let read = collector().args(["node", "--node-name", "ip-of-mine", "--out"]).arg(&host).output().unwrap();
    assert!(matches!(read.status.code(), Some(0 | 2)), "{read:?}");
    let known = Bundle::open(&host, Limits::default()).unwrap().manifest().hosts[0].clone();
    let address = known.addresses.first().cloned().unwrap_or_else(|| "192.0.2.1".to_owned());
    server
        .load(&format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: worker-7}}\nstatus:\n  addresses: [{{type: InternalIP, address: \"{address}\"}}]\n"
        ))
        .unwrap();
    run(&server, &cluster, "", &[]);
    let said = collector().arg("merge").arg(&cluster).arg(&host).arg("--out").arg(&merged).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let bundle = Bundle::open(&merged, Limits::default()).unwrap();
    assert!(bundle::verify::verify(&bundle).is_empty());
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    if known.addresses.is_empty() {
        assert!(text.contains("none of the cluster's nodes"), "{text}");
        return;
    }
    assert_eq!(bundle.manifest().hosts[0].node, "worker-7", "{text}");
    assert!(text.contains("is node worker-7 by its InternalIP; it was called ip-of-mine"), "{text}");
    assert!(bundle.entries().any(|entry| entry.path.starts_with("nodes/worker-7/")));
    assert!(!bundle.entries().any(|entry| entry.path.starts_with("nodes/ip-of-mine/")));
}

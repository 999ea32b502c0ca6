//! `dossier path` as its users run it, on a bundle that the collector wrote of a real node.

mod four_nodes;
mod samples;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tests::product::{analyzer, workspace};

fn sample(name: &str) -> PathBuf {
    workspace().join("samples").join(name)
}

fn run(name: &str, arguments: &[&str]) -> Output {
    analyzer().arg("path").arg(sample(name)).args(arguments).output().unwrap()
}

/// The answer as JSON, held against its schema.
fn ask(name: &str, arguments: &[&str]) -> Value {
    ask_at(&sample(name), arguments)
}

fn ask_at(bundle: &Path, arguments: &[&str]) -> Value {
    let output = analyzer().arg("path").arg(bundle).args(arguments).arg("--json").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = std::fs::read(workspace().join("schemas/path.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let problems = problems(&schema, &schema, &answer, "");
    assert!(problems.is_empty(), "{arguments:?}: {problems:?}");
    answer
}

/// What of a value is not as its JSON Schema says: the words of draft 7 that schemars writes.
fn problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        return problems(root, target, value, at);
    }
    let mut all = Vec::new();
    for word in ["anyOf", "oneOf"] {
        if let Some(options) = schema[word].as_array() {
            let fits = options.iter().any(|option| problems(root, option, value, at).is_empty());
            all.extend((!fits).then(|| format!("{at}: none of {word} fits {value}")));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        all.extend(problems(root, part, value, at));
    }
    if let Some(names) = schema["enum"].as_array() {
        all.extend((!names.contains(value)).then(|| format!("{at}: {value} is none of {names:?}")));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        all.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        _ => false,
    };
    if !types.is_empty() && !types.iter().any(|kind| is(kind)) {
        all.push(format!("{at}: {value} is no {types:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let missing = value.is_object() && value.get(name).is_none();
        all.extend(missing.then(|| format!("{at}: {name} is missing")));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(member) = value.get(name) {
            all.extend(problems(root, inner, member, &format!("{at}/{name}")));
        }
    }
    if let (Some(items), Some(elements)) = (schema.get("items"), value.as_array()) {
        elements.iter().for_each(|element| all.extend(problems(root, items, element, at)));
    }
    all
}

fn verdict(answer: &Value) -> (&str, &str) {
    (answer["verdict"].as_str().unwrap(), answer["client_sees"].as_str().unwrap())
}

const VIA: [&str; 2] = ["--via", "node/worker-1"];

#[test]
fn a_blocked_kubelet_port_with_its_line_and_ufws_own_fix() {
    let arguments =
        ["--from", "10.240.0.11:40000", "--to", "node/worker-1:10250", "--via", "node/worker-1", "--in", "eth0"];
    let answer = ask("firewall-and-limits.zip", &arguments);
    assert_eq!(verdict(&answer), ("drop", "timeout"));
    assert_eq!(answer["deciding"]["text"], ":INPUT DROP [0:0]");
    assert_eq!(answer["deciding"]["direction"], "forward");
    assert_eq!(answer["deciding"]["file"], "nodes/worker-1/firewall/iptables-nft.v4");
    let line = answer["deciding"]["line"].as_u64().unwrap() as usize;
    let dump = run_inspect_text("firewall-and-limits.zip", "nodes/worker-1/firewall/iptables-nft.v4");
    assert_eq!(dump.lines().nth(line - 1), answer["deciding"]["text"].as_str());
    assert_eq!(answer["fix"]["verified"], true);
    assert_eq!(answer["fix"]["changes"][0]["owner"], "ufw");
    assert!(answer["fix"]["changes"][0]["command"].as_str().unwrap().starts_with("ufw insert 1 allow proto tcp"));
    assert!(answer["delivered"].is_null());
    // The same packet without ufw arrives, and its answer too.
    let healthy = ask("healthy.zip", &arguments);
    assert_eq!(verdict(&healthy), ("accept", "connected"));
    assert_eq!(healthy["delivered"]["to"], "10.240.0.12:10250");
    assert_eq!(healthy["delivered"]["from_seen"], "10.240.0.11:40000");
    let ways: Vec<&str> = healthy["steps"].as_array().unwrap().iter().filter_map(|s| s["direction"].as_str()).collect();
    assert!(ways.contains(&"forward") && ways.contains(&"reply"), "{ways:?}");
}

/// An entry of a sample, as text.
fn run_inspect_text(name: &str, path: &str) -> String {
    let bundle = bundle::Bundle::open(&sample(name), bundle::Limits::default()).unwrap();
    String::from_utf8(bundle.read(path).unwrap()).unwrap()
}

#[test]
fn every_form_of_an_end_and_every_protocol() {
    let web = "pod/shop/web-5b846b75fc-k2jrb";
    for arguments in [
        vec!["--from", web, "--to", "service/shop/api:80"],
        vec!["--from", web, "--to", "service/kube-system/kube-dns:dns-tcp"],
        vec!["--from", web, "--to", "pod/kube-system/coredns-56c4b547d-2wfcg:53", "--proto", "udp"],
        vec!["--from", "node/worker-1", "--to", "10.240.0.11:6443"],
        vec!["--from", "10.244.1.5:4000", "--to", "node/cp-1:10250"],
        vec!["--from", "192.0.2.1", "--to", "node/worker-1:132", "--proto", "sctp", VIA[0], VIA[1]],
        vec!["--from", "192.0.2.1", "--to", "node/worker-1", "--proto", "icmp", VIA[0], VIA[1]],
        vec!["--from", "[fd00::9]:50000", "--to", "[fd00::4]:80", VIA[0], VIA[1], "--in", "eth0"],
    ] {
        let answer = ask("healthy.zip", &arguments);
        assert!(!answer["detail"].as_str().unwrap().is_empty(), "{arguments:?}");
        let text = run("healthy.zip", &arguments);
        assert_eq!(text.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn nobody_listens_so_the_client_is_refused() {
    let answer = ask("healthy.zip", &["--from", "10.240.0.11", "--to", "node/worker-1:9", VIA[0], VIA[1]]);
    assert_eq!(verdict(&answer), ("accept", "refused"));
    assert_eq!(answer["deciding"]["file"], "nodes/worker-1/net/sockets.json");
    // What listens on 127.0.0.1 alone takes nothing from outside.
    let local = ask("healthy.zip", &["--from", "10.240.0.11", "--to", "node/worker-1:10248", VIA[0], VIA[1]]);
    assert_eq!(verdict(&local), ("accept", "refused"));
}

#[test]
fn a_node_that_was_not_collected_is_an_unknown() {
    let answer = ask("healthy.zip", &["--from", "node/cp-1", "--to", "node/worker-1:10250"]);
    assert_eq!(verdict(&answer), ("depends", "depends"));
    let unknowns = answer["unknowns"].to_string();
    assert!(unknowns.contains("node cp-1"), "{unknowns}");
}

#[test]
fn what_cannot_be_answered_says_what_to_do() {
    for (arguments, words) in [
        (vec!["--from", "node/nope", "--to", "10.0.0.1:1"], vec!["no node nope", "worker-1"]),
        (vec!["--from", "pod/shop/nope", "--to", "10.0.0.1:1"], vec!["no pod shop/nope", "web-"]),
        (vec!["--from", "node/worker-1", "--to", "service/shop/web:81"], vec!["port 81", "80/TCP"]),
        (vec!["--from", "node/worker-1", "--to", "10.0.0.1"], vec!["PORT"]),
        (vec!["--from", "node/worker-1", "--to", "10.0.0.1:1", "--proto", "icmp"], vec!["icmp takes no port"]),
        (vec!["--from", "service/shop/web", "--to", "10.0.0.1:1"], vec!["sends nothing"]),
        (vec!["--from", "192.0.2.1", "--to", "[fd00::4]:80", VIA[0], VIA[1]], vec!["families"]),
        (vec!["--from", "192.0.2.1", "--to", "192.0.2.2:80"], vec!["--via node/NAME"]),
        (vec!["--from", "192.0.2.1", "--to", "192.0.2.2:80", VIA[0], VIA[1], "--in", "eth9"], vec!["eth9", "eth0"]),
        (vec!["--from", "somewhere", "--to", "192.0.2.2:80"], vec!["somewhere", "pod/NAMESPACE/NAME"]),
        (vec!["--from", "192.0.2.1", "--to", "192.0.2.2:99999"], vec!["1 to 65535"]),
    ] {
        let output = run("healthy.zip", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {word:?} is not in: {said}");
        }
    }
    let nothing =
        analyzer().args(["path", "nowhere.zip", "--from", "10.0.0.1", "--to", "10.0.0.2:1"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn the_battery_over_a_whole_bundle() {
    let output = run("firewall-and-limits.zip", &["--all", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let battery: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = std::fs::read(workspace().join("schemas/path-all.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    assert_eq!(problems(&schema, &schema, &battery, ""), Vec::<String>::new());
    let checks = battery["checks"].as_array().unwrap();
    // What fails stands first; ufw drops the kubelet's port for the API server's node and the peers alike.
    let kubelet = checks.iter().find(|check| check["purpose"] == "the kubelet").unwrap();
    assert_eq!((kubelet["verdict"].as_str(), kubelet["via"].as_str()), (Some("drop"), Some("node/worker-1")));
    assert_eq!(kubelet["stands_for"], 2);
    let ranks: Vec<bool> = checks.iter().map(|check| check["client_sees"] == "connected").collect();
    assert!(ranks.windows(2).all(|pair| pair[0] <= pair[1]), "{ranks:?}");
    // Nodes without a folder are named, never passed over.
    let not_walked = battery["not_walked"].to_string();
    assert!(not_walked.contains("node cp-1") && not_walked.contains("node worker-2"), "{not_walked}");
    let text = run("firewall-and-limits.zip", &["--all"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("the kubelet"));
}

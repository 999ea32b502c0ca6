//! A question about every sample, and what is to be answered.

use serde_json::Value;
use tests::product::workspace;

use super::{ask, run_inspect_text, verdict};

/// A question about a sample and what is to be answered. `{web@worker-1}` stands for the pod of that workload on that node.
struct Asked {
    sample: &'static str,
    question: &'static str,
    verdict: &'static str,
    sees: &'static str,
    /// What the deciding line is part of, and part of its text; nothing where none decides.
    deciding: Option<(&'static str, &'static str)>,
    /// Who manages what the first change changes, and part of it; nothing where there is nothing to change.
    fix: Option<(&'static str, &'static str)>,
}

const TO_KUBELET: &str = "--from 10.240.0.11:40000 --to node/worker-1:10250 --via node/worker-1 --in eth0";
const TO_WEB: &str = "--from 10.244.2.9:40000 --to {web@worker-1}:8080 --via node/worker-1 --in flannel.1";
const IPTABLES: &str = "worker-1/firewall/iptables-nft.v4";
const LET_IN: Option<(&str, &str)> = Some((IPTABLES, ":INPUT ACCEPT"));
const EGRESS: Option<(&str, &str)> =
    Some(("network-policy", "kubectl patch networkpolicy egress-dns -n shop --type=json -p"));
const POLICIES: &str = "networking.k8s.io/networkpolicies.json";

/// Every sample, with what is broken on its network if anything is.
const ASKED: &[Asked] = &[
    asked("healthy", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("healthy", TO_WEB, ("accept", "connected"), Some((IPTABLES, ":POSTROUTING ACCEPT")), None),
    asked("certificates-expired", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("cni-config-missing", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("coredns-loop", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("addresses-collide", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("ipam-leak", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("konnectivity-starved", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    asked("nnc-subnet-full", TO_KUBELET, ("accept", "connected"), LET_IN, None),
    // Nobody could look at its rules, so nobody knows.
    asked("blind", TO_KUBELET, ("depends", "depends"), None, None),
    asked(
        "firewall-and-limits",
        TO_KUBELET,
        ("drop", "timeout"),
        Some((IPTABLES, ":INPUT DROP")),
        Some(("ufw", "ufw insert 1 allow proto tcp from 10.240.0.11 to 10.240.0.12 port 10250")),
    ),
    asked(
        "firewalld-blocks-kubelet",
        TO_KUBELET,
        ("reject", "unreachable"),
        Some(("worker-1/firewall/nft.json", "filter_IN_public")),
        Some(("firewalld", "firewall-cmd --permanent --zone=public --add-port=10250/tcp && firewall-cmd --reload")),
    ),
    asked(
        "docker-forward-drop",
        TO_WEB,
        ("drop", "timeout"),
        Some((IPTABLES, ":FORWARD DROP")),
        Some(("docker", "iptables-nft -I DOCKER-USER -s 10.244.2.9")),
    ),
    asked(
        "forward-reject",
        TO_WEB,
        ("reject", "unreachable"),
        Some((IPTABLES, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited")),
        Some(("unknown", "iptables-nft -I FORWARD ")),
    ),
    asked(
        "ip-forward-off",
        TO_WEB,
        ("drop", "timeout"),
        Some(("worker-1/system/sysctl.txt", "forwarding = 0")),
        Some(("unknown", "sysctl -w net.ipv4.ip_forward=1")),
    ),
    asked(
        "ip-forward-off",
        "--from {api@worker-1} --to 10.240.0.11:6443",
        ("drop", "timeout"),
        Some(("worker-1/system/sysctl.txt", "cni0.forwarding = 0")),
        Some(("unknown", "sysctl -w net.ipv4.ip_forward=1")),
    ),
    asked(
        "endpoint-dead",
        "--from {api@worker-1} --to service/shop/web:80 --via node/worker-1 --in cni0",
        ("depends", "depends"),
        Some((IPTABLES, "-A FORWARD -d 10.244.2.")),
        Some(("unknown", "iptables-nft -I FORWARD ")),
    ),
    asked(
        "masquerade-mark-dropped",
        "--from 10.240.0.11:40000 --to node/worker-1:30080 --via node/worker-1 --in eth0",
        ("drop", "timeout"),
        Some((IPTABLES, "-A QUARANTINE -m mark --mark 0x4000/0x4000 -j DROP")),
        Some(("unknown", "iptables-nft -I QUARANTINE 1 ")),
    ),
    asked(
        "services-without-endpoints",
        "--from {konnectivity-agent@worker-1} --to service/shop/api:80",
        ("reject", "refused"),
        Some((IPTABLES, "shop/api:main has no endpoints")),
        Some(("kube-proxy", "give the Service a ready endpoint")),
    ),
    asked(
        "dns-egress-without-tcp",
        "--from {api@worker-1} --to service/kube-system/kube-dns:53 --proto tcp",
        ("reject", "refused"),
        Some((POLICIES, "UDP")),
        EGRESS,
    ),
    // The node of this endpoint is not in the bundle: what the policy says is enough.
    asked(
        "dns-egress-without-tcp",
        "--from {api@worker-1} --to {coredns@worker-2}:53 --proto tcp",
        ("reject", "refused"),
        Some((POLICIES, "UDP")),
        EGRESS,
    ),
];

const fn asked(
    sample: &'static str,
    question: &'static str,
    (verdict, sees): (&'static str, &'static str),
    deciding: Option<(&'static str, &'static str)>,
    fix: Option<(&'static str, &'static str)>,
) -> Asked {
    Asked { sample, question, verdict, sees, deciding, fix }
}

#[test]
fn what_stops_packets_in_the_samples() {
    let wrong: Vec<String> = ASKED.iter().filter_map(problem).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A sample that nobody asks about is one that nobody looked at.
    for entry in std::fs::read_dir(workspace().join("samples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(sample) = name.strip_suffix(".zip") else { continue };
        assert!(ASKED.iter().any(|asked| asked.sample == sample), "nothing is asked about {sample}");
    }
}

/// What of an answer is not as it should be.
fn problem(asked: &Asked) -> Option<String> {
    let zip = format!("{}.zip", asked.sample);
    let words: Vec<String> = asked.question.split(' ').map(|word| named(&zip, word)).collect();
    let answer = ask(&zip, &words.iter().map(String::as_str).collect::<Vec<_>>());
    let part = |value: &Value, part: &str| value.as_str().is_some_and(|text| text.contains(part));
    let deciding = match asked.deciding {
        Some((file, text)) => part(&answer["deciding"]["file"], file) && part(&answer["deciding"]["text"], text),
        None => answer["deciding"].is_null(),
    };
    let change = &answer["fix"]["changes"][0];
    let fix = match asked.fix {
        Some((owner, command)) => change["owner"] == owner && part(&change["command"], command),
        None => answer["fix"].is_null(),
    };
    let right = verdict(&answer) == (asked.verdict, asked.sees) && deciding && fix;
    (!right).then(|| {
        let said = ["verdict", "client_sees", "detail", "deciding", "fix", "unknowns"].map(|field| &answer[field]);
        format!("{} {}: {said:?}", asked.sample, words.join(" "))
    })
}

/// `{web@worker-1}:8080` with the pod that is meant: its name is the cluster's invention.
fn named(sample: &str, word: &str) -> String {
    let Some((wanted, rest)) = word.strip_prefix('{').and_then(|word| word.split_once('}')) else {
        return word.to_owned();
    };
    let (workload, node) = wanted.split_once('@').unwrap();
    let pods: Value = serde_json::from_str(&run_inspect_text(sample, "cluster/core/pods.json")).unwrap();
    let is = |pod: &&Value| {
        pod["metadata"]["name"].as_str().unwrap().starts_with(&format!("{workload}-"))
            && pod["spec"]["nodeName"] == node
    };
    let pod = pods["items"].as_array().unwrap().iter().find(is).unwrap_or_else(|| panic!("{sample} has no {wanted}"));
    let text = |field: &str| pod["metadata"][field].as_str().unwrap();
    format!("pod/{}/{}{rest}", text("namespace"), text("name"))
}

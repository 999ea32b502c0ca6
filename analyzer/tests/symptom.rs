//! What the report says to a symptom, over the samples.

#![allow(clippy::unwrap_used)] // The samples are the project's own.

use std::path::Path;

use analyzer::facts::Facts;
use analyzer::finding::{Findings, Standing, SymptomAnswer};
use analyzer::report::{Format, render, write_summary};
use analyzer::rule::{Options, RuleSet, analyze};
use bundle::manifest::Symptom;
use bundle::{Bundle, Limits};

fn asked(sample: &str, symptom: Option<&str>) -> Findings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(sample);
    let symptom = symptom.map(|text| Symptom::inline(text).unwrap());
    let facts = Facts::about(Bundle::open(&path, Limits::default()).unwrap(), symptom);
    analyze(&facts, &RuleSet::builtin().unwrap(), &Options::default())
}

fn answer(sample: &str, symptom: &str) -> SymptomAnswer {
    asked(sample, Some(symptom)).symptom.unwrap()
}

#[test]
fn the_texts_meaning_leads_to_the_check_that_found_the_cause() {
    let said = "error=Failed to create pod sandbox: plugin type=\"loopback\" failed (add): failed to find plugin \"loopback\" in path [/opt/cni/bin]";
    let answer = answer("cni-config-missing.zip", said);
    let ids: Vec<&str> = answer.recognized.iter().map(|known| known.pattern.as_str()).collect();
    assert!(ids.contains(&"cni-config-missing") && ids.contains(&"sandbox-create-failed"), "{ids:?}");
    let missing = answer.recognized.iter().find(|known| known.pattern == "cni-config-missing").unwrap();
    assert_eq!(missing.parts.get("bin").map(String::as_str), Some("loopback"));
    assert!(!missing.evidence.is_empty(), "the bundle says the same somewhere: {missing:?}");
    assert!(missing.checks.iter().any(|check| check.standing == Standing::Found), "{missing:?}");
}

#[test]
fn a_text_that_the_healthy_bundle_does_not_know_is_not_found_there() {
    let answer = answer("healthy.zip", "error=no IP addresses available in range set: 10.244.1.1-10.244.1.254");
    let full = answer.recognized.first().unwrap();
    assert_eq!((full.pattern.as_str(), full.lines, full.events), ("ipam-hostlocal-full", 0, 0));
    assert!(full.checks.iter().all(|check| check.standing != Standing::Found), "{full:?}");
}

#[test]
fn what_no_pattern_knows_is_said() {
    let answer = answer("healthy.zip", "error=the flux capacitor is empty,since=yesterday");
    assert!(answer.recognized.is_empty() && answer.not_recognized);
    assert_eq!(answer.fields.len(), 2);
}

#[test]
fn the_longest_explanation_comes_first() {
    let said = "error=Error from server: Get \"https://n:10250/containerLogs/a/b/c\": dial tcp 10.0.0.5:10250: connect: connection refused";
    let answer = answer("healthy.zip", said);
    let ids: Vec<&str> = answer.recognized.iter().map(|known| known.pattern.as_str()).collect();
    let place = |id: &str| ids.iter().position(|known| *known == id).unwrap();
    assert!(place("kubelet-dial-refused") < place("probe-refused"), "{ids:?}");
}

#[test]
fn findings_about_what_is_named_are_named() {
    let findings = asked("ip-forward-off.zip", None);
    assert!(findings.symptom.is_none(), "nothing was said, nothing is answered");
    let scope = findings.findings.first().unwrap().scope.to_string();
    let findings = asked("ip-forward-off.zip", Some(&format!("from={scope}")));
    assert!(!findings.symptom.as_ref().unwrap().named.is_empty(), "{scope}");
    let markdown = render(&findings, Format::Md).unwrap();
    let (symptom, causes) = (markdown.find("## The symptom").unwrap(), markdown.find("## Root causes").unwrap());
    assert!(symptom < causes, "the symptom stands before the causes");
    let mut summary = Vec::new();
    write_summary(&findings, &mut summary).unwrap();
    assert!(String::from_utf8(summary).unwrap().contains("The symptom: from node/"));
}

#[test]
fn the_way_between_the_ends_is_walked_and_stands_first() {
    let said =
        "from=node/cp-1,to=https://10.240.0.12:10250/containerLogs/a/b/c,error=dial tcp 10.240.0.12:10250: i/o timeout";
    let findings = asked("firewall-and-limits.zip", Some(said));
    let symptom = findings.symptom.as_ref().unwrap();
    assert_eq!(symptom.not_walked, None);
    let way = symptom.way.as_ref().unwrap();
    assert_eq!((way.to.as_str(), way.connected), ("10.240.0.12:10250", false));
    assert!(way.headline.contains("DROP") && way.headline.contains("timeout"), "{way:?}");
    let deciding = way.deciding.as_ref().unwrap();
    assert_eq!((&*deciding.path, deciding.line), ("nodes/worker-1/firewall/iptables-nft.v4", Some(13)));
    assert_eq!(deciding.text, ":INPUT DROP [0:0]");
    assert!(way.fix.iter().any(|change| change.contains("ufw insert 1 allow proto tcp")), "{way:?}");
    assert!(!way.fix_verified, "the other node's rules are not in the bundle: {way:?}");
    let html = render(&findings, Format::Html).unwrap().replace("&#x2f;", "/");
    let markdown = render(&findings, Format::Md).unwrap();
    let mut summary = Vec::new();
    write_summary(&findings, &mut summary).unwrap();
    let known = &symptom.recognized.first().unwrap().pattern;
    for report in [html, markdown, String::from_utf8(summary).unwrap()] {
        let line = report.find("firewall/iptables-nft.v4:13").unwrap();
        assert!(line < report.find(known.as_str()).unwrap(), "the way stands before what the error means: {report}");
        assert!(report.contains(":INPUT DROP [0:0]") && report.contains("ufw insert 1 allow proto tcp"), "{report}");
    }
}

#[test]
fn ends_are_read_as_people_write_them() {
    let way = |symptom: &str| {
        let answer = answer("forward-reject.zip", symptom);
        answer.way.unwrap_or_else(|| panic!("{symptom}: {:?}", answer.not_walked))
    };
    let pod = "pod/kube-system/coredns-56c4b547d-pspfd";
    for (from, to) in [
        (pod, "10.96.0.1:443"),
        ("coredns-56c4b547d-pspfd", "https://10.96.0.1/healthz"),
        ("kube-system/coredns-56c4b547d-pspfd", "service/default/kubernetes:443"),
        ("pod/coredns-56c4b547d-pspfd", "default/kubernetes:https"),
        (pod, "kubernetes.default"),
        (pod, "https://kubernetes.default.svc.cluster.local:443/api"),
    ] {
        let way = way(&format!("from={from},to={to}"));
        assert_eq!(way.from, pod);
        assert!(way.headline.contains("refused"), "{from} {to}: {way:?}");
        let deciding = way.deciding.unwrap();
        assert_eq!((&*deciding.path, deciding.line), ("nodes/worker-1/firewall/iptables-nft.v4", Some(41)));
    }
    // A workload of one pod is that pod.
    let cache = answer("services-without-endpoints.zip", "from=deployment/shop/cache,to=10.96.0.1:443").way;
    assert!(cache.is_some_and(|way| way.from.starts_with("pod/shop/cache-")));
    let dns = way(&format!("from={pod},to=kube-dns.kube-system.svc,port=53/TCP"));
    assert_eq!((dns.protocol.as_str(), dns.to.as_str()), ("tcp", "service/kube-system/kube-dns:53"));
}

#[test]
fn what_cannot_be_resolved_is_said_and_not_guessed() {
    for (symptom, word) in [
        ("from=corednz,to=10.96.0.1:443", "nothing in the bundle is called `corednz`"),
        // A workload of several pods, each with a way of its own.
        (
            "from=coredns,to=10.96.0.1:443",
            "may be pod/kube-system/coredns-56c4b547d-227jt or pod/kube-system/coredns-56c4b547d-pspfd",
        ),
        ("from=ds/kube-system/kube-proxy,to=10.96.0.1:443", "or pod/kube-system/kube-proxy-hrwzh or"),
        ("from=deployment/kube-proxy,to=10.96.0.1:443", "nothing in the bundle is called `deployment/kube-proxy`"),
        ("from=node/worker-1", "`to` is not given"),
        ("from=our office,to=node/worker-1:10250", "our office"),
        ("from=node/worker-1,to=node/worker-2", "which port"),
        ("from=node/worker-1,to=kube-dns.kube-system,port=53/UDP", "no port 53 of udp"),
        ("from=node/worker-1,to=https://example.org/", "nothing in the bundle is called `example.org`"),
        ("from=service/default/kubernetes,to=10.96.0.1:443", "a Service sends nothing"),
    ] {
        let answer = answer("forward-reject.zip", symptom);
        assert_eq!(answer.way, None, "{symptom}");
        let said = answer.not_walked.unwrap_or_default();
        assert!(said.contains(word), "{symptom}: {said}");
    }
}

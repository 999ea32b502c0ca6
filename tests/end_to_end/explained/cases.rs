//! What stops what.

use serde_json::Value;
use tests::require;

use super::site::{FIRST_POD, HOST, PEER, REMOTE_POD, Seen, Site};

/// Asserts which line an answer says decides.
fn decides(answer: &Value, file: &str, text: &str) {
    let deciding = &answer["deciding"];
    assert_eq!(deciding["file"], format!("nodes/n1/firewall/{file}"), "{answer:#}");
    assert!(deciding["line"].as_u64().is_some(), "{answer:#}");
    let said = deciding["text"].as_str().unwrap();
    // Counters stand before a rule, and behind a policy; they are the moment's.
    assert!(said.contains(text), "{said:?} is not {text:?}");
}

/// Asserts that a rule's finding cites the line too.
fn cites(finding: &Value, text: &str) {
    let evidence = finding["evidence"].as_array().unwrap();
    let cited = evidence.iter().any(|citation| citation["text"].as_str().unwrap().contains(text));
    assert!(cited, "{finding:#}");
}

#[test]
fn ufw_keeps_the_kubelet_from_the_api_server() {
    let mut site = require!(Site::boot("u"));
    site.serve(None, 10250);
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Connected);
    site.on_host("ufw default deny incoming; ufw allow 22/tcp; ufw --force enable");
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Timeout);

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", PEER, &format!("{HOST}:10250"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"drop".into(), &"timeout".into()), "{answer:#}");
    decides(&answer, "iptables-nft.v4", ":INPUT DROP");
    cites(&site.finding(&bundle, "ufw-active-blocks-10250"), ":INPUT DROP");
    assert_eq!(answer["fix"]["changes"][0]["owner"], "ufw", "{answer:#}");

    site.apply(&answer);
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Connected);
}

#[test]
fn firewalld_refuses_the_kubelets_port() {
    let mut site = require!(Site::boot("f"));
    site.serve(None, 10250);
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Connected);
    site.on_host("systemctl start firewalld; firewall-cmd --state");
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Error);

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", PEER, &format!("{HOST}:10250"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"reject".into(), &"unreachable".into()), "{answer:#}");
    decides(&answer, "nft.json", "reject");
    cites(&site.finding(&bundle, "firewalld-active"), "reject");
    assert_eq!(answer["fix"]["changes"][0]["owner"], "firewalld", "{answer:#}");

    site.apply(&answer);
    assert_eq!(site.connect(PEER, HOST, 10250), Seen::Connected);
}

/// A REJECT above the ACCEPT, as iptables-services leaves it: what another node's pod sends to a pod here.
fn reject_above_accept(name: &str, iptables: &str, file: &str) {
    let mut site = require!(Site::boot(name));
    site.pod("pod-a");
    site.serve(Some("pod-a"), 8080);
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Connected);
    site.on_host(&format!(
        "{iptables} -A FORWARD -j REJECT --reject-with icmp-host-prohibited; {iptables} -A FORWARD -d 10.244.0.0/16 -j ACCEPT"
    ));
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Error);

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", REMOTE_POD, &format!("{FIRST_POD}:8080"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"reject".into(), &"unreachable".into()), "{answer:#}");
    decides(&answer, file, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited");
    let finding = site.finding(&bundle, "forward-reject-before-accept");
    cites(&finding, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited");
    cites(&finding, "-A FORWARD -d 10.244.0.0/16 -j ACCEPT");

    site.apply(&answer);
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Connected);
}

#[test]
fn a_reject_above_the_accept_in_forward() {
    reject_above_accept("r", "iptables-nft", "iptables-nft.v4");
}

#[test]
fn a_reject_above_the_accept_in_the_legacy_tables() {
    reject_above_accept("l", "iptables-legacy", "iptables-legacy.v4");
}

/// What kube-proxy writes for a NodePort of these endpoints (pkg/proxy/iptables/proxier.go), for iptables-restore.
fn node_port(endpoints: &[&str]) -> String {
    let mut rules = String::from(
        "*nat\n:KUBE-EXT-WEB - [0:0]\n:KUBE-SVC-WEB - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-NODEPORTS - [0:0]\n\
         :KUBE-POSTROUTING - [0:0]\n:KUBE-SERVICES - [0:0]\n",
    );
    for place in 0..endpoints.len() {
        rules += &format!(":KUBE-SEP-{place} - [0:0]\n");
    }
    rules += "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
         -A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n\
         -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n\
         -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-WEB\n\
         -A KUBE-EXT-WEB -j KUBE-MARK-MASQ\n-A KUBE-EXT-WEB -j KUBE-SVC-WEB\n\
         -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n";
    for (place, endpoint) in endpoints.iter().enumerate() {
        let left = endpoints.len() - place;
        let chance = if left == 1 {
            String::new()
        } else {
            format!("-m statistic --mode random --probability {:.10} ", 1.0 / left as f64)
        };
        rules += &format!(
            "-A KUBE-SVC-WEB {chance}-j KUBE-SEP-{place}\n-A KUBE-SEP-{place} -p tcp -m tcp -j DNAT --to-destination {endpoint}:8080\n"
        );
    }
    rules + "COMMIT\n"
}

#[test]
fn a_masqueraded_service_packet_is_dropped_by_its_mark() {
    let mut site = require!(Site::boot("m"));
    site.pod("pod-a");
    site.serve(Some("pod-a"), 8080);
    site.on_host(&format!("iptables-restore --noflush <<'R'\n{}R", node_port(&[FIRST_POD])));
    assert_eq!(site.connect(PEER, HOST, 30080), Seen::Connected);
    site.on_host("iptables -N QUARANTINE; iptables -A QUARANTINE -m mark --mark 0x4000/0x4000 -j DROP; iptables -I FORWARD -j QUARANTINE");
    assert_eq!(site.connect(PEER, HOST, 30080), Seen::Timeout);

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", PEER, &format!("{HOST}:30080"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"drop".into(), &"timeout".into()), "{answer:#}");
    decides(&answer, "iptables-nft.v4", "-A QUARANTINE -m mark --mark 0x4000/0x4000 -j DROP");
    let steps = answer["steps"].to_string();
    assert!(steps.contains("mark := 0x4000"), "the step that put the mark there is not told: {answer:#}");

    site.apply(&answer);
    assert_eq!(site.connect(PEER, HOST, 30080), Seen::Connected);
}

#[test]
fn a_service_with_one_dead_endpoint_of_three() {
    let mut site = require!(Site::boot("e"));
    let endpoints = [FIRST_POD, "10.244.1.3", "10.244.1.4"];
    for pod in ["pod-a", "pod-b", "pod-c"] {
        site.pod(pod);
        site.serve(Some(pod), 8080);
    }
    site.on_host(&format!("iptables-restore --noflush <<'R'\n{}R", node_port(&endpoints)));
    site.on_host("iptables -A FORWARD -d 10.244.1.3 -p tcp -j DROP");
    let tries = |site: &Site| (0..24).filter(|_| site.connect(PEER, HOST, 30080) != Seen::Connected).count();
    // That 24 tries all meet the two living ones happens once in 17,000 times.
    let failed = tries(&site);
    assert!(failed > 0 && failed < 24, "{failed} of 24 failed");

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", PEER, &format!("{HOST}:30080"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"depends".into(), &"depends".into()), "{answer:#}");
    decides(&answer, "iptables-nft.v4", "-A FORWARD -d 10.244.1.3/32 -p tcp -j DROP");
    assert!(answer.to_string().contains("1 of 3 endpoints fails (10.244.1.3:8080)"), "{answer:#}");

    site.apply(&answer);
    assert_eq!(tries(&site), 0, "the change did not help: {answer:#}");
}

#[test]
fn docker_closed_forward() {
    let mut site = require!(Site::boot("d"));
    site.pod("pod-a");
    site.serve(Some("pod-a"), 8080);
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Connected);
    let script =
        std::fs::read_to_string(tests::product::workspace().join("samples/scenarios/docker-forward-drop/host"));
    site.on_host(&script.unwrap());
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Timeout);

    let bundle = site.collect();
    let answer = site.path(&bundle, "eth0", REMOTE_POD, &format!("{FIRST_POD}:8080"));
    assert_eq!((&answer["verdict"], &answer["client_sees"]), (&"drop".into(), &"timeout".into()), "{answer:#}");
    decides(&answer, "iptables-nft.v4", ":FORWARD DROP");
    cites(&site.finding(&bundle, "forward-policy-drop-docker"), ":FORWARD DROP");
    assert_eq!(answer["fix"]["changes"][0]["owner"], "docker", "{answer:#}");

    site.apply(&answer);
    assert_eq!(site.connect(REMOTE_POD, FIRST_POD, 8080), Seen::Connected);
}

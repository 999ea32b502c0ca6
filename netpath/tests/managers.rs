//! What the programs that manage rule sets print, made by real ufw 0.36, firewalld 1.3 and
//! dockerd 20.10.
#![allow(clippy::unwrap_used)]

use netpath::address::Family;
use netpath::iptables::{self, Backend};
use netpath::matches::Match;
use netpath::targets::Target;
use netpath::{firewalld, ufw};

#[test]
fn ufw_s_status_and_tuples() {
    let status = ufw::parse_status("ufw.status", include_bytes!("data/ufw.status"));
    assert_eq!(status.active, Some(true));
    let defaults = status.defaults.unwrap();
    assert_eq!((&*defaults.incoming, &*defaults.routed), ("deny", "disabled"));
    assert_eq!(status.rows.len(), 10);
    let denied = status.rows.iter().find(|row| &*row.action == "DENY" && !row.v6).unwrap();
    assert_eq!((&*denied.to, denied.comment.as_deref()), ("6443/tcp on eth0", Some("quarantine it")));
    let tuples = ufw::parse_tuples("user.rules", include_bytes!("data/ufw.user.rules"));
    assert_eq!(tuples.len(), 6);
    assert_eq!((&*tuples[2].direction, tuples[2].comment.as_deref()), ("in_eth0", Some("quarantine it")));
    assert!(tuples[3].routed);
    assert_eq!(ufw::parse_status("s", b"ERROR: You need to be root to run this script\n").active, None);
}

#[test]
fn firewalld_s_zones() {
    let zones = firewalld::parse_zones("zones", include_bytes!("data/firewalld.zones"));
    let public = zones.iter().find(|zone| &*zone.name == "public").unwrap();
    assert!(public.active);
    assert_eq!(public.target(), Some("default"));
    assert_eq!(public.values("ports"), ["10250/tcp".into()]);
    assert_eq!(public.values("rich rules").len(), 1);
    assert!(firewalld::parse_zones("zones", b"FirewallD is not running\n").is_empty());
}

#[test]
fn their_rule_sets_round_trip_and_are_understood() {
    let saved = [
        (Family::V4, include_str!("data/ufw.save")),
        (Family::V4, include_str!("data/firewalld.save")),
        (Family::V4, include_str!("data/firewalld-masquerade.save")),
        (Family::V4, include_str!("data/docker.save")),
        (Family::V6, include_str!("data/ufw.v6.save")),
        (Family::V6, include_str!("data/firewalld.v6.save")),
        (Family::V6, include_str!("data/docker.v6.save")),
    ];
    for (family, text) in saved {
        let ruleset = iptables::parse("save", text.as_bytes(), family, Backend::Nft);
        assert_eq!(ruleset.to_save(false), text);
        for rule in ruleset.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules) {
            assert!(rule.unread.is_none() && !matches!(rule.target, Target::Unknown { .. }), "{}", rule.text);
            assert!(!rule.matches.iter().any(|m| matches!(m, Match::Opaque { .. })), "{}", rule.text);
        }
    }
}

//! Files as systemd-resolved 252 wrote them (given two servers and two domains), and the corners where readers differ.

use super::*;
use crate::facts::node::shape_test::assert_shape;

const UPLINKS: &str = "# This is /run/systemd/resolve/resolv.conf managed by man:systemd-resolved(8).\n\
    # Do not edit.\n\
    #\n\
    # This file might be symlinked as /etc/resolv.conf. If you're looking at\n\
    # /etc/resolv.conf and seeing this text, you have followed the symlink.\n\
    \n\
    nameserver 168.63.129.16\n\
    nameserver 10.1.0.10\n\
    search corp.example.com reddog.microsoft.com\n";

const STUB: &str = "# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).\n\
    # Do not edit.\n\
    \n\
    nameserver 127.0.0.53\n\
    options edns0 trust-ad\n\
    search .\n";

fn conf(text: &str) -> ResolvConf {
    parse(&"nodes/n1/dns/resolv.conf".into(), text.as_bytes())
}

#[test]
fn the_two_files_of_systemd_resolved_are_told_apart() {
    let uplinks = conf(UPLINKS);
    assert_eq!(uplinks.origin, Origin::ResolvedUplinks);
    assert!(!uplinks.is_stub());
    assert_eq!(uplinks.search, ["corp.example.com", "reddog.microsoft.com"]);
    assert_eq!(uplinks.nameservers[0].citation.line, Some(7));

    let stub = conf(STUB);
    assert_eq!(stub.origin, Origin::ResolvedStub);
    assert!(stub.is_stub());
    assert!(stub.search.is_empty(), "`search .` is no search list");
    assert_eq!(stub.options, ["edns0", "trust-ad"]);
}

#[test]
fn a_fourth_nameserver_is_listed_and_not_used() {
    let conf = conf("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver 10.0.0.4\n");
    let used: Vec<_> = conf.servers_used().map(|server| server.address.as_str()).collect();
    assert_eq!(used, ["10.0.0.1", "10.0.0.2", "fe80::1%eth0"]);
    assert_eq!(conf.nameservers_dropped(), 1);
}

#[test]
fn what_is_no_address_takes_no_place() {
    let conf = conf("nameserver dns.corp\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n");
    assert_eq!(conf.servers_used().count(), 3);
    assert_eq!(conf.nameservers_dropped(), 0);
}

#[test]
fn glibc_skips_an_indented_keyword() {
    let conf = conf("  nameserver 10.0.0.1\nnameserver 127.0.0.1\n");
    assert!(!conf.nameservers[0].used);
    assert!(conf.is_stub());
}

#[test]
fn the_last_search_wins_and_options_add_up() {
    let conf = conf("domain a.example\nsearch b.example c.example.\noptions ndots:5 rotate\noptions ndots:2\n");
    assert_eq!(conf.search, ["b.example", "c.example"]);
    assert_eq!(conf.search_line.unwrap().line, Some(2));
    assert_eq!(conf.options, ["ndots:2", "rotate"]);
}

#[test]
fn a_long_search_list_is_cut_by_the_kubelet() {
    let list = |n: usize| (0..n).map(|i| format!("d{i}.example")).collect::<Vec<_>>().join(" ");
    assert!(!conf(&format!("search {}\n", list(29))).search_too_long());
    assert!(conf(&format!("search {}\n", list(30))).search_too_long());
    assert!(conf(&format!("search {}\n", "x".repeat(2049))).search_too_long());
}

#[test]
fn lines_without_sense_are_kept() {
    let conf = conf("nameserver\nnamserver 10.0.0.1\n");
    assert_eq!(conf.ignored.len(), 2);
    assert!(conf.nameservers.is_empty());
    assert!(!conf.is_stub(), "no server at all is not a stub");
}

#[test]
fn the_fact_has_its_shape() {
    let mut conf = conf("nameserver 10.0.0.1\nsearch a.example\noptions ndots:5\nbogus\n");
    conf.link = Some("/run/systemd/resolve/stub-resolv.conf".into());
    assert_shape(&conf.value(), &Shape::Record(&RESOLV_CONF));
}

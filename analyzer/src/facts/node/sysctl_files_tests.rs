//! The chains of these tests were also written to disk and given to systemd-sysctl 252 and procps 4.0.2 in a network
//! namespace of their own; what the kernel held afterwards is what is asserted here.

use super::*;

fn file(host_path: &str, text: &str) -> ConfFile {
    let path = Some(Arc::from(format!("nodes/n1/system{host_path}")));
    ConfFile { host_path: host_path.into(), link: None, path, bytes: text.as_bytes().to_vec() }
}

fn link(host_path: &str, target: &str, text: &str) -> ConfFile {
    ConfFile { link: Some(target.into()), ..file(host_path, text) }
}

fn value<'a>(chain: &'a SysctlFiles, key: &str) -> Option<&'a str> {
    chain.at_boot(key).and_then(|a| a.value.as_deref())
}

/// The files of the measurement, in no particular order.
fn measured() -> SysctlFiles {
    chain(
        vec![
            file(
                "/usr/lib/sysctl.d/50-default.conf",
                "# a comment\n; another\nnet.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\nnet.ipv4.ip_forward = 1\n\
             net/ipv4/conf/lo/proxy_arp = 1\nnet.ipv4.conf.lo/x.proxy_arp=1\n-net.ipv4.nosuch = 5\n  \
             net.core.somaxconn   =   999   \nnot an assignment\n",
            ),
            file("/usr/lib/sysctl.d/60-masked.conf", "net.ipv4.ip_forward = 7\n"),
            link("/etc/sysctl.d/60-masked.conf", "/dev/null", ""),
            file("/usr/local/lib/sysctl.d/70-over.conf", "net.ipv4.ip_forward = 1\n"),
            file("/usr/lib/sysctl.d/70-over.conf", "net.ipv4.ip_forward = 1\n"),
            file("/run/sysctl.d/70-over.conf", "net.ipv4.ip_forward = 0\n"),
            file("/etc/sysctl.d/80-glob.conf", "net.ipv4.conf.*.proxy_arp = 0\nnet.ipv4.conf.lo.rp_filter = 1\n"),
            file("/etc/sysctl.d/not-conf.txt", "net.ipv4.ip_forward = 3\n"),
        ],
        false,
    )
}

#[test]
fn the_chain_decides_as_systemd_sysctl_does() {
    let chain = measured();
    let deciding = chain.at_boot("net.ipv4.ip_forward").unwrap();
    assert_eq!((deciding.value.as_deref(), deciding.file.as_str()), (Some("0"), "/run/sysctl.d/70-over.conf"));
    assert_eq!(deciding.citation.line, Some(1));
    assert_eq!(value(&chain, "net.ipv4.conf.all.rp_filter"), None, "taken out of the glob");
    assert_eq!(value(&chain, "net.ipv4.conf.default.rp_filter"), Some("2"));
    assert_eq!(value(&chain, "net.ipv4.conf.lo.rp_filter"), Some("1"));
    assert_eq!(value(&chain, "net.ipv4.conf.lo.proxy_arp"), Some("1"), "an explicit key beats a later glob");
    assert_eq!(value(&chain, "net.ipv4.conf.eth0.proxy_arp"), Some("0"));
    assert_eq!(value(&chain, "net.core.somaxconn"), Some("999"));
    assert_eq!(chain.unreadable.len(), 1);
}

#[test]
fn every_file_has_a_standing() {
    let chain = measured();
    let standing = |path: &str| chain.files.iter().find(|(f, _)| f.host_path == path).map(|(_, s)| s.clone()).unwrap();
    assert_eq!(standing("/etc/sysctl.d/60-masked.conf"), Standing::Mask);
    assert_eq!(standing("/usr/lib/sysctl.d/60-masked.conf"), Standing::Replaced("/etc/sysctl.d/60-masked.conf".into()));
    assert_eq!(standing("/usr/lib/sysctl.d/70-over.conf"), Standing::Replaced("/run/sysctl.d/70-over.conf".into()));
    assert_eq!(standing("/etc/sysctl.d/not-conf.txt"), Standing::NotConf);
    assert_eq!(chain.files.len(), 8, "no file is lost");
}

#[test]
fn ip_forward_and_all_forwarding_are_one_variable() {
    let later = chain(
        vec![
            file("/etc/sysctl.d/10-k8s.conf", "net.ipv4.ip_forward = 1\n"),
            file("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.all.forwarding = 0\n"),
        ],
        false,
    );
    assert_eq!(value(&later, "net.ipv4.ip_forward"), Some("0"));
    let glob = chain(
        vec![
            file("/etc/sysctl.d/10-k8s.conf", "net.ipv4.ip_forward = 1\n"),
            file("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.*.forwarding = 0\n"),
        ],
        false,
    );
    assert_eq!(value(&glob, "net.ipv4.ip_forward"), Some("0"));
    let default = chain(
        vec![
            file("/etc/sysctl.d/10-k8s.conf", "net.ipv4.ip_forward = 1\n"),
            file("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.default.forwarding = 0\n"),
        ],
        false,
    );
    assert_eq!(value(&default, "net.ipv4.ip_forward"), Some("1"));
}

/// systemd-sysctl keeps the place of an assignment that is repeated with the same value; procps writes each in turn.
#[test]
fn a_repeated_value_keeps_its_place() {
    let chain = chain(
        vec![
            file("/etc/sysctl.d/10-a.conf", "net.ipv4.ip_forward = 1\n"),
            file("/etc/sysctl.d/20-b.conf", "net.ipv4.conf.all.forwarding = 0\n"),
            file("/etc/sysctl.d/30-c.conf", "net.ipv4.ip_forward = 1\n"),
        ],
        false,
    );
    assert_eq!(value(&chain, "net.ipv4.ip_forward"), Some("0"));
    assert_eq!(chain.by_procps("net.ipv4.ip_forward").and_then(|a| a.value.as_deref()), Some("1"));
}

#[test]
fn sysctl_conf_counts_only_through_a_link() {
    let conf = || file("/etc/sysctl.conf", "net.ipv4.ip_forward = 1\n");
    let alone = chain(vec![conf()], false);
    assert_eq!(value(&alone, "net.ipv4.ip_forward"), None);
    assert_eq!(alone.by_procps("net.ipv4.ip_forward").and_then(|a| a.value.as_deref()), Some("1"));
    assert_eq!(alone.files[0].1, Standing::NotAtBoot);

    let linked =
        chain(vec![conf(), link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf", "net.ipv4.ip_forward = 1\n")], false);
    assert_eq!(value(&linked, "net.ipv4.ip_forward"), Some("1"));
    assert_eq!(linked.files[1].1, Standing::Linked("/etc/sysctl.d/99-sysctl.conf".into()));
}

#[test]
fn globs_stop_at_slashes_and_know_classes() {
    let re = |pattern: &str| glob(&normalize(pattern)).unwrap();
    assert!(re("net.ipv4.conf.*.rp_filter").is_match("net/ipv4/conf/eth0.100/rp_filter"));
    assert!(!re("net.ipv4.*.rp_filter").is_match("net/ipv4/conf/eth0/rp_filter"));
    assert!(re("net.ipv4.conf.eth[!1-9].rp_filter").is_match("net/ipv4/conf/eth0/rp_filter"));
    assert!(!re("net.ipv4.conf.eth[!0].rp_filter").is_match("net/ipv4/conf/eth0/rp_filter"));
}

#[test]
fn the_first_separator_decides_what_separates() {
    assert_eq!(normalize("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
    assert_eq!(normalize("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
}

#[test]
fn ufw_writes_its_file_after_the_others_where_it_starts() {
    let files = || {
        vec![
            file("/etc/sysctl.d/10-k8s.conf", "net.ipv4.ip_forward = 1\n"),
            file("/etc/ufw/sysctl.conf", "#net/ipv4/ip_forward=1\nnet/ipv4/conf/all/forwarding=0\n"),
        ]
    };
    let on = chain(files(), true);
    assert_eq!(value(&on, "net.ipv4.ip_forward"), Some("0"));
    assert_eq!(on.files[1].1, Standing::Ufw);
    assert_eq!(value(&chain(files(), false), "net.ipv4.ip_forward"), Some("1"));
}

#[test]
fn a_file_without_end_is_cut_and_says_so() {
    let text = "kernel.pid_max = 9\n".repeat(ASSIGNMENTS + 1);
    assert!(chain(vec![file("/etc/sysctl.d/10-a.conf", &text)], false).cut);
    let text = "kernel.pid_max = 9\n".repeat(ASSIGNMENTS);
    assert!(!chain(vec![file("/etc/sysctl.d/10-a.conf", &text)], false).cut);
}

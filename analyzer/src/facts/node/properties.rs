//! No bytes of a bundle make a parser panic, and what it understands of them can be shown.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// Everything at once: each parser over the same bytes.
fn parse_all(bytes: &[u8]) {
    let path: Arc<str> = "entry".into();
    let _ = resolv::parse(&path, bytes).value();
    let sysctls = sysctl::parse(&path, bytes);
    let counters = conntrack::parse_counters(&path, bytes);
    let _ = conntrack::value(Some(&sysctls), Some(&counters));
    let _ = forwarding::value(&sysctls, None, None);
    let conf = |host_path: &str| sysctl_files::ConfFile {
        host_path: host_path.to_owned(),
        link: None,
        path: Some(path.clone()),
        bytes: bytes.to_vec(),
    };
    let chain = sysctl_files::chain(vec![conf("/etc/sysctl.d/1.conf"), conf("/etc/ufw/sysctl.conf")], true);
    let _ = (chain.at_boot("net.ipv4.ip_forward"), chain.by_procps("net.ipv4.ip_forward"));
    let config = cni::parse_index(&path, bytes).unwrap_or_default();
    let files = [cni::parse_file("1.conf", &path, bytes), cni::parse_file("2.conflist", &path, bytes)];
    let _ = config.with_contents(files).value(None);
    let subnets = host_local::Subnets { flannel: host_local::parse_subnet_env(bytes), pod_cidrs: Vec::new() };
    for network in host_local::parse(&path, bytes).unwrap_or_default() {
        let _ = network.stores(None, &subnets);
    }
    let endpoints = azure_ipam::parse_vnet(bytes).unwrap_or_default();
    let _ = azure_ipam::parse_vnet_ipam(&path, bytes, &endpoints);
    let _ = azure_ipam::parse_endpoints(&path, bytes);
    let _ = sandbox::parse(&path, bytes);
    let _ = sandbox::parse_namespaces(&path, bytes);
    let mut certificates = certificate::parse_files(&path, bytes).unwrap_or_default();
    certificates.extend(certificate::parse_kubeconfigs(&path, bytes).unwrap_or_default());
    certificate::set_aside_renewed(&mut certificates, jiff::Timestamp::MAX);
    for certificate in certificates {
        let _ = certificate.value(Some("n"), jiff::Timestamp::MIN);
    }
    let _ = kubelet::parse_config(&path, bytes);
    let _ = kubelet::parse_processes(&path, bytes);
    let _ = link::parse_links(&path, bytes);
    let _ = link::parse_addresses(bytes);
    let _ = link::parse_routes(&path, bytes);
    let _ = system::parse_os_release(&path, bytes);
    let _ = system::units_value(&system::parse_units(&path, bytes));
    let _ = system::modules_value(&system::parse_modules(&path, bytes));
}

/// Texts that come near to what the parsers look for.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "nameserver",
        "search",
        "options",
        " ",
        "\t",
        "\n",
        "=",
        "-",
        "net.ipv4.*",
        "net/ipv4/conf/[",
        "]",
        "1",
        "ffffffffffffffffff",
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\"name\"",
        "\"plugins\"",
        "\"type\"",
        "\"ip\"",
        "\"items\"",
        "\"networks\"",
        "\"allocations\"",
        "\"IPAM\"",
        "\"AddressSpaces\"",
        "\"Pools\"",
        "\"Addresses\"",
        "\"subnet\"",
        "\"0.0.0.0/0\"",
        "\"::/0\"",
        "\"rangeEnd\"",
        "null",
        "\"not_after\"",
        "\"9999-12-31T23:59:59Z\"",
        "127.0.0.53",
        "fe80::1%eth0",
        "\u{202e}",
        "é",
        "FLANNEL_SUBNET=",
        "10.0.0.1/24",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&bytes);
    }

    #[test]
    fn nearly_right_texts(text in nearly()) {
        parse_all(text.as_bytes());
    }
}

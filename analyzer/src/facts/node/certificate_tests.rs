use super::*;
use crate::facts::node::shape_test::assert_shape;

fn file(path: &str, link: Option<&str>, not_after: &str) -> String {
    let link = link.map_or("null".to_owned(), |target| format!("\"{target}\""));
    format!(
        r#"{{"path": "{path}", "link_target": {link}, "certificates": [{{"subject": "O=system:nodes, CN=system:node:n1", "issuer": "CN=kubernetes",
        "not_before": "2025-11-20T08:00:00Z", "not_after": "{not_after}", "dns_names": ["n1"], "ip_addresses": ["10.0.0.4"], "is_ca": false,
        "key_usages": ["client auth"], "sha256": "00", "serial": "01"}}], "private_key": true, "error": null}}"#
    )
}

fn parse(files: &[String]) -> Vec<Certificate> {
    parse_files(&"nodes/n1/kubelet/certificates.json".into(), format!("[{}]", files.join(",")).as_bytes()).unwrap()
}

const PKI: &str = "/var/lib/kubelet/pki";

#[test]
fn only_the_current_one_of_the_kubelet_is_in_use() {
    let all = parse(&[
        file(&format!("{PKI}/kubelet-client-2024-11-20-08-00-00.pem"), None, "2025-11-20T08:00:00Z"),
        file(&format!("{PKI}/kubelet-client-2025-11-20-08-00-00.pem"), None, "2026-11-20T08:00:00Z"),
        file(
            &format!("{PKI}/kubelet-client-current.pem"),
            Some(&format!("{PKI}/kubelet-client-2025-11-20-08-00-00.pem")),
            "2026-11-20T08:00:00Z",
        ),
        file(&format!("{PKI}/kubelet.crt"), None, "2026-11-20T08:00:00Z"),
    ]);
    assert_eq!(all.iter().map(|c| c.in_use).collect::<Vec<_>>(), [Some(false), Some(true), Some(true), Some(true)]);
    assert_eq!(all[1].citation.pointer.as_deref(), Some("/1/certificates/0"));
}

#[test]
fn without_the_link_it_is_unknown() {
    let all = parse(&[file(&format!("{PKI}/kubelet-client-2025-11-20-08-00-00.pem"), None, "2026-11-20T08:00:00Z")]);
    assert_eq!(all[0].in_use, None);
}

#[test]
fn a_signed_serving_certificate_replaces_the_self_signed_one() {
    let all = parse(&[
        file(&format!("{PKI}/kubelet.crt"), None, "2025-11-20T08:00:00Z"),
        file(
            &format!("{PKI}/kubelet-server-current.pem"),
            Some("kubelet-server-2025-11-20-08-00-00.pem"),
            "2026-11-20T08:00:00Z",
        ),
    ]);
    assert_eq!(all[0].in_use, Some(false));
}

#[test]
fn backups_are_not_in_use_and_kubeadm_s_are() {
    let all = parse(&[
        file("/etc/kubernetes/pki/apiserver.crt", None, "2026-11-20T08:00:00Z"),
        file("/etc/kubernetes/pki/apiserver.crt.bak", None, "2020-11-20T08:00:00Z"),
        file("/etc/kubernetes/pki-old/apiserver.crt", None, "2020-11-20T08:00:00Z"),
    ]);
    assert_eq!(all.iter().map(|c| c.in_use).collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
}

#[test]
fn days_are_counted_from_the_time_of_collection() {
    let all = parse(&[file("/etc/kubernetes/pki/apiserver.crt", None, "2025-12-01T07:00:00Z")]);
    let at = |time: &str| all[0].value(Some("n1"), time.parse().unwrap());
    let fresh = at("2025-11-21T08:00:00Z");
    assert_eq!(fresh.get_attr("days_left").unwrap(), Value::from(9));
    assert!(!fresh.get_attr("expired").unwrap().is_true());
    assert!(at("2025-12-01T07:00:00Z").get_attr("expired").unwrap().is_true());
    assert!(at("2025-11-20T07:59:59Z").get_attr("not_yet_valid").unwrap().is_true());
    assert_shape(&fresh, &Shape::Record(&CERTIFICATE));
}

#[test]
fn kubeconfigs_give_the_certificates_within() {
    let config = r#"[{"path": "/etc/kubernetes/admin.conf", "link_target": null,
        "clusters": [{"name": "c", "server": "https://10.0.0.4:6443", "ca": [{"subject": "CN=kubernetes", "is_ca": true, "not_before": "2025-01-01T00:00:00Z", "not_after": "2035-01-01T00:00:00Z"}]}],
        "users": [{"name": "admin", "kind": "certificate", "certificates": [{"subject": "CN=admin", "not_before": "2025-01-01T00:00:00Z", "not_after": "not a date"}]}]}]"#;
    let all = parse_kubeconfigs(&"kubeconfigs.json".into(), config.as_bytes()).unwrap();
    assert_eq!(
        all.iter().map(Certificate::name).collect::<Vec<_>>(),
        ["/etc/kubernetes/admin.conf#admin", "/etc/kubernetes/admin.conf#c"]
    );
    assert!(all[0].validity.is_none() && all[1].is_ca);
    let unknown = all[0].value(Some("n1"), "2025-11-21T08:00:00Z".parse().unwrap());
    assert!(unknown.get_attr("expired").unwrap().is_undefined(), "an unreadable date is unknown, not valid");
}

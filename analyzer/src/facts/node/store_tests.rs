use super::*;
use crate::facts::node::sandbox;
use crate::facts::node::shape_test::assert_shape;

fn allocation(address: &str, holder: Holder) -> Allocation {
    let citation = Citation::whole(&"store".into(), address);
    let pod = Some(("demo".to_owned(), "web-0".to_owned()));
    Allocation { address: address.parse().unwrap(), holder, pod, since: Some("2026-11-20T10:00:00Z".into()), citation }
}

fn store(allocations: Vec<Allocation>) -> Store {
    let citation = Citation::whole(&"store".into(), "cbr0");
    Store { kind: StoreKind::HostLocal, network: "cbr0".into(), family: 4, allocations, total: Some(253), citation }
}

fn sandboxes() -> Sandboxes {
    sandbox::parse(&"p".into(), br#"{"items": [{"id": "aaaaaaaa11"}]}"#).unwrap()
}

#[test]
fn without_sandboxes_nothing_is_an_orphan_and_pods_are_asked() {
    let store = store(vec![
        allocation("10.0.0.2", Holder::Id("aaaaaaaa11".into())),
        allocation("10.0.0.3", Holder::Id("gone".into())),
        allocation("10.0.0.4", Holder::Unknown),
    ]);
    let all = sandboxes();
    let pod_ips: BTreeSet<IpAddr> = ["10.0.0.2".parse().unwrap()].into();
    let against = |sandboxes, pod_ips| Against { sandboxes, pod_ips, network: Some("cbr0") };
    assert_eq!(store.leaked(against(Some(&all), Some(&pod_ips))), Some(1), "an unknown holder is no orphan");
    assert_eq!(store.leaked(against(None, Some(&pod_ips))), Some(2));
    assert_eq!(store.leaked(against(None, None)), None);
    let fact = store.value(against(Some(&all), Some(&pod_ips)));
    assert_eq!(fact.get_attr("free").unwrap(), Value::from(250));
    assert_shape(&fact, &Shape::Record(&STORE));
}

#[test]
fn a_store_of_another_network_is_not_current() {
    let store = store(vec![allocation("10.0.0.2", Holder::Prefix("aaaaaaaa".into()))]);
    let current = |network| {
        let against = Against { sandboxes: None, pod_ips: None, network };
        store.value(against).get_attr("current").unwrap()
    };
    assert!(current(Some("cbr0")).is_true());
    assert!(!current(Some("kubenet")).is_true());
    assert!(current(None).is_undefined());
}

#[test]
fn an_address_that_a_running_pod_has_is_no_orphan() {
    let store = store(vec![
        allocation("10.0.0.2", Holder::Id("gone".into())),
        allocation("10.0.0.3", Holder::Id("gone too".into())),
    ]);
    let pod_ips: BTreeSet<IpAddr> = ["10.0.0.2".parse().unwrap()].into();
    let crictl = sandboxes();
    let account = br#"{"namespaces": [], "processes_unreadable": 0}"#;
    let processes = sandbox::parse_namespaces(&"n".into(), account).unwrap().unwrap();
    let orphans = |sandboxes, pod_ips| {
        store.orphans(Against { sandboxes: Some(sandboxes), pod_ips, network: None }).map(|all| all.len())
    };
    assert_eq!(orphans(&crictl, None), Some(2));
    assert_eq!(orphans(&crictl, Some(&pod_ips)), Some(1));
    assert_eq!(orphans(&processes, Some(&pod_ips)), Some(1));
    assert_eq!(orphans(&processes, None), None, "processes alone do not tell");
}

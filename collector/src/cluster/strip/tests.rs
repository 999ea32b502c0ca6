#![allow(clippy::unwrap_used)]

use super::*;
use crate::certificate::tests::PEM;
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

fn text(profile: Profile, object: &str) -> String {
    let mut stripper = Stripper::new(profile);
    String::from_utf8(stripper.strip(object.as_bytes()).unwrap().to_vec()).unwrap()
}

fn plain(object: &str) -> String {
    text(Profile::Plain, object)
}

#[test]
fn what_is_not_forbidden_keeps_its_bytes() {
    let pod = r#"{ "spec" : {"b":1.0,"a":-0e2,"text":"\u003c\/x"},"metadata":{"name":"p","labels":{"z":"1","a":"2"}}, "status":null}"#;
    assert_eq!(plain(pod), pod);
}

#[test]
fn the_last_applied_configuration_goes_with_all_annotations_that_are_not_listed() {
    let before = r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"env\":\"s3cret\"}","kubernetes.io/ingress.class":"nginx","own":"s3cret"},"name":"p"}}"#;
    assert_eq!(plain(before), r#"{"metadata":{"annotations":{"kubernetes.io/ingress.class":"nginx"},"name":"p"}}"#);
    assert_eq!(
        plain(r#"{"metadata":{"annotations":{"own":"s3cret","other":"x"}}}"#),
        r#"{"metadata":{"annotations":{}}}"#
    );
}

#[test]
fn environment_names_and_references_stay() {
    let before = r#"{"spec":{"containers":[{"name":"a","env":[{"value":"s3cret","name":"A"},{"name":"B","value":"s3cret"},{"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}]}}"#;
    let after = r#"{"spec":{"containers":[{"name":"a","env":[{"name":"A"},{"name":"B"},{"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}]}}"#;
    assert_eq!(plain(before), after);
    assert_eq!(
        plain(r#"{"spec":{"env":{"A":"s3cret"},"x":[{"env":["A=s3cret"]}]}}"#),
        r#"{"spec":{"env":{"A":"[stripped]"},"x":[{"env":["[stripped]"]}]}}"#
    );
}

#[test]
fn managed_fields_keep_who_what_and_when() {
    let before = r#"{"metadata":{"managedFields":[{"manager":"kubelet","operation":"Update","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{}},"subresource":"status"}]}}"#;
    let after = r#"{"metadata":{"managedFields":[{"manager":"kubelet","operation":"Update","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","subresource":"status"}]}}"#;
    assert_eq!(plain(before), after);
}

#[test]
fn a_ca_bundle_becomes_names_dates_and_a_hash() {
    let bundle = base64::engine::general_purpose::STANDARD.encode(PEM);
    let hook = json!({"webhooks": [{"clientConfig": {"caBundle": bundle, "service": {"name": "w"}}}]}).to_string();
    let after: Value = serde_json::from_str(&plain(&hook)).unwrap();
    let config = &after["webhooks"][0]["clientConfig"];
    assert_eq!(config["caBundle"]["certificates"][0]["subject"], "O=kubernetes, CN=webhook.example");
    assert_eq!(config["service"]["name"], "w");
    assert!(!plain(&hook).contains(&bundle[..40]));
    let damaged: Value = serde_json::from_str(&plain(r#"{"caBundle":"Cg=="}"#)).unwrap();
    assert_eq!(damaged["caBundle"]["error"], "it holds no PEM block of a certificate");
}

#[test]
fn arguments_stay_for_known_components_only() {
    let of = |image: &str| {
        format!(
            r#"{{"spec":{{"containers":[{{"name":"c","image":"{image}","command":["/bin/x"],"args":["--v=2","--token=s3cret"]}}]}}}}"#
        )
    };
    assert!(
        plain(&of("registry.k8s.io/kube-proxy:v1.34.4"))
            .contains(r#""command":["/bin/x"],"args":["--v=2","--token=[stripped]"]"#)
    );
    assert!(plain(&of("shop/web:1")).contains(r#""command":["[stripped]"],"args":["[stripped]","[stripped]"]"#));
    // Custom resources have their members in alphabetical order: the image comes behind the arguments.
    let sorted = r#"{"spec":{"args":["--v=2"],"image":"registry.k8s.io/kube-proxy:v1","name":"c"}}"#;
    assert_eq!(plain(sorted), sorted);
}

#[test]
fn probes_and_hooks_keep_their_shape() {
    let before = r#"{"livenessProbe":{"exec":{"command":["sh","-c","curl -u a:s3cret x"]},"httpGet":{"path":"/","httpHeaders":[{"name":"Authorization","value":"s3cret"}]}}}"#;
    let after = r#"{"livenessProbe":{"exec":{"command":["[stripped]","[stripped]","[stripped]"]},"httpGet":{"path":"/","httpHeaders":[{"name":"Authorization","value":"[stripped]"}]}}}"#;
    assert_eq!(plain(before), after);
}

#[test]
fn config_maps_are_names_unless_listed() {
    let map = r#"{"metadata":{"name":"m"},"data":{"a":"s3cret"},"binaryData":{"b":"czNjcmV0"}}"#;
    assert_eq!(
        text(Profile::ConfigMapNames, map),
        r#"{"metadata":{"name":"m"},"data":{"a":"[stripped]"},"binaryData":{"b":"[stripped]"}}"#
    );
    assert_eq!(
        text(Profile::ConfigMapText, map),
        r#"{"metadata":{"name":"m"},"data":{"a":"s3cret"},"binaryData":{"b":"[stripped]"}}"#
    );
}

#[test]
fn listed_texts_are_masked_where_a_line_looks_like_a_secret() {
    let map = r#"{"data":{"Corefile":".:53 {\n    forward . 10.0.0.1\n}\n","kubeconfig.conf":"server: https://10.0.0.1\ntoken: s3cret\n","password":"s3cret"}}"#;
    let after = text(Profile::ConfigMapText, map);
    assert!(
        after.contains(r#""Corefile":".:53 {\n    forward . 10.0.0.1\n}\n""#)
            && after.contains("server: https://10.0.0.1"),
        "{after}"
    );
    assert!(!after.contains("s3cret"), "{after}");
    assert!(!text(Profile::ConfigMapText, r#"{"data":{"a":"\ud800 s3cret"}}"#).contains("s3cret"));
}

#[test]
fn templates_stay_in_the_systems_namespaces() {
    let of = |namespace: &str| {
        format!(
            r#"{{"metadata":{{"name":"d","namespace":"{namespace}"}},"spec":{{"replicas":1,"template":{{"spec":{{}}}}}},"template":1}}"#
        )
    };
    assert_eq!(text(Profile::Workload, &of("kube-system")), of("kube-system"));
    assert_eq!(
        text(Profile::Workload, &of("shop")),
        r#"{"metadata":{"name":"d","namespace":"shop"},"spec":{"replicas":1},"template":1}"#
    );
    assert_eq!(text(Profile::Workload, r#"{"spec":{"template":1}}"#), r#"{"spec":{}}"#);
}

#[test]
fn secrets_by_name_go_wherever_they_stand() {
    assert_eq!(
        plain(r#"{"spec":{"bgp":{"password":"s3cret","API_KEY":"s3cret","passwordRef":{"name":"x"}}}}"#),
        r#"{"spec":{"bgp":{"password":"[stripped]","API_KEY":"[stripped]","passwordRef":{"name":"x"}}}}"#
    );
    // A name that is spelled with escapes cannot be compared and is not trusted.
    assert_eq!(
        plain(r#"{"\u0065nv":[{"name":"A","value":"s3cret"}]}"#),
        r#"{"\u0065nv":[{"name":"[stripped]","value":"[stripped]"}]}"#
    );
}

#[test]
fn what_is_not_json_gives_nothing() {
    let mut stripper = Stripper::new(Profile::Plain);
    for object in
        [&b"{\"a\":"[..], b"{\"a\":1}}", b"{\"a\":\"\xff\"}", b"{\"metadata\":{\"managedFields\":[{\"fieldsV1\":}]}}"]
    {
        assert!(stripper.strip(object).is_err(), "{object:?}");
    }
    assert!(stripper.strip("[".repeat(50_000).as_bytes()).is_err());
    assert!(stripper.strip(format!("{{\"env\":{}", "[".repeat(50_000)).as_bytes()).is_err());
}

const SECRET: &str = "s3cret";

/// JSON in which the forbidden names turn up everywhere, with the secret as any string's text.
fn objects() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "metadata",
        "spec",
        "annotations",
        "env",
        "value",
        "name",
        "command",
        "args",
        "exec",
        "httpHeaders",
        "caBundle",
        "data",
        "managedFields",
        "fieldsV1",
        "template",
        "x",
        "volumeAttributes",
        "password",
        "containers",
        "image",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(json!(SECRET)),
        Just(json!("a\"\\\n"))
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

#[test]
fn within_lists_of_named_values_the_other_rules_hold_too() {
    for list in ["env", "httpHeaders"] {
        let before = format!(r#"{{"{list}":[{{"name":"a","volumeAttributes":"s3cret","password":"s3cret"}}]}}"#);
        assert!(!plain(&before).contains(SECRET), "{}", plain(&before));
    }
}

/// Whether the secret stands where it must not.
fn leaks(value: &Value, forbidden: bool) -> bool {
    match value {
        Value::String(text) => forbidden && text == SECRET,
        Value::Array(elements) => elements.iter().any(|element| leaks(element, forbidden)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            let named = match name.as_str() {
                "annotations" | "command" | "args" | "volumeAttributes" => true,
                "password" | "caBundle" => value.is_string(),
                "env" => has_value(value),
                _ => false,
            };
            leaks(value, forbidden || (named && name != "env")) || (name == "env" && named)
        }),
        _ => false,
    }
}

/// Whether an `env` array still has a `value`, or another shape still has text.
fn has_value(env: &Value) -> bool {
    match env {
        Value::Array(elements) => elements.iter().any(|element| match element {
            Value::Object(members) => members.contains_key("value"),
            other => leaks(other, true),
        }),
        Value::Object(_) => leaks(env, true),
        _ => false,
    }
}

/// The names of members in the order in which they stand.
fn order(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in text.split('"') {
        names.push(part.to_owned());
    }
    names
}

proptest! {
    #[test]
    fn what_comes_out_is_json_without_what_is_forbidden(object in objects()) {
        let before = object.to_string();
        let after = plain(&before);
        let value: Value = serde_json::from_str(&after).unwrap();
        prop_assert!(!leaks(&value, false), "{} -> {}", before, after);
        // What was stripped once has nothing more to strip.
        if !after.contains("certificates") && !after.contains("\"error\"") {
            prop_assert_eq!(plain(&after), after);
        }
    }

    #[test]
    fn order_is_kept(object in objects()) {
        let before = order(&object.to_string());
        let mut rest = before.iter();
        for name in order(&plain(&object.to_string())).iter().filter(|name| name.chars().all(char::is_alphanumeric) && *name != "error") {
            prop_assert!(rest.any(|earlier| earlier == name), "{} is out of order", name);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in r#"[\[\]{},:"a-fA-F0-9\\ ]{0,60}"#) {
        let mut stripper = Stripper::new(Profile::ConfigMapNames);
        let _ = stripper.strip(&bytes);
        let _ = stripper.strip(text.as_bytes());
    }
}

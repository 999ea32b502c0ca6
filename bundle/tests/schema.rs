//! The JSON Schema of the manifest is generated from the types; this test keeps `schemas/manifest.schema.json` current.
//! `UPDATE_SCHEMAS=1 cargo test -p bundle --test schema` writes it anew.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use bundle::ItemStatus;

#[test]
fn the_schema_of_the_manifest_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/manifest.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&bundle::schema::manifest()).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "schemas/manifest.schema.json is not current; run this test with UPDATE_SCHEMAS=1");
}

#[test]
fn every_status_is_in_the_schema_under_its_name() {
    let text = serde_json::to_string(&bundle::schema::manifest()).unwrap();
    for status in ItemStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        assert!(text.contains(&format!("\"{}\"", status.name())), "{status}");
    }
}

//! The JSON Schema of `manifest.json`.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use crate::manifest::Manifest;

/// The schema of [`Manifest`], in draft 7, which editors document best.
pub fn manifest() -> Schema {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<Manifest>()
}

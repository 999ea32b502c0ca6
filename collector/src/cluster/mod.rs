//! Asks a cluster through its API server.

mod component;
mod json;
mod namespace;
mod strip;

use crate::plan::PlanLine;
use crate::run::Run;

/// How the cluster is reached and what is asked of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {}

/// The name in the default file name and in the manifest; contacts nobody.
pub fn name(_options: &Options) -> anyhow::Result<String> {
    anyhow::bail!("no cluster can be asked yet; use `dossier-collect node`")
}

/// Everything that will be asked; contacts nobody.
pub fn plan(_options: &Options) -> Vec<PlanLine> {
    Vec::new()
}

/// Asks everything that was planned. An error says what ended the asking early; what was gathered before stays.
pub async fn collect(_run: &Run, _options: &Options) -> anyhow::Result<()> {
    Ok(())
}

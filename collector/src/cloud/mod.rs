//! What the cloud around a cluster says, asked with the provider's own program where the sender is logged in.

mod az;

use clap::ValueEnum;

use crate::plan::PlanLine;
use crate::run::Run;

/// A provider whose program is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// Azure, with `az`.
    Az,
}

/// What will be asked of a provider.
pub fn plan(provider: Provider) -> Vec<PlanLine> {
    match provider {
        Provider::Az => az::plan(),
    }
}

/// Asks a provider about the cluster whose API server has this host name. Blocks.
pub fn collect(run: &Run, provider: Provider, server: Option<&str>) {
    match provider {
        Provider::Az => az::collect(run, server),
    }
}

//! `dossier-collect cleanup`: removes what a run that was killed left in a cluster.

use std::io::{self, Write};

use super::api::Api;
use super::created::{leftovers, remove};
use crate::cluster;

/// Which cluster, and where in it.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    cluster: cluster::Options,
    /// Looks in this namespace alone [default: all, or the context's where not all may be listed]
    #[arg(long, value_name = "NAME")]
    node_namespace: Option<String>,
}

/// Removes all objects with our label, pods of runs that are under way included, and says which. `false` where something
/// is left.
pub async fn run(options: &Options, out: &mut dyn Write) -> anyhow::Result<bool> {
    let connection = cluster::connect(&options.cluster).await?;
    let default = connection.client.default_namespace().to_owned();
    let api = Api::new(connection.client, connection.pace);
    let (found, refused) = leftovers(&api, options.node_namespace.as_deref(), &default).await;
    let failed = remove(&api, found.clone()).await;
    report(&found, &failed, &refused, out)?;
    Ok(failed.is_empty() && refused.is_empty())
}

type Failures = [(String, crate::cluster::failure::Failure)];

fn report(found: &[String], failed: &Failures, refused: &Failures, out: &mut dyn Write) -> io::Result<()> {
    for path in found.iter().filter(|path| !failed.iter().any(|(failed, _)| failed == *path)) {
        writeln!(out, "removed {path}")?;
    }
    for (path, failure) in failed {
        writeln!(out, "left    {path}: {}", failure.reason)?;
    }
    for (kind, failure) in refused {
        writeln!(out, "unknown {kind} could not be listed: {}", failure.reason)?;
    }
    writeln!(out, "{} removed, {} left", found.len() - failed.len(), failed.len())
}

//! `dossier inspect`: what is in a bundle, item by item, with status and reason.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bundle::{Bundle, ItemRecord, ItemStatus, Source};

use crate::report::visible;

/// Lists the items of a bundle.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The bundle: a zip file or an unpacked folder.
    bundle: PathBuf,
    /// Only items with this status (repeatable): ok, empty, absent, forbidden, timeout …
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Vec<ItemStatus>,
    /// Only items whose id or path contains this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The manifest's records as JSON, one a line.
    #[arg(long)]
    json: bool,
}

fn status(name: &str) -> Result<ItemStatus, String> {
    ItemStatus::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| {
        let names: Vec<&str> = ItemStatus::ALL.iter().map(|status| status.name()).collect();
        format!("no such status; there are {}", names.join(", "))
    })
}

impl Inspect {
    /// Prints the list.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let bundle = super::open(&self.bundle)?;
        super::print(|out| self.write(&bundle, out))?;
        Ok(super::FINE)
    }

    fn write(&self, bundle: &Bundle, out: &mut dyn Write) -> io::Result<()> {
        let items: Vec<&ItemRecord> = bundle.manifest().items.iter().filter(|item| self.wanted(item)).collect();
        if self.json {
            for item in items {
                writeln!(out, "{}", serde_json::to_string(item)?)?;
            }
            return Ok(());
        }
        write_head(bundle, out)?;
        write_items(&items, out)?;
        write_totals(&items, out)
    }

    fn wanted(&self, item: &ItemRecord) -> bool {
        let status = self.status.is_empty() || self.status.contains(&item.status);
        let text = self
            .only
            .as_deref()
            .is_none_or(|text| item.id.contains(text) || item.path.as_deref().is_some_and(|path| path.contains(text)));
        status && text
    }
}

fn write_head(bundle: &Bundle, out: &mut dyn Write) -> io::Result<()> {
    let manifest = bundle.manifest();
    writeln!(
        out,
        "format {} by {} {}",
        manifest.format,
        visible(&manifest.tool.name),
        visible(&manifest.tool.version)
    )?;
    if let Some(cluster) = &manifest.cluster {
        let version = cluster.version.as_deref().unwrap_or("version unknown");
        writeln!(out, "cluster {} ({})", visible(&cluster.name), visible(version))?;
    }
    for host in &manifest.hosts {
        let rights = if host.privileged { "root" } else { "without root" };
        writeln!(
            out,
            "host {} as node {} ({}, {rights})",
            visible(&host.hostname),
            visible(&host.node),
            visible(&host.platform)
        )?;
    }
    writeln!(out, "collected {} to {}", manifest.started, manifest.finished)?;
    for limit in &manifest.limits {
        writeln!(out, "limit {} of {} met: {}", visible(&limit.limit), visible(&limit.value), visible(&limit.effect))?;
    }
    writeln!(out)
}

fn write_items(items: &[&ItemRecord], out: &mut dyn Write) -> io::Result<()> {
    let scope = items.iter().map(|item| item.scope.to_string().chars().count()).max().unwrap_or(0).clamp(5, 40);
    let id = items.iter().map(|item| item.id.chars().count()).max().unwrap_or(0).clamp(2, 44);
    writeln!(out, "{:<17} {:>11}  {:<scope$}  {:<id$}  PATH, OR WHY NOT", "STATUS", "BYTES", "SCOPE", "ID")?;
    for item in items {
        let scope_name = visible(&item.scope.to_string());
        let what = match (&item.path, &item.reason) {
            (Some(path), Some(reason)) => format!("{path} ({reason})"),
            (Some(path), None) => path.clone(),
            (None, Some(reason)) => format!("{}: {reason}", asked(&item.source)),
            (None, None) => asked(&item.source),
        };
        let what = visible(&what).replace('\n', " ");
        writeln!(
            out,
            "{:<17} {:>11}  {scope_name:<scope$}  {:<id$}  {what}",
            item.status,
            item.bytes,
            visible(&item.id)
        )?;
    }
    Ok(())
}

fn asked(source: &Source) -> String {
    match source {
        Source::Request(text) | Source::File(text) | Source::Computed(text) | Source::Attached(text) => text.clone(),
        Source::Argv(argv) => argv.join(" "),
    }
}

fn write_totals(items: &[&ItemRecord], out: &mut dyn Write) -> io::Result<()> {
    let mut totals: BTreeMap<ItemStatus, (u64, u64)> = BTreeMap::new();
    for item in items {
        let (count, bytes) = totals.entry(item.status).or_default();
        *count += 1;
        *bytes += item.bytes;
    }
    let parts: Vec<String> = totals.iter().map(|(status, (count, _))| format!("{count} {status}")).collect();
    let bytes: u64 = totals.values().map(|(_, bytes)| bytes).sum();
    writeln!(out, "\n{} items, {bytes} bytes: {}", items.len(), parts.join(", "))
}

//! `dossier-collect merge`: folds the bundle of a cluster and those of hosts that were read by hand into one.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use bundle::manifest::Tool;
use bundle::merge::{KnownNode, merge_with_nodes};
use bundle::write::WriteOptions;
use bundle::{Bundle, BundleWriter, ItemRecord, Limits, Scope};
use serde::Deserialize;

/// What is folded together.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The bundles, in any order.
    #[arg(required = true, value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// The bundle to write.
    #[arg(long, value_name = "FILE", default_value = "dossier-merged.zip")]
    out: PathBuf,
}

/// Merges, and says what the bundles disagreed on.
pub fn run(options: &Options, readme: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let open = |path: &PathBuf| {
        Bundle::open(path, Limits::default()).with_context(|| format!("{} cannot be opened", path.display()))
    };
    let bundles = options.bundles.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let nodes: Vec<KnownNode> = bundles.iter().flat_map(nodes).collect();
    let write = WriteOptions { sorted: true, ..WriteOptions::default() };
    let writer = BundleWriter::create_with(&options.out, readme, write).context("choose another place with --out")?;
    let tool = Tool { name: "dossier-collect".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let merged = merge_with_nodes(&bundles, &nodes, writer, tool).context("the bundles cannot be merged")?;
    let said = print(&merged, bundles.len(), out);
    // The bundle is in its place; that nobody reads what is said of it does not change that.
    drop(said);
    Ok(())
}

fn print(merged: &bundle::merge::MergeOutcome, count: usize, out: &mut dyn Write) -> io::Result<()> {
    let path = merged.written.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
    writeln!(out, "bundle  {path}")?;
    writeln!(out, "size    {} bytes", merged.written.bytes)?;
    writeln!(out, "sha256  {}", merged.written.sha256)?;
    writeln!(out, "of      {count} bundles")?;
    merged.conflicts.iter().try_for_each(|conflict| writeln!(out, "mind    {conflict}"))
}

/// The nodes that a bundle's list names. Where there is none, hosts can only be matched among themselves.
fn nodes(bundle: &Bundle) -> Vec<KnownNode> {
    let is_list = |item: &&ItemRecord| item.id == "api.nodes" && item.scope == Scope::Cluster;
    let path = bundle.manifest().items.iter().find(is_list).and_then(|item| item.path.as_deref());
    let text = path.and_then(|path| bundle.read(path).ok());
    let list = text.and_then(|text| serde_json::from_slice::<List>(&text).ok()).unwrap_or_default();
    list.items.into_iter().map(KnownNode::from).collect()
}

#[derive(Default, Deserialize)]
struct List {
    items: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    addresses: Vec<Address>,
    node_info: Info,
}

#[derive(Deserialize)]
struct Address {
    r#type: String,
    address: String,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default, rename = "machineID")]
    machine_id: String,
}

impl From<Node> for KnownNode {
    fn from(node: Node) -> KnownNode {
        let internal = node.status.addresses.into_iter().filter(|address| address.r#type == "InternalIP");
        // Some kubelets report the id with dashes, as a UUID.
        let id = node.status.node_info.machine_id.replace('-', "").to_lowercase();
        KnownNode {
            name: node.metadata.name,
            machine_id_sha256: (id.len() == 32).then(|| bundle::sha256(id.as_bytes())),
            addresses: internal.map(|address| address.address).collect(),
        }
    }
}

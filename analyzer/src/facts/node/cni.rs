//! The CNI configuration of a node: /etc/cni/net.d, as the container runtimes read it.
//!
//! libcni takes every name that ends in `.conf`, `.conflist` or `.json`, sorts them bytewise, and the first is the
//! default network (containernetworking/cni libcni/conf.go, containerd/go-cni opts.go). containerd fails when the first
//! does not parse; CRI-O goes on to the next. Everything else in the folder is ignored: backups, kubeconfigs, folders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::Value;
use serde_json::Value as Json;

use super::address_range::AddressRange;
use super::{json, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The folder that both runtimes read unless they are told otherwise.
pub const FOLDER: &str = "/etc/cni/net.d";

/// The CNI configuration of a node.
#[derive(Debug, Clone, Default)]
pub struct CniConfig {
    /// Files that the runtimes read, in their order.
    pub files: Vec<CniFile>,
    /// Names in the folder that they do not read.
    pub ignored: Vec<(String, Citation)>,
    /// The listing, or the record that says that there is no folder; for citing that there is nothing in it.
    pub listing: Option<Citation>,
}

/// A file that the runtimes read.
#[derive(Debug, Clone)]
pub struct CniFile {
    /// Its name in the folder.
    pub name: String,
    /// The network's name, which is also the name of host-local's store.
    pub network: Option<String>,
    /// The plugins' types, in the order of the chain.
    pub types: Vec<String>,
    /// The type of the first address manager in the chain.
    pub ipam: Option<String>,
    /// The ranges that the configuration gives to the address manager.
    pub ranges: Vec<AddressRange>,
    /// host-local's folder, where the configuration moves it.
    pub data_dir: Option<String>,
    /// Why a runtime refuses the file; undefined where it takes it.
    pub error: Option<String>,
    /// Whether the content was collected. Without it nothing is known but the name.
    pub read: bool,
    /// The entry, or its line in the listing.
    pub citation: Citation,
}

/// Whether libcni reads a file of this name.
pub fn is_config(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "conf" | "conflist" | "json"))
}

/// Reads the listing of the folder: names that libcni reads, and the others. `content` finds a file's content and why
/// it is missing.
pub fn parse_index(path: &Arc<str>, bytes: &[u8]) -> Result<CniConfig, serde_json::Error> {
    let entries: Vec<Json> = serde_json::from_slice(bytes)?;
    let mut config = CniConfig::absent(Citation::whole(path, ""));
    for (index, entry) in entries.iter().enumerate() {
        let Some(name) = json::text(entry, "name") else { continue };
        let citation = Citation::pointer(path, format!("/{index}"), &entry.to_string());
        if json::text(entry, "kind") != Some("directory") && is_config(name) {
            config.files.push(CniFile::unread(name, citation));
        } else {
            config.ignored.push((name.to_owned(), citation));
        }
    }
    config.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(config)
}

/// Reads one file. Never fails: a file that a runtime refuses has its `error`.
pub fn parse_file(name: &str, path: &Arc<str>, bytes: &[u8]) -> CniFile {
    let mut file = CniFile::unread(name, Citation::whole(path, ""));
    file.read = true;
    let json = match serde_json::from_slice::<Json>(bytes) {
        Ok(json) => json,
        Err(error) => {
            // A file that was cut off fails behind its last line.
            let text = super::lines::text(bytes);
            let upto = super::lines::lines(&text).take(error.line().max(1));
            let line = upto.last().unwrap_or(super::lines::Line { number: 1, text: "" });
            file.citation = Citation::line(path, line.number, line.text);
            file.error = Some(format!("is not JSON: {error}"));
            return file;
        }
    };
    file.network = json::text(&json, "name").map(str::to_owned);
    let plugins = if name.ends_with(".conflist") { list(&json, &mut file) } else { single(&json, &mut file) };
    file.types = plugins.iter().filter_map(|plugin| json::text(plugin, "type")).map(str::to_owned).collect();
    if file.error.is_none() && file.types.len() < plugins.len() {
        file.error = Some("has a plugin without a type".to_owned());
    }
    if let Some(ipam) = plugins.iter().find_map(|plugin| plugin.get("ipam").filter(|ipam| ipam.is_object())) {
        file.ipam = json::text(ipam, "type").map(str::to_owned);
        file.data_dir = json::text(ipam, "dataDir").map(str::to_owned);
        file.ranges = AddressRange::parse_all(ipam);
    }
    let chain = file.types.join(", ");
    let network = file.network.as_deref().unwrap_or("(no name)");
    file.citation = Citation::pointer(path, "", &format!("{name}: network {network}, plugins {chain}"));
    file
}

fn list(json: &Json, file: &mut CniFile) -> Vec<Json> {
    if file.network.is_none() {
        file.error = Some("has no name".to_owned());
    }
    match json.get("plugins") {
        Some(Json::Array(plugins)) if !plugins.is_empty() => plugins.clone(),
        Some(Json::Array(_)) => {
            file.error = Some("has no plugins in its list".to_owned());
            Vec::new()
        }
        // libcni 1.3 would read further plugins from a folder with the network's name; nobody is known to do so.
        None => {
            file.error = Some("has no list of plugins".to_owned());
            Vec::new()
        }
        Some(_) => {
            file.error = Some("has plugins that are no list".to_owned());
            Vec::new()
        }
    }
}

fn single(json: &Json, file: &mut CniFile) -> Vec<Json> {
    if json::text(json, "type").is_some() {
        return vec![json.clone()];
    }
    file.error = Some(match json.get("plugins") {
        Some(_) => "is a list of plugins, and would have to be named .conflist".to_owned(),
        None => "has no type".to_owned(),
    });
    Vec::new()
}

impl CniFile {
    fn unread(name: &str, citation: Citation) -> CniFile {
        CniFile {
            name: name.to_owned(),
            network: None,
            types: Vec::new(),
            ipam: None,
            ranges: Vec::new(),
            data_dir: None,
            error: None,
            read: false,
            citation,
        }
    }

    /// The CNI that this configuration belongs to, by its plugins: what names the product, not what is chained to it.
    pub fn provider(&self) -> Option<&'static str> {
        const PROVIDERS: [(&str, &str); 16] = [
            ("azure-vnet", "azure"),
            ("azure-cns", "azure"),
            ("azure-ipam", "azure"),
            ("calico", "calico"),
            ("cilium-cni", "cilium"),
            ("flannel", "flannel"),
            ("aws-cni", "aws"),
            ("weave-net", "weave"),
            ("kube-ovn", "kube-ovn"),
            ("antrea", "antrea"),
            ("multus", "multus"),
            ("multus-shim", "multus"),
            ("ptp", "ptp"),
            ("tke-bridge", "tke"),
            ("tke-route-eni", "tke"),
            ("bridge", "bridge"),
        ];
        let known = |plugin: &String| PROVIDERS.iter().find(|(name, _)| name == plugin).map(|(_, provider)| *provider);
        self.types.iter().find_map(known)
    }

    /// Whether the agent of the product that the file belongs to runs on the node, by the components of its pods. None
    /// where that is not known, or the product has no agent of its own (bridge, ptp, multus in its thin form).
    fn agent_runs(&self, components: Option<&BTreeSet<&str>>) -> Option<bool> {
        const AGENTS: [(&str, &str); 7] = [
            ("azure", "azure-cns"),
            ("calico", "calico-node"),
            ("cilium", "cilium"),
            ("flannel", "flannel"),
            ("aws", "aws-node"),
            ("weave", "weave"),
            ("antrea", "antrea"),
        ];
        let provider = self.provider()?;
        let (_, agent) = AGENTS.iter().find(|(name, _)| *name == provider)?;
        Some(components?.contains(agent))
    }

    fn value(&self, components: Option<&BTreeSet<&str>>) -> Value {
        let subnets: Vec<String> = self.ranges.iter().map(|range| range.subnet.to_string()).collect();
        Record::cited(self.citation.clone())
            .with("name", self.name.as_str())
            .with("network", opt(self.network.clone()))
            .with("types", Value::from_iter(self.types.iter().map(String::as_str)))
            .with("provider", opt(self.provider()))
            .with("agent_runs", opt(self.agent_runs(components)))
            .with("ipam", opt(self.ipam.clone()))
            .with("subnets", subnets)
            .with("error", opt(self.error.clone()))
            .with("read", self.read)
            .into_value()
    }
}

impl CniConfig {
    /// A folder that is not there, or has nothing in it; the citation says so.
    pub fn absent(listing: Citation) -> CniConfig {
        CniConfig { listing: Some(listing), ..CniConfig::default() }
    }

    /// Puts the content of the files in the place of their names.
    pub fn with_contents(mut self, contents: impl IntoIterator<Item = CniFile>) -> CniConfig {
        let mut read: BTreeMap<String, CniFile> =
            contents.into_iter().filter(|file| is_config(&file.name)).map(|file| (file.name.clone(), file)).collect();
        for known in &mut self.files {
            if let Some(content) = read.remove(&known.name) {
                *known = content;
            }
        }
        self.files.extend(read.into_values());
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// The file whose network a pod gets: the first one.
    pub fn first(&self) -> Option<&CniFile> {
        self.files.first()
    }

    /// The listing with the names that are read, or the first file where there is no listing.
    fn citation(&self) -> Option<Citation> {
        let Some(listing) = &self.listing else { return self.first().map(|file| file.citation.clone()) };
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        if !listing.text.is_empty() {
            return Some(listing.clone());
        }
        let shown = if names.is_empty() { "no configuration".to_owned() } else { names.join(" ") };
        Some(Citation { text: format!("{FOLDER}: {shown}"), ..listing.clone() })
    }

    /// The fact, as expressions see it, with the components that run on the node as pods, where they are known.
    pub fn value(&self, components: Option<&BTreeSet<&str>>) -> Value {
        let files: Vec<Value> = self.files.iter().map(|file| file.value(components)).collect();
        let ignored = self
            .ignored
            .iter()
            .map(|(name, citation)| Record::cited(citation.clone()).with("name", name.as_str()).into_value());
        let mut providers: Vec<&str> = self.files.iter().filter_map(CniFile::provider).collect();
        providers.dedup();
        let record = match self.citation() {
            Some(citation) => Record::cited(citation),
            None => Record::derived(),
        };
        record
            .with("first", opt(files.first().cloned()))
            .with("files", files)
            .with("providers", Value::from_iter(providers))
            .with("ignored", ignored.collect::<Vec<_>>())
            .into_value()
    }
}

/// The fields of a configuration file.
pub static CNI_FILE: RecordShape = RecordShape {
    name: "cni file",
    doc: "A file in /etc/cni/net.d that the container runtime reads.",
    fields: &[
        Field { name: "name", shape: Shape::Scalar, doc: "Its name in the folder." },
        Field {
            name: "network",
            shape: Shape::Scalar,
            doc: "The network's name, which is also that of host-local's store.",
        },
        Field {
            name: "types",
            shape: Shape::List(&Shape::Scalar),
            doc: "The plugins' types, in the order of the chain.",
        },
        Field {
            name: "provider",
            shape: Shape::Scalar,
            doc: "Whose configuration it is, by its plugins: azure, calico, cilium, flannel, aws, bridge …; undefined where unknown.",
        },
        Field {
            name: "agent_runs",
            shape: Shape::Scalar,
            doc: "Whether the provider's agent runs on the node as a pod; undefined where that is not known, or it has none.",
        },
        Field {
            name: "ipam",
            shape: Shape::Scalar,
            doc: "The address manager's type; undefined where a plugin brings its own.",
        },
        Field { name: "subnets", shape: Shape::List(&Shape::Scalar), doc: "The subnets given to the address manager." },
        Field {
            name: "error",
            shape: Shape::Scalar,
            doc: "Why a runtime refuses the file; undefined where it takes it.",
        },
        Field { name: "read", shape: Shape::Scalar, doc: "Whether its content was collected." },
    ],
};

/// The fields of a name that is not read.
pub static CNI_IGNORED: RecordShape = RecordShape {
    name: "ignored cni name",
    doc: "A name in /etc/cni/net.d that the container runtime does not read.",
    fields: &[Field { name: "name", shape: Shape::Scalar, doc: "The name." }],
};

/// The fields of the CNI configuration.
pub static CNI: RecordShape = RecordShape {
    name: "cni",
    doc: "/etc/cni/net.d of a node, as container runtimes read it.",
    fields: &[
        Field {
            name: "first",
            shape: Shape::Record(&CNI_FILE),
            doc: "The file whose network a pod gets: the first by name; undefined where there is none.",
        },
        Field {
            name: "files",
            shape: Shape::List(&Shape::Record(&CNI_FILE)),
            doc: "All files that are read, in order.",
        },
        Field {
            name: "providers",
            shape: Shape::List(&Shape::Scalar),
            doc: "Whose configurations the files are, in order, without repetition.",
        },
        Field {
            name: "ignored",
            shape: Shape::List(&Shape::Record(&CNI_IGNORED)),
            doc: "Names that are not read: backups, kubeconfigs, folders.",
        },
    ],
};

#[cfg(test)]
#[path = "cni_tests.rs"]
mod tests;

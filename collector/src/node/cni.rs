//! Items of cni/: configuration and binaries of the container network, and what CNIs leave beside them.

use std::time::Duration;

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde_json::{Map, Value};

use super::gather::runnable;
use super::item::{Document, NodeItem, command, document, file, files};
use super::root::HostRoot;
use super::{Context, json, secrets};
use crate::run::capped::{Cap, Capped};
use crate::run::command::{Ending, run};

/// Plugins whose source says that `--version`, or any call without CNI_COMMAND, prints a version and ends.
const PLUGINS: [&str; 25] = [
    "azure-ipam",
    "azure-vnet",
    "azure-vnet-ipam",
    "bandwidth",
    "bridge",
    "calico",
    "calico-ipam",
    "cilium-cni",
    "dummy",
    "firewall",
    "flannel",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
    "whereabouts",
];

/// The items.
pub fn items() -> Vec<NodeItem> {
    vec![
        document("node.cni.conf-index", "cni/net.d.json", "/etc/cni/net.d/*", |context| {
            listing(context, "/etc/cni/net.d")
        }),
        files(
            "node.cni.conf",
            &["/etc/cni/net.d/*.conf*", "/etc/cni/net.d/*.json*", "/etc/cni/multus/net.d/*.conf*"],
            50,
            |path| path.replace("/etc/cni/", "cni/"),
        )
        .keeping(Cap { head: 1_000_000, tail: 0 })
        .edited(secrets::mask_json_text),
        document("node.cni.binaries", "cni/binaries.json", "/opt/cni/bin/*", |context| {
            listing(context, "/opt/cni/bin")
        }),
        document(
            "node.cni.versions",
            "cni/versions.json",
            &format!("/opt/cni/bin/PLUGIN --version, PLUGIN of {}", PLUGINS.join(" ")),
            versions,
        )
        .bounded("2 s each, 4 kB each"),
        file("node.cni.containerd", "cni/containerd-config.toml", "/etc/containerd/config.toml")
            .edited(|text| Ok(secrets::mask_text(text))),
        document(
            "node.cni.containerd-certs-d",
            "cni/containerd-certs.d.json",
            "/etc/containerd/certs.d/*",
            |context| {
                let names = context.host.root.names("/etc/containerd/certs.d").map_err(|refusal| refusal.end())?;
                Ok(json(&names, None))
            },
        ),
        file("node.flannel.subnet-env", "cni/flannel-subnet.env", "/run/flannel/subnet.env"),
        file("node.calico.nodename", "cni/calico-nodename", "/var/lib/calico/nodename"),
        file("node.calico.mtu", "cni/calico-mtu", "/var/lib/calico/mtu"),
        document(
            "node.calico.endpoint-status",
            "cni/calico-endpoint-status.json",
            "/var/run/calico/endpoint-status/* (names)",
            |context| {
                let names =
                    context.host.root.names("/var/run/calico/endpoint-status").map_err(|refusal| refusal.end())?;
                Ok(json(&names, None))
            },
        ),
        command("node.cilium.status", "cni/cilium-status.json", &["cilium-dbg", "status", "--verbose", "-o", "json"])
            .edited(secrets::mask_json_text),
        command("node.cilium.ip", "cni/cilium-ip.txt", &["cilium-dbg", "ip", "list"]),
    ]
}

/// Names, kinds, sizes, modes, times and link targets of a folder's entries.
fn listing(context: &Context<'_>, folder: &str) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let names = root.names(folder).map_err(|refusal| refusal.end())?;
    if names.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Empty, format!("{folder} is empty")));
    }
    // The folder itself may be a link, so entries are looked up where it leads.
    let resolved = root.resolve(folder).map_err(|refusal| refusal.end())?;
    let folder = resolved.path.to_string_lossy();
    let entries: Vec<Value> = names.iter().take(1_000).map(|name| entry(root, &folder, name)).collect();
    Ok(json(&entries, None))
}

fn entry(root: &HostRoot, folder: &str, name: &str) -> Value {
    use std::os::unix::fs::PermissionsExt;
    let path = root.at(format!("{folder}/{name}"));
    let Ok(meta) = std::fs::symlink_metadata(&path) else { return serde_json::json!({ "name": name }) };
    let kind = match meta.file_type() {
        kind if kind.is_symlink() => "link",
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        _ => "special",
    };
    let modified = meta.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
    serde_json::json!({
        "name": name,
        "kind": kind,
        "bytes": meta.len(),
        "mode": format!("{:o}", meta.permissions().mode() & 0o7777),
        "mtime": modified.map(|at| at.to_string()),
        "link_target": std::fs::read_link(&path).ok().map(|target| target.to_string_lossy().into_owned()),
    })
}

/// cni/versions.json.
fn versions(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let installed = context.host.root.names("/opt/cni/bin").map_err(|refusal| refusal.end())?;
    let mut told = Map::new();
    for plugin in PLUGINS.iter().filter(|plugin| installed.iter().any(|name| name == *plugin)) {
        let argv = [format!("/opt/cni/bin/{plugin}"), "--version".to_owned()];
        if context.run.stopped().is_some() {
            break;
        }
        told.insert((*plugin).to_owned(), version(context, &argv));
    }
    if told.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Absent, "no plugin whose version can be asked is in /opt/cni/bin"));
    }
    Ok(json(&Value::Object(told), None))
}

fn version(context: &Context<'_>, argv: &[String]) -> Value {
    let mut out = Capped::new(Vec::new(), Cap { head: 4_096, tail: 0 });
    let time = context.run.time_for(Duration::from_secs(2));
    let stopped = || context.run.stopped().is_some();
    let report = runnable(context, argv).ok().and_then(|argv| run(&argv, time, &stopped, &mut out).ok());
    let Some(report) = report else { return Value::Null };
    let exit_code = match report.ending {
        Ending::Exited(code) => Some(code),
        _ => None,
    };
    // The reference plugins print their version to standard error.
    let printed = out.finish().map(|(bytes, _)| bytes).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    let output = if printed.is_empty() { report.stderr_tail.unwrap_or_default() } else { printed };
    serde_json::json!({ "exit_code": exit_code, "output": output })
}

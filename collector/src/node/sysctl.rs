//! Kernel settings: /proc/sys/net whole, and what else bears on networking; and the files that set them at boot.

use std::fmt::Write as _;

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Source};
use jiff::Timestamp;
use serde::Serialize;

use super::gather::{copy, put};
use super::item::Document;
use super::root::{HostRoot, status_of};
use super::{Context, json};
use crate::plan::PlanLine;
use crate::run::capped::Cap;

/// Settings outside /proc/sys/net that decide about connections, forwarding or their limits.
const BESIDES_NET: [&str; 24] = [
    "fs/file-max",
    "fs/file-nr",
    "fs/inotify/max_queued_events",
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "fs/nr_open",
    "kernel/modules_disabled",
    "kernel/osrelease",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/pid_max",
    "kernel/tainted",
    "kernel/threads-max",
    "kernel/unprivileged_bpf_disabled",
    "kernel/keys/maxkeys",
    "kernel/keys/root_maxkeys",
    "user/max_net_namespaces",
    "vm/max_map_count",
    "vm/min_free_kbytes",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "vm/swappiness",
    "vm/watermark_scale_factor",
    "kernel/hostname",
];
/// Never read: keys, and what acts when it is read or written.
const NEVER: [&str; 4] = ["tcp_fastopen_key", "stable_secret", "flush", "netdev_rss_key"];
/// Settings beyond are left out; a node with a thousand interfaces has about 60,000.
const SETTINGS_AT_MOST: usize = 200_000;
/// A setting is a line; what is longer is cut.
const VALUE_AT_MOST: usize = 4_096;
/// Where sysctl(8) and systemd-sysctl(8) read files, from the strongest folder to the weakest.
const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

/// system/sysctl.txt.
pub fn settings(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let mut text = String::new();
    let mut walk = Walk { root, out: &mut text, settings: 0, forbidden: 0 };
    walk.folder("net");
    for name in BESIDES_NET {
        walk.setting(name);
    }
    let (settings, forbidden) = (walk.settings, walk.forbidden);
    if settings == 0 {
        return Err(ItemEnd::because(ItemStatus::Error, "/proc/sys/net holds nothing that can be read"));
    }
    let mut end = ItemEnd::new(ItemStatus::Ok);
    if settings >= SETTINGS_AT_MOST {
        end = ItemEnd::because(ItemStatus::Truncated, format!("only the first {SETTINGS_AT_MOST} settings were read"));
    } else if forbidden > 0 {
        end.reason = Some(format!("{forbidden} settings are hidden from us; the file names them"));
    }
    Ok(Document { bytes: text.into_bytes(), end })
}

struct Walk<'a> {
    root: &'a HostRoot,
    out: &'a mut String,
    settings: usize,
    forbidden: usize,
}

impl Walk<'_> {
    fn folder(&mut self, name: &str) {
        let Ok(entries) = std::fs::read_dir(self.root.at(format!("/proc/sys/{name}"))) else { return };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let below = format!("{name}/{}", entry.file_name().to_string_lossy());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(&below),
                Ok(kind) if kind.is_file() => self.setting(&below),
                _ => {}
            }
        }
    }

    fn setting(&mut self, path: &str) {
        let last = path.rsplit('/').next().unwrap_or(path);
        if NEVER.contains(&last) || self.settings >= SETTINGS_AT_MOST {
            return;
        }
        match std::fs::read(self.root.at(format!("/proc/sys/{path}"))) {
            Ok(value) => {
                let value = String::from_utf8_lossy(value.get(..VALUE_AT_MOST).unwrap_or(&value)).into_owned();
                // Some settings are tables; their lines are joined, so that a line stays a setting.
                let value = value.trim_end_matches('\n').replace('\n', " ; ");
                let _ = writeln!(self.out, "{} = {value}", dotted(path));
                self.settings += 1;
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !write_only(self.root, path) => {
                let _ = writeln!(self.out, "# forbidden: {}", dotted(path));
                self.forbidden += 1;
            }
            // Write-only ones, and ones that answer an error until they are set, say nothing.
            Err(_) => {}
        }
    }
}

fn write_only(root: &HostRoot, path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::symlink_metadata(root.at(format!("/proc/sys/{path}")));
    meta.is_ok_and(|meta| meta.permissions().mode() & 0o444 == 0)
}

/// `net/ipv4/conf/eth0.100/rp_filter` as sysctl(8) writes it: `net.ipv4.conf.eth0/100.rp_filter`.
fn dotted(path: &str) -> String {
    path.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// net/conntrack.txt: the table's size and how full it is.
pub fn conntrack(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let mut text = String::new();
    for name in ["count", "max", "buckets"] {
        let path = format!("net/netfilter/nf_conntrack_{name}");
        match std::fs::read_to_string(context.host.root.at(format!("/proc/sys/{path}"))) {
            Ok(value) => {
                let _ = writeln!(text, "{} = {}", dotted(&path), value.trim_end());
            }
            Err(error) if status_of(&error) == ItemStatus::Absent => {
                let why = "nf_conntrack is not active in this network namespace";
                return Err(ItemEnd::because(ItemStatus::Absent, why));
            }
            Err(error) => {
                let _ = writeln!(text, "# {}: {error}", dotted(&path));
            }
        }
    }
    Ok(Document { bytes: text.into_bytes(), end: ItemEnd::new(ItemStatus::Ok) })
}

#[derive(Serialize)]
struct SysctlFile {
    path: String,
    link_target: Option<String>,
    bytes: Option<u64>,
}

/// The names of all files that set something, in the order of their folders' precedence; /etc/sysctl.conf is last, as
/// `sysctl --system` reads it.
fn chain(root: &HostRoot) -> Vec<String> {
    let in_folder = |folder: &&str| {
        let names = root.names(folder).unwrap_or_default();
        let folder = (*folder).to_owned();
        names.into_iter().filter(|name| name.ends_with(".conf")).map(move |name| format!("{folder}/{name}"))
    };
    let mut paths: Vec<String> = FOLDERS.iter().flat_map(in_folder).take(300).collect();
    paths.extend(
        ["/etc/sysctl.conf", "/etc/ufw/sysctl.conf"].iter().filter(|path| root.exists(path)).map(|&p| p.to_owned()),
    );
    paths
}

/// system/sysctl-files.json.
pub fn index(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let describe = |path: String| {
        let link_target = std::fs::read_link(root.at(&path)).ok().map(|target| target.to_string_lossy().into_owned());
        let bytes = root.open(&path).ok().map(|opened| opened.size);
        SysctlFile { path, link_target, bytes }
    };
    let files: Vec<SysctlFile> = chain(root).into_iter().map(describe).collect();
    Ok(json(&files, None))
}

/// system/sysctl-files/…: every file of the chain, once. On a merged /usr, /lib/sysctl.d is /usr/lib/sysctl.d.
pub fn files(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let root = &context.host.root;
    let mut seen = std::collections::BTreeSet::new();
    let mut recorded = false;
    for path in chain(root) {
        let draft = context.run.draft(line, Source::File(path.clone()));
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let real = root.resolve(folder).map(|resolved| resolved.path.join(path.rsplit('/').next().unwrap_or_default()));
        if real.is_ok_and(|real| !seen.insert(real)) {
            continue;
        }
        match root.open(&path) {
            Ok(opened) => copy(context, draft, &format!("system/sysctl-files{path}"), opened, Cap::DEFAULT, None)?,
            Err(refusal) => context.run.record(draft, refusal.end(), Timestamp::now()),
        }
        recorded = true;
    }
    if !recorded {
        let draft = context.run.draft(line, Source::File(FOLDERS.join(" ")));
        put(context, draft, "", b"", ItemEnd::because(ItemStatus::Absent, "no file sets anything at boot"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_written_as_sysctl_writes_them() {
        assert_eq!(dotted("net/ipv4/conf/eth0.100/rp_filter"), "net.ipv4.conf.eth0/100.rp_filter");
    }

    #[test]
    fn the_walk_tells_settings_and_leaves_keys_out() {
        let root = HostRoot::new("/");
        let mut text = String::new();
        Walk { root: &root, out: &mut text, settings: 0, forbidden: 0 }.folder("net");
        let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        assert!(text.contains(&format!("net.ipv4.ip_forward = {forwarding}")), "{text}");
        assert!(NEVER.iter().all(|never| !text.contains(never)));
        assert!(text.lines().all(|line| line.starts_with("net.") || line.starts_with("# forbidden: net.")));
    }
}

//! Network namespaces: which there are, whose they are, and the sockets and routes of at most fifty.
//!
//! Nothing is entered: /proc/PID/net shows the namespace of that process to whoever reads it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use bundle::manifest::{ItemStatus, Source};
use bundle::{ItemDraft, ItemEnd};
use jiff::Timestamp;
use serde::Serialize;

use super::gather::put;
use super::host::Process;
use super::item::Document;
use super::root::{HostRoot, status_of};
use super::{Context, json, sockets};
use crate::plan::PlanLine;

/// How many namespaces are looked into.
const NAMESPACES_AT_MOST: usize = 50;
/// What is kept of one file of a namespace.
const FILE_AT_MOST: u64 = 1_000_000;
/// Files of /proc/PID/net, by the suffix of their evidence id.
const FILES: [(&str, &str); 7] = [
    ("route4", "route"),
    ("route6", "ipv6_route"),
    ("fib-trie", "fib_trie"),
    ("if-inet6", "if_inet6"),
    ("dev", "dev"),
    ("snmp", "snmp"),
    ("netstat", "netstat"),
];

/// All namespaces of the host.
#[derive(Debug, Serialize)]
struct Namespaces {
    host: Option<u64>,
    named: Vec<Named>,
    namespaces: Vec<Namespace>,
    processes_unreadable: usize,
    not_collected: usize,
}

/// A namespace that has a name in /var/run/netns.
#[derive(Debug, Serialize)]
struct Named {
    name: String,
    inode: Option<u64>,
}

/// A namespace that processes live in.
#[derive(Debug, Clone, Serialize)]
struct Namespace {
    inode: u64,
    pids: Vec<u32>,
    processes: usize,
    comm: String,
    container_id: Option<String>,
    pod_uid: Option<String>,
    collected: bool,
}

/// Says so where we live in another network namespace than the host: `ip`, `nft` and /proc/net then show ours. That is
/// so in a pod without hostNetwork.
pub fn mind_another(context: &Context<'_>) {
    let root = &context.host.root;
    if root.is_own() {
        return;
    }
    if let (Ok(ours), Ok(hosts)) = (inode(root, "self"), inode(root, "1"))
        && ours != hosts
    {
        let effect =
            "links, routes, rules and sockets are those of the collector's own network namespace, not the host's";
        context.run.note_limit("network namespace", format!("{ours} instead of {hosts}"), effect);
        context.run.progress().say(&format!("warning: {effect}; run the pod with hostNetwork"));
    }
}

/// net/netns.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let all = survey(root, context.host.processes());
    let named = named(root).map_err(|error| ItemEnd::because(status_of(&error), format!("/var/run/netns: {error}")))?;
    let unreadable = all.processes_unreadable;
    let reason = (unreadable > 0).then(|| format!("the namespaces of {unreadable} processes are hidden from us"));
    Ok(json(&Namespaces { named, ..all }, reason))
}

fn survey(root: &HostRoot, processes: &[Process]) -> Namespaces {
    let host = inode(root, "self").ok();
    let mut by_inode: BTreeMap<u64, Namespace> = BTreeMap::new();
    let mut processes_unreadable = 0;
    for process in processes {
        let inode = match inode(root, &process.pid.to_string()) {
            Ok(inode) => inode,
            Err(error) => {
                processes_unreadable += usize::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        let namespace = by_inode.entry(inode).or_insert_with(|| Namespace::new(inode, process));
        namespace.processes += 1;
        if namespace.pids.len() < 5 {
            namespace.pids.push(process.pid);
        }
        if Some(inode) != host && namespace.pod_uid.is_none() {
            namespace.belongs(process, owner(root, process.pid));
        }
    }
    let mut namespaces: Vec<Namespace> =
        by_inode.into_values().filter(|namespace| Some(namespace.inode) != host).collect();
    // Pods first, because what listens in them is what Services lead to.
    namespaces.sort_by_key(|namespace| (namespace.pod_uid.is_none(), namespace.inode));
    namespaces.iter_mut().take(NAMESPACES_AT_MOST).for_each(|namespace| namespace.collected = true);
    let not_collected = namespaces.len().saturating_sub(NAMESPACES_AT_MOST);
    Namespaces { host, named: Vec::new(), namespaces, processes_unreadable, not_collected }
}

impl Namespace {
    fn new(inode: u64, first: &Process) -> Self {
        let (comm, pids) = (first.comm.clone(), Vec::new());
        Namespace { inode, pids, processes: 0, comm, container_id: None, pod_uid: None, collected: false }
    }

    /// Takes the owner of one of its processes for its own. The first process need not be the pod's: somebody may have
    /// entered the namespace from the host, and process ids start again from the lowest.
    fn belongs(&mut self, process: &Process, (container, pod): (Option<String>, Option<String>)) {
        if pod.is_none() && (container.is_none() || self.container_id.is_some()) {
            return;
        }
        (self.container_id, self.pod_uid) = (container, pod);
        self.comm.clone_from(&process.comm);
        self.pids.retain(|pid| *pid != process.pid);
        self.pids.insert(0, process.pid);
        self.pids.truncate(5);
    }
}

/// The number by which a namespace is known: the inode of /proc/PID/ns/net.
fn inode(root: &HostRoot, pid: &str) -> std::io::Result<u64> {
    Ok(std::fs::metadata(root.at(format!("/proc/{pid}/ns/net")))?.ino())
}

fn named(root: &HostRoot) -> std::io::Result<Vec<Named>> {
    let folder = root.at("/run/netns");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut named: Vec<Named> = entries
        .flatten()
        .map(|entry| Named {
            name: entry.file_name().to_string_lossy().into_owned(),
            inode: entry.metadata().ok().map(|meta| meta.ino()),
        })
        .collect();
    named.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(named)
}

/// The container and the pod that a process belongs to, from the names of its control group: `…/kubepods-burstable-pod
/// UID.slice/cri-containerd-ID.scope` with systemd, `/kubepods/burstable/podUID/ID` without.
fn owner(root: &HostRoot, pid: u32) -> (Option<String>, Option<String>) {
    let text = std::fs::read_to_string(root.at(format!("/proc/{pid}/cgroup"))).unwrap_or_default();
    text.lines().map(owner_in).find(|(container, pod)| container.is_some() || pod.is_some()).unwrap_or_default()
}

fn owner_in(line: &str) -> (Option<String>, Option<String>) {
    let mut container = None;
    let mut pod = None;
    for part in line.rsplit(['/', ':']) {
        let part = part.trim_end_matches(".scope").trim_end_matches(".slice");
        let last = part.rsplit('-').next().unwrap_or(part);
        if container.is_none() && last.len() == 64 && last.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            container = Some(last.to_owned());
        }
        if let Some((_, uid)) = part.rsplit_once("pod").filter(|(before, _)| before.is_empty() || before.ends_with('-'))
            && uid.len() >= 32
            && pod.is_none()
        {
            pod = Some(uid.replace('_', "-"));
        }
    }
    (container, pod)
}

/// pod.netns.*: sockets, routes, addresses and counters of each namespace.
pub fn each(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let all = survey(&context.host.root, context.host.processes());
    if all.not_collected > 0 {
        let effect = format!("{} more namespaces were not looked into", all.not_collected);
        context.run.note_limit("network namespaces", NAMESPACES_AT_MOST.to_string(), effect);
    }
    let mut looked_into = 0;
    for namespace in all.namespaces.iter().filter(|namespace| namespace.collected) {
        if context.run.stopped().is_some() {
            return Ok(());
        }
        one(context, line, namespace)?;
        looked_into += 1;
    }
    if looked_into == 0 {
        let end = match all.processes_unreadable {
            0 => ItemEnd::because(ItemStatus::Empty, "every process lives in the host's network namespace"),
            n => ItemEnd::because(ItemStatus::Forbidden, format!("the namespaces of {n} processes are hidden from us")),
        };
        context.run.record(context.run.draft(line, Source::File("/proc/*/ns/net".to_owned())), end, Timestamp::now());
    }
    Ok(())
}

fn one(context: &Context<'_>, line: &PlanLine, namespace: &Namespace) -> anyhow::Result<()> {
    let Some(pid) = namespace.pids.first() else { return Ok(()) };
    let root = &context.host.root;
    let folder = format!("net/netns/{}", namespace.inode);
    let draft = |suffix: &str, source: String| -> ItemDraft {
        context.run.draft_of(line, suffix, context.scope.clone(), Source::File(source))
    };
    let net = format!("/proc/{pid}/net");
    let source = format!("{net}/{{tcp,tcp6,udp,udp6}}");
    match sockets::listening(root, &net) {
        Ok(mut found) => {
            let members: Vec<Process> = members(context, namespace);
            let unreadable = sockets::add_owners(root, &members, &mut found);
            let whole = json(&serde_json::json!({ "sockets": found, "processes_unreadable": unreadable }), None);
            put(context, draft("sockets", source), &format!("{folder}/sockets.json"), &whole.bytes, whole.end)?;
        }
        Err(error) => {
            let end = ItemEnd::because(status_of(&error), error.to_string());
            context.run.record(draft("sockets", source), end, Timestamp::now());
        }
    }
    for (suffix, name) in FILES {
        let source = format!("{net}/{name}");
        let read = read_some(&root.at(&source));
        text(context, draft(suffix, source), &format!("{folder}/{name}"), read)?;
    }
    let source = format!("/proc/{pid}/root/etc/resolv.conf");
    let read = inside(root, *pid, "etc/resolv.conf");
    text(context, draft("resolv", source), &format!("{folder}/resolv.conf"), read)
}

/// The processes of a namespace that are known, which is all that can hold its sockets but for sockets handed over.
fn members(context: &Context<'_>, namespace: &Namespace) -> Vec<Process> {
    let known = context.host.processes().iter();
    known.filter(|process| namespace.pids.contains(&process.pid)).cloned().collect()
}

fn text(context: &Context<'_>, draft: ItemDraft, path: &str, read: std::io::Result<Vec<u8>>) -> anyhow::Result<()> {
    match read {
        Ok(bytes) => put(context, draft, path, &bytes, ItemEnd::new(ItemStatus::Ok)),
        Err(error) => {
            context.run.record(draft, ItemEnd::because(status_of(&error), error.to_string()), Timestamp::now());
            Ok(())
        }
    }
}

fn read_some(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_AT_MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file of a process's own root. What lies there is the container's to arrange, so the kernel is told
/// to resolve links below that root only, and never through /proc; where it does not know how (before 5.6), nothing
/// is read.
fn inside(root: &HostRoot, pid: u32, path: &str) -> std::io::Result<Vec<u8>> {
    use std::io::Read;

    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let below = std::fs::File::open(root.at(format!("/proc/{pid}/root")))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // Looked at before it is opened for reading, as everywhere: opening a device may already do something.
    let looked = rustix::fs::openat2(&below, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    let is_regular = |fd: &std::fs::File| fd.metadata().is_ok_and(|meta| meta.is_file());
    if !is_regular(&std::fs::File::from(looked)) {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let file = std::fs::File::from(rustix::fs::openat2(&below, path, flags, Mode::empty(), resolve)?);
    if !is_regular(&file) {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(64 * 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_control_group_names_container_and_pod() {
        let id = "3f813b029429b4e41a09ab33b6f6d365d2ed704017524c78d1d0dece33cdaf46";
        let uid = "0b1f2d7e-6f6e-4d2a-9d1c-0a1b2c3d4e5f";
        let systemd = format!(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{id}.scope",
            uid.replace('-', "_")
        );
        let cgroupfs = format!("4:memory:/kubepods/besteffort/pod{uid}/{id}");
        for line in [systemd, cgroupfs] {
            assert_eq!(owner_in(&line), (Some(id.to_owned()), Some(uid.to_owned())), "{line}");
        }
        for line in ["0::/init.scope", "0::/system.slice/containerd.service", "0::/user.slice/user-0.slice"] {
            assert_eq!(owner_in(line), (None, None), "{line}");
        }
    }

    #[test]
    fn a_namespace_is_the_pods_whoever_entered_it_first() {
        let process = |pid, comm: &str| Process { pid, comm: comm.to_owned() };
        let mut namespace = Namespace::new(7, &process(3, "bash"));
        namespace.pids = vec![3, 4];
        namespace.belongs(&process(3, "bash"), (None, None));
        namespace.belongs(&process(4, "sleep"), (Some("b".to_owned()), None));
        assert_eq!((namespace.comm.as_str(), namespace.pids.as_slice()), ("sleep", [4, 3].as_slice()));
        namespace.pids.push(9);
        namespace.belongs(&process(9, "web"), (Some("a".to_owned()), Some("u".to_owned())));
        assert_eq!((namespace.comm.as_str(), namespace.pod_uid.as_deref()), ("web", Some("u")));
        assert_eq!(namespace.pids, [9, 4, 3]);
    }

    #[test]
    fn the_hosts_own_namespace_is_not_among_the_others() {
        let root = HostRoot::new("/");
        let me = Process { pid: std::process::id(), comm: "me".to_owned() };
        let all = survey(&root, std::slice::from_ref(&me));
        assert!(all.host.is_some());
        assert!(all.namespaces.is_empty());
    }

    #[test]
    fn a_processes_root_is_read_from_within() {
        let read = inside(&HostRoot::new("/"), std::process::id(), "etc/passwd").unwrap();
        assert_eq!(read, std::fs::read("/etc/passwd").unwrap()[..read.len()]);
        assert!(inside(&HostRoot::new("/"), std::process::id(), "etc").is_err());
    }
}

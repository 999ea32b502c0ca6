//! Items of logs/: the journal by unit, the kernel's messages, and the log files of CNIs.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;

use super::host::Host;
use super::item::{NodeItem, command, files};
use crate::run::capped::Cap;
use crate::run::command::find_program;

/// Units whose journal is taken: id, path, unit.
const UNITS: [(&str, &str, &str); 13] = [
    ("node.log.journal-kubelet", "logs/journal-kubelet.log", "kubelet"),
    ("node.log.journal-containerd", "logs/journal-containerd.log", "containerd"),
    ("node.log.journal-docker", "logs/journal-docker.log", "docker"),
    ("node.log.journal-crio", "logs/journal-crio.log", "crio"),
    ("node.log.journal-k3s", "logs/journal-k3s.log", "k3s"),
    ("node.log.journal-k3s-agent", "logs/journal-k3s-agent.log", "k3s-agent"),
    ("node.log.journal-rke2-server", "logs/journal-rke2-server.log", "rke2-server"),
    ("node.log.journal-rke2-agent", "logs/journal-rke2-agent.log", "rke2-agent"),
    ("node.log.journal-systemd-networkd", "logs/journal-systemd-networkd.log", "systemd-networkd"),
    ("node.log.journal-systemd-resolved", "logs/journal-systemd-resolved.log", "systemd-resolved"),
    ("node.log.journal-NetworkManager", "logs/journal-NetworkManager.log", "NetworkManager"),
    ("node.log.journal-firewalld", "logs/journal-firewalld.log", "firewalld"),
    ("node.log.journal-localdns", "logs/journal-localdns.log", "localdns"),
];
/// What is kept of a log: its end.
const LOG: Cap = Cap::tail(10_000_000);

/// The items. The count of lines bounds what journalctl reads; the cap bounds what is kept. `-q` leaves out the
/// sentences that are not the journal's.
pub fn items() -> Vec<NodeItem> {
    let mut items: Vec<NodeItem> = UNITS
        .iter()
        .map(|&(id, path, unit)| {
            let argv = [
                "journalctl",
                "-q",
                "-u",
                unit,
                "--since",
                "-24h",
                "-n",
                "50000",
                "-o",
                "short-iso-precise",
                "--no-pager",
            ];
            command(id, path, &argv)
                .only_where("there is a journal", journal)
                .hidden_when_empty()
                .moderate()
                .keeping(LOG)
        })
        .collect();
    items.extend([
        command("node.log.dmesg", "logs/dmesg.log", &["dmesg", "--time-format=iso"])
            .or("logs/dmesg.log", &["dmesg"])
            .or(
                "logs/dmesg.log",
                &["journalctl", "-q", "-k", "-b", "0", "-n", "50000", "-o", "short-iso-precise", "--no-pager"],
            )
            .moderate()
            .keeping(LOG),
        command(
            "node.log.kernel-previous-boot",
            "logs/kernel-previous-boot.log",
            &["journalctl", "-q", "-k", "-b", "-1", "-n", "15000", "-o", "short-iso-precise", "--no-pager"],
        )
        .only_where("there is a journal", journal)
        .hidden_when_empty()
        .moderate()
        .keeping(Cap::tail(2_000_000)),
        files(
            "node.log.files",
            &[
                "/var/log/azure-vnet*.log",
                "/var/log/azure-vnet*.log.1",
                "/var/log/azure-cns*.log",
                "/var/log/azure-cns*.log.1",
                "/var/log/azure-ipam*.log",
                "/var/log/azure-ipam*.log.1",
                "/var/log/azure-ip-masq*.log",
                "/var/log/cilium-cni.log",
                "/var/log/cilium-cni.log.1",
                "/var/log/kubelet.log",
                "/var/log/kube-proxy.log",
                "/var/log/calico/cni/cni.log",
                "/var/log/aws-routed-eni/ipamd.log",
                "/var/log/aws-routed-eni/plugin.log",
            ],
            24,
            |path| {
                let name = path.rsplit('/').next().unwrap_or_default();
                let prefix = match path {
                    _ if path.contains("/calico/") => "calico-",
                    _ if path.contains("/aws-routed-eni/") => "aws-",
                    _ => "",
                };
                format!("logs/{prefix}{name}")
            },
        )
        .moderate()
        .keeping(LOG),
    ]);
    items
}

/// Whether there is a journal, and who would read it.
pub fn journal(host: &Host) -> Result<(), ItemEnd> {
    if find_program(host.root.dir(), "journalctl").is_none() {
        return Err(ItemEnd::because(ItemStatus::ToolMissing, "journalctl is not installed on this host"));
    }
    // Each machine's journal lies in a folder of its machine-id; the outer folder alone may be there and be empty.
    let holds_journal =
        |folder: &str| host.root.names(folder).is_ok_and(|names| names.iter().any(|name| name.len() == 32));
    if holds_journal("/run/log/journal") || holds_journal("/var/log/journal") {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Absent, "this host keeps no journal"))
}

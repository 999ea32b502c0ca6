//! Items of dns/: every resolver configuration on a node, and the one that the kubelet gives to pods.

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Source};
use jiff::Timestamp;

use super::gather::put;
use super::host::Host;
use super::item::{NodeItem, command, file, files, own};
use super::{Context, kubelet};
use crate::plan::PlanLine;
use crate::run::command::find_program;

/// The items.
pub fn items() -> Vec<NodeItem> {
    vec![
        file("node.resolv.conf", "dns/resolv.conf", "/etc/resolv.conf"),
        file("node.resolv.systemd", "dns/systemd-resolv.conf", "/run/systemd/resolve/resolv.conf"),
        file("node.resolv.systemd-stub", "dns/systemd-stub-resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
        own("node.resolv.kubelet", "the file that the kubelet's --resolv-conf or resolvConf names", kubelet_resolver)
            .bounded("64 kB"),
        files(
            "node.resolv.resolved-conf",
            &["/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf"],
            20,
            |path| path.replace("/etc/systemd/", "dns/"),
        ),
        command("node.resolv.resolvectl", "dns/resolvectl.txt", &["resolvectl", "status", "--no-pager"])
            .only_where("systemd-resolved runs", resolved_runs),
        file("node.resolv.nsswitch", "dns/nsswitch.conf", "/etc/nsswitch.conf"),
        file("node.resolv.hosts", "dns/hosts", "/etc/hosts"),
        file("node.resolv.gai", "dns/gai.conf", "/etc/gai.conf"),
        files("node.resolv.localdns", &["/opt/azure/containers/localdns/*.corefile"], 10, |path| {
            path.replace("/opt/azure/containers/localdns/", "dns/localdns/")
        }),
    ]
}

/// resolvectl asks over D-Bus, which would start systemd-resolved.
fn resolved_runs(host: &Host) -> Result<(), ItemEnd> {
    if find_program(host.root.dir(), "resolvectl").is_none() {
        return Err(ItemEnd::because(ItemStatus::ToolMissing, "resolvectl is not installed on this host"));
    }
    // The kernel cuts the name to 15 bytes.
    if host.runs("systemd-resolve") {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Absent, "systemd-resolved does not run, and asking would start it"))
}

/// dns/kubelet-resolv.conf. The path comes from the kubelet's own configuration, so what it leads to must also look
/// like a resolver configuration before it is kept.
fn kubelet_resolver(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let started = Timestamp::now();
    let path = kubelet::resolver_path(context);
    let draft = context.run.draft(line, Source::File(path.clone()));
    let opened = match context.host.root.open(&path) {
        Ok(opened) => opened,
        Err(refusal) => {
            context.run.record(draft, refusal.end(), started);
            return Ok(());
        }
    };
    match context.host.root.read(&path, 64 * 1024) {
        Ok(text) if is_resolver_configuration(&text) => {
            let end = ItemEnd { link_target: opened.link_target, ..ItemEnd::new(ItemStatus::Ok) };
            put(context, draft, "dns/kubelet-resolv.conf", text.as_bytes(), end)
        }
        Ok(_) => {
            let end = ItemEnd::because(ItemStatus::Withheld, "it does not look like a resolver configuration");
            context.run.record(draft, end, started);
            Ok(())
        }
        Err(refusal) => {
            context.run.record(draft, refusal.end(), started);
            Ok(())
        }
    }
}

/// Whether every line is a comment or begins with a keyword of resolv.conf(5).
fn is_resolver_configuration(text: &str) -> bool {
    const KEYWORDS: [&str; 7] = ["nameserver", "search", "domain", "options", "sortlist", "lookup", "family"];
    text.lines().map(str::trim).all(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        line.is_empty() || line.starts_with(['#', ';']) || KEYWORDS.contains(&first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_configuration_is_known_by_its_keywords() {
        assert!(is_resolver_configuration("# made by hand\nnameserver 10.0.0.2\n\nsearch a b\noptions ndots:5\n"));
        assert!(!is_resolver_configuration("root:$6$abc:19000:0:99999:7:::\n"));
    }
}

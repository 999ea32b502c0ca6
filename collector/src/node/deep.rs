//! Items of `--deep`: what a busy host feels, and what therefore nobody gets unasked. All are bounded as others are.

use std::io::Write as _;
use std::time::Duration;

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Source};

use super::gather::runnable;
use super::host::Host;
use super::item::{NodeItem, command, own};
use super::{Context, logs, net};
use crate::plan::PlanLine;
use crate::run::capped::{Cap, Capped};
use crate::run::command;
use crate::run::lazy::LazyItem;

/// Links whose statistics are read: a node has one for each of its pods.
const LINKS: usize = 300;
/// What asking one link may take.
const LINK_TIME: Duration = Duration::from_secs(3);

/// The items.
pub fn items() -> Vec<NodeItem> {
    let items = [
        command("node.conntrack.table", "net/conntrack-table.txt", &["conntrack", "-L", "-o", "extended"])
            .only_where("nf_conntrack_netlink is in the kernel", net::conntrack_netlink)
            .within(30),
        command("node.sock.ss", "net/ss.txt", &["ss", "-tunaepmiO"])
            .or("net/ss.txt", &["ss", "-tunaepmi"])
            .only_where("the modules that answer are in the kernel", socket_diagnosis)
            .within(30),
        own("node.ip.link-statistics", "ethtool -S of every link", link_statistics)
            .bounded("300 links, 3 s each, 10.0 MB"),
        command("node.system.sysctl-all", "system/sysctl-all.txt", &["sysctl", "-a"]).within(20),
        command(
            "node.log.journal-boot",
            "logs/journal-boot.log",
            &["journalctl", "-q", "-b", "0", "-n", "500000", "-o", "short-iso-precise", "--no-pager"],
        )
        .only_where("there is a journal", logs::journal)
        .hidden_when_empty()
        .keeping(Cap::tail(Cap::DEFAULT.total()))
        .within(30),
    ];
    items.into_iter().map(NodeItem::heavy).collect()
}

/// ss(8) asks over netlink, which would load the modules that answer.
fn socket_diagnosis(host: &Host) -> Result<(), ItemEnd> {
    ["inet_diag", "tcp_diag", "udp_diag"].into_iter().try_for_each(|module| host.modules.need(module))
}

/// net/link-statistics.txt: the drivers' own counters, a paragraph for each link.
fn link_statistics(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let source = ["ethtool", "-S"].map(str::to_owned).to_vec();
    let draft = context.run.draft(line, Source::Argv(source.clone()));
    let mut end = ItemEnd::new(ItemStatus::Ok);
    let links = context.host.root.names("/sys/class/net").unwrap_or_default();
    if links.len() > LINKS {
        context.run.note_limit(&line.id, LINKS.to_string(), format!("{} links were not asked", links.len() - LINKS));
    }
    let item = LazyItem::new(context.run, draft, context.path("net/link-statistics.txt"));
    let mut out = Capped::new(item, context.run.limits().cap(Cap::DEFAULT));
    for link in links.iter().take(LINKS) {
        if context.run.stopped().is_some() {
            end = ItemEnd::because(ItemStatus::Truncated, "the run ended before every link was asked");
            break;
        }
        let argv = [&source[..], std::slice::from_ref(link)].concat();
        let argv = match runnable(context, &argv) {
            Ok(argv) => argv,
            Err(missing) => {
                end = missing;
                break;
            }
        };
        let mut said = Vec::new();
        let stopped = || context.run.stopped().is_some();
        // A driver without counters says so on standard error, and is left out.
        if command::run(&argv, context.run.time_for(LINK_TIME), &stopped, &mut said).is_ok() && !said.is_empty() {
            writeln!(out, "{link}:")?;
            out.write_all(&said)?;
        }
    }
    let (item, dropped) = out.finish()?;
    if dropped > 0 {
        end = super::ending::truncated(dropped);
    }
    Ok(item.end(end)?)
}

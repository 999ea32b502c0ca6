//! The node as packets are walked through it: a [`netpath::node::Node`] of what the folder holds, and what it does not
//! hold as [`Gap`]s, so that no walk takes for empty what nobody collected.

use std::net::IpAddr;
use std::sync::Arc;

use bundle::{ItemRecord, ItemStatus};
use netpath::address::Family;
use netpath::iptables::{self, Backend, NoteKind, Ruleset, Specifications};
use netpath::nft::Tables;
use netpath::node::{Gap, GapKind, Node};
use netpath::route::{Fib, parse_routes, parse_rules};
use netpath::sysctl::Sysctls;
use netpath::{ipset, ipvs, link, neighbour, nft};

use super::folder::{Entry, Folder};

const FAMILIES: [(Family, &str); 2] = [(Family::V4, "4"), (Family::V6, "6")];

/// Reads the node. None where neither its interfaces nor its routes are known.
pub fn read(folder: &Folder, known_rules: &Specifications) -> Option<Node> {
    let mut gaps = Vec::new();
    let links = read_links(folder);
    let routes = read_routes(folder, &mut gaps);
    if links.is_empty() && routes.is_empty() {
        return None;
    }
    let rules = read_routing_rules(folder, &mut gaps);
    let rulesets = read_rulesets(folder, known_rules);
    let nft = read_nft(folder);
    for (family, number) in FAMILIES {
        gaps.extend(rule_gaps(folder, family, number, &rulesets, nft.as_ref()));
    }
    Some(Node {
        links,
        routes: Fib::new(routes),
        rules,
        neighbours: folder.parsed("node.ip.neigh", |path, bytes| neighbour::parse(path, bytes)).unwrap_or_default(),
        sysctls: read_sysctls(folder),
        nft,
        rulesets,
        ipsets: read_ipsets(folder),
        ipvs: read_ipvs(folder),
        gaps,
    })
}

/// The address by which a host is known in its network: that of the interface of its default route.
pub fn address_in_network(node: &Node, v6: bool) -> Option<IpAddr> {
    let somewhere: IpAddr = match v6 {
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        false => IpAddr::from([192, 0, 2, 1]),
    };
    let global = |link: &link::Link| {
        let mut own = link.addresses.iter().filter(|address| address.local.is_ipv6() == v6);
        own.find(|address| &*address.scope == "global" && !address.secondary).map(|address| address.local)
    };
    let uplink = node.interface_towards(somewhere).and_then(|name| global(node.link(&name)?));
    uplink.or_else(|| node.links.iter().filter(|link| !link.loopback && link.kind.is_none()).find_map(global))
}

/// Addresses of their own files, kinds and masters of `ip -d link`.
fn read_links(folder: &Folder) -> Vec<link::Link> {
    let read = |id: &str| folder.parsed(id, |path, bytes| link::parse(path, bytes)).unwrap_or_default();
    ["node.ip.addr4", "node.ip.addr6"].iter().fold(read("node.ip.link"), |links, id| link::merge(links, read(id)))
}

fn read_routes(folder: &Folder, gaps: &mut Vec<Gap>) -> Vec<netpath::route::Route> {
    let mut all = Vec::new();
    for (family, number) in FAMILIES {
        let id = format!("node.ip.route{number}");
        let routes = folder.parsed(&id, |path, bytes| parse_routes(path, bytes, family));
        if routes.is_none() || !is_settled(folder, &id) {
            gaps.push(gap(folder, &id, family, GapKind::Routes, format!("the IPv{number} routes")));
        }
        all.extend(routes.unwrap_or_default());
    }
    all
}

fn read_routing_rules(folder: &Folder, gaps: &mut Vec<Gap>) -> Vec<netpath::route::PolicyRule> {
    let mut all = Vec::new();
    for (family, number) in FAMILIES {
        let id = format!("node.ip.rule{number}");
        let rules = folder.parsed(&id, |path, bytes| parse_rules(path, bytes, family));
        if rules.is_none() || !is_settled(folder, &id) {
            gaps.push(gap(folder, &id, family, GapKind::RoutingRules, format!("the IPv{number} routing rules")));
        }
        all.extend(rules.unwrap_or_default());
    }
    all
}

fn read_sysctls(folder: &Folder) -> Sysctls {
    let parsed = |entry: Entry| Sysctls::parse(&entry.path, &entry.bytes);
    folder.entry("node.sysctl").map(parsed).unwrap_or_default()
}

/// Sets that are known: none at all counts as known too.
fn read_ipsets(folder: &Folder) -> Option<ipset::Sets> {
    let id = "node.ipset.sets";
    let parsed = folder.entry(id).map(|entry| ipset::parse(&entry.path, &entry.bytes));
    parsed.or_else(|| is_settled(folder, id).then(ipset::Sets::default))
}

/// nft's tables: of its JSON, or where that is not there or was cut off, of its text.
fn read_nft(folder: &Folder) -> Option<Tables> {
    folder.parsed("node.nft.ruleset", |path, bytes| nft::parse(path, bytes)).or_else(|| {
        let entry = folder.entry("node.nft.text")?;
        Some(nft::parse_text(&entry.path, &entry.bytes))
    })
}

/// Virtual servers, by ipvsadm or by the kernel's own file.
fn read_ipvs(folder: &Folder) -> Option<ipvs::Servers> {
    let ids = ["node.ipvs.services", "node.ipvs.proc"];
    let parsed = ids.iter().find_map(|id| folder.entry(id)).map(|entry| ipvs::parse(&entry.path, &entry.bytes));
    parsed.or_else(|| ids.iter().any(|id| is_settled(folder, id)).then(ipvs::Servers::default))
}

/// The dumps of both backends; where only the plain name was there, the backend that its first line tells.
fn read_rulesets(folder: &Folder, known_rules: &Specifications) -> Vec<Arc<Ruleset>> {
    let mut all = Vec::new();
    for (family, number) in FAMILIES {
        let dump = |name: &str| folder.entry(&format!("node.iptables.{name}-v{number}"));
        let by_name = [("nft", Backend::Nft), ("legacy", Backend::Legacy)];
        let mut dumps: Vec<(Entry, Backend)> =
            by_name.into_iter().filter_map(|(name, backend)| Some((dump(name)?, backend))).collect();
        if dumps.is_empty() {
            dumps.extend(dump("plain").map(|entry| {
                let backend = plain_backend(&entry.bytes);
                (entry, backend)
            }));
        }
        let parsed = |(entry, backend): (Entry, Backend)| {
            Arc::new(iptables::parse_shared(known_rules, &entry.path, &entry.bytes, family, backend))
        };
        all.extend(dumps.into_iter().map(parsed));
    }
    all
}

/// A dump without the word in its head is of iptables-legacy, or of before there were two.
fn plain_backend(dump: &[u8]) -> Backend {
    let head = dump.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if String::from_utf8_lossy(head).contains("(nf_tables)") { Backend::Nft } else { Backend::Legacy }
}

/// Rule sets of a family that the node may have and that are not known, or not whole.
fn rule_gaps(
    folder: &Folder,
    family: Family,
    number: &str,
    rulesets: &[Arc<Ruleset>],
    nft: Option<&Tables>,
) -> Vec<Gap> {
    let plain = folder.entry(&format!("node.iptables.plain-v{number}")).map(|entry| plain_backend(&entry.bytes));
    let of_nft = format!("node.iptables.nft-v{number}");
    let of_legacy = format!("node.iptables.legacy-v{number}");
    let mut all = Vec::new();
    let native = nft.is_some() && ["node.nft.ruleset", "node.nft.text"].iter().any(|id| is_settled(folder, id));
    // Without its own dump, iptables-nft's tables still stand in nft's list, where what is lost is unknown to the walk.
    if !is_settled(folder, &of_nft) && !native && plain != Some(Backend::Nft) {
        all.push(gap(folder, &of_nft, family, GapKind::Rules, format!("the IPv{number} rules of iptables-nft")));
    }
    let no_legacy = || legacy_tables(folder, number).is_some_and(|tables| tables.is_empty());
    if !is_settled(folder, &of_legacy) && plain != Some(Backend::Legacy) && !no_legacy() {
        let what = format!("the IPv{number} rules of iptables-legacy");
        all.push(gap(folder, &of_legacy, family, GapKind::Rules, what));
    }
    if !(native || is_settled_without_content(folder, "node.nft.ruleset") || only_iptables_tables(folder)) {
        all.push(gap(folder, "node.nft.ruleset", family, GapKind::Rules, "the rules of nftables".to_owned()));
    }
    let damaged = rulesets.iter().filter(|ruleset| ruleset.family == family).filter_map(|ruleset| {
        let lost = |kind: &NoteKind| matches!(kind, NoteKind::Unparsed | NoteKind::Truncated);
        let note = ruleset.notes.iter().find(|note| lost(&note.kind))?;
        let what = format!("the rules of {} that could not be read (line {})", ruleset.file, note.line);
        Some(Gap { family, kind: GapKind::Rules, what })
    });
    all.extend(damaged);
    all
}

/// Whether a record says everything about an item: its whole content, or that there is none.
fn is_settled(folder: &Folder, id: &str) -> bool {
    folder.records(id).iter().any(|record| is_whole(record.status))
}

/// Whether a record proves that there is nothing.
fn is_settled_without_content(folder: &Folder, id: &str) -> bool {
    folder.records(id).iter().any(|record| is_whole(record.status) && record.path.is_none())
}

fn is_whole(status: ItemStatus) -> bool {
    matches!(status, ItemStatus::Ok | ItemStatus::Empty | ItemStatus::Absent | ItemStatus::ModuleNotLoaded)
}

fn gap(folder: &Folder, id: &str, family: Family, kind: GapKind, what: String) -> Gap {
    Gap { family, kind, what: format!("{what} ({})", why(&folder.records(id))) }
}

/// Why something is not there.
fn why(records: &[&ItemRecord]) -> String {
    match records.first() {
        None => "the bundle does not hold them".to_owned(),
        Some(record) => match &record.reason {
            Some(reason) => format!("not collected: {}, {reason}", record.status),
            None => format!("not collected: {}", record.status),
        },
    }
}

/// The legacy tables that the kernel lists; none where nobody could ask.
fn legacy_tables(folder: &Folder, number: &str) -> Option<Vec<String>> {
    let entry = folder.entry("node.xtables.backends")?;
    let whole: serde_json::Value = serde_json::from_slice(&entry.bytes).ok()?;
    let tables = whole.pointer(&format!("/legacy_tables/v{number}"))?.as_array()?;
    Some(tables.iter().filter_map(|table| table.as_str().map(str::to_owned)).collect())
}

/// Whether `nft list tables` was answered and names only tables that iptables-nft saves itself.
fn only_iptables_tables(folder: &Folder) -> bool {
    let id = "node.nft.tables";
    let saved = |line: &str| {
        let mut words = line.split_whitespace();
        let family = matches!((words.next(), words.next()), (Some("table"), Some("ip" | "ip6")));
        family && words.next().is_some_and(|name| ["raw", "mangle", "nat", "filter", "security"].contains(&name))
    };
    let listed = folder.entry(id).is_some_and(|entry| {
        let text = String::from_utf8_lossy(&entry.bytes).into_owned();
        text.lines().filter(|line| !line.trim().is_empty()).all(saved)
    });
    is_settled(folder, id) && (listed || is_settled_without_content(folder, id))
}

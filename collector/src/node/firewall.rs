//! Items of firewall/: both iptables backends, nftables, ipset, IPVS, ufw, firewalld. They are gathered one after the
//! other, because iptables takes a lock that kube-proxy waits for.

use std::collections::BTreeMap;

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde_json::Value;

use super::host::Host;
use super::item::{Document, NodeItem, command, document, file, files};
use super::root::status_of;
use super::units::systemd;
use super::{Context, json};
use crate::run::command::find_program;

/// The units that load rules of their own.
const UNITS: [&str; 7] = ["ufw", "firewalld", "nftables", "iptables", "ip6tables", "netfilter-persistent", "docker"];

/// The items.
pub fn items() -> Vec<NodeItem> {
    let mut items = xtables();
    items.extend([
        command("node.nft.tables", "firewall/nft-tables.txt", &["nft", "list", "tables"])
            .only_where("nf_tables is in the kernel", nf_tables),
        command("node.nft.ruleset", "firewall/nft.json", &["nft", "-j", "-a", "list", "ruleset"])
            .only_where("nf_tables is in the kernel", nf_tables)
            .moderate()
            .within(20),
        command("node.nft.text", "firewall/nft.txt", &["nft", "-a", "list", "ruleset"])
            .only_where("nf_tables is in the kernel", nf_tables)
            .moderate()
            .within(20),
        command("node.ipset.headers", "firewall/ipset-headers.txt", &["ipset", "list", "-terse"])
            .only_where("ip_set is in the kernel", ip_set),
        command("node.ipset.sets", "firewall/ipset.txt", &["ipset", "save"])
            .only_where("ip_set is in the kernel", ip_set)
            .moderate(),
        command("node.ipvs.services", "firewall/ipvs.txt", &["ipvsadm", "-Ln"])
            .only_where("IPVS is in the kernel", ip_vs)
            .moderate(),
        command("node.ipvs.stats", "firewall/ipvs-stats.txt", &["ipvsadm", "-Ln", "--stats"])
            .only_where("IPVS is in the kernel", ip_vs)
            .moderate(),
        file("node.ipvs.proc", "firewall/proc-ip_vs", "/proc/net/ip_vs"),
        file("node.ipvs.proc-stats", "firewall/proc-ip_vs_stats", "/proc/net/ip_vs_stats"),
        command("node.ufw.status", "firewall/ufw-status.txt", &["ufw", "status", "verbose"])
            .only_where("its backend is in the kernel", ufw)
            .moderate(),
        files("node.ufw.files", &["/etc/ufw/*.conf", "/etc/ufw/*.rules", "/etc/ufw/*.init"], 30, |path| {
            path.replace("/etc/ufw/", "firewall/ufw/")
        }),
        file("node.ufw.default", "firewall/ufw/default-ufw", "/etc/default/ufw"),
    ]);
    items.extend(firewalld());
    items.extend([
        files(
            "node.firewall.saved",
            &[
                "/etc/iptables/rules.v4",
                "/etc/iptables/rules.v6",
                "/etc/sysconfig/iptables",
                "/etc/sysconfig/ip6tables",
                "/etc/nftables.conf",
                "/etc/sysconfig/nftables.conf",
                "/etc/nftables/*.nft",
            ],
            50,
            |path| format!("firewall/saved{path}"),
        ),
        units(),
    ]);
    items
}

fn xtables() -> Vec<NodeItem> {
    // The nft backend reads over netlink and takes no lock, so it may take longer; legacy shares its lock with kube-proxy.
    let dump = |id, path, argv: &[&str], name| command(id, path, argv).moderate().counting_rules(name);
    vec![
        document(
            "node.xtables.backends",
            "firewall/backends.json",
            "links at /usr/sbin/ip{,6}tables, /proc/net/ip{,6}_tables_names, /proc/modules, /sys/module",
            backends,
        ),
        command("node.xtables.version", "firewall/iptables-version.txt", &["iptables", "-V"])
            .only_where("that loads no module", plain),
        dump("node.iptables.nft-v4", "firewall/iptables-nft.v4", &["iptables-nft-save", "-c"], "nft-v4")
            .only_where("nf_tables is in the kernel", nf_tables)
            .within(20),
        dump("node.iptables.nft-v6", "firewall/iptables-nft.v6", &["ip6tables-nft-save", "-c"], "nft-v6")
            .only_where("nf_tables is in the kernel", nf_tables)
            .within(20),
        dump("node.iptables.legacy-v4", "firewall/iptables-legacy.v4", &["iptables-legacy-save", "-c"], "legacy-v4")
            .only_where("the kernel holds legacy tables", legacy_v4),
        dump("node.iptables.legacy-v6", "firewall/iptables-legacy.v6", &["ip6tables-legacy-save", "-c"], "legacy-v6")
            .only_where("the kernel holds legacy tables", legacy_v6),
        dump("node.iptables.plain-v4", "firewall/iptables-plain.v4", &["iptables-save", "-c"], "plain-v4")
            .only_where("neither is installed under its own name", plain_v4),
        dump("node.iptables.plain-v6", "firewall/iptables-plain.v6", &["ip6tables-save", "-c"], "plain-v6")
            .only_where("neither is installed under its own name", plain_v6),
        document("node.xtables.counts", "firewall/iptables-counts.json", "counted in the dumps above", counts),
    ]
}

fn firewalld() -> Vec<NodeItem> {
    let ask = |id, path, option: &str| {
        command(id, path, &["firewall-cmd", option]).only_where("firewalld runs", firewalld_runs).moderate()
    };
    vec![
        // 252 is `not running`.
        ask("node.firewalld.state", "firewall/firewalld-state.txt", "--state").answering(&[252]),
        ask("node.firewalld.active-zones", "firewall/firewalld-active-zones.txt", "--get-active-zones"),
        ask("node.firewalld.zones", "firewall/firewalld-zones.txt", "--list-all-zones"),
        command(
            "node.firewalld.direct",
            "firewall/firewalld-direct.txt",
            &["firewall-cmd", "--direct", "--get-all-rules"],
        )
        .only_where("firewalld runs", firewalld_runs)
        .moderate(),
        files(
            "node.firewalld.files",
            &[
                "/etc/firewalld/*.conf",
                "/etc/firewalld/*.xml",
                "/etc/firewalld/zones/*.xml",
                "/etc/firewalld/services/*.xml",
                "/etc/firewalld/policies/*.xml",
                "/etc/firewalld/ipsets/*.xml",
            ],
            100,
            |path| path.replace("/etc/firewalld/", "firewall/firewalld/"),
        ),
    ]
}

/// `is-enabled` and `is-active` leave out units that are not there, so that their lines cannot be told apart.
fn units() -> NodeItem {
    let properties = "--property=Id,LoadState,UnitFileState,ActiveState,SubState";
    let argv: Vec<&str> = ["systemctl", "show", "--no-pager", properties].into_iter().chain(UNITS).collect();
    command("node.firewall.units", "firewall/units.txt", &argv).only_where("systemd runs the host", systemd)
}

fn nf_tables(host: &Host) -> Result<(), ItemEnd> {
    host.modules.need("nf_tables")
}

fn ip_set(host: &Host) -> Result<(), ItemEnd> {
    host.modules.need("ip_set")
}

/// Beyond asking over generic netlink, ipvsadm(8) starts modprobe by itself.
fn ip_vs(host: &Host) -> Result<(), ItemEnd> {
    if host.root.at("/proc/net/ip_vs").exists() {
        return Ok(());
    }
    let why = "IPVS is not in the kernel (there is no /proc/net/ip_vs), and asking would load it";
    Err(ItemEnd::because(ItemStatus::ModuleNotLoaded, why))
}

fn legacy_v4(host: &Host) -> Result<(), ItemEnd> {
    legacy(host, "ip_tables")
}

fn legacy_v6(host: &Host) -> Result<(), ItemEnd> {
    legacy(host, "ip6_tables")
}

/// Legacy tables are made when somebody asks for them; the kernel lists those that were.
fn legacy(host: &Host, module: &str) -> Result<(), ItemEnd> {
    match legacy_tables(host, module) {
        Ok(tables) if tables.is_empty() => {
            Err(ItemEnd::because(ItemStatus::Empty, "the kernel holds no legacy table, and asking would make them"))
        }
        Ok(_) => Ok(()),
        Err(error) if status_of(&error) == ItemStatus::Absent => {
            let why = format!("the kernel module {module} is not loaded, so it holds no legacy rule");
            Err(ItemEnd::because(ItemStatus::ModuleNotLoaded, why))
        }
        Err(error) => {
            Err(ItemEnd::because(status_of(&error), format!("whether there are legacy tables is hidden: {error}")))
        }
    }
}

fn legacy_tables(host: &Host, module: &str) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_to_string(host.root.at(format!("/proc/net/{module}_names")))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// The program that `iptables` or `ip6tables` leads to through links and alternatives.
fn alternative(host: &Host, name: &str) -> Option<String> {
    let program = find_program(host.root.dir(), name)?;
    let resolved = host.root.resolve(&program).ok()?;
    Some(resolved.path.to_string_lossy().into_owned())
}

/// Asks nothing of the kernel that could load a module, by the plain name: which backend it leads to decides.
fn plain(host: &Host) -> Result<(), ItemEnd> {
    by_alternative(host, "iptables", "ip_tables", false)
}

fn plain_v4(host: &Host) -> Result<(), ItemEnd> {
    not_under_own_names(host, "iptables")?;
    by_alternative(host, "iptables-save", "ip_tables", true)
}

fn plain_v6(host: &Host) -> Result<(), ItemEnd> {
    not_under_own_names(host, "ip6tables")?;
    by_alternative(host, "ip6tables-save", "ip6_tables", true)
}

fn not_under_own_names(host: &Host, name: &str) -> Result<(), ItemEnd> {
    let installed = |variant: &str| find_program(host.root.dir(), &format!("{name}-{variant}-save")).is_some();
    if installed("nft") || installed("legacy") {
        let why = format!("{name}-nft-save and {name}-legacy-save were asked by their own names");
        return Err(ItemEnd::because(ItemStatus::NotRequested, why));
    }
    Ok(())
}

/// Before 1.8 there was only the legacy backend, and its program had no suffix. Printing its version asks the kernel
/// nothing; the nft variant opens its netlink socket even for that.
fn by_alternative(host: &Host, name: &str, module: &str, reads_rules: bool) -> Result<(), ItemEnd> {
    match alternative(host, name) {
        None => Err(ItemEnd::because(ItemStatus::ToolMissing, format!("{name} is not installed on this host"))),
        Some(program) if program.contains("nft") => nf_tables(host),
        Some(_) if reads_rules => legacy(host, module),
        Some(_) => Ok(()),
    }
}

/// `ufw status` runs `iptables -L` and `ip6tables -L`, so it is safe where these would load nothing.
fn ufw(host: &Host) -> Result<(), ItemEnd> {
    if find_program(host.root.dir(), "ufw").is_none() {
        let why = "ufw is not installed on this host; its files, if any, are in other items";
        return Err(ItemEnd::because(ItemStatus::ToolMissing, why));
    }
    if !host.privileged {
        return Err(ItemEnd::because(ItemStatus::Forbidden, "ufw answers root alone"));
    }
    for (name, module) in [("iptables", "ip_tables"), ("ip6tables", "ip6_tables")] {
        by_alternative(host, name, module, true).map_err(|end| {
            let why = end.reason.unwrap_or_default();
            ItemEnd { reason: Some(format!("ufw was not asked, its files were: {why}")), ..end }
        })?;
    }
    Ok(())
}

/// firewall-cmd asks over D-Bus, which would start firewalld where it is enabled and not running.
fn firewalld_runs(host: &Host) -> Result<(), ItemEnd> {
    if find_program(host.root.dir(), "firewall-cmd").is_none() {
        return Err(ItemEnd::because(ItemStatus::ToolMissing, "firewall-cmd is not installed on this host"));
    }
    if !host.runs("firewalld") {
        let why = "firewalld is installed and does not run; asking could start it, so its files were read";
        return Err(ItemEnd::because(ItemStatus::Absent, why));
    }
    Ok(())
}

/// firewall/backends.json.
fn backends(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let host = context.host;
    let names = ["iptables", "ip6tables", "iptables-save", "iptables-nft-save", "iptables-legacy-save", "nft", "ipset"];
    let alternatives: BTreeMap<&str, Option<String>> = names.map(|name| (name, alternative(host, name))).into();
    let modules = [
        "nf_tables",
        "nft_compat",
        "ip_tables",
        "iptable_filter",
        "iptable_nat",
        "ip6_tables",
        "ip6table_filter",
        "nf_conntrack",
        "nf_conntrack_netlink",
        "nf_nat",
        "br_netfilter",
        "ip_set",
        "ip_vs",
        "xt_conntrack",
        "vxlan",
        "ipip",
        "wireguard",
        "overlay",
    ];
    let presences: BTreeMap<&str, Value> =
        modules.map(|module| (module, serde_json::json!(host.modules.presence(module)))).into();
    let whole = serde_json::json!({
        "alternative": alternatives,
        "legacy_tables": {
            "v4": legacy_tables(host, "ip_tables").ok(),
            "v6": legacy_tables(host, "ip6_tables").ok(),
        },
        "modules": presences,
    });
    Ok(json(&whole, None))
}

/// firewall/iptables-counts.json.
fn counts(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let counts = context.counts();
    if counts.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Absent, "no dump could be read, so nothing was counted"));
    }
    // Not indented as the other documents are: a large cluster has tens of thousands of chains.
    let bytes = serde_json::to_vec(&*counts).map_err(|error| ItemEnd::because(ItemStatus::Error, error.to_string()))?;
    Ok(Document { bytes, end: ItemEnd::new(ItemStatus::Ok) })
}

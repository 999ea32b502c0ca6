//! What /sys/class/net says of every interface, as one document.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde_json::{Map, Value};

use super::item::Document;
use super::root::HostRoot;
use super::{Context, json};

/// Interfaces beyond are left out: a node has one per pod, and the limit of pods is far below.
const INTERFACES_AT_MOST: usize = 2_000;
/// Files of an interface itself.
const ATTRIBUTES: [&str; 15] = [
    "address",
    "addr_assign_type",
    "carrier",
    "carrier_changes",
    "dormant",
    "duplex",
    "flags",
    "ifindex",
    "iflink",
    "mtu",
    "operstate",
    "speed",
    "testing",
    "tx_queue_len",
    "type",
];
/// Files of a bridge.
const BRIDGE: [&str; 9] = [
    "ageing_time",
    "forward_delay",
    "multicast_snooping",
    "nf_call_iptables",
    "nf_call_ip6tables",
    "nf_call_arptables",
    "stp_state",
    "vlan_filtering",
    "default_pvid",
];
/// Files of a bridge's port.
const PORT: [&str; 8] = [
    "hairpin_mode",
    "isolated",
    "learning",
    "state",
    "unicast_flood",
    "multicast_flood",
    "broadcast_flood",
    "proxyarp",
];

/// net/sys-class-net.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let mut names = root.names("/sys/class/net").map_err(|refusal| refusal.end())?;
    // `bonding_masters` is a file that lies among the interfaces.
    names.retain(|name| root.at(format!("/sys/class/net/{name}")).join("ifindex").exists());
    let left_out = names.len().saturating_sub(INTERFACES_AT_MOST);
    let interfaces: Map<String, Value> =
        names.into_iter().take(INTERFACES_AT_MOST).map(|name| (name.clone(), interface(root, &name))).collect();
    if interfaces.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Empty, "/sys/class/net lists no interface"));
    }
    Ok(json(&Value::Object(interfaces), (left_out > 0).then(|| format!("{left_out} more interfaces are left out"))))
}

fn interface(root: &HostRoot, name: &str) -> Value {
    let folder = format!("/sys/class/net/{name}");
    let mut fields = read_all(root, &folder, &ATTRIBUTES);
    for (field, link) in [("master", "master"), ("driver", "device/driver"), ("bridge_of", "brport/bridge")] {
        if let Ok(target) = std::fs::read_link(root.at(format!("{folder}/{link}")))
            && let Some(last) = target.file_name()
        {
            fields.insert(field.to_owned(), last.to_string_lossy().into_owned().into());
        }
    }
    fields.insert("physical".to_owned(), root.at(format!("{folder}/device")).exists().into());
    for (field, names) in [("bridge", BRIDGE.as_slice()), ("brport", PORT.as_slice())] {
        let inner = read_all(root, &format!("{folder}/{field}"), names);
        if !inner.is_empty() {
            fields.insert(field.to_owned(), Value::Object(inner));
        }
    }
    let counters = root.names(&format!("{folder}/statistics")).unwrap_or_default();
    let counters: Vec<&str> = counters.iter().map(String::as_str).collect();
    fields.insert("statistics".to_owned(), Value::Object(read_all(root, &format!("{folder}/statistics"), &counters)));
    Value::Object(fields)
}

/// The files that can be read: numbers as numbers. An interface that is down answers EINVAL for some of them.
fn read_all(root: &HostRoot, folder: &str, names: &[&str]) -> Map<String, Value> {
    let read = |name: &&str| {
        let text = std::fs::read_to_string(root.at(format!("{folder}/{name}"))).ok()?;
        let text = text.trim_end();
        let value = text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
        Some(((*name).to_owned(), value))
    };
    names.iter().filter_map(read).collect()
}

/// The addresses of the host but loopback and link-local ones, for the manifest. Read from procfs: `ip` may be missing.
pub fn addresses(root: &HostRoot) -> Vec<String> {
    let mut addresses = Vec::new();
    // fib_trie lists an address as a leaf, `|-- 10.0.0.5`, with `/32 host LOCAL` on the next line.
    let trie = std::fs::read_to_string(root.at("/proc/net/fib_trie")).unwrap_or_default();
    let mut leaf = None;
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            leaf = Some(address.trim().to_owned());
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = leaf.take()
        {
            addresses.push(address);
        }
    }
    let v6 = std::fs::read_to_string(root.at("/proc/net/if_inet6")).unwrap_or_default();
    for line in v6.lines() {
        let bits = line.get(..32).and_then(|hex| u128::from_str_radix(hex, 16).ok());
        addresses.extend(bits.map(|bits| std::net::Ipv6Addr::from(bits).to_string()));
    }
    addresses.retain(|address| !address.starts_with("127.") && address != "::1" && !address.starts_with("fe80:"));
    addresses.sort();
    addresses.dedup();
    addresses
}

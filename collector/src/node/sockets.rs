//! Listening sockets with their addresses and owners, from /proc alone: `ss` would load socket-diagnosis modules.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bundle::ItemEnd;
use serde::Serialize;

use super::host::Process;
use super::item::Document;
use super::root::{HostRoot, status_of};
use super::{Context, json};

/// A table that is longer belongs to a host with more sockets than anybody reads.
const TABLE_AT_MOST: u64 = 256_000_000;
/// How many of the most frequent ports are told.
const PORTS_TOLD: usize = 50;

/// A socket that waits for others to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Socket {
    protocol: &'static str,
    family: u8,
    address: IpAddr,
    port: u16,
    state: &'static str,
    uid: u32,
    /// The number of the socket, by which /proc/PID/fd names it.
    pub inode: u64,
    receive_queue: u64,
    send_queue: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drops: Option<u64>,
    /// Who holds it; empty where nobody does, or where it could not be seen.
    pub owners: Vec<Owner>,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    pid: u32,
    comm: String,
}

/// One line of /proc/net/tcp and its kin.
struct Entry {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    state: u8,
    send_queue: u64,
    receive_queue: u64,
    uid: u32,
    inode: u64,
    drops: Option<u64>,
}

/// The four tables: file, protocol, family.
const TABLES: [(&str, &str, u8); 4] = [("tcp", "tcp", 4), ("tcp6", "tcp", 6), ("udp", "udp", 4), ("udp6", "udp", 6)];

/// TCP states, as include/net/tcp_states.h numbers them.
const STATES: [&str; 13] = [
    "unknown",
    "established",
    "syn-sent",
    "syn-received",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new-syn-received",
];
const LISTEN: u8 = 10;
/// UDP sockets have no states; this one is a UDP socket without a peer.
const CLOSE: u8 = 7;

/// The sockets of one network namespace, whose /proc/net lies at `net`, without owners.
pub fn listening(root: &HostRoot, net: &str) -> std::io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for (file, protocol, family) in TABLES {
        for_each(root, &format!("{net}/{file}"), |entry| {
            let waits = match protocol {
                "tcp" => entry.state == LISTEN,
                _ => entry.state == CLOSE && entry.remote.1 == 0,
            };
            if waits {
                sockets.push(Socket {
                    protocol,
                    family,
                    address: entry.local.0,
                    port: entry.local.1,
                    state: if protocol == "tcp" { "listen" } else { "unconnected" },
                    uid: entry.uid,
                    inode: entry.inode,
                    receive_queue: entry.receive_queue,
                    send_queue: entry.send_queue,
                    drops: entry.drops,
                    owners: Vec::new(),
                });
            }
        })?;
    }
    sockets.sort_by_key(|socket| (socket.protocol, socket.family, socket.port, socket.address, socket.inode));
    Ok(sockets)
}

/// net/sockets.json.
pub fn document(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let mut sockets = listening(root, "/proc/net").map_err(|error| unreadable(&error))?;
    let unreadable = add_owners(root, context.host.processes(), &mut sockets);
    let whole = serde_json::json!({ "sockets": sockets, "processes_unreadable": unreadable });
    Ok(json(
        &whole,
        (unreadable > 0).then(|| format!("the owners of sockets of {unreadable} processes are hidden from us")),
    ))
}

/// net/socket-states.json.
pub fn states(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let mut by_state: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut local: HashMap<(u16, &str), u64> = HashMap::new();
    let mut remote: HashMap<(u16, &str), u64> = HashMap::new();
    for (file, protocol, _) in TABLES {
        for_each(&context.host.root, &format!("/proc/net/{file}"), |entry| {
            let state = STATES.get(usize::from(entry.state)).copied().unwrap_or("unknown");
            *by_state.entry(protocol).or_default().entry(state).or_default() += 1;
            if protocol == "tcp" && entry.state != LISTEN {
                *local.entry((entry.local.1, state)).or_default() += 1;
                *remote.entry((entry.remote.1, state)).or_default() += 1;
            }
        })
        .map_err(|error| unreadable(&error))?;
    }
    let mut whole = serde_json::json!({ "by_local_port": most(local), "by_remote_port": most(remote) });
    for (protocol, states) in by_state {
        whole[protocol] = serde_json::json!(states);
    }
    Ok(json(&whole, None))
}

fn most(counts: HashMap<(u16, &'static str), u64>) -> Vec<serde_json::Value> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&((port, state), n)| (std::cmp::Reverse(n), port, state));
    counts.truncate(PORTS_TOLD);
    counts.into_iter().map(|((port, state), n)| serde_json::json!({"port": port, "state": state, "n": n})).collect()
}

fn unreadable(error: &std::io::Error) -> ItemEnd {
    ItemEnd::because(status_of(error), format!("/proc/net could not be read: {error}"))
}

/// Looks through every process's open files for the sockets. Returns how many processes could not be looked into.
pub fn add_owners(root: &HostRoot, processes: &[Process], sockets: &mut [Socket]) -> usize {
    let mut by_inode: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, socket) in sockets.iter().enumerate() {
        by_inode.entry(socket.inode).or_default().push(index);
    }
    let mut unreadable = 0;
    for process in processes {
        let files = match std::fs::read_dir(root.at(format!("/proc/{}/fd", process.pid))) {
            Ok(files) => files,
            Err(error) => {
                unreadable += usize::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        for file in files.flatten() {
            let Some(inode) = std::fs::read_link(file.path()).ok().and_then(|link| inode_of(&link.to_string_lossy()))
            else {
                continue;
            };
            for &index in by_inode.get(&inode).into_iter().flatten() {
                let owner = Owner { pid: process.pid, comm: process.comm.clone() };
                if let Some(socket) = sockets.get_mut(index).filter(|socket| !socket.owners.contains(&owner)) {
                    socket.owners.push(owner);
                }
            }
        }
    }
    unreadable
}

/// `socket:[1234]`, as a link below /proc/PID/fd spells it.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether something listens at a TCP port that loopback reaches.
pub fn listens_on_loopback(root: &HostRoot, port: u16) -> bool {
    let sockets = listening(root, "/proc/net").unwrap_or_default();
    sockets.iter().any(|socket| {
        socket.protocol == "tcp"
            && socket.port == port
            && (socket.address.is_unspecified() || socket.address == IpAddr::V4(Ipv4Addr::LOCALHOST))
    })
}

/// Reads a table line by line; one that is not there (no IPv6) is empty.
fn for_each(root: &HostRoot, path: &str, mut each: impl FnMut(Entry)) -> std::io::Result<()> {
    use std::io::{BufRead, Read};
    let file = match std::fs::File::open(root.at(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for line in std::io::BufReader::with_capacity(1 << 16, file.take(TABLE_AT_MOST)).lines().skip(1) {
        if let Some(entry) = entry(&line?) {
            each(entry);
        }
    }
    Ok(())
}

/// `  0: 0100007F:2742 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 …`: number, local,
/// remote, state, send:receive queue, timer, retransmits, uid, timeout, inode; UDP ends with its drops
/// (Documentation/networking/proc_net_tcp.rst).
fn entry(line: &str) -> Option<Entry> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (send, receive) = words.get(4)?.split_once(':')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Entry {
        local: endpoint(words.get(1)?)?,
        remote: endpoint(words.get(2)?)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        send_queue: hex(send)?,
        receive_queue: hex(receive)?,
        uid: words.get(7)?.parse().ok()?,
        inode: words.get(9)?.parse().ok()?,
        drops: words.get(12).filter(|_| words.len() == 13).and_then(|drops| drops.parse().ok()),
    })
}

/// `0100007F:2742`: the address as 32-bit words in the host's byte order, the port as a number.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn real_sockets_are_found_with_their_owner() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let root = HostRoot::new("/");
        let mut sockets = listening(&root, "/proc/self/net").unwrap();
        let me = Process { pid: std::process::id(), comm: "me".to_owned() };
        assert_eq!(add_owners(&root, std::slice::from_ref(&me), &mut sockets), 0);
        for (protocol, address) in [("tcp", tcp.local_addr().unwrap()), ("udp", udp.local_addr().unwrap())] {
            let found: Vec<_> = sockets
                .iter()
                .filter(|socket| {
                    socket.protocol == protocol && socket.port == address.port() && socket.address == address.ip()
                })
                .collect();
            assert_eq!(found.len(), 1, "{protocol} {address}");
            assert_eq!(found[0].owners, [Owner { pid: me.pid, comm: "me".to_owned() }]);
        }
        assert!(listens_on_loopback(&root, tcp.local_addr().unwrap().port()));
    }

    #[test]
    fn lines_of_the_kernel_are_understood() {
        // From a Linux 6.1 host: sshd at 0.0.0.0:22 and the udp socket of systemd-resolved.
        let tcp = "   1: 00000000:0016 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 18312 1 0000000000000000 100 0 0 10 0";
        let found = entry(tcp).unwrap();
        assert_eq!((found.local.0.to_string(), found.local.1, found.receive_queue), ("0.0.0.0".to_owned(), 22, 1));
        assert_eq!(found.drops, None);
        let udp = " 2075: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   102        0 20113 2 0000000000000000 17";
        let found = entry(udp).unwrap();
        assert_eq!((found.local.0.to_string(), found.uid, found.drops), ("127.0.0.53".to_owned(), 102, Some(17)));
    }

    #[test]
    fn what_is_no_table_is_skipped() {
        for line in ["", "sl local", "1: 0:0 0:0 0A", "1: 0100007F:XX 00000000:0000 0A 0:0 0 0 0 0 1"] {
            assert!(entry(line).is_none());
        }
    }
}

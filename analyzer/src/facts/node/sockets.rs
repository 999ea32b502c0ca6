//! Who listens: the sockets of a node, and of the network namespaces of its pods, as the collector reads them of /proc.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde::Deserialize;

use crate::citation::Citation;

/// The sockets of one network namespace.
#[derive(Debug, Clone)]
pub struct Sockets {
    path: Arc<str>,
    all: Vec<Socket>,
}

/// A socket that takes what comes: a TCP socket that listens, or a UDP socket without a peer.
#[derive(Debug, Clone, Deserialize)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address it is bound to.
    pub address: String,
    /// The port.
    pub port: u16,
    #[serde(default)]
    owners: Vec<Owner>,
}

#[derive(Debug, Clone, Deserialize)]
struct Owner {
    #[serde(default)]
    comm: String,
}

/// Whether somebody takes what arrives at an address and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// This socket does.
    Yes(Citation),
    /// Sockets of that port are bound to other addresses.
    Elsewhere(String, Citation),
    /// No socket has the port.
    Nobody(Citation),
}

#[derive(Deserialize)]
struct Listed {
    sockets: Vec<Socket>,
}

impl Listening {
    /// `yes`, `elsewhere`, `nobody`.
    pub fn word(&self) -> &'static str {
        match self {
            Listening::Yes(_) => "yes",
            Listening::Elsewhere(..) => "elsewhere",
            Listening::Nobody(_) => "nobody",
        }
    }

    /// The addresses that sockets of the port are bound to instead.
    pub fn bound(&self) -> Option<&str> {
        match self {
            Listening::Elsewhere(bound, _) => Some(bound),
            _ => None,
        }
    }

    /// The socket, or the list that has none.
    pub fn citation(&self) -> &Citation {
        match self {
            Listening::Yes(citation) | Listening::Elsewhere(_, citation) | Listening::Nobody(citation) => citation,
        }
    }
}

/// Reads `sockets.json`.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Result<Sockets, serde_json::Error> {
    let listed: Listed = serde_json::from_slice(bytes)?;
    Ok(Sockets { path: path.clone(), all: listed.sockets })
}

/// A pod's network namespace, in the collector's account of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode.
    pub inode: u64,
    /// How many processes are in it, the sandbox's own among them.
    pub processes: u64,
}

/// The network namespace of the pod with this uid.
pub fn namespace_of(account: &serde_json::Value, uid: u128) -> Option<Namespace> {
    let namespaces = account.get("namespaces")?.as_array()?;
    let of_pod = |namespace: &&serde_json::Value| {
        let text = namespace.get("pod_uid").and_then(serde_json::Value::as_str);
        text.and_then(|text| u128::from_str_radix(&text.replace(['-', '_'], ""), 16).ok()) == Some(uid)
    };
    let found = namespaces.iter().find(of_pod)?;
    let number = |name: &str| found.get(name).and_then(serde_json::Value::as_u64);
    Some(Namespace { inode: number("inode")?, processes: number("processes").unwrap_or_default() })
}

impl Sockets {
    /// Who takes a packet to this address and port. A socket at `::` takes IPv4 too, unless it was told not to, which
    /// the kernel does not show.
    pub fn listening(&self, protocol: &str, address: IpAddr, port: u16) -> Listening {
        let of_port: Vec<(usize, &Socket)> = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, socket)| socket.protocol == protocol && socket.port == port)
            .collect();
        if let Some((index, socket)) = of_port.iter().find(|(_, socket)| socket.takes(address)) {
            return Listening::Yes(self.cite(*index, socket));
        }
        match of_port.first() {
            Some((index, socket)) => {
                let mut bound: Vec<&str> = of_port.iter().map(|(_, socket)| socket.address.as_str()).collect();
                bound.dedup();
                Listening::Elsewhere(bound.join(", "), self.cite(*index, socket))
            }
            None => {
                let text = format!("no {protocol} socket of port {port} is listed");
                Listening::Nobody(Citation::whole(&self.path, &text))
            }
        }
    }

    /// Whether any socket has the port.
    pub fn has_port(&self, protocol: &str, port: u16) -> bool {
        self.all.iter().any(|socket| socket.protocol == protocol && socket.port == port)
    }

    fn cite(&self, index: usize, socket: &Socket) -> Citation {
        let owner = socket.owners.first().map_or("", |owner| &owner.comm);
        let text = format!("{} {} port {} {owner}", socket.protocol, socket.address, socket.port);
        Citation::pointer(&self.path, format!("/sockets/{index}"), text.trim_end())
    }
}

impl Socket {
    fn takes(&self, address: IpAddr) -> bool {
        match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V6(bound)) if bound == Ipv6Addr::UNSPECIFIED => true,
            Ok(bound) if bound.is_unspecified() => address.is_ipv4(),
            Ok(IpAddr::V6(bound)) => bound == address || bound.to_ipv4_mapped().map(IpAddr::V4) == Some(address),
            Ok(bound) => bound == address,
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_loopback_takes_nothing_from_outside() {
        let text = r#"{"sockets":[
            {"protocol":"tcp","family":4,"address":"127.0.0.1","port":10248,"state":"listen","owners":[{"pid":1,"comm":"kubelet"}]},
            {"protocol":"tcp","family":6,"address":"::","port":10250,"state":"listen","owners":[]},
            {"protocol":"udp","family":4,"address":"0.0.0.0","port":8472,"state":"unconnected"}],"processes_unreadable":0}"#;
        let sockets = parse(&Arc::from("s"), text.as_bytes()).unwrap();
        let at: IpAddr = "10.0.0.4".parse().unwrap();
        assert!(matches!(sockets.listening("tcp", at, 10250), Listening::Yes(_)));
        assert!(matches!(sockets.listening("udp", at, 8472), Listening::Yes(_)));
        assert!(matches!(sockets.listening("tcp", "127.0.0.1".parse().unwrap(), 10248), Listening::Yes(_)));
        assert!(matches!(sockets.listening("tcp", at, 8472), Listening::Nobody(_)));
        let Listening::Elsewhere(bound, citation) = sockets.listening("tcp", at, 10248) else { panic!() };
        assert_eq!((bound.as_str(), citation.pointer.as_deref()), ("127.0.0.1", Some("/sockets/0")));
    }

    #[test]
    fn a_pod_is_found_by_its_uid() {
        let account = serde_json::json!({"namespaces": [{"inode": 7, "processes": 3, "pod_uid": "0000000a-0000-0000-0000-00000000000b"}]});
        assert_eq!(namespace_of(&account, (10 << 96) + 11), Some(Namespace { inode: 7, processes: 3 }));
        assert_eq!(namespace_of(&account, 5), None);
    }
}

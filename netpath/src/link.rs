//! Interfaces and their addresses, from `ip -j addr` and `ip -j -d link`.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::address::{AddrMask, Family};
use crate::json::{self, JsonError, number, string};
use crate::source::Cited;

/// One interface.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has a carrier (`LOWER_UP`).
    pub carrier: bool,
    /// The kind of a virtual interface: `bridge`, `veth`, `vxlan`, …
    pub kind: Option<Box<str>>,
    /// The bridge or bond it belongs to.
    pub master: Option<Arc<str>>,
    /// Whether frames have Ethernet headers.
    pub ethernet: bool,
    /// Its own Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Whether it is loopback.
    pub loopback: bool,
    /// For a bridge port: whether frames may go back out of it.
    pub hairpin: Option<bool>,
    /// The UDP port of a VXLAN interface.
    pub vxlan_port: Option<u16>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Where it was read.
    pub cited: Cited,
}

impl Link {
    /// The address from which the node speaks to a next hop on this link: of its network, else the first.
    pub(crate) fn source_for(&self, next_hop: IpAddr) -> Option<IpAddr> {
        let family = Family::of(next_hop);
        let own = self.addresses.iter().filter(|address| Family::of(address.local) == family && !address.secondary);
        let near = own.clone().find(|address| address.network().contains(next_hop));
        near.or_else(|| own.clone().next()).map(|address| address.local)
    }
}

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub local: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// `global`, `link`, `host`.
    pub scope: Box<str>,
    /// Whether it is secondary, so that it is not chosen as a source by itself.
    pub secondary: bool,
    /// Whether its preferred lifetime is over, so that it is chosen last (IPv6).
    pub deprecated: bool,
}

impl Address {
    /// The network it is in.
    pub fn network(&self) -> AddrMask {
        AddrMask::prefix(self.local, self.prefix_len)
    }
}

/// Reads `ip -j addr` or `ip -j -d link`.
///
/// # Errors
/// When the bytes are not a JSON array.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Link>, JsonError> {
    let file: Arc<str> = Arc::from(file);
    Ok(json::array(&file, bytes)?.into_iter().filter_map(|element| link(&element.value, element.cited)).collect())
}

/// Joins what several commands say about the same interfaces: addresses from one, kinds from another.
pub fn merge(mut links: Vec<Link>, more: Vec<Link>) -> Vec<Link> {
    for link in more {
        match links.iter_mut().find(|known| known.name == link.name) {
            None => links.push(link),
            Some(known) => {
                known.kind = known.kind.take().or(link.kind);
                known.master = known.master.take().or(link.master);
                known.hairpin = known.hairpin.or(link.hairpin);
                known.vxlan_port = known.vxlan_port.or(link.vxlan_port);
                for address in link.addresses {
                    if !known.addresses.contains(&address) {
                        known.addresses.push(address);
                    }
                }
            }
        }
    }
    links
}

fn link(value: &Value, cited: Cited) -> Option<Link> {
    let flags: Vec<&str> = value.get("flags")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let info = value.get("linkinfo");
    Some(Link {
        name: Arc::from(string(value, "ifname")?),
        up: flags.contains(&"UP"),
        carrier: flags.contains(&"LOWER_UP"),
        kind: info.and_then(|info| string(info, "info_kind")).map(Into::into),
        master: string(value, "master").map(Arc::from),
        ethernet: string(value, "link_type") == Some("ether"),
        mac: string(value, "address").and_then(crate::matches::parse_mac),
        loopback: flags.contains(&"LOOPBACK"),
        hairpin: info.and_then(|info| info.pointer("/info_slave_data/hairpin")).and_then(Value::as_bool),
        vxlan_port: info
            .filter(|info| string(info, "info_kind") == Some("vxlan"))
            .and_then(|info| number(info.get("info_data")?, "port"))
            .and_then(|port| u16::try_from(port).ok()),
        mtu: number(value, "mtu"),
        addresses: value
            .get("addr_info")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(address).collect())
            .unwrap_or_default(),
        cited,
    })
}

fn address(value: &Value) -> Option<Address> {
    let local: IpAddr = string(value, "local")?.parse().ok()?;
    let prefix_len = u8::try_from(number(value, "prefixlen")?).ok()?;
    (prefix_len <= Family::of(local).bits()).then(|| Address {
        local,
        prefix_len,
        scope: string(value, "scope").unwrap_or("global").into(),
        secondary: value.get("secondary").and_then(Value::as_bool).unwrap_or(false),
        deprecated: value.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
    })
}

//! Network address translation (nf_nat_core.c, nf_nat_inet_fn).

use std::net::IpAddr;

use crate::address::{AddrRange, Family, bits};
use crate::conntrack::CtState;
use crate::port::PortRange;
use crate::protocol;
use crate::targets::{NatTarget, PortChoice, Target};
use crate::unknown::{Unknown, UnknownKind};
use crate::walk::Hook;
use crate::walk::event::{Effect, Verdict};
use crate::walk::hooks::BaseChain;
use crate::walk::source_v6;
use crate::walk::walker::{Flow, Walker};

/// Which end of the packet a hook translates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manip {
    Source,
    Destination,
}

fn manip(hook: Hook) -> Manip {
    match hook {
        Hook::Prerouting | Hook::Output => Manip::Destination,
        _ => Manip::Source,
    }
}

/// Ranges larger than this are not tried address by address.
const MAX_ADDRESSES: u128 = 64;

impl Walker<'_> {
    /// NAT's call at a hook: the rules once per connection, then the translation of every packet.
    pub(super) fn nat(&mut self, hook: Hook) -> Flow {
        if !self.has_connection() {
            return Flow::Continue(());
        }
        // ICMP errors follow the connection they are about and never meet the rules; a REJECT's RST does
        // (nf_nat_ipv4_fn).
        let is_icmp = matches!(self.skb.packet.protocol, protocol::ICMP | protocol::ICMPV6);
        let meets_rules = match self.skb.state {
            CtState::New => true,
            CtState::Related => !is_icmp,
            _ => false,
        };
        if meets_rules && !self.is_settled(hook) {
            self.nat_chains(hook)?;
            match manip(hook) {
                Manip::Source => self.skb.connection.source_settled = true,
                Manip::Destination => self.skb.connection.destination_settled = true,
            }
        }
        self.rewrite(hook);
        Flow::Continue(())
    }

    fn is_settled(&self, hook: Hook) -> bool {
        match manip(hook) {
            Manip::Source => self.skb.connection.source_settled,
            Manip::Destination => self.skb.connection.destination_settled,
        }
    }

    fn nat_chains(&mut self, hook: Hook) -> Flow {
        let orders = self.orders;
        for (_, group) in &orders.order(hook).nat {
            let mut group = group.clone();
            if self.reversed(group.iter().copied()) {
                group.reverse();
            }
            for chain in group {
                match chain {
                    BaseChain::Table(chain) => self.table(hook, chain)?,
                    BaseChain::Native(chain) => self.native(hook, chain)?,
                }
                if self.is_settled(hook) {
                    return Flow::Continue(());
                }
            }
        }
        Flow::Continue(())
    }

    /// Rewrites the packet as its connection says (nf_nat_packet).
    fn rewrite(&mut self, hook: Hook) {
        let skb = &mut self.skb;
        let connection = &skb.connection;
        let end = match (manip(hook), skb.reply) {
            (Manip::Destination, false) if connection.destination_translated => {
                (connection.reply.source, connection.reply.source_port)
            }
            (Manip::Source, false) if connection.source_translated => {
                (connection.reply.destination, connection.reply.destination_port)
            }
            (Manip::Destination, true) if connection.source_translated => {
                (connection.original.source, connection.original.source_port)
            }
            (Manip::Source, true) if connection.destination_translated => {
                (connection.original.destination, connection.original.destination_port)
            }
            _ => return,
        };
        match manip(hook) {
            Manip::Source => {
                skb.packet.source = end.0;
                end.1.into_iter().for_each(|port| skb.packet.set_source_port(port));
            }
            Manip::Destination => {
                skb.packet.destination = end.0;
                end.1.into_iter().for_each(|port| skb.packet.set_destination_port(port));
            }
        }
    }

    /// What a NAT target makes of the connection. An error is the kernel's own drop.
    pub(super) fn translate(&mut self, target: &Target, hook: Hook) -> Result<Effect, Verdict> {
        if !self.has_connection() || self.is_settled(hook) {
            // The nat table is only walked by NAT itself; a NAT target elsewhere cannot be loaded.
            return Ok(Effect::None);
        }
        match target {
            Target::Dnat(nat) => self.set_destination(nat.addresses, nat),
            Target::Snat(nat) => self.set_source(nat.addresses, nat),
            Target::Masquerade(nat) => {
                let address = self.masquerade_address().ok_or(Verdict::Drop)?;
                self.set_source(Some(single(address)), nat)
            }
            Target::Redirect(nat) => {
                let address = self.redirect_address(hook).ok_or(Verdict::Drop)?;
                self.set_destination(Some(single(address)), nat)
            }
            Target::Netmap(network) => {
                let keep = NatTarget::default();
                match manip(hook) {
                    Manip::Destination => {
                        let address = network.remap(self.skb.packet.destination);
                        self.set_destination(Some(single(address)), &keep)
                    }
                    Manip::Source => {
                        let address = network.remap(self.skb.packet.source);
                        self.set_source(Some(single(address)), &keep)
                    }
                }
            }
            _ => Ok(Effect::None),
        }
    }

    pub(super) fn set_destination(&mut self, range: Option<AddrRange>, nat: &NatTarget) -> Result<Effect, Verdict> {
        let old = (self.skb.connection.reply.source, self.skb.connection.reply.source_port);
        let address = self.pick_address(range, old.0, nat);
        let port = old.1.and_then(|port| self.pick_destination_port(nat, port));
        let connection = &mut self.skb.connection;
        connection.reply.source = address;
        connection.reply.source_port = port;
        connection.destination_translated |= old != (address, port);
        connection.destination_settled = true;
        Ok(Effect::Destination(endpoint(address, port)))
    }

    pub(super) fn set_source(&mut self, range: Option<AddrRange>, nat: &NatTarget) -> Result<Effect, Verdict> {
        let old = (self.skb.connection.reply.destination, self.skb.connection.reply.destination_port);
        let address = self.pick_address(range, old.0, nat);
        let port = old.1.and_then(|port| match nat.port(port) {
            PortChoice::Keep => Some(port),
            PortChoice::Fixed(fixed) => Some(fixed),
            PortChoice::Any => None,
        });
        let connection = &mut self.skb.connection;
        connection.reply.destination = address;
        connection.reply.destination_port = port;
        connection.source_translated |= old != (address, port);
        connection.source_settled = true;
        Ok(Effect::Source(endpoint(address, port)))
    }

    /// The kernel picks by a hash: each address of the range is possible.
    fn pick_address(&mut self, range: Option<AddrRange>, old: IpAddr, nat: &NatTarget) -> IpAddr {
        let Some(range) = range else { return old };
        if range.is_single() {
            return range.first;
        }
        // A source that lies in the range already is kept, unless ports are drawn (get_unique_tuple).
        let first = bits(range.first);
        let count = bits(range.last).saturating_sub(first).saturating_add(1).min(MAX_ADDRESSES);
        if count == MAX_ADDRESSES {
            self.doubt(format!("which address of {range} NAT picks"));
        }
        let _ = nat;
        let unknown = chance(format!("which address of {range} NAT picks"));
        let count = usize::try_from(count).unwrap_or(1);
        let picked = self.choose(&unknown, &vec![1.0 / count as f64; count]);
        Family::of(range.first).address(first + picked as u128)
    }

    fn pick_destination_port(&mut self, nat: &NatTarget, port: u16) -> Option<u16> {
        match nat.port(port) {
            PortChoice::Keep => Some(port),
            PortChoice::Fixed(fixed) => Some(fixed),
            PortChoice::Any => {
                let range = nat.ports.unwrap_or(PortRange::ANY);
                let count = u32::from(range.last.saturating_sub(range.first)) + 1;
                if count > 64 {
                    self.doubt(format!("which port of {range} NAT picks"));
                }
                let tried = count.min(64) as usize;
                let unknown = chance(format!("which port of {range} NAT picks"));
                let picked = self.choose(&unknown, &vec![1.0 / tried as f64; tried]);
                Some(range.first.saturating_add(u16::try_from(picked).unwrap_or(0)))
            }
        }
    }

    /// The address that MASQUERADE takes: the outgoing interface's, nearest to the next hop (inet_select_addr).
    fn masquerade_address(&mut self) -> Option<IpAddr> {
        let name = self.skb.out_interface.clone()?;
        let next_hop = self.next_hop.unwrap_or(self.skb.packet.destination);
        let family = Family::of(next_hop);
        let Some(link) = self.node.link(&name) else {
            self.doubt(format!("which address the interface {name} has"));
            return Some(self.skb.packet.source);
        };
        if let IpAddr::V6(destination) = self.skb.packet.destination {
            return source_v6::select(self.node, Some(&name), destination).map(IpAddr::V6);
        }
        let usable = || {
            link.addresses.iter().filter(|address| {
                Family::of(address.local) == family && !address.secondary && &*address.scope != "host"
            })
        };
        let near = usable().find(|address| address.network().contains(next_hop));
        near.or_else(|| usable().next()).map(|address| address.local).or_else(|| self.any_global_address(family))
    }

    /// When the interface has no address of its own, another interface's serves.
    fn any_global_address(&self, family: Family) -> Option<IpAddr> {
        self.node
            .links
            .iter()
            .filter(|link| !link.loopback)
            .flat_map(|link| &link.addresses)
            .find(|address| Family::of(address.local) == family && &*address.scope == "global" && !address.secondary)
            .map(|address| address.local)
    }

    /// The address that REDIRECT takes: loopback for the node's own packets, else the incoming interface's first.
    fn redirect_address(&mut self, hook: Hook) -> Option<IpAddr> {
        let family = self.skb.packet.family();
        if hook == Hook::Output {
            return Some(match family {
                Family::V4 => IpAddr::from([127, 0, 0, 1]),
                Family::V6 => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            });
        }
        let name = self.skb.in_interface.clone()?;
        let Some(link) = self.node.link(&name) else {
            self.doubt(format!("which address the interface {name} has"));
            return Some(self.skb.packet.destination);
        };
        // An IPv6 address must reach as far as the one it replaces (nf_nat_redirect_ipv6).
        let reaches = |addr: IpAddr| match (addr, self.skb.packet.destination) {
            (IpAddr::V6(addr), IpAddr::V6(asked)) => source_v6::is_link_local(addr) == source_v6::is_link_local(asked),
            _ => true,
        };
        let usable = |addr: &IpAddr| Family::of(*addr) == family && reaches(*addr);
        link.addresses.iter().map(|address| address.local).find(usable)
    }
}

fn single(addr: IpAddr) -> AddrRange {
    AddrRange { first: addr, last: addr }
}

fn chance(what: String) -> Unknown {
    Unknown { kind: UnknownKind::Chance, key: what.clone(), what, inverted: false }
}

fn endpoint(addr: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => std::net::SocketAddr::new(addr, port).to_string(),
        None => addr.to_string(),
    }
}

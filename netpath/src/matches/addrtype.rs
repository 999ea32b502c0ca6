//! `-m addrtype`: what the node's routing table calls an address.

use std::fmt;

use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::route::RouteType;
use crate::unknown::Truth;
use crate::walk::Context;

/// The test of address types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddrType {
    /// `--src-type`.
    pub source: Option<Negatable<Vec<RouteType>>>,
    /// `--dst-type`.
    pub destination: Option<Negatable<Vec<RouteType>>>,
    /// `--limit-iface-in`: only addresses of the incoming interface count as local.
    pub limit_in: bool,
    /// `--limit-iface-out`.
    pub limit_out: bool,
}

pub(super) fn knows(option: &str) -> bool {
    matches!(option, "--src-type" | "--dst-type" | "--limit-iface-in" | "--limit-iface-out")
}

/// In the order in which iptables-save prints them.
const TYPES: &[(&str, RouteType)] = &[
    ("UNSPEC", RouteType::Unspec),
    ("UNICAST", RouteType::Unicast),
    ("LOCAL", RouteType::Local),
    ("BROADCAST", RouteType::Broadcast),
    ("ANYCAST", RouteType::Anycast),
    ("MULTICAST", RouteType::Multicast),
    ("BLACKHOLE", RouteType::Blackhole),
    ("UNREACHABLE", RouteType::Unreachable),
    ("PROHIBIT", RouteType::Prohibit),
    ("THROW", RouteType::Throw),
    ("NAT", RouteType::Nat),
];

fn parse_types(text: &str) -> Option<Vec<RouteType>> {
    let mut types: Vec<RouteType> = text
        .split(',')
        .map(|name| TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind))
        .collect::<Option<_>>()?;
    types.sort_by_key(|kind| TYPES.iter().position(|(_, known)| known == kind));
    Some(types)
}

impl AddrType {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut addrtype = Self::default();
        for option in options {
            match option.name {
                "--src-type" => {
                    let value = parse_types(option.value()?)?;
                    addrtype.source = Some(Negatable { negated: option.negated, value });
                }
                "--dst-type" => {
                    let value = parse_types(option.value()?)?;
                    addrtype.destination = Some(Negatable { negated: option.negated, value });
                }
                _ if option.is_flag("--limit-iface-in") => addrtype.limit_in = true,
                _ if option.is_flag("--limit-iface-out") => addrtype.limit_out = true,
                _ => return None,
            }
        }
        Some(addrtype)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let skb = context.skb;
        let device = if self.limit_in {
            skb.in_interface.as_deref()
        } else if self.limit_out {
            skb.out_interface.as_deref()
        } else {
            None
        };
        let test = |types: &Negatable<Vec<RouteType>>, addr| {
            context.node.address_type_is(addr, device, &types.value).negated_if(types.negated)
        };
        let source = self.source.as_ref().map_or(Truth::Yes, |types| test(types, skb.packet.source));
        let destination = self.destination.as_ref().map_or(Truth::Yes, |types| test(types, skb.packet.destination));
        source.and(destination)
    }
}

impl fmt::Display for AddrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m addrtype")?;
        let mut part = |name: &str, test: &Negatable<Vec<RouteType>>| {
            let names: Vec<&str> =
                TYPES.iter().filter(|(_, kind)| test.value.contains(kind)).map(|(name, _)| *name).collect();
            write!(f, " {}--{name} {}", bang(test.negated), names.join(","))
        };
        if let Some(test) = &self.source {
            part("src-type", test)?;
        }
        if let Some(test) = &self.destination {
            part("dst-type", test)?;
        }
        if self.limit_in {
            f.write_str(" --limit-iface-in")?;
        }
        if self.limit_out {
            f.write_str(" --limit-iface-out")?;
        }
        Ok(())
    }
}

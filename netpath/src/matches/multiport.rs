//! `-m multiport`: up to fifteen ports and ranges.

use std::fmt;

use crate::iptables::Opt;
use crate::matches::bang;
use crate::port::PortRange;
use crate::unknown::Truth;
use crate::walk::Context;

/// Which port is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `--sports`.
    Source,
    /// `--dports`.
    Destination,
    /// `--ports`: either of them.
    Either,
}

/// The test of a list of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multiport {
    /// Which port is compared.
    pub side: Side,
    /// Whether the test is inverted.
    pub negated: bool,
    /// The list.
    pub ports: Box<[PortRange]>,
}

fn side(option: &str) -> Option<Side> {
    match option {
        "--sports" | "--source-ports" => Some(Side::Source),
        "--dports" | "--destination-ports" => Some(Side::Destination),
        "--ports" => Some(Side::Either),
        _ => None,
    }
}

pub(super) fn knows(option: &str) -> bool {
    side(option).is_some()
}

impl Multiport {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let [option] = options else { return None };
        let ports: Option<Box<[PortRange]>> =
            option.value()?.split(',').map(|part| PortRange::parse(part, ':')).collect();
        Some(Self { side: side(option.name)?, negated: option.negated, ports: ports? })
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let Some((source, destination)) = context.skb.packet.ports() else { return Truth::No };
        let listed = |port: u16| self.ports.iter().any(|range| range.contains(port));
        let plain = match self.side {
            Side::Source => listed(source),
            Side::Destination => listed(destination),
            Side::Either => listed(source) || listed(destination),
        };
        (plain != self.negated).into()
    }
}

impl fmt::Display for Multiport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.side {
            Side::Source => "sports",
            Side::Destination => "dports",
            Side::Either => "ports",
        };
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        write!(f, "-m multiport {}--{name} {}", bang(self.negated), ports.join(","))
    }
}

//! `-m iprange`.

use std::fmt;

use crate::address::AddrRange;
use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::unknown::Truth;
use crate::walk::Context;

/// The test of address ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpRange {
    /// `--src-range`.
    pub source: Option<Negatable<AddrRange>>,
    /// `--dst-range`.
    pub destination: Option<Negatable<AddrRange>>,
}

impl IpRange {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut range = Self::default();
        for option in options {
            let value = Some(Negatable { negated: option.negated, value: AddrRange::parse(option.value()?)? });
            match option.name {
                "--src-range" => range.source = value,
                "--dst-range" => range.destination = value,
                _ => return None,
            }
        }
        Some(range)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let packet = &context.skb.packet;
        let source = self.source.is_none_or(|test| test.apply(test.value.contains(packet.source)));
        let destination = self.destination.is_none_or(|test| test.apply(test.value.contains(packet.destination)));
        (source && destination).into()
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m iprange")?;
        let mut part = |name: &str, test: &Negatable<AddrRange>| {
            write!(f, " {}--{name} {}-{}", bang(test.negated), test.value.first, test.value.last)
        };
        if let Some(test) = &self.source {
            part("src-range", test)?;
        }
        if let Some(test) = &self.destination {
            part("dst-range", test)?;
        }
        Ok(())
    }
}

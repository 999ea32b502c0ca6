//! `-m mac`: the source address of the Ethernet frame.

use std::fmt;

use crate::iptables::Opt;
use crate::matches::bang;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// The test of a frame's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    /// Whether the test is inverted.
    pub negated: bool,
    /// The address wanted.
    pub address: [u8; 6],
}

/// Reads `aa:bb:cc:dd:ee:ff`.
pub(crate) fn parse(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut address {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

/// The address as Linux writes it.
pub(crate) fn text(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

impl Mac {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        match options {
            [option] if option.name == "--mac-source" => {
                Some(Self { negated: option.negated, address: parse(option.value()?)? })
            }
            _ => None,
        }
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        // A packet without an Ethernet header (the node's own, a tunnel's, loopback's) never matches, inverted or not
        // (xt_mac.c, mac_mt).
        if !context.skb.has_ethernet_header {
            return Truth::No;
        }
        match context.skb.packet.mac_source {
            Some(address) => ((address == self.address) != self.negated).into(),
            None => Truth::Unknown(Unknown::deterministic(
                format!("mac {}", text(self.address)),
                format!("whether the frame comes from {}", text(self.address)),
            ))
            .negated_if(self.negated),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-m mac {}--mac-source {}", bang(self.negated), text(self.address))
    }
}

//! `-m udp`, `-m udplite`, `-m dccp`, `-m sctp`, as far as they test ports.

use std::fmt;

use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::port::PortRange;
use crate::protocol;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// The test of a header that has ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The module's name, which is its protocol's.
    pub module: &'static str,
    /// `--sport`.
    pub source: Option<Negatable<PortRange>>,
    /// `--dport`.
    pub destination: Option<Negatable<PortRange>>,
    /// Options that look deeper (`--chunk-types`, `--dccp-types`), verbatim.
    pub deeper: Option<Box<str>>,
}

pub(super) fn knows(option: &str) -> bool {
    matches!(
        option,
        "--sport"
            | "--dport"
            | "--source-port"
            | "--destination-port"
            | "--chunk-types"
            | "--dccp-types"
            | "--dccp-option"
    )
}

impl Ports {
    pub(super) fn read(module: &str, options: &[Opt<'_>]) -> Option<Self> {
        let module = ["udp", "udplite", "dccp", "sctp"].into_iter().find(|name| *name == module)?;
        let mut ports = Self { module, source: None, destination: None, deeper: None };
        let mut deeper = String::new();
        for option in options {
            let negated = option.negated;
            match option.name {
                "--sport" | "--source-port" => {
                    ports.source = Some(Negatable { negated, value: PortRange::parse(option.value()?, ':')? });
                }
                "--dport" | "--destination-port" => {
                    ports.destination = Some(Negatable { negated, value: PortRange::parse(option.value()?, ':')? });
                }
                "--chunk-types" | "--dccp-types" | "--dccp-option" => option.write_raw(&mut deeper),
                _ => return None,
            }
        }
        ports.deeper = (!deeper.is_empty()).then(|| deeper.into());
        Some(ports)
    }

    fn protocol(&self) -> u8 {
        match self.module {
            "udp" => protocol::UDP,
            "udplite" => protocol::UDPLITE,
            "dccp" => protocol::DCCP,
            _ => protocol::SCTP,
        }
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let packet = &context.skb.packet;
        let Some((source, destination)) = packet.ports().filter(|_| packet.protocol == self.protocol()) else {
            return Truth::No;
        };
        let ports = self.source.as_ref().is_none_or(|range| range.apply(range.value.contains(source)))
            && self.destination.as_ref().is_none_or(|range| range.apply(range.value.contains(destination)));
        match &self.deeper {
            _ if !ports => Truth::No,
            None => Truth::Yes,
            Some(words) => {
                let what = format!("whether `-m {}{words}` matches", self.module);
                Truth::Unknown(Unknown::deterministic(what.clone(), what))
            }
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-m {}", self.module)?;
        if let Some(port) = &self.source {
            write!(f, " {}--sport {}", bang(port.negated), port.value)?;
        }
        if let Some(port) = &self.destination {
            write!(f, " {}--dport {}", bang(port.negated), port.value)?;
        }
        f.write_str(self.deeper.as_deref().unwrap_or_default())
    }
}

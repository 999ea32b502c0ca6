//! `-m tcp`: ports, flags, an option's presence.

use std::fmt;

use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::packet::{Transport, tcp_flag};
use crate::port::PortRange;
use crate::protocol;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// The test of a TCP header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// `--sport`.
    pub source: Option<Negatable<PortRange>>,
    /// `--dport`.
    pub destination: Option<Negatable<PortRange>>,
    /// `--tcp-option`.
    pub option: Option<Negatable<u8>>,
    /// `--tcp-flags MASK COMPARE`.
    pub flags: Option<Negatable<(u8, u8)>>,
}

const FLAGS: &[(&str, u8)] = &[
    ("FIN", tcp_flag::FIN),
    ("SYN", tcp_flag::SYN),
    ("RST", tcp_flag::RST),
    ("PSH", tcp_flag::PSH),
    ("ACK", tcp_flag::ACK),
    ("URG", tcp_flag::URG),
];

/// What `--syn` stands for.
const SYN: (u8, u8) = (tcp_flag::FIN | tcp_flag::SYN | tcp_flag::RST | tcp_flag::ACK, tcp_flag::SYN);

pub(super) fn knows(option: &str) -> bool {
    matches!(
        option,
        "--sport" | "--dport" | "--source-port" | "--destination-port" | "--syn" | "--tcp-flags" | "--tcp-option"
    )
}

impl Tcp {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut tcp = Self::default();
        for option in options {
            let negated = option.negated;
            match option.name {
                "--sport" | "--source-port" => {
                    tcp.source = Some(Negatable { negated, value: PortRange::parse(option.value()?, ':')? });
                }
                "--dport" | "--destination-port" => {
                    tcp.destination = Some(Negatable { negated, value: PortRange::parse(option.value()?, ':')? });
                }
                "--tcp-option" => tcp.option = Some(Negatable { negated, value: option.value()?.parse().ok()? }),
                "--syn" => tcp.flags = Some(Negatable { negated, value: SYN }),
                "--tcp-flags" => {
                    let [mask, compare] = option.values.as_slice() else { return None };
                    let value = (parse_flags(&mask.text)?, parse_flags(&compare.text)?);
                    tcp.flags = Some(Negatable { negated, value });
                }
                _ => return None,
            }
        }
        Some(tcp)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let packet = &context.skb.packet;
        let (source, destination, flags) = match packet.transport {
            Transport::Tcp { source, destination, flags } if packet.protocol == protocol::TCP => {
                (source, destination, flags)
            }
            _ => return Truth::No,
        };
        let ports = self.source.as_ref().is_none_or(|range| range.apply(range.value.contains(source)))
            && self.destination.as_ref().is_none_or(|range| range.apply(range.value.contains(destination)));
        let flagged = self.flags.as_ref().is_none_or(|test| test.apply(flags & test.value.0 == test.value.1));
        if !ports || !flagged {
            return Truth::No;
        }
        match &self.option {
            None => Truth::Yes,
            Some(option) => {
                let what = format!("whether the segment carries TCP option {}", option.value);
                Truth::Unknown(Unknown::deterministic(what.clone(), what)).negated_if(option.negated)
            }
        }
    }
}

fn parse_flags(text: &str) -> Option<u8> {
    match text {
        "ALL" => return Some(0x3f),
        "NONE" => return Some(0),
        _ => {}
    }
    let mut flags = 0;
    for name in text.split(',') {
        flags |= FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1;
    }
    Some(flags)
}

fn write_flags(f: &mut fmt::Formatter<'_>, flags: u8) -> fmt::Result {
    if flags == 0 {
        return f.write_str("NONE");
    }
    let names: Vec<&str> = FLAGS.iter().filter(|(_, bit)| flags & bit != 0).map(|(name, _)| *name).collect();
    f.write_str(&names.join(","))
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m tcp")?;
        if let Some(port) = &self.source {
            write!(f, " {}--sport {}", bang(port.negated), port.value)?;
        }
        if let Some(port) = &self.destination {
            write!(f, " {}--dport {}", bang(port.negated), port.value)?;
        }
        if let Some(option) = &self.option {
            write!(f, " {}--tcp-option {}", bang(option.negated), option.value)?;
        }
        if let Some(flags) = &self.flags {
            write!(f, " {}--tcp-flags ", bang(flags.negated))?;
            write_flags(f, flags.value.0)?;
            f.write_str(" ")?;
            write_flags(f, flags.value.1)?;
        }
        Ok(())
    }
}

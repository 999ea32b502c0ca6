//! Targets: what a rule does with a packet that matches.

mod mark;
mod nat;
mod reject;

use std::fmt::Write;

pub use self::mark::{ConnmarkAction, MarkSet};
pub use self::nat::{NatTarget, PortChoice};
pub use self::reject::{Reject, RejectKind};

use crate::address::{AddrMask, Family};
use crate::iptables::{Opt, Token};

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// No target: the rule only counts.
    None,
    /// ACCEPT: ends the walk of its own base chain.
    Accept,
    /// DROP.
    Drop,
    /// RETURN: back to the calling chain, or to the policy.
    Return,
    /// `-j CHAIN` or `-g CHAIN`.
    Jump {
        /// The chain's name.
        chain: Box<str>,
        /// `-g`: a RETURN there goes back to this chain's caller.
        goto: bool,
    },
    /// REJECT with its answer.
    Reject(Reject),
    /// MARK.
    Mark(MarkSet),
    /// CONNMARK.
    Connmark(ConnmarkAction),
    /// NOTRACK, or CT --notrack (true).
    NoTrack(bool),
    /// DNAT.
    Dnat(NatTarget),
    /// SNAT.
    Snat(NatTarget),
    /// MASQUERADE: the source becomes the outgoing interface's address.
    Masquerade(NatTarget),
    /// REDIRECT: the destination becomes the node itself.
    Redirect(NatTarget),
    /// NETMAP: the network bits are replaced.
    Netmap(AddrMask),
    /// DSCP, TOS, TTL, HL: changes one header field.
    Header {
        /// The target's name.
        name: Box<str>,
        /// Its options as they stand.
        text: Box<str>,
        /// The change.
        change: HeaderChange,
    },
    /// Known to change nothing that later rules test, and to let the packet go on (LOG, NFLOG, TCPMSS, …).
    Continue {
        /// The target's name.
        name: Box<str>,
        /// Its options as they stand.
        text: Box<str>,
    },
    /// A target that is not understood, or whose outcome the evidence cannot tell (NFQUEUE, TPROXY): anything may
    /// happen.
    Unknown {
        /// The target's name.
        name: Box<str>,
        /// Its options as they stand.
        text: Box<str>,
    },
}

/// A change of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// The TOS byte: new = (old & !mask) ^ value.
    Tos {
        /// Bits that are flipped in.
        value: u8,
        /// Bits that are cleared.
        mask: u8,
    },
    /// TTL or hop limit to a value.
    TtlSet(u8),
    /// TTL by a difference.
    TtlAdd(i16),
}

/// Targets that let the packet go on and change nothing that the walk looks at.
const CONTINUE: &[&str] = &[
    "LOG",
    "NFLOG",
    "ULOG",
    "TCPMSS",
    "CHECKSUM",
    "TRACE",
    "CLASSIFY",
    "AUDIT",
    "TEE",
    "TCPOPTSTRIP",
    "RATEEST",
    "SECMARK",
    "CONNSECMARK",
    "IDLETIMER",
    "LED",
    "ECN",
];

impl Target {
    pub(crate) fn read(goto: bool, name: &Token<'_>, options: &[Opt<'_>], family: Family) -> Self {
        let plain = options.is_empty();
        match &*name.text {
            _ if goto => Self::Jump { chain: name.text.as_ref().into(), goto },
            "ACCEPT" if plain => Self::Accept,
            "DROP" if plain => Self::Drop,
            "RETURN" if plain => Self::Return,
            word => Self::read_extension(word, options, family).unwrap_or_else(|| Self::fallback(name, options)),
        }
    }

    fn read_extension(name: &str, options: &[Opt<'_>], family: Family) -> Option<Self> {
        Some(match name {
            "REJECT" => Self::Reject(Reject::read(options, family)?),
            "MARK" => Self::Mark(MarkSet::read(options)?),
            "CONNMARK" => Self::Connmark(ConnmarkAction::read(options)?),
            "NOTRACK" if options.is_empty() => Self::NoTrack(false),
            "CT" if matches!(options, [only] if only.is_flag("--notrack")) => Self::NoTrack(true),
            "DNAT" => Self::Dnat(NatTarget::read(options, "--to-destination")?),
            "SNAT" => Self::Snat(NatTarget::read(options, "--to-source")?),
            "MASQUERADE" => Self::Masquerade(NatTarget::read_ports(options)?),
            "REDIRECT" => Self::Redirect(NatTarget::read_ports(options)?),
            "NETMAP" => match options {
                [to] if to.name == "--to" => Self::Netmap(AddrMask::parse(to.value()?, family)?),
                _ => return None,
            },
            "DSCP" | "TOS" | "TTL" | "HL" => {
                Self::Header { name: name.into(), text: raw(options), change: HeaderChange::read(options)? }
            }
            // A helper or an event mask changes no verdict; a zone changes which connections are found.
            "CT" if options
                .iter()
                .all(|option| matches!(option.name, "--helper" | "--ctevents" | "--expevents" | "--timeout")) =>
            {
                Self::Continue { name: name.into(), text: raw(options) }
            }
            _ => return None,
        })
    }

    fn fallback(name: &Token<'_>, options: &[Opt<'_>]) -> Self {
        let word = &*name.text;
        if CONTINUE.contains(&word) {
            return Self::Continue { name: word.into(), text: raw(options) };
        }
        // User chains take no options; extensions without options that we do not know look the same, so that their
        // missing chain makes the walk depend on them.
        if options.is_empty() && !KNOWN_BUT_OPEN.contains(&word) {
            return Self::Jump { chain: word.into(), goto: false };
        }
        Self::Unknown { name: name.raw.into(), text: raw(options) }
    }

    /// Appends the target as iptables-save prints it, with a blank before it.
    pub(crate) fn write(&self, out: &mut String) {
        let _ = match self {
            Self::None => Ok(()),
            Self::Accept => write!(out, " -j ACCEPT"),
            Self::Drop => write!(out, " -j DROP"),
            Self::Return => write!(out, " -j RETURN"),
            Self::Jump { chain, goto, .. } => write!(out, " {} {chain}", if *goto { "-g" } else { "-j" }),
            Self::Reject(kind) => write!(out, " -j REJECT --reject-with {}", kind.option()),
            Self::Mark(set) => write!(out, " -j MARK --set-xmark {set}"),
            Self::Connmark(action) => write!(out, " -j CONNMARK {action}"),
            Self::NoTrack(false) => write!(out, " -j NOTRACK"),
            Self::NoTrack(true) => write!(out, " -j CT --notrack"),
            Self::Dnat(nat) => write!(out, " -j DNAT --to-destination {nat}"),
            Self::Snat(nat) => write!(out, " -j SNAT --to-source {nat}"),
            Self::Masquerade(nat) => write!(out, " -j MASQUERADE{}", nat.ports_text()),
            Self::Redirect(nat) => write!(out, " -j REDIRECT{}", nat.ports_text()),
            Self::Netmap(to) => write!(out, " -j NETMAP --to {to}"),
            Self::Header { name, text, .. } | Self::Continue { name, text } | Self::Unknown { name, text } => {
                write!(out, " -j {name}{text}")
            }
        };
    }

    /// Whether the target can change nothing, so that an unknown match before it does not matter.
    pub(crate) fn is_inert(&self) -> bool {
        matches!(self, Self::None | Self::Continue { .. })
    }
}

/// Extensions that may stand without options and are not chains.
const KNOWN_BUT_OPEN: &[&str] =
    &["NFQUEUE", "QUEUE", "TPROXY", "SET", "SYNPROXY", "CLUSTERIP", "MIRROR", "CT", "DNAT", "SNAT"];

fn raw(options: &[Opt<'_>]) -> Box<str> {
    let mut text = String::new();
    options.iter().for_each(|option| option.write_raw(&mut text));
    text.into()
}

impl HeaderChange {
    fn read(options: &[Opt<'_>]) -> Option<Self> {
        let [option] = options else { return None };
        let value = option.value()?;
        let number = |text: &str| crate::matches::parse_number(text).and_then(|n| u8::try_from(n).ok());
        Some(match option.name {
            "--set-dscp" => Self::Tos { value: number(value)?.checked_mul(4)?, mask: 0xfc },
            "--set-tos" => {
                let (value, mask) = value.split_once('/').unwrap_or((value, "0xff"));
                Self::Tos { value: number(value)?, mask: number(mask)? }
            }
            "--ttl-set" | "--hl-set" => Self::TtlSet(number(value)?),
            "--ttl-inc" | "--hl-inc" => Self::TtlAdd(i16::from(number(value)?)),
            "--ttl-dec" | "--hl-dec" => Self::TtlAdd(-i16::from(number(value)?)),
            _ => return None,
        })
    }
}

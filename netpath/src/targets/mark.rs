//! MARK and CONNMARK.

use std::fmt;

use crate::iptables::Opt;
use crate::matches::{parse_masked, parse_number};

/// A change of a mark: new = (old & !mask) ^ value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkSet {
    /// Bits that are flipped in.
    pub value: u32,
    /// Bits that are cleared first.
    pub mask: u32,
}

impl MarkSet {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        match options {
            [option] if !option.negated => Self::read_one(option),
            _ => None,
        }
    }

    /// The five spellings of iptables, each of which it prints as `--set-xmark`.
    fn read_one(option: &Opt<'_>) -> Option<Self> {
        let text = option.value()?;
        Some(match option.name {
            "--set-xmark" => {
                let (value, mask) = parse_masked(text)?;
                Self { value, mask }
            }
            "--set-mark" => {
                let (value, mask) = parse_masked(text)?;
                Self { value, mask: mask | value }
            }
            "--or-mark" => Self { value: parse_number(text)?, mask: parse_number(text)? },
            "--and-mark" => Self { value: 0, mask: !parse_number(text)? },
            "--xor-mark" => Self { value: parse_number(text)?, mask: 0 },
            _ => return None,
        })
    }

    /// The mark after the change.
    pub fn apply(&self, mark: u32) -> u32 {
        (mark & !self.mask) ^ self.value
    }
}

impl fmt::Display for MarkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

/// What CONNMARK does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnmarkAction {
    /// Changes the connection's mark.
    Set(MarkSet),
    /// Copies the packet's mark to the connection: new = (ctmark & !ctmask) ^ (mark & nfmask).
    Save {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
    /// Copies the connection's mark to the packet: new = (mark & !nfmask) ^ (ctmark & ctmask).
    Restore {
        /// `--nfmask`.
        packet_mask: u32,
        /// `--ctmask`.
        connection_mask: u32,
    },
}

impl ConnmarkAction {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let (first, rest) = options.split_first()?;
        let masks = || {
            let (mut packet_mask, mut connection_mask) = (u32::MAX, u32::MAX);
            for option in rest {
                let mask = parse_number(option.value()?)?;
                match option.name {
                    "--nfmask" => packet_mask = mask,
                    "--ctmask" => connection_mask = mask,
                    "--mask" => (packet_mask, connection_mask) = (mask, mask),
                    _ => return None,
                }
            }
            Some((packet_mask, connection_mask))
        };
        match first.name {
            "--save-mark" => masks().map(|(packet_mask, connection_mask)| Self::Save { packet_mask, connection_mask }),
            "--restore-mark" => {
                masks().map(|(packet_mask, connection_mask)| Self::Restore { packet_mask, connection_mask })
            }
            _ if rest.is_empty() => MarkSet::read_one(first).map(Self::Set),
            _ => None,
        }
    }
}

impl fmt::Display for ConnmarkAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(set) => write!(f, "--set-xmark {set}"),
            Self::Save { packet_mask, connection_mask } => {
                write!(f, "--save-mark --nfmask {packet_mask:#x} --ctmask {connection_mask:#x}")
            }
            Self::Restore { packet_mask, connection_mask } => {
                write!(f, "--restore-mark --nfmask {packet_mask:#x} --ctmask {connection_mask:#x}")
            }
        }
    }
}

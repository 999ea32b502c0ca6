//! `-m mark` and `-m connmark`.

use std::fmt;

use crate::conntrack::CtState;
use crate::iptables::Opt;
use crate::matches::bang;
use crate::unknown::Truth;
use crate::walk::Context;

/// A test of 32 bits under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whether the test is inverted.
    pub negated: bool,
    /// The bits wanted.
    pub value: u32,
    /// The bits looked at.
    pub mask: u32,
}

/// A number in decimal or `0x` hexadecimal.
pub(crate) fn parse_u32(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `VALUE` or `VALUE/MASK`.
pub(crate) fn parse_masked(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((parse_u32(value)?, parse_u32(mask)?)),
        None => Some((parse_u32(text)?, u32::MAX)),
    }
}

impl Mark {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        match options {
            [option] if option.name == "--mark" => {
                let (value, mask) = parse_masked(option.value()?)?;
                Some(Self { negated: option.negated, value, mask })
            }
            _ => None,
        }
    }

    /// Whether the test holds for a mark.
    pub fn holds(&self, mark: u32) -> bool {
        (mark & self.mask == self.value) != self.negated
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, module: &str) -> fmt::Result {
        write!(f, "-m {module} {}--mark {:#x}", bang(self.negated), self.value)?;
        if self.mask == u32::MAX { Ok(()) } else { write!(f, "/{:#x}", self.mask) }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "mark")
    }
}

/// The same test of the connection's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connmark(pub Mark);

impl Connmark {
    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let skb = context.skb;
        // Without a connection the test fails, inverted or not (xt_connmark.c, connmark_mt).
        if matches!(skb.state, CtState::Invalid | CtState::Untracked) {
            return Truth::No;
        }
        self.0.holds(skb.connection.mark).into()
    }
}

impl fmt::Display for Connmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "connmark")
    }
}

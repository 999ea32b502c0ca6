//! `-m physdev`: the bridge ports by which a bridged packet enters and leaves.

use std::fmt;

use crate::interface::IfacePattern;
use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::unknown::Truth;
use crate::walk::Context;

/// The test of bridge ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Physdev {
    /// `--physdev-in`.
    pub input: Option<Negatable<IfacePattern>>,
    /// `--physdev-out`.
    pub output: Option<Negatable<IfacePattern>>,
    /// `--physdev-is-in`: true when wanted, false under `!`.
    pub is_in: Option<bool>,
    /// `--physdev-is-out`.
    pub is_out: Option<bool>,
    /// `--physdev-is-bridged`.
    pub is_bridged: Option<bool>,
}

impl Physdev {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut physdev = Self::default();
        for option in options {
            let negated = option.negated;
            let pattern = || Some(Negatable { negated, value: IfacePattern::parse(option.value()?) });
            match option.name {
                "--physdev-in" => physdev.input = Some(pattern()?),
                "--physdev-out" => physdev.output = Some(pattern()?),
                "--physdev-is-in" if option.values.is_empty() => physdev.is_in = Some(!negated),
                "--physdev-is-out" if option.values.is_empty() => physdev.is_out = Some(!negated),
                "--physdev-is-bridged" if option.values.is_empty() => physdev.is_bridged = Some(!negated),
                _ => return None,
            }
        }
        Some(physdev)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let skb = context.skb;
        let (input, output) = (skb.physical_in.as_deref(), skb.physical_out.as_deref());
        if input.is_none() && output.is_none() {
            return self.without_bridge();
        }
        let flags = self.is_in.is_none_or(|wanted| wanted == input.is_some())
            && self.is_out.is_none_or(|wanted| wanted == output.is_some())
            && self.is_bridged.is_none_or(|wanted| wanted == (input.is_some() && output.is_some()));
        let names = self.input.as_ref().is_none_or(|test| test.apply(test.value.matches(input)))
            && self.output.as_ref().is_none_or(|test| test.apply(test.value.matches(output)));
        (flags && names).into()
    }

    /// A packet that no bridge carried matches exactly when everything asked for is inverted
    /// (xt_physdev.c, physdev_mt).
    fn without_bridge(&self) -> Truth {
        let names =
            self.input.as_ref().is_none_or(|test| test.negated) && self.output.as_ref().is_none_or(|test| test.negated);
        let flags = [self.is_in, self.is_out, self.is_bridged].into_iter().flatten().all(|wanted| !wanted);
        (names && flags).into()
    }
}

impl fmt::Display for Physdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m physdev")?;
        if let Some(wanted) = self.is_in {
            write!(f, " {}--physdev-is-in", bang(!wanted))?;
        }
        if let Some(test) = &self.input {
            write!(f, " {}--physdev-in {}", bang(test.negated), test.value)?;
        }
        if let Some(wanted) = self.is_out {
            write!(f, " {}--physdev-is-out", bang(!wanted))?;
        }
        if let Some(test) = &self.output {
            write!(f, " {}--physdev-out {}", bang(test.negated), test.value)?;
        }
        if let Some(wanted) = self.is_bridged {
            write!(f, " {}--physdev-is-bridged", bang(!wanted))?;
        }
        Ok(())
    }
}

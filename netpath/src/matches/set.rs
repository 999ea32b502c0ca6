//! `-m set`: membership in an ipset.

use std::fmt;

use crate::ipset::Direction;
use crate::iptables::Opt;
use crate::matches::bang;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// The test of membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMatch {
    /// Whether the test is inverted.
    pub negated: bool,
    /// The set's name.
    pub set: Box<str>,
    /// Which end of the packet each dimension takes.
    pub directions: Box<[Direction]>,
    /// `--return-nomatch`: an entry that is marked `nomatch` counts as a match.
    pub return_nomatch: bool,
    /// Options that do not change the truth (`! --update-counters`), verbatim.
    harmless: Box<str>,
    /// Options that test counters, verbatim.
    counters: Box<str>,
}

pub(super) fn knows(option: &str) -> bool {
    matches!(
        option,
        "--match-set"
            | "--return-nomatch"
            | "--update-counters"
            | "--update-subcounters"
            | "--packets-eq"
            | "--packets-lt"
            | "--packets-gt"
            | "--bytes-eq"
            | "--bytes-lt"
            | "--bytes-gt"
            | "--set"
    )
}

/// `src,dst,src` as directions.
fn parse_directions(text: &str) -> Option<Box<[Direction]>> {
    text.split(',')
        .map(|word| match word {
            "src" => Some(Direction::Source),
            "dst" => Some(Direction::Destination),
            _ => None,
        })
        .collect()
}

impl SetMatch {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut set = None;
        let (mut harmless, mut counters) = (String::new(), String::new());
        let mut return_nomatch = false;
        for option in options {
            match option.name {
                "--match-set" | "--set" => {
                    let [name, directions] = option.values.as_slice() else { return None };
                    set = Some((option.negated, name.text.as_ref().into(), parse_directions(&directions.text)?));
                }
                "--return-nomatch" if !option.negated => return_nomatch = true,
                "--update-counters" | "--update-subcounters" => option.write_raw(&mut harmless),
                _ => option.write_raw(&mut counters),
            }
        }
        let (negated, set, directions) = set?;
        Some(Self { negated, set, directions, return_nomatch, harmless: harmless.into(), counters: counters.into() })
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let truth = context.node.in_ipset(&self.set, &self.directions, context.skb, self.return_nomatch);
        if self.counters.is_empty() {
            return truth.negated_if(self.negated);
        }
        let counted = Unknown::stateful(format!("the counters of the entry in ipset {}", self.set));
        truth.negated_if(self.negated).and(Truth::Unknown(counted))
    }
}

impl fmt::Display for SetMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directions: Vec<&str> = self.directions.iter().map(|direction| direction.name()).collect();
        write!(f, "-m set {}--match-set {} {}", bang(self.negated), self.set, directions.join(","))?;
        if self.return_nomatch {
            f.write_str(" --return-nomatch")?;
        }
        write!(f, "{}{}", self.harmless, self.counters)
    }
}

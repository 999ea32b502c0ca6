//! Modules whose truth depends on earlier packets, on time or on chance.

use std::fmt;

use crate::iptables::Opt;
use crate::matches::bang;
use crate::unknown::{Truth, Unknown, UnknownKind};

/// Modules whose truth is independent at each evaluation.
const STATEFUL: &[&str] =
    &["limit", "hashlimit", "recent", "connlimit", "quota", "connbytes", "statistic", "rateest", "nfacct"];
/// Modules whose truth is one along a packet's way, although the evidence does not hold it.
const CONSTANT: &[&str] = &["time", "cpu", "realm", "helper", "policy", "socket", "string", "cgroup", "devgroup"];

/// A module of this kind, kept verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stateful {
    /// The module's name.
    pub module: &'static str,
    /// Its options as they stand, each with a blank before it.
    pub text: Box<str>,
}

impl Stateful {
    pub(super) fn read(module: &str, options: &[Opt<'_>]) -> Option<Self> {
        let module = STATEFUL.iter().chain(CONSTANT).find(|known| **known == module)?;
        let mut text = String::new();
        options.iter().for_each(|option| option.write_raw(&mut text));
        Some(Self { module, text: text.into() })
    }

    /// `recent --set` always matches; nfacct counts and always matches unless it has a quota. The rest is unknown.
    pub(super) fn evaluate(&self) -> Truth {
        let records = self.module == "recent" && self.text.starts_with(" --set ");
        let counts = self.module == "nfacct";
        if records || counts {
            return Truth::Yes;
        }
        let what = format!("whether `-m {}{}` matches", self.module, self.text);
        let kind = if STATEFUL.contains(&self.module) { UnknownKind::Stateful } else { UnknownKind::Deterministic };
        Truth::Unknown(Unknown { kind, key: what.clone(), what, inverted: false })
    }
}

impl fmt::Display for Stateful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-m {}{}", self.module, self.text)
    }
}

/// `-m statistic --mode random`.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    /// Whether the test is inverted.
    pub negated: bool,
    /// The probability, between 0 and 1.
    pub probability: f64,
    spelling: Box<str>,
}

impl Statistic {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        match options {
            [mode, chance]
                if mode.name == "--mode" && mode.value() == Some("random") && chance.name == "--probability" =>
            {
                let probability: f64 = chance.value()?.parse().ok()?;
                (0.0..=1.0).contains(&probability).then_some(())?;
                Some(Self { negated: chance.negated, probability, spelling: chance.value()?.into() })
            }
            _ => None,
        }
    }

    pub(super) fn evaluate(&self) -> Truth {
        let chance = if self.negated { 1.0 - self.probability } else { self.probability };
        if chance <= 0.0 {
            return Truth::No;
        }
        if chance >= 1.0 {
            return Truth::Yes;
        }
        let what = format!("chance ({:.0} %)", chance * 100.0);
        Truth::Unknown(Unknown { kind: UnknownKind::Chance, key: chance.to_string(), what, inverted: false })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-m statistic --mode random {}--probability {}", bang(self.negated), self.spelling)
    }
}

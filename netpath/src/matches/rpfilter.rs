//! `-m rpfilter`: whether the answer would leave by the interface the packet came in.

use std::fmt;

use crate::iptables::Opt;
use crate::unknown::Truth;
use crate::walk::Context;

/// The reverse path test of netfilter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rpfilter {
    /// `--loose`: any interface will do.
    pub loose: bool,
    /// `--validmark`: the packet's mark takes part in the lookup.
    pub valid_mark: bool,
    /// `--accept-local`: the node's own addresses are taken as sources.
    pub accept_local: bool,
    /// `--invert`.
    pub invert: bool,
}

impl Rpfilter {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut rpfilter = Self::default();
        for option in options {
            match option.name {
                _ if option.is_flag("--loose") => rpfilter.loose = true,
                _ if option.is_flag("--validmark") => rpfilter.valid_mark = true,
                _ if option.is_flag("--accept-local") => rpfilter.accept_local = true,
                _ if option.is_flag("--invert") => rpfilter.invert = true,
                _ => return None,
            }
        }
        Some(rpfilter)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        context.node.reverse_path_match(self, context.skb)
    }
}

impl fmt::Display for Rpfilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m rpfilter")?;
        for (set, name) in [
            (self.loose, "loose"),
            (self.valid_mark, "validmark"),
            (self.accept_local, "accept-local"),
            (self.invert, "invert"),
        ] {
            if set {
                write!(f, " --{name}")?;
            }
        }
        Ok(())
    }
}

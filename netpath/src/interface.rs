//! Interface names as rules match them, with the trailing `+` of iptables (`*` in nft).

use std::fmt;

/// A name or a prefix of names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IfacePattern {
    name: Box<str>,
    prefix: bool,
}

impl IfacePattern {
    /// Reads iptables' spelling: `eth0`, `cali+`, `+`.
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('+') {
            Some(name) => Self { name: name.into(), prefix: true },
            None => Self { name: text.into(), prefix: false },
        }
    }

    /// Whether the interface's name matches; `None` is a packet without such an interface, whose name is empty.
    pub fn matches(&self, name: Option<&str>) -> bool {
        let name = name.unwrap_or_default();
        if self.prefix { name.starts_with(&*self.name) } else { name == &*self.name }
    }

    /// Whether every name matches.
    pub fn is_any(&self) -> bool {
        self.prefix && self.name.is_empty()
    }

    /// The name, when the pattern names one interface alone.
    pub fn exact(&self) -> Option<&str> {
        (!self.prefix).then_some(&*self.name)
    }
}

impl fmt::Display for IfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "+" } else { "" })
    }
}

//! ipsets: their content from `ipset save` or `ipset list`, and whether a packet is in one.

mod entry;
mod parse;
mod test;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use self::entry::Element;
pub use self::parse::parse;

use crate::address::Family;

/// Which end of a packet a dimension takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `src`.
    Source,
    /// `dst`.
    Destination,
}

impl Direction {
    /// The word of iptables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "src",
            Self::Destination => "dst",
        }
    }
}

/// One dimension of a set's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// `ip`.
    Ip,
    /// `net`.
    Net,
    /// `port`.
    Port,
    /// `mac`.
    Mac,
    /// `iface`.
    Iface,
    /// `mark`.
    Mark,
    /// `set`, of `list:set`.
    Set,
}

/// All sets of a node.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    /// The sets by name.
    pub by_name: HashMap<Box<str>, Set>,
    /// Lines that could not be read, with their numbers.
    pub unread: Vec<(u32, Box<str>)>,
}

/// One set.
#[derive(Clone, Debug)]
pub struct Set {
    /// The file it was read from.
    pub file: Arc<str>,
    /// The line that creates it.
    pub line: u32,
    /// `hash`, `bitmap` or `list`.
    pub storage: Box<str>,
    /// What its elements consist of.
    pub dimensions: Vec<Dimension>,
    /// The family of its addresses.
    pub family: Family,
    /// `netmask` of `hash:ip`: elements are networks of this length.
    pub netmask: Option<u8>,
    /// `markmask` of `hash:ip,mark`.
    pub mark_mask: Option<u32>,
    /// The elements; `None` when the source did not list them (`ipset list -t`).
    pub elements: Option<Vec<Member>>,
    /// Options of the type that are not understood, so that membership is unknown.
    pub unknown_options: Vec<Box<str>>,
    index: test::Index,
}

/// One element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The line it stands on.
    pub line: u32,
    /// What is compared, dimension by dimension.
    pub element: Vec<Element>,
    /// Marked `nomatch`: an exception within a larger network.
    pub nomatch: bool,
    /// Whether the element times out, so that it may be gone by now.
    pub timeout: bool,
}

impl Set {
    /// `hash:ip,port`.
    pub fn type_name(&self) -> String {
        let parts: Vec<&str> = self
            .dimensions
            .iter()
            .map(|dimension| match dimension {
                Dimension::Ip => "ip",
                Dimension::Net => "net",
                Dimension::Port => "port",
                Dimension::Mac => "mac",
                Dimension::Iface => "iface",
                Dimension::Mark => "mark",
                Dimension::Set => "set",
            })
            .collect();
        format!("{}:{}", self.storage, parts.join(","))
    }

    /// The addresses and networks among the elements, for drawing boundary values.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.elements.iter().flatten().flat_map(|member| &member.element).filter_map(|element| match element {
            Element::Range(range) => Some(range.first),
            Element::Net(net) => Some(net.first()),
            _ => None,
        })
    }
}

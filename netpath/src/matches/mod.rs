//! The match modules of iptables: each file reads one kind of module, prints it, and says whether a packet matches.
//!
//! The order of trust: header and state modules are exact; those that need the node's facts are exact when the node
//! has them; stateful ones (limit, recent, …) and modules that are not understood are unknowns.

mod addrtype;
mod conntrack;
mod icmp;
mod ip_fields;
mod iprange;
mod mac;
mod mark;
mod multiport;
mod owner;
mod physdev;
mod ports;
mod rpfilter;
mod set;
mod stateful;
mod tcp;

use std::fmt::Write;

pub use self::addrtype::AddrType;
pub use self::conntrack::{Conntrack, State, StateSet};
pub use self::icmp::{Icmp, IcmpTest};
pub use self::ip_fields::IpField;
pub use self::iprange::IpRange;
pub use self::mac::Mac;
pub use self::mark::{Connmark, Mark};
pub use self::multiport::Multiport;
pub use self::owner::OwnerMatch;
pub use self::physdev::Physdev;
pub use self::ports::Ports;
pub use self::rpfilter::Rpfilter;
pub use self::set::SetMatch;
pub use self::stateful::{Stateful, Statistic};
pub use self::tcp::Tcp;

use crate::address::Family;
use crate::iptables::{Opt, Token, quote_into};
use crate::protocol;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// One module's test in a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// `comment`: always holds.
    Comment(Box<str>),
    /// `tcp`.
    Tcp(Tcp),
    /// `udp`, `udplite`, `sctp`, `dccp` as far as they test ports.
    Ports(Ports),
    /// `icmp`, `icmp6`.
    Icmp(Icmp),
    /// `conntrack`.
    Conntrack(Box<Conntrack>),
    /// `state`.
    State(State),
    /// `multiport`.
    Multiport(Multiport),
    /// `mark`.
    Mark(Mark),
    /// `connmark`.
    Connmark(Connmark),
    /// `iprange`.
    IpRange(IpRange),
    /// `length`, `ttl`, `hl`, `tos`, `dscp`, `pkttype`.
    IpField(IpField),
    /// `addrtype`.
    AddrType(AddrType),
    /// `set`.
    Set(SetMatch),
    /// `owner`.
    Owner(OwnerMatch),
    /// `mac`.
    Mac(Mac),
    /// `physdev`.
    Physdev(Box<Physdev>),
    /// `rpfilter`.
    Rpfilter(Rpfilter),
    /// `statistic --mode random`.
    Statistic(Statistic),
    /// Modules whose truth depends on earlier packets or on time.
    Stateful(Stateful),
    /// `rt`, verbatim: a routing header of IPv6, which no walked packet has (rt_mt6 looks for it and fails, inverted or
    /// not). ufw refuses those of type 0 before anything else.
    RoutingHeader(Box<str>),
    /// A module or an option that is not understood, verbatim (without `-m`).
    Opaque {
        /// The module's name; empty for options that no module claims.
        module: Box<str>,
        /// The words as they stand in the file, each with a blank before it.
        text: Box<str>,
    },
}

impl Match {
    /// Whether the module is known to take this option.
    pub(crate) fn knows(module: &str, option: &str) -> bool {
        match module {
            "comment" => option == "--comment",
            "tcp" => tcp::knows(option),
            "udp" | "udplite" | "dccp" | "sctp" => ports::knows(option),
            "icmp" | "icmp6" | "icmpv6" => icmp::knows(option),
            "conntrack" => option.starts_with("--ct"),
            "state" => option == "--state",
            "multiport" => multiport::knows(option),
            "mark" | "connmark" => option == "--mark",
            "iprange" => matches!(option, "--src-range" | "--dst-range"),
            "addrtype" => addrtype::knows(option),
            "owner" => owner::knows(option),
            "mac" => option == "--mac-source",
            "physdev" => option.starts_with("--physdev"),
            "limit" => matches!(option, "--limit" | "--limit-burst"),
            "rt" => option.starts_with("--rt-"),
            "set" => set::knows(option),
            _ => false,
        }
    }

    /// The module that `-p` implies for its options.
    pub(crate) fn implied_by_protocol(number: u8) -> Option<&'static str> {
        Some(match number {
            protocol::TCP => "tcp",
            protocol::UDP => "udp",
            protocol::UDPLITE => "udplite",
            protocol::SCTP => "sctp",
            protocol::DCCP => "dccp",
            protocol::ICMP => "icmp",
            protocol::ICMPV6 => "icmp6",
            _ => return None,
        })
    }

    /// Reads a module with its options; what is not understood becomes [`Match::Opaque`].
    pub(crate) fn read(module: &Token<'_>, options: &[Opt<'_>], family: Family) -> Self {
        Self::read_known(&module.text, options, family)
            .unwrap_or_else(|| Self::Opaque { module: module.raw.into(), text: verbatim(options) })
    }

    fn read_known(module: &str, options: &[Opt<'_>], family: Family) -> Option<Self> {
        match module {
            "comment" => match options {
                [option] if option.name == "--comment" => Some(Self::Comment(option.value()?.into())),
                _ => None,
            },
            "tcp" => Tcp::read(options).map(Self::Tcp),
            "udp" | "udplite" | "dccp" | "sctp" => Ports::read(module, options).map(Self::Ports),
            "icmp" | "icmp6" | "icmpv6" => Icmp::read(module != "icmp", options).map(Self::Icmp),
            "conntrack" => Conntrack::read(options, family).map(|m| Self::Conntrack(Box::new(m))),
            "state" => State::read(options).map(Self::State),
            "multiport" => Multiport::read(options).map(Self::Multiport),
            "mark" => Mark::read(options).map(Self::Mark),
            "connmark" => Mark::read(options).map(|mark| Self::Connmark(Connmark(mark))),
            "iprange" => IpRange::read(options).map(Self::IpRange),
            "length" | "ttl" | "hl" | "tos" | "dscp" | "pkttype" => IpField::read(module, options).map(Self::IpField),
            "addrtype" => AddrType::read(options).map(Self::AddrType),
            "set" => SetMatch::read(options).map(Self::Set),
            "owner" => OwnerMatch::read(options).map(Self::Owner),
            "mac" => Mac::read(options).map(Self::Mac),
            "physdev" => Physdev::read(options).map(|m| Self::Physdev(Box::new(m))),
            "rt" if options.iter().all(|option| Self::knows(module, option.name)) => {
                Some(Self::RoutingHeader(verbatim(options)))
            }
            "rpfilter" => Rpfilter::read(options).map(Self::Rpfilter),
            "statistic" => Statistic::read(options)
                .map(Self::Statistic)
                .or_else(|| Stateful::read(module, options).map(Self::Stateful)),
            _ => Stateful::read(module, options).map(Self::Stateful),
        }
    }

    /// Appends the module as iptables-save prints it, with a blank before it.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Comment(text) => {
                out.push_str(" -m comment --comment ");
                quote_into(out, text);
            }
            Self::Opaque { module, text } => {
                if !module.is_empty() {
                    let _ = write!(out, " -m {module}");
                }
                out.push_str(text);
            }
            Self::RoutingHeader(text) => {
                out.push_str(" -m rt");
                out.push_str(text);
            }
            Self::Tcp(m) => push(out, m),
            Self::Ports(m) => push(out, m),
            Self::Icmp(m) => push(out, m),
            Self::Conntrack(m) => push(out, m),
            Self::State(m) => push(out, m),
            Self::Multiport(m) => push(out, m),
            Self::Mark(m) => push(out, m),
            Self::Connmark(m) => push(out, m),
            Self::IpRange(m) => push(out, m),
            Self::IpField(m) => push(out, m),
            Self::AddrType(m) => push(out, m),
            Self::Set(m) => push(out, m),
            Self::Owner(m) => push(out, m),
            Self::Mac(m) => push(out, m),
            Self::Physdev(m) => push(out, m),
            Self::Rpfilter(m) => push(out, m),
            Self::Statistic(m) => push(out, m),
            Self::Stateful(m) => push(out, m),
        }
    }

    /// Whether the packet matches.
    pub(crate) fn evaluate(&self, context: &Context<'_>) -> Truth {
        match self {
            Self::Comment(_) => Truth::Yes,
            Self::Tcp(m) => m.evaluate(context),
            Self::Ports(m) => m.evaluate(context),
            Self::Icmp(m) => m.evaluate(context),
            Self::Conntrack(m) => m.evaluate(context),
            Self::State(m) => m.evaluate(context),
            Self::Multiport(m) => m.evaluate(context),
            Self::Mark(m) => m.holds(context.skb.mark).into(),
            Self::Connmark(m) => m.evaluate(context),
            Self::IpRange(m) => m.evaluate(context),
            Self::IpField(m) => m.evaluate(context),
            Self::AddrType(m) => m.evaluate(context),
            Self::Set(m) => m.evaluate(context),
            Self::Owner(m) => m.evaluate(context),
            Self::Mac(m) => m.evaluate(context),
            Self::Physdev(m) => m.evaluate(context),
            Self::Rpfilter(m) => m.evaluate(context),
            Self::Statistic(m) => m.evaluate(),
            Self::Stateful(m) => m.evaluate(),
            Self::RoutingHeader(_) => Truth::No,
            Self::Opaque { module, text } => opaque(module, text),
        }
    }
}

/// Options as they stand in the file, each with a blank before it.
fn verbatim(options: &[Opt<'_>]) -> Box<str> {
    let mut text = String::new();
    options.iter().for_each(|option| option.write_raw(&mut text));
    text.into()
}

/// The truth of a module that is not understood: the same words about the same packet have one truth.
fn opaque(module: &str, text: &str) -> Truth {
    let words = if module.is_empty() { text.trim().to_owned() } else { format!("-m {module}{text}") };
    Truth::Unknown(Unknown::deterministic(format!("opaque {words}"), format!("whether `{words}` matches")))
}

fn push(out: &mut String, value: &dyn std::fmt::Display) {
    let _ = write!(out, " {value}");
}

pub(crate) use self::icmp::named as icmp_named;
pub(crate) use self::mac::parse as parse_mac;
pub(crate) use self::mark::{parse_masked, parse_u32 as parse_number};

/// `!` and its blank, when the test is inverted.
pub(crate) fn bang(negated: bool) -> &'static str {
    if negated { "! " } else { "" }
}

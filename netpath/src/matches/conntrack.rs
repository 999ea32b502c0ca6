//! `-m conntrack` and `-m state`.

use std::fmt;

use crate::address::{AddrMask, Family};
use crate::conntrack::{CtState, Tuple};
use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::port::PortRange;
use crate::protocol;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// A set of connection states, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSet(u8);

impl StateSet {
    /// INVALID.
    pub const INVALID: Self = Self(1);
    /// NEW.
    pub const NEW: Self = Self(2);
    /// RELATED.
    pub const RELATED: Self = Self(4);
    /// ESTABLISHED.
    pub const ESTABLISHED: Self = Self(8);
    /// UNTRACKED.
    pub const UNTRACKED: Self = Self(16);
    /// SNAT, the virtual state of connections whose source was translated.
    pub const SNAT: Self = Self(32);
    /// DNAT, the virtual state of connections whose destination was translated.
    pub const DNAT: Self = Self(64);

    /// Whether the two sets share a state.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets' states.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for name in text.split(',') {
            set = set.union(STATES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1);
        }
        Some(set)
    }

    fn of(state: CtState) -> Self {
        match state {
            CtState::Invalid => Self::INVALID,
            CtState::New => Self::NEW,
            CtState::Related => Self::RELATED,
            CtState::Established => Self::ESTABLISHED,
            CtState::Untracked => Self::UNTRACKED,
        }
    }
}

/// In the order in which iptables-save prints them.
const STATES: &[(&str, StateSet)] = &[
    ("INVALID", StateSet::INVALID),
    ("NEW", StateSet::NEW),
    ("RELATED", StateSet::RELATED),
    ("ESTABLISHED", StateSet::ESTABLISHED),
    ("UNTRACKED", StateSet::UNTRACKED),
    ("SNAT", StateSet::SNAT),
    ("DNAT", StateSet::DNAT),
];

impl fmt::Display for StateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            STATES.iter().filter(|(_, state)| self.intersects(*state)).map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

/// `-m state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub Negatable<StateSet>);

impl State {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        match options {
            [option] if option.name == "--state" => {
                Some(Self(Negatable { negated: option.negated, value: StateSet::parse(option.value()?)? }))
            }
            _ => None,
        }
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        self.0.apply(self.0.value.intersects(StateSet::of(context.skb.state))).into()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-m state {}--state {}", bang(self.0.negated), self.0.value)
    }
}

/// Which end of the connection an address or port test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `--ctorigsrc`.
    OriginalSource,
    /// `--ctorigdst`.
    OriginalDestination,
    /// `--ctreplsrc`.
    ReplySource,
    /// `--ctrepldst`.
    ReplyDestination,
}

const ENDS: [End; 4] = [End::OriginalSource, End::OriginalDestination, End::ReplySource, End::ReplyDestination];

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::OriginalSource => "origsrc",
            Self::OriginalDestination => "origdst",
            Self::ReplySource => "replsrc",
            Self::ReplyDestination => "repldst",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        ENDS.into_iter().find(|end| end.name() == text)
    }
}

/// `-m conntrack`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// `--ctstate`.
    pub state: Option<Negatable<StateSet>>,
    /// `--ctproto`.
    pub protocol: Option<Negatable<u8>>,
    /// `--ctorigsrc` and its like.
    pub addresses: Vec<(End, Negatable<AddrMask>)>,
    /// `--ctorigsrcport` and its like.
    pub ports: Vec<(End, Negatable<PortRange>)>,
    /// `--ctstatus`, names as printed.
    pub status: Option<Negatable<StatusSet>>,
    /// `--ctexpire`, verbatim.
    pub expire: Option<Negatable<Box<str>>>,
    /// `--ctdir REPLY` (true) or `ORIGINAL`.
    pub reply: Option<bool>,
}

/// Bits of `--ctstatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet(u8);

const EXPECTED: u8 = 1;
const SEEN_REPLY: u8 = 2;
const ASSURED: u8 = 4;
const CONFIRMED: u8 = 8;

/// In the order in which iptables-save prints them.
const STATUSES: &[(&str, u8)] =
    &[("EXPECTED", EXPECTED), ("SEEN_REPLY", SEEN_REPLY), ("ASSURED", ASSURED), ("CONFIRMED", CONFIRMED)];

impl StatusSet {
    fn parse(text: &str) -> Option<Self> {
        if text == "NONE" {
            return Some(Self(0));
        }
        let mut bits = 0;
        for name in text.split(',') {
            bits |= STATUSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1;
        }
        Some(Self(bits))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("NONE");
        }
        let names: Vec<&str> = STATUSES.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

impl Conntrack {
    pub(super) fn read(options: &[Opt<'_>], family: Family) -> Option<Self> {
        let mut conntrack = Self::default();
        for option in options {
            conntrack.option(option, family)?;
        }
        Some(conntrack)
    }

    fn option(&mut self, option: &Opt<'_>, family: Family) -> Option<()> {
        let negated = option.negated;
        let value = option.value()?;
        match option.name.strip_prefix("--ct")? {
            "state" => self.state = Some(Negatable { negated, value: StateSet::parse(value)? }),
            "proto" => self.protocol = Some(Negatable { negated, value: protocol::number(value)? }),
            "status" => self.status = Some(Negatable { negated, value: StatusSet::parse(value)? }),
            "expire" => self.expire = Some(Negatable { negated, value: value.into() }),
            "dir" => self.reply = Some(matches!(value, "REPLY" | "reply") != negated),
            name => match name.strip_suffix("port") {
                Some(end) => {
                    let value = PortRange::parse(value, ':')?;
                    self.ports.push((End::parse(end)?, Negatable { negated, value }));
                }
                None => {
                    let value = AddrMask::parse(value, family)?;
                    self.addresses.push((End::parse(name)?, Negatable { negated, value }));
                }
            },
        }
        Some(())
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let skb = context.skb;
        let tracked = !matches!(skb.state, CtState::Invalid | CtState::Untracked);
        if let Some(test) = &self.state {
            let mut states = StateSet::of(skb.state);
            if tracked && skb.connection.source_translated {
                states = states.union(StateSet::SNAT);
            }
            if tracked && skb.connection.destination_translated {
                states = states.union(StateSet::DNAT);
            }
            if !test.apply(test.value.intersects(states)) {
                return Truth::No;
            }
        }
        if !tracked {
            // The kernel looks no further when there is no connection (xt_conntrack.c, conntrack_mt).
            return self.state.is_some().into();
        }
        self.tuples_match(&skb.connection.original, &skb.connection.reply, skb.reply).and(self.status_matches(context))
    }

    fn tuples_match(&self, original: &Tuple, reply: &Tuple, is_reply: bool) -> Truth {
        let end = |end: End| match end {
            End::OriginalSource => (original.source, original.source_port),
            End::OriginalDestination => (original.destination, original.destination_port),
            End::ReplySource => (reply.source, reply.source_port),
            End::ReplyDestination => (reply.destination, reply.destination_port),
        };
        let plain = self.reply.is_none_or(|wanted| wanted == is_reply)
            && self.protocol.as_ref().is_none_or(|test| test.apply(test.value == original.protocol))
            && self.addresses.iter().all(|(which, test)| test.apply(test.value.contains(end(*which).0)));
        if !plain {
            return Truth::No;
        }
        let mut truth = Truth::Yes;
        for (which, test) in &self.ports {
            let one = match end(*which).1 {
                Some(port) => test.apply(test.value.contains(port)).into(),
                None => {
                    let what = "which ports the connection's tuple holds".to_owned();
                    Truth::Unknown(Unknown::deterministic(format!("ctport {} {}", which.name(), test.value), what))
                }
            };
            truth = truth.and(one);
        }
        truth
    }

    fn status_matches(&self, context: &Context<'_>) -> Truth {
        let mut truth = Truth::Yes;
        if let Some(test) = &self.status {
            let connection = &context.skb.connection;
            let known =
                if connection.seen_reply { SEEN_REPLY } else { 0 } | if connection.confirmed { CONFIRMED } else { 0 };
            let asked = test.value.0;
            truth = if known & asked != 0 {
                Truth::Yes
            } else if asked & ASSURED != 0 && connection.seen_reply {
                Truth::Unknown(Unknown::deterministic("ct assured", "whether the connection is ASSURED"))
            } else {
                Truth::No
            };
            truth = truth.negated_if(test.negated);
        }
        match &self.expire {
            None => truth,
            Some(expire) => truth.and(Truth::Unknown(Unknown::stateful(format!(
                "whether the connection's timeout is in {}",
                expire.value
            )))),
        }
    }
}

impl fmt::Display for Conntrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m conntrack")?;
        if let Some(state) = &self.state {
            write!(f, " {}--ctstate {}", bang(state.negated), state.value)?;
        }
        if let Some(protocol) = &self.protocol {
            write!(f, " {}--ctproto {}", bang(protocol.negated), protocol.value)?;
        }
        for (end, addr) in &self.addresses {
            let host = addr.value.prefix_len() == Some(addr.value.family().bits());
            write!(f, " {}--ct{} ", bang(addr.negated), end.name())?;
            if host { write!(f, "{}", addr.value.first())? } else { write!(f, "{}", addr.value)? }
        }
        for (end, port) in &self.ports {
            write!(f, " {}--ct{}port {}", bang(port.negated), end.name(), port.value)?;
        }
        if let Some(status) = &self.status {
            write!(f, " {}--ctstatus {}", bang(status.negated), status.value)?;
        }
        if let Some(expire) = &self.expire {
            write!(f, " {}--ctexpire {}", bang(expire.negated), expire.value)?;
        }
        match self.reply {
            Some(true) => f.write_str(" --ctdir REPLY"),
            Some(false) => f.write_str(" --ctdir ORIGINAL"),
            None => Ok(()),
        }
    }
}

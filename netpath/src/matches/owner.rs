//! `-m owner`: the user and group of the socket that sends.

use std::fmt;

use crate::iptables::{Negatable, Opt};
use crate::matches::bang;
use crate::unknown::{Truth, Unknown};
use crate::walk::{Context, Hook, Socket};

/// The test of a sending socket's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerMatch {
    /// `--uid-owner`, inclusive.
    pub user: Option<Negatable<(u32, u32)>>,
    /// `--gid-owner`, inclusive.
    pub group: Option<Negatable<(u32, u32)>>,
    /// `--socket-exists`: true when wanted, false under `!`.
    pub socket: Option<bool>,
}

pub(super) fn knows(option: &str) -> bool {
    matches!(option, "--uid-owner" | "--gid-owner" | "--socket-exists" | "--suppl-groups")
}

fn parse_ids(text: &str) -> Option<(u32, u32)> {
    match text {
        // iptables prints numbers; hand-written rules name the one user that every system has.
        "root" => Some((0, 0)),
        _ => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        }
    }
}

impl OwnerMatch {
    pub(super) fn read(options: &[Opt<'_>]) -> Option<Self> {
        let mut owner = Self::default();
        for option in options {
            let negated = option.negated;
            match option.name {
                "--uid-owner" => owner.user = Some(Negatable { negated, value: parse_ids(option.value()?)? }),
                "--gid-owner" => owner.group = Some(Negatable { negated, value: parse_ids(option.value()?)? }),
                "--socket-exists" if option.values.is_empty() => owner.socket = Some(!negated),
                _ => return None,
            }
        }
        Some(owner)
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let skb = context.skb;
        if skb.socket == Socket::None || !matches!(context.hook, Hook::Output | Hook::Postrouting) {
            // Without a socket the test holds exactly when everything asked for is inverted (xt_owner.c, owner_mt).
            let wanted = [
                self.user.as_ref().map(|test| test.negated),
                self.group.as_ref().map(|test| test.negated),
                self.socket.map(|wanted| !wanted),
            ];
            return wanted.into_iter().flatten().all(|negated| negated).into();
        }
        if self.socket == Some(false) {
            return Truth::No;
        }
        if skb.socket == Socket::Kernel {
            let users = [&self.user, &self.group];
            return users.into_iter().flatten().all(|test| test.negated).into();
        }
        let id = |name: &str, test: &Option<Negatable<(u32, u32)>>, value: Option<u32>| match (test, value) {
            (None, _) => Truth::Yes,
            (Some(test), Some(id)) => test.apply(test.value.0 <= id && id <= test.value.1).into(),
            (Some(test), None) => {
                let what = format!("the {name} that owns the sending socket");
                Truth::Unknown(Unknown::deterministic(format!("{what} {:?}", test.value), what))
                    .negated_if(test.negated)
            }
        };
        let owner = skb.packet.owner;
        id("user", &self.user, owner.map(|owner| owner.uid)).and(id("group", &self.group, owner.map(|owner| owner.gid)))
    }
}

impl fmt::Display for OwnerMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-m owner")?;
        if let Some(wanted) = self.socket {
            write!(f, " {}--socket-exists", bang(!wanted))?;
        }
        let mut part = |name: &str, test: &Negatable<(u32, u32)>| {
            write!(f, " {}--{name} {}", bang(test.negated), test.value.0)?;
            if test.value.0 == test.value.1 { Ok(()) } else { write!(f, "-{}", test.value.1) }
        };
        if let Some(user) = &self.user {
            part("uid-owner", user)?;
        }
        if let Some(group) = &self.group {
            part("gid-owner", group)?;
        }
        Ok(())
    }
}

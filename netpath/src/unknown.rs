//! Truths that the evidence does not hold.

use std::fmt;

use serde::Serialize;

/// Whether a test holds for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// The evidence does not tell.
    Unknown(Unknown),
}

/// Something that decides and that the evidence does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Unknown {
    /// How the unknown behaves along one packet's way.
    pub kind: UnknownKind,
    /// What is asked, in words: `whether 10.0.0.7 is in the ipset blocked`.
    pub what: String,
    /// The question's identity: the same key has the same truth along one path.
    #[serde(skip)]
    pub key: String,
    /// Whether the test holds when the question is answered with no.
    #[serde(skip)]
    pub inverted: bool,
}

/// How an unknown behaves along one packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownKind {
    /// The same question about the same packet has one answer: a set's content, the owner, a MAC address.
    Deterministic,
    /// Every evaluation may answer differently: limit, recent, hashlimit, connlimit.
    Stateful,
    /// Drawn by chance with a known probability; all outcomes occur.
    Chance,
}

impl Unknown {
    /// An unknown that has one truth along a path.
    pub fn deterministic(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind: UnknownKind::Deterministic, key: key.into(), what: what.into(), inverted: false }
    }

    /// An unknown that may answer differently each time it is asked.
    pub fn stateful(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { kind: UnknownKind::Stateful, key: what.clone(), what, inverted: false }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::Yes } else { Self::No }
    }
}

impl Truth {
    /// The truth under `!`, when `negated`.
    #[must_use]
    pub fn negated_if(self, negated: bool) -> Self {
        match self {
            Self::Yes if negated => Self::No,
            Self::No if negated => Self::Yes,
            Self::Unknown(unknown) => Self::Unknown(Unknown { inverted: unknown.inverted != negated, ..unknown }),
            other => other,
        }
    }

    /// Both hold. A test that fails decides, whatever the other is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown(unknown), _) | (_, Self::Unknown(unknown)) => Self::Unknown(unknown),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

//! Three-valued conditions that remember every unknown they rest on.

use crate::unknown::Unknown;

/// Whether a condition holds, as far as the evidence tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It depends on these.
    Perhaps(Vec<Unknown>),
}

impl From<bool> for Held {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Held {
    /// A condition that hangs on one unknown.
    pub fn perhaps(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Perhaps(vec![Unknown::deterministic(key, what)])
    }

    /// A condition whose truth was looked up; where nobody knows it, it hangs on the unknown that `ask` names.
    pub fn known_or(known: Option<bool>, ask: impl FnOnce() -> Unknown) -> Self {
        known.map_or_else(|| Self::Perhaps(vec![ask()]), Self::from)
    }

    /// Both hold. What does not hold decides, whatever the other is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Perhaps(mut these), Self::Perhaps(those)) => {
                add_all(&mut these, &those);
                Self::Perhaps(these)
            }
            (Self::Perhaps(unknowns), Self::Yes) | (Self::Yes, Self::Perhaps(unknowns)) => Self::Perhaps(unknowns),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// One of them holds at least. What holds decides, whatever the others are.
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut unknowns = Vec::new();
        for condition in conditions {
            match condition {
                Self::Yes => return Self::Yes,
                Self::No => {}
                Self::Perhaps(these) => add_all(&mut unknowns, &these),
            }
        }
        if unknowns.is_empty() { Self::No } else { Self::Perhaps(unknowns) }
    }
}

/// Adds unknowns that are not among them yet.
pub(crate) fn add_all(unknowns: &mut Vec<Unknown>, more: &[Unknown]) {
    for unknown in more {
        if !unknowns.iter().any(|known| known.what == unknown.what) {
            unknowns.push(unknown.clone());
        }
    }
}

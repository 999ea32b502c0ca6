//! Decisions about unknowns along one path, and the enumeration of all paths.
//!
//! A path is walked again from its start with the decisions written in a script; where the script ends, the first
//! answer is taken and the others are left for later paths. So the walk itself stays a plain program.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::unknown::{Unknown, UnknownKind};

/// One decision that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// What was asked.
    pub unknown: Unknown,
    /// The answer taken.
    pub picked: usize,
    /// How many answers there are.
    pub of: usize,
    /// The probability of the answer, for questions of chance.
    pub probability: f64,
}

/// The decisions of the path that is being walked.
#[derive(Default)]
pub(crate) struct Choices {
    script: Vec<usize>,
    pub taken: Vec<Taken>,
    settled: BTreeMap<String, usize>,
    seen: HashSet<u64>,
    /// Set when the path reached a state that another path was in before: what follows is known already.
    pub merged: bool,
}

/// More paths than this are not walked; the answer then is "depends", with the unknowns found so far.
pub(crate) const MAX_PATHS: usize = 2048;

impl Choices {
    /// Whether the test that asks holds, on this path. `place` identifies where and with which packet it is asked.
    pub fn holds(&mut self, unknown: &Unknown, place: impl FnOnce() -> u64) -> bool {
        let probability = if unknown.kind == UnknownKind::Chance { unknown.key.parse().unwrap_or(0.5) } else { 1.0 };
        let yes = self.pick(unknown, &[probability, 1.0 - probability], place) == 0;
        yes != unknown.inverted
    }

    /// One of several answers, each with its probability (which only counts for questions of chance).
    pub fn pick(&mut self, unknown: &Unknown, weights: &[f64], place: impl FnOnce() -> u64) -> usize {
        if unknown.kind == UnknownKind::Deterministic
            && let Some(settled) = self.settled.get(&unknown.key)
        {
            return *settled;
        }
        let at = self.taken.len();
        let picked = match self.script.get(at) {
            Some(picked) => *picked,
            None => {
                // A state that was met before leads to outcomes that are known before.
                let mut hasher = DefaultHasher::new();
                (place(), &self.settled, &unknown.key).hash(&mut hasher);
                self.merged |= !self.seen.insert(hasher.finish());
                0
            }
        };
        if unknown.kind == UnknownKind::Deterministic {
            self.settled.insert(unknown.key.clone(), picked);
        }
        let probability =
            if unknown.kind == UnknownKind::Chance { weights.get(picked).copied().unwrap_or(0.0) } else { 1.0 };
        self.taken.push(Taken { unknown: unknown.clone(), picked, of: weights.len(), probability });
        picked
    }

    /// What was settled about a question earlier on this path.
    pub fn settled(&self, unknown: &Unknown) -> Option<bool> {
        self.settled.get(&unknown.key).map(|picked| (*picked == 0) != unknown.inverted)
    }

    /// Goes to the next path; `false` when all were walked.
    pub fn advance(&mut self) -> bool {
        self.script = self.taken.iter().map(|taken| taken.picked).collect();
        while let Some(last) = self.script.pop() {
            let of = self.taken.get(self.script.len()).map_or(0, |taken| taken.of);
            if last + 1 < of {
                self.script.push(last + 1);
                self.restart();
                return true;
            }
        }
        false
    }

    fn restart(&mut self) {
        self.taken.clear();
        self.settled.clear();
        self.merged = false;
    }
}

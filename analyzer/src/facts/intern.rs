//! Strings and small structures that repeat are kept once: namespaces, node names, images, label sets, templates.
//!
//! Each parsing thread has interners of its own, so there is no lock; what two threads both saw is kept twice.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Strings, each kept once.
#[derive(Debug, Default)]
pub struct Strings(HashSet<Arc<str>>);

impl Strings {
    /// The one copy of this string.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(new.clone());
        new
    }
}

/// Structures, each kept once, found by the hash of what they are made from. Two different sources with one hash of 64
/// bits would be mixed up; among a million that happens once in 37 million bundles.
#[derive(Debug)]
pub struct Structures<T: ?Sized>(HashMap<u64, Arc<T>>);

impl<T: ?Sized> Default for Structures<T> {
    fn default() -> Self {
        Structures(HashMap::new())
    }
}

impl<T: ?Sized> Structures<T> {
    /// The one copy of the structure that is made from `source`.
    pub fn get(&mut self, source: &impl Hash, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        self.0.entry(hasher.finish()).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_kept_once() {
        let mut strings = Strings::default();
        assert!(Arc::ptr_eq(&strings.get("kube-system"), &strings.get("kube-system")));
        let mut pairs: Structures<(u8, u8)> = Structures::default();
        let first = pairs.get(&"a", || Arc::new((1, 2)));
        assert!(Arc::ptr_eq(&first, &pairs.get(&"a", || unreachable!())));
        assert!(!Arc::ptr_eq(&first, &pairs.get(&"b", || Arc::new((1, 2)))));
    }
}

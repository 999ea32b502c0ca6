//! What was found: per pattern and log a count, the first lines, and the last.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::finding::Unreadable;

/// The first hits of a pattern in a log that are kept with their text.
const KEPT: usize = 5;

/// A line in which a pattern was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its number in the log, from 1.
    pub line: u64,
    /// When it was written, where the line says.
    pub time: Option<Timestamp>,
    /// The line, cut to what a citation shows.
    pub text: String,
    /// The pattern's named parts.
    pub captures: BTreeMap<String, String>,
}

/// The hits of one pattern in one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogHits {
    /// How many lines.
    pub count: u64,
    /// The first of them, by line.
    pub first: Vec<Hit>,
    /// The last of them.
    pub last: Option<Hit>,
}

impl LogHits {
    /// Whether a hit on this line would be kept as one of the first.
    pub(super) fn wants(&self, line: u64) -> bool {
        self.first.len() < KEPT || self.first.last().is_some_and(|last| line < last.line)
    }

    /// Adds a hit; its place among the others is that of its line, whatever the order of adding.
    pub(super) fn add(&mut self, hit: Hit) {
        if self.wants(hit.line) {
            let at = self.first.partition_point(|other| other.line < hit.line);
            self.first.insert(at, hit.clone());
            self.first.truncate(KEPT);
        }
        if self.last.as_ref().is_none_or(|last| last.line < hit.line) {
            self.last = Some(hit);
        }
    }

    fn merge(&mut self, other: LogHits) {
        self.count += other.count;
        for hit in other.first.into_iter().chain(other.last) {
            if self.first.iter().all(|known| known.line != hit.line) {
                self.add(hit);
            }
        }
    }

    /// The kept hits, by line, each once.
    pub fn kept(&self) -> impl Iterator<Item = &Hit> {
        let last = self.last.iter().filter(|last| self.first.iter().all(|hit| hit.line != last.line));
        self.first.iter().chain(last)
    }
}

/// All hits: by the pattern's index and the log's, so that their order depends on nothing else.
#[derive(Debug, Default)]
pub struct Hits {
    /// By pattern and log.
    pub by_pattern: BTreeMap<(usize, usize), LogHits>,
    /// Logs that could not be read to their end.
    pub unreadable: Vec<Unreadable>,
}

impl Hits {
    /// Adds what another thread found.
    pub(super) fn merge(&mut self, other: Hits) {
        for (key, hits) in other.by_pattern {
            self.by_pattern.entry(key).or_default().merge(hits);
        }
        self.unreadable.extend(other.unreadable);
        self.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(line: u64) -> Hit {
        Hit { line, time: None, text: String::new(), captures: BTreeMap::new() }
    }

    fn hits(lines: &[u64]) -> LogHits {
        let mut hits = LogHits { count: lines.len() as u64, ..LogHits::default() };
        lines.iter().for_each(|line| hits.add(hit(*line)));
        hits
    }

    #[test]
    fn the_order_of_merging_does_not_matter() {
        let parts = [hits(&[40, 41, 50]), hits(&[1, 2, 3, 4, 5, 6, 7]), hits(&[30])];
        let merged = |order: [usize; 3]| {
            order.into_iter().fold(LogHits::default(), |mut sum, index| {
                sum.merge(parts[index].clone());
                sum
            })
        };
        let expected = merged([0, 1, 2]);
        assert_eq!(expected.count, 11);
        assert_eq!(expected.kept().map(|hit| hit.line).collect::<Vec<_>>(), vec![1, 2, 3, 4, 5, 50]);
        assert_eq!(merged([2, 1, 0]), expected);
        assert_eq!(merged([1, 0, 2]), expected);
    }
}

//! The zones of a text in which letters of anchors lie, so that what is between them is passed over at once.
//!
//! An automaton takes one byte after the other and waits for its table each time. Several of them, each on its own part of
//! the text, wait together: four pass over a log in half the time of one.

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::dfa::DFA;

use super::anchor::{ANCHORS, LONGEST};

/// Automata side by side.
const LANES: usize = 4;
/// A text that is shorter is faster searched without.
const WORTH_IT: usize = 2 << 10;

/// Where letters end that are near each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Zone {
    first: usize,
    last: usize,
}

/// The zones of a text from some place on, in order; nothing where nobody looked.
#[derive(Debug)]
pub struct Zones(Option<Vec<Zone>>);

impl Zones {
    /// Looks through `text` from `from` on, if it is long enough to be worth it.
    pub fn of(text: &[u8], from: usize) -> Zones {
        let rest = text.get(from..).unwrap_or_default();
        let automaton = &ANCHORS.ends;
        match automaton.start_state(Anchored::No) {
            Ok(start) if rest.len() >= WORTH_IT => Zones(Some(look(automaton, start, rest, from))),
            _ => Zones(None),
        }
    }

    /// The place from `at` on before which no letters of an anchor begin; nothing where none do.
    pub fn next(&self, at: usize) -> Option<usize> {
        let Some(zones) = &self.0 else { return Some(at) };
        let next = zones.partition_point(|zone| zone.last <= at);
        zones.get(next).map(|zone| zone.first.saturating_sub(LONGEST).max(at))
    }
}

/// Each lane has its part, and as much of the next one as letters take that begin in its own; the last has the rest.
fn look(automaton: &DFA, start: StateID, text: &[u8], from: usize) -> Vec<Zone> {
    let part = (text.len() - LONGEST) / LANES;
    let (length, last) = (part + LONGEST, (LANES - 1) * part);
    let lane = |number: usize| text.get(number * part..number * part + length).unwrap_or_default();
    let mut found: [Vec<Zone>; LANES] = Default::default();
    let mut states = [start; LANES];
    let bytes = lane(0).iter().zip(lane(1)).zip(lane(2)).zip(lane(3));
    for (at, (((a, b), c), d)) in bytes.enumerate() {
        for (number, byte) in [*a, *b, *c, *d].into_iter().enumerate() {
            states[number] = automaton.next_state(Anchored::No, states[number], byte);
            if automaton.is_special(states[number]) {
                note(&mut found[number], from + number * part + at + 1);
            }
        }
    }
    let mut state = states[LANES - 1];
    for (at, byte) in text.iter().enumerate().skip(last + length) {
        state = automaton.next_state(Anchored::No, state, *byte);
        if automaton.is_special(state) {
            note(&mut found[LANES - 1], from + at + 1);
        }
    }
    let mut zones: Vec<Zone> = Vec::new();
    for zone in found.into_iter().flatten() {
        match zones.last_mut() {
            Some(before) if zone.first <= before.last + LONGEST => before.last = before.last.max(zone.last),
            _ => zones.push(zone),
        }
    }
    zones
}

fn note(zones: &mut Vec<Zone>, end: usize) {
    match zones.last_mut() {
        Some(zone) if end <= zone.last + LONGEST => zone.last = end,
        _ => zones.push(Zone { first: end, last: end }),
    }
}

#[cfg(test)]
mod tests {
    use aho_corasick::Input;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_letters_are_longer_than_is_said() {
        assert!(ANCHORS.ends.max_pattern_len() <= LONGEST);
    }

    #[test]
    fn only_ends_of_letters_are_special() {
        let automaton = &ANCHORS.ends;
        let mut state = automaton.start_state(Anchored::No).unwrap();
        assert!(!automaton.is_special(state));
        let special: Vec<bool> = b"my Token=\"AKIA"
            .iter()
            .map(|byte| {
                state = automaton.next_state(Anchored::No, state, *byte);
                assert_eq!(automaton.is_special(state), automaton.is_match(state));
                automaton.is_special(state)
            })
            .collect();
        assert_eq!(special.iter().filter(|special| **special).count(), 2);
        assert!(special[7] && special[13]);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let letters =
            ["passwor", "tOken", "://", " -p", "eyJ", "shared", "AccessKey=", "-----BEGIN", "AKIA", "value", "\ndata:"];
        let piece = prop_oneof![
            4 => "[a-z0-9 .\n]{0,200}".prop_map(String::into_bytes),
            2 => proptest::sample::select(letters.to_vec()).prop_map(|letters| letters.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..40),
        ];
        proptest::collection::vec(piece, 20..120).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_next_anchor_is_the_same_with_zones_and_without(text in pieces(), from in 0usize..600) {
            let zones = Zones::of(&text, from);
            for at in from.min(text.len())..text.len() {
                let find = |from: usize| {
                    let found = ANCHORS.automaton.find(Input::new(&text).span(from..text.len()));
                    found.map(|found| (found.start(), found.end(), found.pattern()))
                };
                prop_assert_eq!(zones.next(at).and_then(find), find(at), "from {}", at);
            }
        }
    }
}

//! One pass over a window of text: finds the places where secrets begin, and says what is to be put in their stead.
//!
//! An automaton finds letters that secrets come with (`password`, `-----BEGIN`, `AKIA`, `://`); a function for each kind
//! then reads what stands there. Whatever cannot be told before more text comes asks for it ([`More`]).

use aho_corasick::Input;

use super::anchor::{ANCHORS, Anchor, LONGEST};
use super::block::Open;
use super::key_name::Secret;
use super::value::{self, End, Until};
use super::zone::Zones;
use super::{assignment, beside, pem, program, secret_object, url};

/// More text is needed to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More;

/// What is put in the place of a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// A mask.
    Mask,
    /// A mask within quotes that have so many backslashes before them, for a number in JSON.
    Quoted(usize),
    /// A mask of a value that was counted before: the next line of a key.
    Again,
    /// Nothing: the rest of a value whose mask is written.
    Nothing,
}

/// A piece of the text and its replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// What kind of secret it is.
    pub kind: &'static str,
    /// What takes its place.
    pub instead: Instead,
}

/// A place that was found.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Where its letters begin.
    pub from: usize,
    /// Where they end.
    pub to: usize,
}

/// A window of the text, and what was found in it.
pub struct Scan<'a> {
    /// What came last before the window, and the window.
    pub text: &'a [u8],
    /// Whether nothing comes behind the text.
    pub whole: bool,
    /// What is to be replaced, in order.
    pub edits: Vec<Edit>,
    /// What is still open at the place where the pass ended.
    pub open: Open,
    /// How the last value would have ended that the text's end cut off.
    pub unfinished: Option<(Until, &'static str)>,
    /// Where the window begins.
    pub floor: usize,
    zones: Zones,
    pub(super) depth: usize,
}

impl<'a> Scan<'a> {
    /// A pass over `text` from `floor` on.
    pub fn new(text: &'a [u8], floor: usize, whole: bool, open: Open) -> Scan<'a> {
        let zones = Zones::of(text, floor);
        Scan { text, whole, edits: Vec::new(), open, unfinished: None, floor, zones, depth: 0 }
    }

    /// Passes over what begins before `until`. Gives how far everything is told, which may be less, or more.
    pub fn run(&mut self, until: usize) -> usize {
        let mut at = self.floor;
        while at < until {
            let edits = self.edits.len();
            let step = match self.open {
                Open::Nothing => self.anchors(at, until),
                _ => self.line(at),
            };
            match step {
                Ok(next) => at = next,
                Err((told, More)) => {
                    self.edits.truncate(edits.max(self.told_edits(told)));
                    return told;
                }
            }
        }
        at
    }

    fn told_edits(&self, told: usize) -> usize {
        self.edits.iter().take_while(|edit| edit.to <= told).count()
    }

    /// Looks for anchors up to `until`, or until one leaves something open.
    pub(super) fn anchors(&mut self, from: usize, until: usize) -> Result<usize, (usize, More)> {
        let anchors = &*ANCHORS;
        let mut at = from;
        while at < until && matches!(self.open, Open::Nothing) {
            let end = self.text.len().min(until + LONGEST);
            let begin = self.zones.next(at).filter(|begin| *begin < end);
            let found = begin.and_then(|begin| anchors.automaton.find(Input::new(self.text).span(begin..end)));
            let found = found.filter(|found| found.start() < until);
            let quiet = found.as_ref().map_or(until.min(self.text.len()), |found| found.start());
            if let Some(next) = self.bootstrap_tokens(at, quiet) {
                at = next;
                continue;
            }
            let Some(found) = found else { return Ok(until.max(at)) };
            let hit = Hit { from: found.start(), to: found.end() };
            let Some(&anchor) = anchors.meanings.get(found.pattern().as_usize()) else { return Ok(until) };
            let edits = self.edits.len();
            match self.look(anchor, hit) {
                Ok(next) => at = next.max(hit.from + 1),
                Err(More) => {
                    self.edits.truncate(edits);
                    return Err((hit.from.max(at), More));
                }
            }
        }
        Ok(at)
    }

    fn look(&mut self, anchor: Anchor, hit: Hit) -> Result<usize, More> {
        match anchor {
            Anchor::Word => assignment::of_word(self, hit),
            Anchor::Value => beside::of_pair(self, hit),
            Anchor::Scheme => beside::of_scheme(self, hit),
            Anchor::Identified => beside::of_sql(self, hit),
            Anchor::Data => secret_object::data(self, hit),
            Anchor::Url => self.credentials(hit),
            Anchor::MySqlAddress => {
                let found = url::before_address(self.text, self.free(), hit.from);
                if let Some(found) = found {
                    self.mask(found.from, found.to, "password");
                }
                Ok(hit.to)
            }
            Anchor::Pem => pem::begin(self, hit),
            Anchor::Json => self.json(hit),
            Anchor::Encoded(n) => {
                let spelling = ANCHORS.spellings.get(n).map(String::as_bytes);
                if self.text.get(hit.from..hit.to) != spelling { Ok(hit.from + 1) } else { self.base64(hit) }
            }
            Anchor::Format(n) => self.format(n, hit),
            Anchor::Program => program::arguments(self, hit),
            Anchor::ShortFlag => program::short_flag(self, hit),
            Anchor::Gap => {
                let end = self.text.get(hit.to..).unwrap_or_default().iter().position(|&byte| byte == b'\n');
                if let Some(end) = end {
                    self.open = Open::Headless;
                    return Ok(hit.to + end + 1);
                }
                Ok(hit.to)
            }
        }
    }

    /// Masks a piece of the text.
    pub(super) fn mask(&mut self, from: usize, to: usize, kind: &'static str) {
        self.replace(from, to, kind, Instead::Mask);
    }

    /// Replaces a piece of the text that lies behind all others.
    pub(super) fn replace(&mut self, from: usize, to: usize, kind: &'static str, instead: Instead) {
        let from = from.max(self.free());
        if from < to && !value::is_mask(self.text.get(from..to).unwrap_or_default()) {
            self.edits.push(Edit { from, to, kind, instead });
        }
    }

    /// Where what is not replaced yet begins.
    pub(super) fn free(&self) -> usize {
        self.edits.last().map_or(self.floor, |edit| edit.to.max(self.floor))
    }

    /// Masks a value unless it can be no secret.
    pub(super) fn mask_value(&mut self, from: usize, to: usize, secret: Secret) {
        let value = self.text.get(from..to).unwrap_or_default();
        if !value::harmless(value, secret) {
            self.mask(from, to, secret.kind());
        }
    }

    /// Where a value ends that begins at `from`.
    pub(super) fn end(&mut self, from: usize, until: Until, kind: &'static str) -> Result<usize, More> {
        match value::end(self.text, from, until) {
            End::At(at) => Ok(at),
            End::Beyond if self.whole => {
                self.unfinished = Some((until, kind));
                Ok(self.text.len())
            }
            End::Beyond => Err(More),
        }
    }

    /// The byte at a place.
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The text from a place on.
    pub(super) fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// Asks for so many bytes behind a place, unless the text ends before.
    pub(super) fn need(&self, at: usize, bytes: usize) -> Result<(), More> {
        if self.whole || at + bytes <= self.text.len() { Ok(()) } else { Err(More) }
    }

    /// Where the line begins in which a place lies, as far back as the text goes.
    pub(super) fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1)
    }
}

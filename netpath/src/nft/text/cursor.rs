//! A place among the tokens of one rule or one object.

use super::token::{Kind, Token};

/// Goes through tokens; ends of lines are not seen.
pub(super) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    depth: u8,
}

/// nft knows no sets within sets of sets.
const DEEPEST: u8 = 4;

impl<'t, 'a> Cursor<'t, 'a> {
    pub fn new(tokens: &'t [Token<'a>]) -> Self {
        Self { tokens, at: 0, depth: 0 }
    }

    pub fn peek(&mut self) -> Option<&'t Token<'a>> {
        while self.tokens.get(self.at).is_some_and(|token| token.is("\n")) {
            self.at += 1;
        }
        self.tokens.get(self.at)
    }

    pub fn next(&mut self) -> Option<&'t Token<'a>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Goes on behind this mark or word, if it is next.
    pub fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(text));
        self.at += usize::from(found);
        found
    }

    /// The next word, in quotes or not.
    pub fn word(&mut self) -> Option<&'a str> {
        self.next().filter(|token| token.kind != Kind::Mark).map(|token| token.text)
    }

    pub fn place(&self) -> usize {
        self.at
    }

    /// Goes back, out of all braces.
    pub fn go_to(&mut self, place: usize) {
        (self.at, self.depth) = (place, 0);
    }

    /// Into braces; `None` where there are too many within each other.
    pub fn descend(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEEPEST).then_some(())
    }

    /// Out of braces.
    pub fn ascend(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The tokens from a place up to here.
    pub fn since(&self, place: usize) -> &'t [Token<'a>] {
        self.tokens.get(place..self.at.min(self.tokens.len())).unwrap_or_default()
    }
}

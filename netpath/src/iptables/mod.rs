//! iptables and ip6tables rule sets: `iptables-save`, `iptables -S`, and the lossy `iptables -nvL`.
//!
//! Parsing is tolerant and lossless: a match, target or line that is not understood is kept verbatim with its line,
//! and the walk treats it as an unknown, never as "no match".

mod listing;
mod parse;
mod print;
mod rules;
mod specification;
mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

pub use self::listing::parse_listing;
pub use self::parse::{parse, parse_shared, parse_specification};
pub(crate) use self::print::quote_into;
pub use self::rules::Rules;
pub use self::specification::{Specification, Specifications};
pub(crate) use self::tokens::{Opt, Token};

use crate::address::{AddrMask, Family};
use crate::interface::IfacePattern;
use crate::matches::Match;
use crate::protocol::Protocol;
use crate::source::{Cited, Origin};

/// Which kernel subsystem holds the tables. Both can be active at once, and then every hook runs both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The x_tables of `iptables-legacy`.
    Legacy,
    /// nf_tables, written by `iptables-nft`.
    Nft,
}

impl Backend {
    /// The word that people use for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Nft => "nft",
        }
    }
}

/// Packets and bytes that a rule or policy counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The rule set of one family and one backend.
#[derive(Clone, Debug)]
pub struct Ruleset {
    /// The file it was read from.
    pub file: Arc<str>,
    /// The family of its addresses.
    pub family: Family,
    /// Which backend it was saved from: the header's word, unless the caller knew better.
    pub backend: Backend,
    /// The tables in the file's order.
    pub tables: Vec<Table>,
    /// What the file says about itself, and lines that fit nowhere.
    pub notes: Vec<Note>,
    /// Comment lines after the last table.
    pub(crate) trailing: Vec<Box<str>>,
}

/// A remark about the rule set as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line of the remark.
    pub line: u32,
    /// What it means.
    pub kind: NoteKind,
    /// The line itself.
    pub text: Box<str>,
}

/// What a [`Note`] means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// ``# Table `filter' is incompatible, use 'nft' tool.``: the table exists and is missing here.
    IncompatibleTable(Box<str>),
    /// `# Warning: iptables-legacy tables present`: a second rule set is active.
    OtherBackendPresent,
    /// A line that is neither a table, a chain, a rule nor a comment.
    Unparsed,
    /// The file ended inside a table (no `COMMIT`).
    Truncated,
}

/// One table of a rule set.
#[derive(Clone, Debug)]
pub struct Table {
    /// `raw`, `mangle`, `nat`, `filter`, `security`, or another name.
    pub name: Box<str>,
    /// The line that opened it.
    pub line: u32,
    /// Its chains, in the file's order.
    pub chains: Vec<Chain>,
    pub(crate) leading: Vec<Box<str>>,
    pub(crate) committed: bool,
}

/// What a built-in chain does with a packet that reaches its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Policy {
    /// Accept.
    Accept,
    /// Drop.
    Drop,
}

/// A chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Its name.
    pub name: Box<str>,
    /// The line that declared it; 0 when only its rules appear in the file.
    pub line: u32,
    /// The text of that line.
    pub text: Box<str>,
    /// The policy of a built-in chain.
    pub policy: Option<Policy>,
    /// Counters of the policy.
    pub counters: Option<Counters>,
    /// Its rules, in order.
    pub rules: Rules,
}

/// A value and whether `!` stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Negatable<T> {
    /// Whether the test is inverted.
    pub negated: bool,
    /// What is compared.
    pub value: T,
}

impl<T> Negatable<T> {
    /// The sense of the test applied to its plain outcome.
    pub fn apply(&self, plain: bool) -> bool {
        plain != self.negated
    }
}

/// What a rule tests without any module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `-s`.
    pub source: Option<Negatable<AddrMask>>,
    /// `-d`.
    pub destination: Option<Negatable<AddrMask>>,
    /// `-i`.
    pub in_interface: Option<Negatable<IfacePattern>>,
    /// `-o`.
    pub out_interface: Option<Negatable<IfacePattern>>,
    /// `-p`.
    pub protocol: Option<Negatable<Protocol>>,
    /// `-f` (true) or `! -f` (false).
    pub fragment: Option<bool>,
}

/// One rule: a [`Specification`], and what is the rule's own.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The line it stands on, counted from 1.
    pub line: u32,
    /// Its counters, when the dump has them.
    pub counters: Option<Counters>,
    /// Whether the line begins with the counters, as `iptables-save -c` prints them.
    counted: bool,
    /// The index in the table of the chain that a jump leads to; `None` when the dump lacks it.
    pub(crate) jump: Option<usize>,
    specification: Arc<Specification>,
}

impl Ruleset {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| &*table.name == name)
    }

    /// The number of rules in all tables.
    pub fn rule_count(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum()
    }

    /// A rule as evidence.
    pub fn cite(&self, rule: &Rule) -> Cited {
        Cited { origin: Origin::line(&self.file, rule.line), text: rule.verbatim().trim().to_owned() }
    }

    /// A chain's declaration (for a built-in chain, its policy) as evidence.
    pub fn cite_chain(&self, chain: &Chain) -> Cited {
        Cited { origin: Origin::line(&self.file, chain.line), text: chain.text.trim().to_owned() }
    }

    /// Whether the dump says that a table exists that it could not print.
    pub fn is_incompatible(&self, table: &str) -> bool {
        self.notes.iter().any(|note| matches!(&note.kind, NoteKind::IncompatibleTable(name) if &**name == table))
    }

    /// The canonical text, as iptables-save prints it.
    pub fn to_save(&self, counters: bool) -> String {
        print::ruleset(self, counters)
    }
}

impl Table {
    /// The chain of that name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| &*chain.name == name)
    }
}

impl Rule {
    /// A rule that stands in no file.
    pub fn new(specification: Specification) -> Rule {
        Rule { line: 0, counters: None, counted: false, jump: None, specification: Arc::new(specification) }
    }

    /// Its line as it stands in the file.
    pub fn verbatim(&self) -> Cow<'_, str> {
        match self.counters.filter(|_| self.counted) {
            Some(Counters { packets, bytes }) => Cow::Owned(format!("[{packets}:{bytes}] {}", self.text)),
            None => Cow::Borrowed(&self.text),
        }
    }

    /// The texts of its `-m comment`.
    pub fn comments(&self) -> impl Iterator<Item = &str> {
        self.matches.iter().filter_map(|m| match m {
            Match::Comment(text) => Some(&**text),
            _ => None,
        })
    }
}

impl Deref for Rule {
    type Target = Specification;

    fn deref(&self) -> &Specification {
        &self.specification
    }
}

/// A change is this rule's alone: others that had the same specification keep it.
impl DerefMut for Rule {
    fn deref_mut(&mut self) -> &mut Specification {
        Arc::make_mut(&mut self.specification)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "ACCEPT",
            Self::Drop => "DROP",
        })
    }
}

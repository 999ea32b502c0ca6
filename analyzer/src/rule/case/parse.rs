//! From a Markdown file to cases.

use std::collections::BTreeMap;

use bundle::manifest::Symptom;
use bundle::{ItemStatus, Scope};
use jiff::Timestamp;

use super::evidence_path;
use super::expect::Expected;
use super::markdown::{Piece, pieces};
use crate::rule::diagnostic::{Problem, SourceFile};
use crate::rule::evidence_id;

/// What a case shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something is wrong.
    Sick,
    /// The same in health: the deciding field alone differs.
    Twin,
    /// What looks sick and is not, or what cannot be told.
    Trap,
}

/// One file of a case's bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFile {
    /// Its evidence id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Its status in the manifest.
    pub status: ItemStatus,
    /// The reason in the manifest.
    pub reason: Option<String>,
}

/// An item that gave no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Its evidence id.
    pub id: String,
    /// Whose it is.
    pub scope: Scope,
    /// Its status.
    pub status: ItemStatus,
    /// Why.
    pub reason: Option<String>,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub kind: Kind,
    /// Its heading.
    pub name: String,
    /// The line of its heading, from 1.
    pub line: usize,
    /// What the sender says is broken.
    pub symptom: Option<Symptom>,
    /// The bundle's files by path.
    pub files: BTreeMap<String, CaseFile>,
    /// Items without content.
    pub lacking: Vec<Lacking>,
    /// The time of collection.
    pub finished: Timestamp,
    /// What is expected.
    pub expected: Vec<Expected>,
}

/// When collection ended, where a case does not say otherwise.
const FINISHED: &str = "2026-01-15T12:00:00Z";

/// Parses a rule's cases; says all that is wrong with them.
pub fn parse(file: &SourceFile) -> Result<Vec<Case>, Vec<Problem>> {
    let pieces = match pieces(&file.text) {
        Ok(pieces) => pieces,
        Err(line) => return Err(vec![problem(file, line, "the fence is never closed", "opened here")]),
    };
    let mut parser = Parser { file, cases: Vec::new(), sick: None, problems: Vec::new() };
    for piece in pieces {
        match piece {
            Piece::Heading { line, text } => parser.heading(line, text),
            Piece::Fence { line, info, body } => parser.fence(line, info, &body),
        }
    }
    parser.complete();
    if parser.problems.is_empty() { Ok(parser.cases) } else { Err(parser.problems) }
}

struct Parser<'f> {
    file: &'f SourceFile,
    cases: Vec<Case>,
    /// The sick case whose files twins and traps begin with.
    sick: Option<usize>,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn problem(&mut self, line: usize, message: impl Into<String>, hint: &str) {
        self.problems.push(problem(self.file, line, message, hint));
    }

    fn heading(&mut self, line: usize, text: &str) {
        let kind = match text.split(':').next().map(str::trim) {
            Some("Sick") => Kind::Sick,
            Some("Twin") => Kind::Twin,
            Some("Trap") => Kind::Trap,
            _ => return self.problem(line, "a case is a `Sick`, a `Twin` or a `Trap`", "## Sick: what is wrong"),
        };
        let sick = self.sick.filter(|_| kind != Kind::Sick).and_then(|index| self.cases.get(index));
        let case = Case {
            kind,
            name: text.to_owned(),
            line,
            files: sick.map(|sick| sick.files.clone()).unwrap_or_default(),
            lacking: sick.map(|sick| sick.lacking.clone()).unwrap_or_default(),
            symptom: sick.and_then(|sick| sick.symptom.clone()),
            finished: sick.map_or_else(|| FINISHED.parse().unwrap_or_default(), |sick| sick.finished),
            expected: Vec::new(),
        };
        if kind == Kind::Sick {
            self.sick = Some(self.cases.len());
        }
        self.cases.push(case);
    }

    fn fence(&mut self, line: usize, info: &str, body: &str) {
        if self.cases.is_empty() {
            return self.problem(line, "a block before the first case", "begin with a heading `## Sick: …`");
        }
        let mut words = info.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("expect"), None, None) => self.expect(line, body),
            (Some("manifest"), None, None) => self.manifest(line, body),
            (Some("change"), Some(path), None) => self.change(line, path, body),
            (Some(_), Some(path), id) => self.add(line, path, id, body),
            _ => self.problem(line, "a block without a path", "```json cluster/core/pods.json"),
        }
    }

    fn case(&mut self) -> Option<&mut Case> {
        self.cases.last_mut()
    }

    fn add(&mut self, line: usize, path: &str, id: Option<&str>, body: &str) {
        let Some(id) = id.map(str::to_owned).or_else(|| evidence_path::id(path)) else {
            return self.problem(line, format!("which evidence is {path}?"), "say the id behind the path");
        };
        if !evidence_id::is_known(&id) {
            return self.problem(line, format!("unknown evidence id `{id}`"), "`dossier rules facts` lists them");
        }
        let file = CaseFile { id, text: body.to_owned(), status: ItemStatus::Ok, reason: None };
        if let Some(case) = self.case() {
            case.files.insert(path.to_owned(), file);
        }
    }

    /// Replaces text in an inherited file: pairs of lines `- old` and `+ new`.
    fn change(&mut self, line: usize, path: &str, body: &str) {
        let Some(mut text) = self.case().and_then(|case| case.files.get(path)).map(|file| file.text.clone()) else {
            return self.problem(line, format!("there is no {path} to change"), "the sick case before has none");
        };
        let mut lines = body.lines().enumerate().map(|(index, text)| (line + 1 + index, text));
        while let (Some((at, old)), Some((_, new))) = (lines.next(), lines.next()) {
            let pair = old.strip_prefix("- ").zip(new.strip_prefix("+ ").or(new.strip_prefix('+')));
            let Some((old, new)) = pair else {
                return self.problem(at, "a change is a line `- old` and a line `+ new`", "here");
            };
            if text.matches(old).count() != 1 {
                return self.problem(at, format!("the text is not exactly once in {path}"), "say more of it");
            }
            text = text.replacen(old, new, 1);
        }
        if let Some(file) = self.case().and_then(|case| case.files.get_mut(path)) {
            file.text = text;
        }
    }

    /// Lines that say what else the manifest has: `finished TIME`, `symptom FIELDS` or `symptom none`, `without PATH`,
    /// `PATH STATUS [REASON]`, and `ID SCOPE STATUS [REASON]`.
    fn manifest(&mut self, line: usize, body: &str) {
        for (index, text) in body.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            if self.manifest_line(text).is_none() {
                let hint = "`finished TIME`, `symptom from=…,to=…`, `without PATH`, `PATH STATUS [REASON]` or `ID SCOPE STATUS [REASON]`";
                self.problem(line + 1 + index, "not a line about the manifest", hint);
            }
        }
    }

    fn manifest_line(&mut self, text: &str) -> Option<()> {
        let (first, rest) = text.trim().split_once(' ')?;
        let case = self.case()?;
        match first {
            "finished" => case.finished = rest.trim().parse().ok()?,
            "symptom" if rest.trim() == "none" => case.symptom = None,
            "symptom" => case.symptom = Some(Symptom::inline(rest).ok()?),
            "without" => {
                case.files.remove(rest.trim())?;
            }
            path if case.files.contains_key(path) => {
                let (status, reason) = status_and_reason(rest)?;
                let file = case.files.get_mut(path)?;
                (file.status, file.reason) = (status, reason);
            }
            id if evidence_id::is_known(id) => {
                let (scope, rest) = rest.split_once(' ')?;
                let (status, reason) = status_and_reason(rest)?;
                case.lacking.push(Lacking { id: id.to_owned(), scope: scope.parse().ok()?, status, reason });
            }
            _ => return None,
        }
        Some(())
    }

    fn expect(&mut self, line: usize, body: &str) {
        for (index, text) in body.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let at = line + 1 + index;
            match Expected::parse(text.trim(), at) {
                Ok(expected) => {
                    if let Some(case) = self.case() {
                        case.expected.push(expected);
                    }
                }
                Err(hint) => self.problem(at, "not an expectation", &hint),
            }
        }
    }

    /// Every case expects something, and there is one of each kind.
    fn complete(&mut self) {
        for index in 0..self.cases.len() {
            let Some((line, empty)) = self.cases.get(index).map(|case| (case.line, case.expected.is_empty())) else {
                continue;
            };
            if empty {
                self.problem(line, "the case expects nothing", "add a block ```expect");
            }
        }
        for (kind, what) in [
            (Kind::Sick, "a sick case"),
            (Kind::Twin, "a twin, which differs from a sick case in the deciding field"),
            (Kind::Trap, "a trap: what looks sick and is not"),
        ] {
            if !self.cases.iter().any(|case| case.kind == kind) {
                self.problem(1, format!("the rule lacks {what}"), "add a heading for it");
            }
        }
    }
}

fn status_and_reason(text: &str) -> Option<(ItemStatus, Option<String>)> {
    let (name, reason) = match text.trim().split_once(' ') {
        Some((name, reason)) => (name, Some(reason.trim().to_owned())),
        None => (text.trim(), None),
    };
    let status = ItemStatus::ALL.into_iter().find(|status| status.name() == name)?;
    Some((status, reason))
}

/// A problem of a whole line.
fn problem(file: &SourceFile, line: usize, message: impl Into<String>, hint: &str) -> Problem {
    let start: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let length = file.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
    Problem::new(file, start..start + length, message).hint(hint)
}

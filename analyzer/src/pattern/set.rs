//! All patterns, compiled so that one search over a chunk answers for all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::document::FamilyDocument;
use crate::rule::diagnostic::{Problem, SourceFile};
use crate::rule::yaml;

/// Bytes that the compiled patterns, and the states of the search that they make as needed, may take each.
const SIZE: usize = 64 << 20;
/// Bytes of one captured text.
const CAPTURED: usize = 200;

/// A message pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Its id.
    pub id: String,
    /// What it means that it was said.
    pub means: String,
    regex: Regex,
}

/// All patterns.
pub struct PatternSet {
    patterns: Vec<Pattern>,
    /// Finds a place that at least one pattern is about; which ones is asked of `each` for that line alone.
    any: Regex,
    each: RegexSet,
}

impl fmt::Debug for PatternSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} patterns", self.patterns.len())
    }
}

/// The patterns as a value, for filters and tests.
#[derive(Debug)]
pub struct PatternValue(pub Arc<PatternSet>);

impl Object for PatternValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl PatternSet {
    /// Compiles families of patterns, and tries their samples; says all that is wrong.
    pub fn compile(files: &[SourceFile]) -> Result<PatternSet, Vec<Problem>> {
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let mut problems = Vec::new();
        for file in files {
            match yaml::parse::<FamilyDocument>(file) {
                Ok(family) => add(file, family, &mut sources, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        PatternSet::build(sources).map_err(|error| {
            let file = files.first().cloned().unwrap_or_else(|| SourceFile::new("patterns", ""));
            vec![Problem::new(&file, 0..0, format!("the patterns together cannot be compiled: {error}"))]
        })
    }

    fn build(sources: BTreeMap<String, Source>) -> Result<PatternSet, regex::Error> {
        let all: Vec<String> = sources.values().map(|source| format!("(?:{})", without_names(&source.regex))).collect();
        // An empty alternation would be found everywhere; an empty class is found nowhere.
        let any = if all.is_empty() { "[a&&b]".to_owned() } else { all.join("|") };
        let any =
            RegexBuilder::new(&any).multi_line(true).unicode(false).size_limit(SIZE).dfa_size_limit(SIZE).build()?;
        // Without room for its states the search of a line falls back to a far slower one.
        let each = RegexSetBuilder::new(sources.values().map(|source| &source.regex))
            .multi_line(true)
            .unicode(false)
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .build()?;
        let compiled =
            |(id, source): (String, Source)| Ok(Pattern { id, regex: compile(&source.regex)?, means: source.means });
        let patterns = sources.into_iter().map(compiled).collect::<Result<_, regex::Error>>()?;
        Ok(PatternSet { patterns, any, each })
    }

    /// The patterns, by id.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The pattern of this id.
    pub fn get(&self, id: &str) -> Option<&Pattern> {
        let index = self.patterns.binary_search_by(|pattern| pattern.id.as_str().cmp(id)).ok()?;
        self.patterns.get(index)
    }

    /// The next line at or after `from` in which a pattern is found: the range of the line, without its end.
    pub(super) fn next_line(&self, chunk: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
        let found = self.any.find_at(chunk, from)?;
        let start = chunk.get(..found.start())?.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = chunk.get(found.start()..)?;
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(chunk.len(), |length| found.start() + length);
        Some(start..end)
    }

    /// The indexes of the patterns that are found in a line.
    pub(super) fn in_line(&self, line: &[u8]) -> impl Iterator<Item = usize> {
        self.each.matches(line).into_iter()
    }
}

impl Pattern {
    /// Whether it is found in a text.
    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    /// How many bytes of a text it explains, where it is found there.
    pub fn length_in(&self, text: &str) -> Option<usize> {
        self.regex.find(text.as_bytes()).map(|found| found.len())
    }

    /// The named parts of its first place in a text.
    pub fn captures(&self, line: &[u8]) -> BTreeMap<String, String> {
        let Some(found) = self.regex.captures(line) else { return BTreeMap::new() };
        let named = self.regex.capture_names().flatten();
        let part = |name: &str| {
            let bytes = found.name(name)?.as_bytes();
            let bytes = bytes.get(..CAPTURED).unwrap_or(bytes);
            Some((name.to_owned(), String::from_utf8_lossy(bytes).into_owned()))
        };
        named.filter_map(part).collect()
    }
}

/// A pattern as it is written.
struct Source {
    regex: String,
    means: String,
}

fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).multi_line(true).unicode(false).size_limit(SIZE).build()
}

fn add(file: &SourceFile, family: FamilyDocument, sources: &mut BTreeMap<String, Source>, problems: &mut Vec<Problem>) {
    for (id, document) in family.patterns {
        let place = || document.regex.span.clone();
        let mut wrong = |message: String, hint: &str| problems.push(Problem::new(file, place(), message).hint(hint));
        let regex = match compile(&document.regex.value) {
            Ok(regex) => regex,
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                wrong(format!("`{id}` is no regular expression"), &reason);
                continue;
            }
        };
        if document.yes.is_empty() {
            wrong(format!("`{id}` has no sample"), "add a line to `yes:` that was really seen");
        }
        for sample in document.yes.iter().filter(|sample| !regex.is_match(sample.as_bytes())) {
            wrong(format!("`{id}` is not found in its sample {sample:?}"), "correct the expression or the sample");
        }
        for sample in document.no.iter().filter(|sample| regex.is_match(sample.as_bytes())) {
            wrong(format!("`{id}` is found in {sample:?}, where it must not"), "correct the expression or the sample");
        }
        let source = Source { regex: document.regex.value.clone(), means: document.means };
        if sources.insert(id.clone(), source).is_some() {
            wrong(format!("there are two patterns `{id}`"), "rename one of the two");
        }
    }
}

/// The expression with its groups unnamed, because the names of several expressions clash in one.
fn without_names(source: &str) -> String {
    let mut unnamed = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("(?P<") {
        unnamed.push_str(before);
        match after.split_once('>') {
            // An escaped parenthesis begins no group.
            Some((_, group)) if !before.ends_with('\\') => {
                unnamed.push_str("(?:");
                rest = group;
            }
            _ => {
                unnamed.push_str("(?P<");
                rest = after;
            }
        }
    }
    unnamed.push_str(rest);
    unnamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(yaml: &str) -> String {
        let files = [SourceFile::new("p.yaml", yaml)];
        PatternSet::compile(&files)
            .err()
            .map(|problems| problems.iter().map(Problem::render).collect())
            .unwrap_or_default()
    }

    #[test]
    fn samples_are_tried() {
        let good = "about: a\npatterns:\n  a:\n    means: b\n    regex: 'b(?P<n>\\d+)'\n    yes: [xb12]\n    no: [b]\n";
        assert_eq!(said(good), "");
        assert!(said(&good.replace("[xb12]", "[xb]")).contains("is not found in its sample \"xb\""));
        assert!(said(&good.replace("[b]", "[b1]")).contains("is found in \"b1\""));
        assert!(said(&good.replace("\\d+)", "\\d+")).contains("`a` is no regular expression"));
        assert!(said(&good.replace("yes: [xb12]", "yes: []")).contains("`a` has no sample"));
    }

    #[test]
    fn captures_are_named() {
        let set = PatternSet::build(BTreeMap::from([(
            "a".to_owned(),
            Source { regex: "b(?P<n>\\d+)(?P<m>x)?".to_owned(), means: String::new() },
        )]))
        .unwrap();
        assert_eq!(set.get("a").unwrap().captures(b"..b12.."), BTreeMap::from([("n".to_owned(), "12".to_owned())]));
        assert!(set.get("b").is_none());
    }

    #[test]
    fn a_set_of_none_finds_nothing() {
        let set = PatternSet::build(BTreeMap::new()).unwrap();
        assert_eq!(set.next_line(b"anything\n", 0), None);
    }

    #[test]
    fn groups_lose_their_names_and_nothing_else() {
        assert_eq!(without_names(r"a(?P<n>b)\(?P<c(?P<m>d)"), r"a(?:b)\(?P<c(?:d)");
    }
}

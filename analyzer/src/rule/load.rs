//! From folders of rules to a set of rules: the built-in ones and a user's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use walkdir::WalkDir;

use super::diagnostic::{Problem, Problems, SourceFile};
use super::document::RuleDocument;
use super::{Rule, builtin, compile, yaml};
use crate::pattern::PatternSet;

/// The folder, beside the families of rules, that holds message patterns.
pub const PATTERNS: &str = "patterns";

/// All rules that are in force.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    patterns: Arc<PatternSet>,
    cases: BTreeMap<String, SourceFile>,
}

/// The files of a folder of rules.
#[derive(Debug, Clone, Default)]
pub struct RuleFiles {
    /// Rules, each with its cases where there are any.
    pub rules: Vec<(SourceFile, Option<SourceFile>)>,
    /// Families of message patterns.
    pub patterns: Vec<SourceFile>,
}

/// Why rules could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder or a file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Io {
        /// The folder or file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// There is nothing in the folder.
    #[error("{0} has no rule: a rule lies at FAMILY/ID.yaml, with its cases at FAMILY/ID.md")]
    Empty(String),
    /// Something is wrong with the files.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl RuleSet {
    /// The built-in rules.
    pub fn builtin() -> Result<RuleSet, LoadError> {
        Ok(RuleSet::compile(&builtin::files())?)
    }

    /// The built-in rules and those of a folder.
    pub fn with_folder(folder: &Path) -> Result<RuleSet, LoadError> {
        let mut files = builtin::files();
        let own = RuleFiles::read(folder)?;
        files.rules.extend(own.rules);
        files.patterns.extend(own.patterns);
        Ok(RuleSet::compile(&files)?)
    }

    /// The rules of a folder alone, with the built-in message patterns.
    pub fn folder(folder: &Path) -> Result<RuleSet, LoadError> {
        RuleFiles::read(folder).and_then(RuleSet::of_files)
    }

    /// The rules of these files, with the built-in message patterns that they do not bring themselves.
    pub fn of_files(mut files: RuleFiles) -> Result<RuleSet, LoadError> {
        let name = |file: &SourceFile| file.path.rsplit('/').next().unwrap_or_default().to_owned();
        let own: Vec<String> = files.patterns.iter().map(name).collect();
        files.patterns.extend(builtin::files().patterns.into_iter().filter(|file| !own.contains(&name(file))));
        Ok(RuleSet::compile(&files)?)
    }

    /// Compiles files; says all that is wrong with all of them.
    pub fn compile(files: &RuleFiles) -> Result<RuleSet, Problems> {
        let patterns = Arc::new(PatternSet::compile(&files.patterns).map_err(Problems)?);
        let mut set = RuleSet { rules: Vec::new(), patterns, cases: BTreeMap::new() };
        let mut problems = Vec::new();
        for (file, cases) in &files.rules {
            let parsed = yaml::parse::<RuleDocument>(file).map_err(|problem| vec![problem]);
            match parsed.and_then(|document| compile::compile(file, document, &set.patterns)) {
                Ok(rule) => set.add(rule, cases.as_ref(), &mut problems),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        set.rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(set)
    }

    fn add(&mut self, rule: Rule, cases: Option<&SourceFile>, problems: &mut Vec<Problem>) {
        if let Some(other) = self.rules.iter().find(|other| other.id == rule.id) {
            let message = format!("the id `{}` is taken by {}", rule.id, other.file.path);
            problems.push(Problem::new(&rule.file, 0..0, message).hint("rename one of the two"));
            return;
        }
        match cases {
            Some(cases) => {
                self.cases.insert(rule.id.clone(), cases.clone());
            }
            None => {
                let expected = rule.file.path.replace(".yaml", ".md");
                let message = format!("the rule has no cases: there is no {expected}");
                problems.push(Problem::new(&rule.file, 0..0, message).hint("a sick case, its twin and a trap"));
            }
        }
        self.rules.push(Arc::new(rule));
    }

    /// The rules, by id.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The message patterns.
    pub fn patterns(&self) -> &Arc<PatternSet> {
        &self.patterns
    }

    /// The rule of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The file with the rule's cases.
    pub fn cases(&self, id: &str) -> Option<&SourceFile> {
        self.cases.get(id)
    }
}

impl RuleFiles {
    /// Reads `FAMILY/ID.yaml` and `FAMILY/ID.md` below a folder, in the order of their paths.
    pub fn read(folder: &Path) -> Result<RuleFiles, LoadError> {
        let mut files = RuleFiles::default();
        for entry in WalkDir::new(folder).sort_by_file_name().max_depth(4) {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(folder).display().to_string();
                LoadError::Io { path, reason: error.to_string() }
            })?;
            let path = entry.path();
            if !entry.file_type().is_file() || path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let of_patterns = path.parent().and_then(Path::file_name).is_some_and(|parent| parent == PATTERNS);
            if of_patterns {
                files.patterns.push(source(path)?);
                continue;
            }
            let cases = path.with_extension("md");
            let cases = if cases.is_file() { Some(source(&cases)?) } else { None };
            files.rules.push((source(path)?, cases));
        }
        if files.rules.is_empty() && files.patterns.is_empty() {
            return Err(LoadError::Empty(folder.display().to_string()));
        }
        Ok(files)
    }
}

fn source(path: &Path) -> Result<SourceFile, LoadError> {
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(SourceFile::new(shown, text)),
        Err(error) => Err(LoadError::Io { path: shown, reason: error.to_string() }),
    }
}

//! From a rule's document to a rule that can be evaluated. Everything that can be known to be wrong before a bundle is
//! there is found here.

use std::sync::Arc;

use super::diagnostic::{Problem, SourceFile};
use super::document::{GradeDocument, Lets, NeedDocument, RuleDocument};
use super::evidence_id;
use super::expression::check::{self, Names, Refusal, Type};
use super::expression::{Expression, Template};
use super::root;
use super::yaml::Located;
use super::{Applies, Grade, Need, Placed, RemedyTemplates, Rule};
use crate::pattern::PatternSet;

/// Compiles a rule, or says all that is wrong with it.
pub fn compile(file: &SourceFile, document: RuleDocument, patterns: &PatternSet) -> Result<Rule, Vec<Problem>> {
    let mut compiler = Compiler { file, patterns, problems: Vec::new(), names: Names::default() };
    let rule = compiler.rule(document);
    match (rule, compiler.problems) {
        (Some(rule), problems) if problems.is_empty() => Ok(rule),
        (_, problems) => Err(problems),
    }
}

struct Compiler<'f> {
    file: &'f SourceFile,
    patterns: &'f PatternSet,
    problems: Vec<Problem>,
    names: Names,
}

impl Compiler<'_> {
    fn rule(&mut self, document: RuleDocument) -> Option<Rule> {
        self.identity(&document);
        let needs = self.needs(&document.needs);
        if needs.is_empty() {
            let hint = "without `needs:` the rule would call well what nobody looked at";
            self.problem(document.id.span.clone(), "the rule needs no evidence", hint);
        }
        let needs_to_pass = self.needs(&document.needs_to_pass);
        self.names = Names::default().with(root::variable(document.range), root::shape(document.range));
        let select = document.select.as_ref().and_then(|select| self.expression("select", select));
        self.names = root::names(document.range, self.patterns);
        let lets = self.lets(&document.lets);
        let applies = self.applies(&document);
        let evidence = self.evidence(&document.evidence);
        let grades = self.grades(&document, &evidence);
        let pass = document.pass.as_ref().and_then(|pass| self.template("pass", pass));
        let remedy = self.remedy(&document);
        if !self.problems.is_empty() {
            return None;
        }
        Some(Rule {
            id: document.id.value,
            row: document.row.value,
            title: document.title.value,
            file: self.file.clone(),
            severity: document.severity,
            confidence: document.confidence,
            range: document.range,
            select,
            needs,
            needs_to_pass,
            lets,
            applies,
            grades,
            pass,
            explains: document.explains,
            remedy,
            references: document.references,
        })
    }

    fn problem(&mut self, span: std::ops::Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(self.file, span, message).hint(hint));
    }

    fn identity(&mut self, document: &RuleDocument) {
        let id = &document.id;
        let kebab = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && !text.ends_with('-')
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !kebab(&id.value) {
            self.problem(id.span.clone(), "an id is lower-case words joined by `-`", "for example `ip-forward-zero`");
        }
        let stem = self.file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".yaml"));
        if stem != Some(&id.value) {
            let message = format!("the id and the name of the file differ: `{}`, {}", id.value, self.file.path);
            self.problem(id.span.clone(), message, "name the file after the id");
        }
        if document.row.value.trim().is_empty() {
            self.problem(document.row.span.clone(), "the row is empty", "the catalogue's number of the row");
        }
        if document.title.value.trim().is_empty() {
            self.problem(document.title.span.clone(), "the title is empty", "what is wrong, in a few words");
        }
        for explains in &document.explains {
            if !(0.0..=1.0).contains(&explains.weight) {
                let message = format!("the weight of `{}` is not between 0 and 1", explains.effect);
                self.problem(id.span.clone(), message, "in this rule");
            }
        }
    }

    fn needs(&mut self, documents: &[Located<NeedDocument>]) -> Vec<Need> {
        let mut needs = Vec::new();
        for document in documents {
            let ids = match &document.value {
                NeedDocument::One(id) => std::slice::from_ref(id),
                NeedDocument::Any(any) => &any.any[..],
            };
            if ids.is_empty() {
                self.problem(document.span.clone(), "`any` names no evidence", "a list of evidence ids");
            }
            let any = ids.iter().map(|id| self.known_id(id, document.span.clone())).collect();
            needs.push(Need { any });
        }
        needs
    }

    /// The evidence id; a problem where there is none of that name.
    fn known_id(&mut self, id: &str, span: std::ops::Range<usize>) -> String {
        if !evidence_id::is_known(id) {
            self.problem(span, format!("unknown evidence id `{id}`"), "`dossier rules facts` lists them");
        }
        id.to_owned()
    }

    fn lets(&mut self, lets: &Lets) -> Vec<(String, Placed<Expression>)> {
        let mut compiled = Vec::new();
        for (name, source) in &lets.0 {
            let identifier = name.value.starts_with(|c: char| c.is_ascii_lowercase())
                && name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !identifier {
                self.problem(name.span.clone(), "not a name", "lower-case letters, digits and `_`");
                continue;
            }
            if self.names.contains(&name.value) {
                let message = format!("`{}` has a meaning already", name.value);
                self.problem(name.span.clone(), message, "another name");
                continue;
            }
            let of = self.check(source);
            let definite = check::is_definite(&source.value, &self.names);
            self.names = std::mem::take(&mut self.names).with(name.value.clone(), of.unwrap_or(Type::Any));
            if definite {
                self.names.know([name.value.clone()].into());
            }
            if let Some(expression) = self.compiled("let", source) {
                compiled.push((name.value.clone(), expression));
            }
        }
        compiled
    }

    fn applies(&mut self, document: &RuleDocument) -> Vec<Applies> {
        let mut compiled = Vec::new();
        for applies in &document.applies {
            let when = self.expression("applies", &applies.when);
            let otherwise = self.template("else", &applies.otherwise);
            let lacks = applies.lacks.as_ref().map(|id| self.known_id(&id.value, id.span.clone()));
            self.names.know(check::there_if(&applies.when.value));
            compiled.extend(when.zip(otherwise).map(|(when, otherwise)| Applies { when, otherwise, lacks }));
        }
        compiled
    }

    fn grades(&mut self, document: &RuleDocument, evidence: &[Arc<Placed<Expression>>]) -> Vec<Grade> {
        match (&document.when, &document.message, document.grades.is_empty()) {
            (Some(when), Some(message), true) => {
                if evidence.is_empty() {
                    self.problem(when.span.clone(), "the rule cites nothing", "add `evidence:` that proves a finding");
                }
                let when = self.expression("when", when);
                let message = self.message(when.as_ref(), message);
                let grade = when.zip(message).map(|(when, message)| Grade {
                    when,
                    message,
                    severity: document.severity,
                    confidence: document.confidence,
                    evidence: evidence.to_vec(),
                });
                grade.into_iter().collect()
            }
            (None, None, false) => {
                document.grades.iter().filter_map(|grade| self.grade(document, grade, evidence)).collect()
            }
            (None, None, true) if document.pass.is_some() => Vec::new(),
            _ => {
                let hint = "either `when` with `message`, or `grades`, or only `pass`";
                self.problem(document.id.span.clone(), "it is not clear when something is wrong", hint);
                Vec::new()
            }
        }
    }

    fn grade(
        &mut self,
        document: &RuleDocument,
        grade: &GradeDocument,
        evidence: &[Arc<Placed<Expression>>],
    ) -> Option<Grade> {
        let own = grade.evidence.as_ref().map(|own| self.evidence(own));
        let evidence = own.unwrap_or_else(|| evidence.to_vec());
        if evidence.is_empty() {
            self.problem(grade.when.span.clone(), "the grade cites nothing", "add `evidence:` that proves a finding");
        }
        let when = self.expression("when", &grade.when);
        let message = self.message(when.as_ref(), &grade.message);
        let (when, message) = when.zip(message)?;
        let severity = grade.severity.unwrap_or(document.severity);
        let confidence = grade.confidence.unwrap_or(document.confidence);
        Some(Grade { when, message, severity, confidence, evidence })
    }

    /// A message is rendered only where its condition holds, so what that says to be there is there.
    fn message(&mut self, when: Option<&Placed<Expression>>, message: &Located<String>) -> Option<Placed<Template>> {
        let outer = self.names.clone();
        if let Some(when) = when {
            self.names.know(check::there_if(when.what.source()));
        }
        let message = self.template("message", message);
        self.names = outer;
        message
    }

    fn evidence(&mut self, sources: &[Located<String>]) -> Vec<Arc<Placed<Expression>>> {
        let mut compiled = Vec::new();
        for source in sources {
            if self.check(source) == Some(Type::Scalar) {
                let hint = "name the fact that it belongs to";
                self.problem(source.span.clone(), "a plain value has no citation", hint);
            }
            compiled.extend(self.compiled("evidence", source).map(Arc::new));
        }
        compiled
    }

    fn remedy(&mut self, document: &RuleDocument) -> Option<RemedyTemplates> {
        let remedy = document.remedy.as_ref()?;
        let text = self.template("remedy", &remedy.text)?;
        let commands = remedy.commands.iter().filter_map(|command| self.template("commands", command)).collect();
        let caveats = &remedy.caveats.0;
        let caveats = caveats
            .iter()
            .filter_map(|(provider, text)| Some((provider.value.clone(), self.template("caveats", text)?)))
            .collect();
        Some(RemedyTemplates { text, commands, caveats })
    }

    fn expression(&mut self, field: &'static str, source: &Located<String>) -> Option<Placed<Expression>> {
        self.check(source)?;
        self.compiled(field, source)
    }

    /// Checks the names of an expression; gives its type, or notes what is wrong.
    fn check(&mut self, source: &Located<String>) -> Option<Type> {
        match check::expression(&source.value, &self.names) {
            Ok(of) => Some(of),
            Err(refusals) => {
                self.refuse(source, refusals);
                None
            }
        }
    }

    /// Compiles an expression whose names have been checked.
    fn compiled(&mut self, field: &'static str, source: &Located<String>) -> Option<Placed<Expression>> {
        match Expression::compile(&source.value) {
            Ok(expression) => Some(self.placed(field, source, expression)),
            // The parser has refused it already where it is no expression.
            Err(_) => None,
        }
    }

    fn template(&mut self, field: &'static str, source: &Located<String>) -> Option<Placed<Template>> {
        if let Err(refusals) = check::template(&source.value, &self.names) {
            self.refuse(source, refusals);
            return None;
        }
        match Template::compile(&source.value) {
            Ok(template) => Some(self.placed(field, source, template)),
            Err(error) => {
                self.refuse(source, vec![check::syntax(&source.value, &error)]);
                None
            }
        }
    }

    fn placed<T>(&self, field: &'static str, source: &Located<String>, what: T) -> Placed<T> {
        Placed { what, field, line: self.file.line_of(source.span.start) }
    }

    fn refuse(&mut self, source: &Located<String>, refusals: Vec<Refusal>) {
        for refusal in refusals {
            let span = source.place_of(self.file, refusal.range);
            self.problems.push(Problem::new(self.file, span, refusal.message).hint(refusal.hint));
        }
    }
}

//! What is wrong with a rule file, shown with the file, the line and a caret under the very word.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A file that rules, cases or patterns are read from.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path, as messages name it.
    pub path: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file with this text.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    /// The line, from 1, of a byte offset.
    pub fn line_of(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    }
}

/// Something that is wrong with a rule file.
#[derive(Debug, Clone)]
pub struct Problem {
    file: SourceFile,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl Problem {
    /// A problem at this byte range of the file.
    pub fn new(file: &SourceFile, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem { file: file.clone(), span, message: message.into(), hint: None }
    }

    /// The same with a sentence that says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// The message, without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file's path and the line, from 1.
    pub fn place(&self) -> (&str, usize) {
        (&self.file.path, self.file.line_of(self.span.start))
    }

    /// The message, the line it is about, and a caret under the word, as plain text.
    pub fn render(&self) -> String {
        let text = &*self.file.text;
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let snippet = Snippet::source(text)
            .path(&*self.file.path)
            .annotation(AnnotationKind::Primary.span(start..end).label(self.hint.as_deref().unwrap_or_default()));
        let report = &[Level::ERROR.primary_title(self.message.as_str()).element(snippet)];
        Renderer::plain().render(report)
    }
}

/// The nearest character boundary at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

/// All that is wrong with a folder of rules; there is at least one.
#[derive(Debug, Clone)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem in the rules; correct it, then run `dossier rules check` again"),
            n => write!(f, "{n} problems in the rules; correct them, then run `dossier rules check` again"),
        }
    }
}

impl std::error::Error for Problems {}

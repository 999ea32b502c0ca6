//! Expressions and messages of rules: minijinja with an allow-list, chainable undefined values and bounded work.

pub mod check;
mod duration;
mod environment;
mod list;
mod network;
mod quantity;
mod text;
mod work;

use std::fmt;

use minijinja::Value;

pub use environment::{FILTERS, TESTS};

/// An expression that is compiled.
pub struct Expression {
    source: String,
    compiled: minijinja::Expression<'static, 'static>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl Expression {
    /// Compiles an expression; the error knows the byte range that is wrong.
    pub fn compile(source: &str) -> Result<Expression, minijinja::Error> {
        let compiled = environment::environment().compile_expression_owned(source.to_owned())?;
        Ok(Expression { source: source.to_owned(), compiled })
    }

    /// The expression as it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of the roots that the expression uses.
    pub fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = self.compiled.undeclared_variables(false).into_iter().collect();
        roots.sort();
        roots
    }

    /// Evaluates within the bounds on work.
    pub fn evaluate(&self, context: &Value) -> Result<Value, minijinja::Error> {
        self.compiled.eval(context.clone())
    }
}

/// A message: text with `{{ … }}` in it.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
}

impl Template {
    /// Checks the syntax; the error knows the byte range that is wrong. Messages are compiled when they are rendered,
    /// because findings are few.
    pub fn compile(source: &str) -> Result<Template, minijinja::Error> {
        environment::environment().template_from_named_str("message", source).map(drop)?;
        Ok(Template { source: source.to_owned() })
    }

    /// The text in one line: white space of any length becomes one blank.
    pub fn render_line(&self, context: &Value) -> Result<String, minijinja::Error> {
        let text = self.render(context)?;
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The text as it is written.
    pub fn render(&self, context: &Value) -> Result<String, minijinja::Error> {
        work::fresh(|| environment::environment().render_named_str("message", &self.source, context.clone()))
    }
}

/// Gives one evaluation of a rule for one subject its own bound on the work of filters.
pub fn bounded<T>(evaluate: impl FnOnce() -> T) -> T {
    work::fresh(evaluate)
}

/// What went wrong in an expression, in a sentence.
pub fn describe(error: &minijinja::Error) -> String {
    let mut sentence = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    if let (Some(source), Some(range)) = (error.template_source(), error.range())
        && let Some(part) = source.get(range)
    {
        sentence.push_str(&format!(" in `{part}`"));
    }
    sentence
}

//! The static check of expressions and messages: every name is one that facts have, every filter, test and function is
//! an allowed one, inner expressions and regular expressions are literals and are checked too.
//!
//! This is the one module that uses minijinja's parsed form.

mod definite;
mod names;
#[cfg(test)]
mod tests;

use std::ops::Range;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Stmt};
use minijinja::machinery::{parse, parse_expr};

use super::list::ELEMENT;
use super::{FILTERS, TESTS, describe, text};
use crate::rule::evidence_id;
use crate::rule::root::MESSAGES;
#[cfg(test)]
use crate::shape::{RecordShape, Shape};
pub use definite::Known;
pub use names::{Names, Type};

/// A name that is not one, or anything else that the static check refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The byte range of the source.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

/// Checks an expression; gives what is known of its value.
pub fn expression(source: &str, names: &Names) -> Result<Type, Vec<Refusal>> {
    let parsed = parse_expr(source).map_err(|error| vec![syntax(source, &error)])?;
    let mut checker = Checker { names: names.clone(), refusals: Vec::new(), source };
    let of = checker.expr(&parsed);
    if checker.refusals.is_empty() { Ok(of) } else { Err(checker.refusals) }
}

/// The paths that are there where an expression holds, for what is evaluated only then.
pub fn there_if(source: &str) -> Known {
    parse_expr(source).map(|parsed| definite::if_true(source, &parsed)).unwrap_or_default()
}

/// Whether an expression's value is there whatever the facts are.
pub fn is_definite(source: &str, names: &Names) -> bool {
    parse_expr(source).is_ok_and(|parsed| definite::may_be_absent(source, &parsed, &names.there).is_empty())
}

/// Checks a message.
pub fn template(source: &str, names: &Names) -> Result<(), Vec<Refusal>> {
    let parsed = parse(source, "message", Default::default()).map_err(|error| vec![syntax(source, &error)])?;
    let mut checker = Checker { names: names.clone(), refusals: Vec::new(), source };
    checker.statement(&parsed);
    if checker.refusals.is_empty() { Ok(()) } else { Err(checker.refusals) }
}

/// A syntax error as a refusal at its place.
pub fn syntax(source: &str, error: &minijinja::Error) -> Refusal {
    let range = error.range().filter(|range| range.end <= source.len()).unwrap_or(0..source.len());
    let message = error.detail().map_or_else(|| describe(error), str::to_owned);
    Refusal { range, message, hint: "here".to_owned() }
}

struct Checker<'s> {
    names: Names,
    refusals: Vec<Refusal>,
    source: &'s str,
}

impl Checker<'_> {
    fn refuse(&mut self, range: Range<usize>, message: String, hint: impl Into<String>) -> Type {
        self.refusals.push(Refusal { range, message, hint: hint.into() });
        Type::Any
    }

    fn expr(&mut self, expr: &Expr<'_>) -> Type {
        match expr {
            Expr::Var(var) => self.variable(var.id, range(expr)),
            Expr::Const(constant) => match constant.value.kind() {
                minijinja::value::ValueKind::Seq => Type::List(Box::new(Type::Any)),
                _ => Type::Scalar,
            },
            Expr::Slice(slice) => {
                for part in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.expr(part);
                }
                self.expr(&slice.expr)
            }
            Expr::UnaryOp(unary) => {
                self.expr(&unary.expr);
                Type::Scalar
            }
            Expr::BinOp(binary) => self.binary(binary),
            Expr::Compare(compare) => {
                self.expr(&compare.expr);
                let mut left = &compare.expr;
                for operand in &compare.ops {
                    self.expr(&operand.expr);
                    match operand.op {
                        CompareOpKind::Lt | CompareOpKind::Lte => self.must_be_there(left),
                        CompareOpKind::Gt | CompareOpKind::Gte => self.must_be_there(&operand.expr),
                        _ => {}
                    }
                    left = &operand.expr;
                }
                Type::Scalar
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.test_expr);
                let (if_true, if_false) = self.known_by(&choice.test_expr);
                let yes = self.knowing(if_true, |checker| checker.expr(&choice.true_expr));
                let Some(no) = &choice.false_expr else {
                    // Without it the value is undefined, which a message shows as "unknown".
                    return self.refuse(
                        range(expr),
                        "`if` without `else`".to_owned(),
                        "say what it is otherwise: else \"\"",
                    );
                };
                if self.knowing(if_false, |checker| checker.expr(no)) == yes { yes } else { Type::Any }
            }
            Expr::Filter(filter) => self.filter(filter, range(expr)),
            Expr::Test(test) => self.test(test, range(expr)),
            Expr::GetAttr(get) => {
                let of = self.expr(&get.expr);
                let end = range(expr).end;
                self.field(&of, get.name, end.saturating_sub(get.name.len())..end)
            }
            Expr::GetItem(get) => self.item(get),
            Expr::Call(call) => self.call(call, range(expr)),
            Expr::List(list) => {
                let of: Vec<Type> = list.items.iter().map(|item| self.expr(item)).collect();
                Type::List(Box::new(common(of)))
            }
            Expr::Tuple(tuple) => {
                let of: Vec<Type> = tuple.items.iter().map(|item| self.expr(item)).collect();
                Type::List(Box::new(common(of)))
            }
            Expr::Map(map) => {
                for part in map.keys.iter().chain(&map.values) {
                    self.expr(part);
                }
                Type::Map(Box::new(Type::Any))
            }
        }
    }

    fn variable(&mut self, name: &str, range: Range<usize>) -> Type {
        match self.names.get(name) {
            Some(of) => of.clone(),
            None => {
                let hint = format!("known here: {}", self.names.list());
                self.refuse(range, format!("unknown name `{name}`"), hint)
            }
        }
    }

    fn binary(&mut self, binary: &ast::BinOp<'_>) -> Type {
        let left = self.expr(&binary.left);
        let (if_true, if_false) = self.known_by(&binary.left);
        let known = match binary.op {
            BinOpKind::ScAnd => if_true,
            BinOpKind::ScOr => if_false,
            _ => Known::new(),
        };
        let right = self.knowing(known, |checker| checker.expr(&binary.right));
        match binary.op {
            BinOpKind::Lt | BinOpKind::Lte => self.must_be_there(&binary.left),
            BinOpKind::Gt | BinOpKind::Gte => self.must_be_there(&binary.right),
            _ => {}
        }
        match binary.op {
            BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Add if left == right => left,
            BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Add => Type::Any,
            _ => Type::Scalar,
        }
    }

    /// What is there where an expression holds, and where it does not.
    fn known_by(&self, expr: &Expr<'_>) -> (Known, Known) {
        (definite::if_true(self.source, expr), definite::if_false(self.source, expr))
    }

    /// Checks a part that is only evaluated where these paths are there.
    fn knowing<T>(&mut self, known: Known, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.names.there.clone();
        self.names.there.extend(known);
        let result = check(self);
        self.names.there = outer;
        result
    }

    /// The smaller side of a comparison has to be there, because what is absent counts as less than everything.
    fn must_be_there(&mut self, operand: &Expr<'_>) {
        if let Some(path) = definite::may_be_absent(self.source, operand, &self.names.there).into_iter().next() {
            let message = format!("the comparison would hold where `{path}` is absent");
            self.refuse(range(operand), message, format!("write `{path} is defined and …` before it"));
        }
    }

    fn field(&mut self, of: &Type, name: &str, range: Range<usize>) -> Type {
        match of {
            Type::Any => Type::Any,
            Type::Map(value) => (**value).clone(),
            Type::Table(keys, value) => {
                if keys.iter().any(|key| key == name) {
                    return (**value).clone();
                }
                self.refuse(range, format!("unknown name `{name}`"), "`dossier rules facts` lists them")
            }
            Type::Record(shape) => match shape.field(name) {
                Some(field) => Type::from(&field.shape),
                None => {
                    let fields: Vec<&str> = shape.fields.iter().map(|field| field.name).collect();
                    let hint = format!("{} has: {}", shape.name, fields.join(", "));
                    self.refuse(range, format!("a {} has no field `{name}`", shape.name), hint)
                }
            },
            Type::Scalar => self.refuse(range, format!("a plain value has no field `{name}`"), "not a fact"),
            Type::List(_) => {
                let hint = "use `any`, `where`, `map(attribute=…)`, `first` or an index";
                self.refuse(range, format!("a list has no field `{name}`"), hint)
            }
        }
    }

    fn item(&mut self, get: &ast::GetItem<'_>) -> Type {
        let of = self.expr(&get.expr);
        self.expr(&get.subscript_expr);
        if let Some((name, range)) = literal(&get.subscript_expr) {
            return self.field(&of, &name, range);
        }
        match of {
            Type::List(value) | Type::Map(value) | Type::Table(_, value) => *value,
            _ => Type::Any,
        }
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, range: Range<usize>) -> Type {
        let of = filter.expr.as_ref().map_or(Type::Any, |input| self.expr(input));
        if !FILTERS.iter().any(|(name, _)| *name == filter.name) {
            let known: Vec<&str> = FILTERS.iter().map(|(name, _)| *name).collect();
            return self.refuse(
                range,
                format!("unknown filter `{}`", filter.name),
                format!("filters: {}", known.join(", ")),
            );
        }
        if matches!(filter.name, "any" | "all" | "where" | "count") {
            return self.element_filter(filter, &of, range);
        }
        let fields = self.arguments(&filter.args, filter.name, &of);
        if filter.name == "captured" {
            match filter.args.as_slice() {
                [CallArg::Pos(id)] => self.pattern(id),
                _ => drop(self.refuse(range, "`captured` takes one pattern id".to_owned(), "in quotes")),
            }
            return Type::Map(Box::new(Type::Scalar));
        }
        let element = element(&of);
        match filter.name {
            "first" | "last" | "min" | "max" => element,
            "sort" | "unique" | "reverse" | "list" | "select" | "reject" | "selectattr" | "rejectattr" => {
                Type::List(Box::new(element))
            }
            "map" => Type::List(Box::new(fields.unwrap_or(Type::Any))),
            "split" => Type::List(Box::new(Type::Scalar)),
            "default" | "items" => Type::Any,
            _ => Type::Scalar,
        }
    }

    /// The arguments of a filter. Those that name a field of the elements are looked up in their shape; its type is
    /// given.
    fn arguments(&mut self, args: &[CallArg<'_>], filter: &str, of: &Type) -> Option<Type> {
        let mut found = None;
        for (index, argument) in args.iter().enumerate() {
            let (value, names_field) = match argument {
                CallArg::Pos(value) => (value, index == 0 && matches!(filter, "selectattr" | "rejectattr")),
                CallArg::Kwarg(name, value) => (value, *name == "attribute"),
                CallArg::PosSplat(value) | CallArg::KwargSplat(value) => (value, false),
            };
            self.expr(value);
            if names_field && let Some((path, range)) = literal(value) {
                let mut of = element(of);
                for name in path.split('.') {
                    of = self.field(&of, name, range.clone());
                }
                found = Some(of);
            }
        }
        found
    }

    fn element_filter(&mut self, filter: &ast::Filter<'_>, of: &Type, range: Range<usize>) -> Type {
        let kept = if filter.name == "where" { Type::List(Box::new(element(of))) } else { Type::Scalar };
        let argument = match filter.args.as_slice() {
            [] if filter.name == "count" => return kept,
            [CallArg::Pos(argument)] => argument,
            _ => {
                let hint = "one expression in quotes";
                return self.refuse(range, format!("`{}` takes one expression in quotes", filter.name), hint);
            }
        };
        let Some((inner, inner_range)) = literal(argument) else {
            let hint = "a literal, so that it can be checked now";
            return self.refuse(self::range(argument), format!("`{}` takes a literal in quotes", filter.name), hint);
        };
        let names = self.names.clone().with(ELEMENT, element(of));
        for refusal in expression(&inner, &names).err().into_iter().flatten() {
            // With escapes in the literal its text and the source differ; then the whole literal is named.
            let verbatim = self.source.get(inner_range.clone()) == Some(inner.as_str());
            let range = match verbatim {
                true => inner_range.start + refusal.range.start..inner_range.start + refusal.range.end,
                false => inner_range.clone(),
            };
            self.refusals.push(Refusal { range, ..refusal });
        }
        kept
    }

    fn test(&mut self, test: &ast::Test<'_>, range: Range<usize>) -> Type {
        self.expr(&test.expr);
        for argument in &test.args {
            let (CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value)) = argument;
            self.expr(value);
            if test.name == "saying" {
                self.pattern(value);
            }
            if test.name != "matching" {
                continue;
            }
            match literal(value) {
                Some((pattern, range)) => {
                    if let Err(reason) = text::regex(&pattern) {
                        self.refuse(range, "not a regular expression".to_owned(), reason);
                    }
                }
                None => {
                    let hint = "a literal, so that it can be checked now";
                    self.refuse(self::range(value), "`matching` takes a literal in quotes".to_owned(), hint);
                }
            }
        }
        if !TESTS.iter().any(|(name, _)| *name == test.name) {
            let known: Vec<&str> = TESTS.iter().map(|(name, _)| *name).collect();
            self.refuse(range, format!("unknown test `{}`", test.name), format!("tests: {}", known.join(", ")));
        }
        Type::Scalar
    }

    /// The id of a message pattern, which must be one of those that `messages` has.
    fn pattern(&mut self, id: &Expr<'_>) {
        match (literal(id), self.names.get(MESSAGES).cloned()) {
            (Some((id, range)), Some(messages)) => drop(self.field(&messages, &id, range)),
            _ => {
                drop(self.refuse(self::range(id), "not the id of a message pattern".to_owned(), "a literal in quotes"))
            }
        }
    }

    /// The only function is `known("evidence.id")`.
    fn call(&mut self, call: &ast::Call<'_>, range: Range<usize>) -> Type {
        let Expr::Var(function) = &call.expr else {
            return self.refuse(range, "values have no methods".to_owned(), "use a filter");
        };
        if function.id != "known" {
            return self.refuse(range, format!("unknown function `{}`", function.id), "the only function is `known`");
        }
        let argument = match call.args.as_slice() {
            [CallArg::Pos(argument)] => literal(argument),
            _ => None,
        };
        match argument {
            Some((id, _)) if evidence_id::is_known(&id) => Type::Scalar,
            Some((id, place)) => self.refuse(place, format!("unknown evidence id `{id}`"), "see `dossier rules facts`"),
            None => self.refuse(range, "`known` takes one evidence id in quotes".to_owned(), "known(\"node.cri\")"),
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => {
                self.expr(&emit.expr);
            }
            Stmt::IfCond(choice) => {
                self.expr(&choice.expr);
                let (if_true, if_false) = self.known_by(&choice.expr);
                self.knowing(if_true, |checker| checker.scoped(&choice.true_body));
                self.knowing(if_false, |checker| checker.scoped(&choice.false_body));
            }
            Stmt::ForLoop(each) => {
                let of = self.expr(&each.iter);
                let outer = self.names.clone();
                self.bind(&each.target, element(&of));
                self.names = std::mem::take(&mut self.names).with("loop", Type::Any);
                if let Some(filter) = &each.filter_expr {
                    self.expr(filter);
                }
                self.body(&each.body);
                self.names = outer;
                self.scoped(&each.else_body);
            }
            Stmt::Set(set) => {
                let of = self.expr(&set.expr);
                self.bind(&set.target, of);
            }
            other => {
                let message = "messages have `{{ }}`, `{% if %}`, `{% for %}` and `{% set %}` only".to_owned();
                self.refuse(statement_range(other), message, "not allowed in a message");
            }
        }
    }

    fn body(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn scoped(&mut self, statements: &[Stmt<'_>]) {
        let outer = self.names.clone();
        self.body(statements);
        self.names = outer;
    }

    /// Binds the name of a loop or `set`; of several names nothing is known.
    fn bind(&mut self, target: &Expr<'_>, of: Type) {
        let names = std::mem::take(&mut self.names);
        self.names = match target {
            Expr::Var(var) => names.with(var.id, of),
            Expr::List(list) => bind_all(names, &list.items),
            Expr::Tuple(tuple) => bind_all(names, &tuple.items),
            _ => names,
        };
    }
}

fn bind_all(names: Names, items: &[Expr<'_>]) -> Names {
    items.iter().fold(names, |names, item| match item {
        Expr::Var(var) => names.with(var.id, Type::Any),
        _ => names,
    })
}

fn element(of: &Type) -> Type {
    match of {
        Type::List(element) => (**element).clone(),
        // A map is iterated by its names.
        Type::Map(_) | Type::Table(..) => Type::Scalar,
        _ => Type::Any,
    }
}

/// The type that all of a list's elements have.
fn common(of: Vec<Type>) -> Type {
    let mut types = of.into_iter();
    let first = types.next().unwrap_or(Type::Any);
    if types.all(|other| other == first) { first } else { Type::Any }
}

/// A string literal's text and the range between its quotes.
fn literal(expr: &Expr<'_>) -> Option<(String, Range<usize>)> {
    let Expr::Const(constant) = expr else { return None };
    let text = constant.value.as_str()?.to_owned();
    let range = range(expr);
    Some((text, range.start + 1..range.end.saturating_sub(1).max(range.start + 1)))
}

fn range(expr: &Expr<'_>) -> Range<usize> {
    let span = expr.span();
    span.start_offset as usize..span.end_offset as usize
}

fn statement_range(statement: &Stmt<'_>) -> Range<usize> {
    let span = match statement {
        Stmt::WithBlock(node) => node.span(),
        Stmt::SetBlock(node) => node.span(),
        Stmt::AutoEscape(node) => node.span(),
        Stmt::FilterBlock(node) => node.span(),
        Stmt::Block(node) => node.span(),
        Stmt::Import(node) => node.span(),
        Stmt::FromImport(node) => node.span(),
        Stmt::Extends(node) => node.span(),
        Stmt::Include(node) => node.span(),
        Stmt::Macro(node) => node.span(),
        Stmt::CallBlock(node) => node.span(),
        Stmt::Do(node) => node.span(),
        _ => return 0..0,
    };
    span.start_offset as usize..span.end_offset as usize
}

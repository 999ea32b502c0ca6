//! Which values are certainly there. An absent value is less than every number to minijinja, so that `x < 14` would hold
//! where nothing is known of x. Such a comparison is refused unless something before it says that x is there.

use std::collections::BTreeSet;

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};

use super::range;

/// The texts of paths (`node.name`, `table.max`) that are known to be there.
pub type Known = BTreeSet<String>;

/// Filters whose result is there whatever they are given.
const ALWAYS: &[&str] = &["count", "length", "any", "all", "sum", "string"];

/// The paths of an operand that may be absent, and would make the operand absent.
pub fn may_be_absent(source: &str, expr: &Expr<'_>, known: &Known) -> Vec<String> {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => {
            let path = text(source, expr);
            if known.contains(&path) { Vec::new() } else { vec![path] }
        }
        Expr::Filter(filter) if ALWAYS.contains(&filter.name) => Vec::new(),
        Expr::Filter(filter) => {
            let default = match filter.args.first() {
                Some(CallArg::Pos(default)) if filter.name == "default" => Some(default),
                _ => None,
            };
            match default.or(filter.expr.as_ref()) {
                Some(of) => may_be_absent(source, of, known),
                None => Vec::new(),
            }
        }
        Expr::IfExpr(choice) => {
            let mut when_true = known.clone();
            when_true.extend(if_true(source, &choice.test_expr));
            let mut when_false = known.clone();
            when_false.extend(if_false(source, &choice.test_expr));
            let mut absent = may_be_absent(source, &choice.true_expr, &when_true);
            match &choice.false_expr {
                Some(other) => absent.extend(may_be_absent(source, other, &when_false)),
                None => absent.push(text(source, expr)),
            }
            absent
        }
        // Arithmetic and calls fail on what is absent, comparisons and tests give a truth value.
        _ => Vec::new(),
    }
}

/// The paths that are there where the expression holds.
pub fn if_true(source: &str, expr: &Expr<'_>) -> Known {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => Known::from([text(source, expr)]),
        Expr::UnaryOp(not) if matches!(not.op, UnaryOpKind::Not) => if_false(source, &not.expr),
        Expr::BinOp(binary) => match binary.op {
            BinOpKind::ScAnd => {
                let mut known = if_true(source, &binary.left);
                known.extend(if_true(source, &binary.right));
                known
            }
            BinOpKind::ScOr => &if_true(source, &binary.left) & &if_true(source, &binary.right),
            // Nothing absent is greater than anything.
            BinOpKind::Gt | BinOpKind::Gte => path(source, &binary.left),
            BinOpKind::Lt | BinOpKind::Lte => path(source, &binary.right),
            BinOpKind::Eq => equal(source, &binary.left, &binary.right),
            BinOpKind::In => path(source, &binary.left),
            _ => Known::new(),
        },
        Expr::Compare(compare) => match compare.ops.as_slice() {
            [only] => match only.op {
                CompareOpKind::Gt | CompareOpKind::Gte | CompareOpKind::In => path(source, &compare.expr),
                CompareOpKind::Lt | CompareOpKind::Lte => path(source, &only.expr),
                CompareOpKind::Eq => equal(source, &compare.expr, &only.expr),
                _ => Known::new(),
            },
            _ => Known::new(),
        },
        Expr::Test(test) if matches!(test.name, "undefined" | "none" | "false" | "ne") => Known::new(),
        Expr::Test(test) => path(source, &test.expr),
        _ => Known::new(),
    }
}

/// The paths that are there where the expression does not hold.
pub fn if_false(source: &str, expr: &Expr<'_>) -> Known {
    match expr {
        Expr::UnaryOp(not) if matches!(not.op, UnaryOpKind::Not) => if_true(source, &not.expr),
        Expr::BinOp(binary) if matches!(binary.op, BinOpKind::ScOr) => {
            let mut known = if_false(source, &binary.left);
            known.extend(if_false(source, &binary.right));
            known
        }
        Expr::BinOp(binary) if matches!(binary.op, BinOpKind::ScAnd) => {
            &if_false(source, &binary.left) & &if_false(source, &binary.right)
        }
        Expr::Test(test) if test.name == "undefined" => path(source, &test.expr),
        _ => Known::new(),
    }
}

/// What equals a literal is there.
fn equal(source: &str, left: &Expr<'_>, right: &Expr<'_>) -> Known {
    let literal = |expr: &Expr<'_>| matches!(expr, Expr::Const(constant) if !constant.value.is_none());
    match (literal(left), literal(right)) {
        (_, true) => path(source, left),
        (true, _) => path(source, right),
        _ => Known::new(),
    }
}

/// The path that an operand is, or that a filter is applied to.
fn path(source: &str, expr: &Expr<'_>) -> Known {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => Known::from([text(source, expr)]),
        Expr::Filter(filter) if !ALWAYS.contains(&filter.name) && filter.name != "default" => {
            filter.expr.as_ref().map(|of| path(source, of)).unwrap_or_default()
        }
        _ => Known::new(),
    }
}

/// A path, written the same however it stands in the source; anything else as it stands there.
fn text(source: &str, expr: &Expr<'_>) -> String {
    match expr {
        Expr::Var(var) => var.id.to_owned(),
        Expr::GetAttr(get) => format!("{}.{}", text(source, &get.expr), get.name),
        Expr::GetItem(get) => match &get.subscript_expr {
            Expr::Const(key) => format!("{}[{:?}]", text(source, &get.expr), key.value),
            other => format!("{}[{}]", text(source, &get.expr), text(source, other)),
        },
        _ => source.get(range(expr)).unwrap_or_default().to_owned(),
    }
}

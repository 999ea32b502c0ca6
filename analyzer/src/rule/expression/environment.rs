//! The one environment that all expressions run in: an empty one, plus what is allowed.

use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, filters, tests};

use super::{duration, list, network, quantity, text};

/// Instructions of one evaluation. A rule's expression has a few dozen; a message with a loop some thousands.
const FUEL: u64 = 200_000;
/// Characters that one value may add to a message.
const SHOWN: usize = 600;
/// Elements of a list that a message shows.
const SHOWN_ELEMENTS: usize = 12;

/// The filters that expressions may use, with what they do.
pub const FILTERS: &[(&str, &str)] = &[
    ("abs", "the number without its sign"),
    ("age", "seconds from a timestamp to the time of collection"),
    ("all", "whether the expression holds for every element: `pods | all(\"it.ready\")`"),
    ("any", "whether the expression holds for an element: `pods | any(\"it.phase == 'Pending'\")`"),
    ("captured", "the named parts that a message pattern finds: `event.message | captured(\"kubelet-dial-timeout\")`"),
    ("count", "how many elements there are, or for how many the expression holds"),
    ("default", "another value where there is none"),
    ("float", "the number in a string"),
    ("first", "the first element"),
    ("int", "the whole number in a string"),
    ("items", "pairs of name and value of a map"),
    ("join", "the elements in one string"),
    ("last", "the last element"),
    ("length", "how many elements there are"),
    ("list", "the elements as a list"),
    ("lower", "in lower case"),
    ("map", "a field of every element: `pods | map(attribute=\"name\")`"),
    ("max", "the largest element"),
    ("min", "the smallest element"),
    ("quantity", "the number that a Kubernetes quantity means: `500m` is 0.5, `1Gi` 1073741824"),
    ("reject", "the elements for which a test fails"),
    ("rejectattr", "the elements for whose field a test fails"),
    ("reverse", "the elements in reverse order"),
    ("round", "the number, rounded"),
    ("seconds", "the seconds that a duration means: `5m`, `1h30m`, `250ms`"),
    ("select", "the elements for which a test holds"),
    ("selectattr", "the elements for whose field a test holds"),
    ("sort", "the elements in order"),
    ("split", "the parts of a string"),
    ("string", "as a string"),
    ("sum", "the sum of the elements"),
    ("trim", "without white space at both ends"),
    ("unique", "every element once"),
    ("until", "seconds from the time of collection to a timestamp; negative where it is past"),
    ("upper", "in upper case"),
    ("where", "the elements for which the expression holds: `pods | where(\"it.restarts > 5\")`"),
    ("words", "a number of seconds in words: `3m`, `2d`"),
];

/// The tests that expressions may use, with what they hold for.
pub const TESTS: &[(&str, &str)] = &[
    ("containing", "a string that contains the other"),
    ("defined", "a value that is there"),
    ("endingwith", "a string that ends with the other"),
    ("eq", "an equal value"),
    ("false", "false"),
    ("ge", "at least the other"),
    ("gt", "greater than the other"),
    ("in", "an element of the other"),
    ("in_cidr", "an address within a CIDR, or within one of a list: `pod.ip is in_cidr(cluster.pod_cidrs)`"),
    ("integer", "a whole number"),
    ("ip", "an IP address"),
    ("le", "at most the other"),
    ("lt", "less than the other"),
    ("mapping", "a map"),
    ("matching", "a string in which the regular expression is found"),
    ("ne", "an unequal value"),
    ("none", "a value that is null"),
    ("number", "a number"),
    ("overlapping", "a CIDR that shares addresses with the other, or with one of a list"),
    ("saying", "a text in which the message pattern is found: `event.message is saying(\"sandbox-changed\")`"),
    ("sequence", "a list"),
    ("startingwith", "a string that starts with the other"),
    ("string", "a string"),
    ("true", "true"),
    ("undefined", "a value that is not there"),
];

/// The environment. It never changes, so that compiled expressions can live as long as the program.
pub fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(build);
    &ENVIRONMENT
}

fn build() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_formatter(show);
    add_filters(&mut env);
    add_tests(&mut env);
    env
}

fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("abs", filters::abs);
    env.add_filter("age", duration::age);
    env.add_filter("all", list::all);
    env.add_filter("any", list::any);
    env.add_filter("captured", text::captured);
    env.add_filter("count", list::count);
    env.add_filter("default", filters::default);
    env.add_filter("float", filters::float);
    env.add_filter("first", filters::first);
    env.add_filter("int", filters::int);
    env.add_filter("items", filters::items);
    env.add_filter("join", filters::join);
    env.add_filter("last", filters::last);
    env.add_filter("length", list::length);
    env.add_filter("list", filters::list);
    env.add_filter("lower", filters::lower);
    env.add_filter("map", filters::map);
    env.add_filter("max", filters::max);
    env.add_filter("min", filters::min);
    env.add_filter("quantity", quantity::quantity);
    env.add_filter("reject", filters::reject);
    env.add_filter("rejectattr", filters::rejectattr);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("seconds", duration::seconds);
    env.add_filter("select", filters::select);
    env.add_filter("selectattr", filters::selectattr);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("string", filters::string);
    env.add_filter("sum", filters::sum);
    env.add_filter("trim", filters::trim);
    env.add_filter("unique", filters::unique);
    env.add_filter("until", duration::until);
    env.add_filter("upper", filters::upper);
    env.add_filter("where", list::where_);
    env.add_filter("words", duration::words);
}

fn add_tests(env: &mut Environment<'static>) {
    env.add_test("containing", text::is_containing);
    env.add_test("defined", tests::is_defined);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("eq", tests::is_eq);
    env.add_test("false", tests::is_false);
    env.add_test("ge", tests::is_ge);
    env.add_test("gt", tests::is_gt);
    env.add_test("in", tests::is_in);
    env.add_test("in_cidr", network::is_in_cidr);
    env.add_test("integer", tests::is_integer);
    env.add_test("ip", network::is_ip);
    env.add_test("le", tests::is_le);
    env.add_test("lt", tests::is_lt);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("matching", text::is_matching);
    env.add_test("ne", tests::is_ne);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("overlapping", network::is_overlapping);
    env.add_test("saying", text::is_saying);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
    env.add_test("true", tests::is_true);
    env.add_test("undefined", tests::is_undefined);
}

/// How values look in messages: nothing known is `unknown`, lists are enumerated, long texts are cut.
fn show(out: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    let shown = shown(value)?;
    out.write_str(&shown).map_err(|_| Error::new(ErrorKind::WriteFailure, "the message cannot be written"))
}

fn shown(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok("unknown".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Seq | ValueKind::Iterable => enumerated(value),
        _ => Ok(cut(value.to_string())),
    }
}

fn enumerated(value: &Value) -> Result<String, Error> {
    let mut parts = Vec::new();
    let mut more = 0_usize;
    for element in value.try_iter()? {
        if parts.len() < SHOWN_ELEMENTS {
            parts.push(cut(element.to_string()));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    Ok(parts.join(", "))
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_tables_name_what_the_environment_has() {
        let env = environment();
        let state = &mut env.empty_state();
        for (name, _) in FILTERS {
            // An unknown filter is an error of that kind; a known one complains of its arguments at most.
            let known = match state.apply_filter(name, &[]) {
                Ok(_) => true,
                Err(error) => error.kind() != ErrorKind::UnknownFilter,
            };
            assert!(known, "{name} is in the table and not in the environment");
        }
        for (name, _) in TESTS {
            let known = match state.perform_test(name, &[]) {
                Ok(_) => true,
                Err(error) => error.kind() != ErrorKind::UnknownTest,
            };
            assert!(known, "{name} is in the table and not in the environment");
        }
    }
}

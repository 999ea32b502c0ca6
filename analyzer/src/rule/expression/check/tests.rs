//! What the static check accepts and refuses.

use std::sync::Arc;

use super::*;
use crate::shape::Field;

static CONDITION: RecordShape = RecordShape {
    name: "condition",
    doc: "A condition.",
    fields: &[
        Field { name: "type", shape: Shape::Scalar, doc: "Its type." },
        Field { name: "status", shape: Shape::Scalar, doc: "True, False or Unknown." },
    ],
};
static NODE: RecordShape = RecordShape {
    name: "node",
    doc: "A node.",
    fields: &[
        Field { name: "name", shape: Shape::Scalar, doc: "Its name." },
        Field { name: "conditions", shape: Shape::List(&Shape::Record(&CONDITION)), doc: "Its conditions." },
        Field { name: "sysctl", shape: Shape::Map(&Shape::Scalar), doc: "Values by key." },
    ],
};

fn names() -> Names {
    Names::default()
        .with("node", Type::Record(&NODE))
        .with("messages", Type::Table(Arc::from(["oom".to_owned()]), Box::new(Type::Scalar)))
}

fn accepted(source: &str) -> Type {
    expression(source, &names()).unwrap_or_else(|refusals| panic!("{source}: {refusals:?}"))
}

/// What is refused first: its text in the source, and the message.
fn refused(source: &str) -> (String, String) {
    let refusals = expression(source, &names()).expect_err(source);
    let first = refusals.into_iter().next().unwrap();
    (source[first.range].to_owned(), first.message)
}

#[test]
fn types_are_followed_through_filters() {
    assert_eq!(accepted("node.conditions | where(\"it.type == 'Ready'\") | first"), Type::Record(&CONDITION));
    assert_eq!(accepted("node.conditions | map(attribute='status')"), Type::List(Box::new(Type::Scalar)));
    assert_eq!(accepted("node.sysctl['net.ipv4.ip_forward'] == '0' and known('node.cri')"), Type::Scalar);
    accepted("node.conditions | selectattr('type', 'eq', 'Ready') | count > 0");
    accepted("messages['oom'] or node.name is matching('^a+$')");
}

#[test]
fn unknown_names_are_refused_at_their_place() {
    assert_eq!(refused("nod.name").0, "nod");
    assert_eq!(refused("node.name == node.nam").0, "nam");
    assert_eq!(refused("node.conditions | any(\"it.typ == 'Ready'\")").0, "typ");
    assert_eq!(refused("node.conditions | map(attribute='state')").0, "state");
    assert_eq!(refused("node.conditions.type").0, "type");
    assert_eq!(refused("(node.conditions | first).typ").0, "typ");
    assert_eq!(refused("messages['om']").0, "om");
    assert_eq!(refused("node.name | nope").1, "unknown filter `nope`");
    assert_eq!(refused("node.name is nope").1, "unknown test `nope`");
    assert_eq!(refused("known('node.iptable')").0, "node.iptable");
    assert_eq!(refused("range(10)").1, "unknown function `range`");
    assert_eq!(refused("node.name.upper()").1, "values have no methods");
    assert_eq!(refused("node.name is matching('(')").0, "(");
    assert_eq!(refused("node.conditions | any(node.name)").0, "node.name");
    assert_eq!(refused("node.name and and").0, "and");
    assert_eq!(refused("'s' if node.name").1, "`if` without `else`");
}

#[test]
fn what_may_be_absent_is_not_compared_as_less() {
    for good in [
        "node.name > 5",
        "5 < node.name",
        "node.conditions | count < 5",
        "node.name is defined and node.name < 5",
        "node.name is undefined or node.name < 5",
        "not (node.name is undefined) and node.name < 5",
        "node.name and node.name < 5",
        "node.name > 0 and node.name < 5",
        "node.name - 1 < 5",
        "node.name | default(0) < 5",
        "(node.name < 5) if node.name is defined else false",
        "node.conditions | any('it.status is defined and it.status < 5')",
    ] {
        accepted(good);
    }
    for bad in [
        "node.name < 5",
        "5 >= node.name",
        "node.name is defined or node.name < 5",
        "node.name is undefined and node.name < 5",
        "(node.name | age) < 5",
        "(node.conditions | first).status <= 5",
        "node.conditions | any('it.status < 5')",
    ] {
        assert!(refused(bad).1.starts_with("the comparison would hold where"), "{bad}");
    }
}

#[test]
fn messages_have_loops_and_choices_only() {
    let check = |source: &str| template(source, &names());
    assert!(check("{{ node.name }}: {% for c in node.conditions %}{{ c.type }}{% endfor %}").is_ok());
    assert!(check("{% set n = node %}{% if n.name %}{{ n.name }}{% endif %}").is_ok());
    assert!(check("{% for c in node.conditions %}{{ c.typ }}{% endfor %}").is_err());
    assert!(check("{% for c in node.conditions %}{% endfor %}{{ c.type }}").is_err());
    assert!(check("{% include 'x' %}").is_err());
    assert!(check("{% macro m() %}{% endmacro %}").is_err());
    assert!(check("{{ node.nam }}").is_err());
}

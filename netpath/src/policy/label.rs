//! Labels, and the selectors of `metav1.LabelSelector`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::held::Held;

/// Labels of an object.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// The label that every namespace has since Kubernetes 1.22: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A `LabelSelector`; one without requirements selects everything. A selector that is absent is `None` where it is
/// kept, because absent and empty mean different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Result<Vec<Requirement>, String>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: Arc<str>,
    operator: Operator,
    values: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads a selector. What cannot be read (an operator that does not exist, a value that is no text) is kept as such:
    /// it selects perhaps.
    pub fn parse(value: &Value) -> Self {
        Self(requirements(value))
    }

    /// Why it could not be read.
    pub fn defect(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }

    /// Whether it selects an object with these labels; `None` where the evidence does not hold them. `whose` names the
    /// object in the unknown.
    pub(super) fn selects(&self, labels: Option<&Labels>, whose: &str) -> Held {
        match (&self.0, labels) {
            (Err(defect), _) => Held::perhaps(format!("selector {defect}"), format!("what a selector means: {defect}")),
            (Ok(requirements), Some(labels)) => {
                requirements.iter().all(|requirement| requirement.met_by(labels)).into()
            }
            (Ok(requirements), None) if requirements.is_empty() => Held::Yes,
            (Ok(_), None) => Held::perhaps(format!("labels of {whose}"), format!("the labels of {whose}")),
        }
    }

    /// The same for a namespace: its name is known even where its labels are not.
    pub(super) fn selects_namespace(&self, name: &str, labels: Option<&Labels>) -> Held {
        let whose = format!("namespace {name}");
        match (&self.0, labels) {
            (Ok(requirements), None) => {
                let named = Labels::from([(NAMESPACE_NAME.into(), name.into())]);
                let (about_name, others): (Vec<_>, Vec<_>) =
                    requirements.iter().partition(|requirement| &*requirement.key == NAMESPACE_NAME);
                if !about_name.iter().all(|requirement| requirement.met_by(&named)) {
                    return Held::No;
                }
                if others.is_empty() { Held::Yes } else { self.selects(None, &whose) }
            }
            _ => self.selects(labels, &whose),
        }
    }
}

impl Requirement {
    /// `NotIn` and `DoesNotExist` hold for objects that lack the key.
    fn met_by(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

fn requirements(value: &Value) -> Result<Vec<Requirement>, String> {
    let fields = value.as_object().ok_or_else(|| format!("{value} is no label selector"))?;
    let mut requirements = Vec::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("matchLabels", Value::Object(labels)) => {
                for (key, value) in labels {
                    let value = value.as_str().ok_or_else(|| format!("the label {key} is compared with {value}"))?;
                    let (key, values) = (key.as_str().into(), vec![value.into()]);
                    requirements.push(Requirement { key, operator: Operator::In, values });
                }
            }
            ("matchExpressions", Value::Array(expressions)) => {
                for expression in expressions {
                    requirements.push(expression_of(expression)?);
                }
            }
            _ => return Err(format!("{name} in a label selector")),
        }
    }
    Ok(requirements)
}

fn expression_of(value: &Value) -> Result<Requirement, String> {
    let unreadable = || format!("the match expression {value}");
    let key = value.get("key").and_then(Value::as_str).ok_or_else(unreadable)?;
    let operator = match value.get("operator").and_then(Value::as_str) {
        Some("In") => Operator::In,
        Some("NotIn") => Operator::NotIn,
        Some("Exists") => Operator::Exists,
        Some("DoesNotExist") => Operator::DoesNotExist,
        _ => return Err(unreadable()),
    };
    let values: Vec<Arc<str>> = match value.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => {
            let texts = values.iter().map(|value| value.as_str().map(Arc::from));
            texts.collect::<Option<_>>().ok_or_else(unreadable)?
        }
        Some(_) => return Err(unreadable()),
    };
    let takes_values = matches!(operator, Operator::In | Operator::NotIn);
    if takes_values == values.is_empty() {
        return Err(unreadable());
    }
    Ok(Requirement { key: key.into(), operator, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn selects(selector: Value, pairs: &[(&str, &str)]) -> Held {
        Selector::parse(&selector).selects(Some(&labels(pairs)), "it")
    }

    #[test]
    fn negative_operators_hold_for_objects_without_the_key() {
        let not_in = json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]});
        assert_eq!(selects(not_in.clone(), &[]), Held::Yes);
        assert_eq!(selects(not_in, &[("tier", "db")]), Held::No);
        let absent = json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]});
        assert_eq!(selects(absent.clone(), &[]), Held::Yes);
        assert_eq!(selects(absent, &[("tier", "")]), Held::No);
    }

    #[test]
    fn labels_and_expressions_hold_together_and_empty_selects_all() {
        let both = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "v", "operator": "Exists"}]});
        assert_eq!(selects(both.clone(), &[("app", "web")]), Held::No);
        assert_eq!(selects(both, &[("app", "web"), ("v", "1")]), Held::Yes);
        assert_eq!(selects(json!({}), &[]), Held::Yes);
        assert_eq!(selects(json!({"matchLabels": null, "matchExpressions": null}), &[]), Held::Yes);
    }

    #[test]
    fn what_cannot_be_read_selects_perhaps() {
        let odd = [
            json!([]),
            json!({"matchLabels": {"a": 1}}),
            json!({"matchLabels": []}),
            json!({"matchCel": "x"}),
            json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]}),
            json!({"matchExpressions": [7]}),
        ];
        for selector in odd {
            assert!(matches!(selects(selector.clone(), &[]), Held::Perhaps(_)), "{selector}");
            assert!(Selector::parse(&selector).defect().is_some());
        }
    }

    #[test]
    fn a_namespaces_name_is_known_without_its_labels() {
        let by_name = Selector::parse(&json!({"matchLabels": {"kubernetes.io/metadata.name": "dns"}}));
        assert_eq!(by_name.selects_namespace("dns", None), Held::Yes);
        assert_eq!(by_name.selects_namespace("shop", None), Held::No);
        let by_team = Selector::parse(&json!({"matchLabels": {"team": "a"}}));
        assert!(matches!(by_team.selects_namespace("dns", None), Held::Perhaps(_)));
    }
}

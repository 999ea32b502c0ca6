//! What an expression sees of one subject: the subject, the cluster, and the rule's own names, each evaluated once.

use std::sync::{Arc, OnceLock};

use bundle::Scope;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::availability::Availability;
use super::root::{CLUSTER, COLLECTED, KNOWN, MESSAGES, PATTERNS};
use super::{Rule, root};
use crate::finding::{Subject, SubjectKind};
use crate::pattern::message::{MessageIndex, Whose};

/// A subject, ready for rules to look at.
#[derive(Debug)]
pub struct SubjectContext {
    /// What reports call it.
    pub subject: Subject,
    /// Whose evidence is its evidence.
    pub scope: Scope,
    /// The variable of its kind.
    pub value: Value,
    /// What all subjects share.
    pub shared: Arc<Shared>,
}

/// What all subjects of a bundle share.
#[derive(Debug)]
pub struct Shared {
    /// The root `cluster`.
    pub cluster: Value,
    /// The time of collection.
    pub collected: Value,
    /// What message patterns found.
    pub messages: Arc<MessageIndex>,
    /// The message patterns, as a value.
    pub patterns: Value,
    /// Which evidence is there.
    pub availability: Availability,
}

impl SubjectContext {
    /// What the rule's expressions see.
    pub fn for_rule(self: &Arc<Self>, rule: &Arc<Rule>) -> Value {
        let values = rule.lets.iter().map(|_| OnceLock::new()).collect();
        Value::from_object(RuleContext { subject: self.clone(), rule: rule.clone(), values })
    }

    /// Whose logs the subject's are.
    fn whose_logs(&self) -> Whose {
        match (self.subject.kind, &self.scope) {
            (SubjectKind::Log, _) => Whose::Log(self.subject.name.clone()),
            (_, Scope::Cluster) => Whose::All,
            (_, scope) => Whose::Of(scope.clone()),
        }
    }
}

struct RuleContext {
    subject: Arc<SubjectContext>,
    rule: Arc<Rule>,
    /// The values of the rule's own names, in order.
    values: Box<[OnceLock<Value>]>,
}

impl std::fmt::Debug for RuleContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.rule.id, self.subject.subject)
    }
}

impl Object for RuleContext {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if name == root::variable(self.rule.range) {
            return Some(self.subject.value.clone());
        }
        match name {
            CLUSTER => Some(self.subject.shared.cluster.clone()),
            COLLECTED => Some(self.subject.shared.collected.clone()),
            MESSAGES => Some(self.subject.shared.messages.value(self.subject.whose_logs())),
            PATTERNS => Some(self.subject.shared.patterns.clone()),
            KNOWN => Some(Value::from_object(Known(self.subject.clone()))),
            _ => self.own(name),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl RuleContext {
    /// One of the rule's own names. It sees only names before it, which is checked when the rule is loaded, so that it
    /// never asks for itself.
    fn own(self: &Arc<Self>, name: &str) -> Option<Value> {
        let index = self.rule.lets.iter().position(|(own, _)| own == name)?;
        let (_, expression) = self.rule.lets.get(index)?;
        let value = self.values.get(index)?.get_or_init(|| {
            let context = Value::from_dyn_object(DynObject::new(self.clone()));
            // An error as a value fails the expression that uses it.
            expression.what.evaluate(&context).unwrap_or_else(Value::from)
        });
        Some(value.clone())
    }
}

/// The function `known("evidence.id")`.
#[derive(Debug)]
struct Known(Arc<SubjectContext>);

impl Object for Known {
    fn call(self: &Arc<Self>, _: &mut State, args: &[Value]) -> Result<Value, Error> {
        let [id] = args else {
            return Err(Error::new(ErrorKind::MissingArgument, "known takes one evidence id"));
        };
        let id = id.as_str().unwrap_or_default();
        Ok(Value::from(self.0.shared.availability.ask(id, &self.0).is_ok()))
    }
}

/// Whether subjects of this kind stand for a whole cluster, so that their evidence is that of many.
pub fn is_collective(kind: SubjectKind) -> bool {
    !matches!(kind, SubjectKind::Node | SubjectKind::Pod | SubjectKind::Log | SubjectKind::Certificate)
}

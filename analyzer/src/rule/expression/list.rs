//! Filters that look at every element of a list with an expression of their own. In it, `it` is the element; every
//! other name means what it means outside.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::environment::environment;
use super::work;
use crate::rule::root::{COLLECTED, PATTERNS};

/// The name of the element in an inner expression.
pub const ELEMENT: &str = "it";

/// Whether the expression holds for at least one element.
pub fn any(state: &State, list: &Value, expression: &str) -> Result<bool, Error> {
    let test = ElementTest::new(state, expression)?;
    for element in elements(list)? {
        if test.holds(element)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the expression holds for every element; so it does for an empty list.
pub fn all(state: &State, list: &Value, expression: &str) -> Result<bool, Error> {
    let test = ElementTest::new(state, expression)?;
    for element in elements(list)? {
        if !test.holds(element)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The elements for which the expression holds.
pub fn where_(state: &State, list: &Value, expression: &str) -> Result<Value, Error> {
    let test = ElementTest::new(state, expression)?;
    let mut kept = Vec::new();
    for element in elements(list)? {
        if test.holds(element.clone())? {
            kept.push(element);
        }
    }
    Ok(Value::from(kept))
}

/// How many elements there are, or for how many the expression holds.
pub fn count(state: &State, list: &Value, expression: Option<&str>) -> Result<u64, Error> {
    let Some(expression) = expression else { return length(list) };
    let test = ElementTest::new(state, expression)?;
    let mut count = 0;
    for element in elements(list)? {
        count += u64::from(test.holds(element)?);
    }
    Ok(count)
}

/// How many elements, characters or names there are; none where there is no value.
pub fn length(list: &Value) -> Result<u64, Error> {
    if list.is_undefined() || list.is_none() {
        return Ok(0);
    }
    match list.len() {
        Some(length) => Ok(length as u64),
        None => Ok(elements(list)?.count() as u64),
    }
}

/// The elements of a list; none where there is no value, because absent lists are what the API sends for empty ones.
fn elements(list: &Value) -> Result<impl Iterator<Item = Value> + use<>, Error> {
    let iterator = if list.is_undefined() || list.is_none() { None } else { Some(list.try_iter()?) };
    Ok(iterator.into_iter().flatten())
}

/// An inner expression, compiled once for each thread. The cache cannot grow without bound: rules with anything but a
/// literal there are refused when they are loaded.
struct Inner {
    compiled: minijinja::Expression<'static, 'static>,
    /// The outer names that it uses.
    outer: Vec<String>,
}

thread_local! {
    static INNER: RefCell<HashMap<String, Rc<Inner>>> = RefCell::new(HashMap::new());
}

fn inner(expression: &str) -> Result<Rc<Inner>, Error> {
    if let Some(known) = INNER.with_borrow(|cache| cache.get(expression).cloned()) {
        return Ok(known);
    }
    let compiled = environment().compile_expression_owned(expression.to_owned())?;
    let mut outer: Vec<String> =
        compiled.undeclared_variables(false).into_iter().filter(|name| name != ELEMENT).collect();
    // Some filters and tests look these up without naming them.
    outer.extend([COLLECTED.to_owned(), PATTERNS.to_owned()]);
    let inner = Rc::new(Inner { compiled, outer });
    INNER.with_borrow_mut(|cache| cache.insert(expression.to_owned(), inner.clone()));
    Ok(inner)
}

struct ElementTest {
    inner: Rc<Inner>,
    outer: Arc<Vec<(String, Value)>>,
}

impl ElementTest {
    fn new(state: &State, expression: &str) -> Result<ElementTest, Error> {
        let inner = inner(expression).map_err(|error| {
            Error::new(ErrorKind::SyntaxError, format!("the inner expression `{expression}` is not one"))
                .with_source(error)
        })?;
        let value = |name: &String| (name.clone(), state.lookup(name).unwrap_or_default());
        let outer = Arc::new(inner.outer.iter().map(value).collect());
        Ok(ElementTest { inner, outer })
    }

    fn holds(&self, element: Value) -> Result<bool, Error> {
        work::spend(1)?;
        let context = ElementContext { element, outer: self.outer.clone() };
        Ok(self.inner.compiled.eval(Value::from_object(context))?.is_true())
    }
}

/// What an inner expression sees: the element and the outer names that it uses.
#[derive(Debug)]
struct ElementContext {
    element: Value,
    outer: Arc<Vec<(String, Value)>>,
}

impl Object for ElementContext {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == ELEMENT {
            return Some(self.element.clone());
        }
        self.outer.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::super::Expression;
    use super::*;

    fn evaluate(expression: &str) -> Value {
        let pods = vec![context!(name => "a", node => "n1", restarts => 7), context!(name => "b", node => "n2")];
        let context = context!(pods, node => context!(name => "n1"));
        Expression::compile(expression).unwrap().evaluate(&context).unwrap()
    }

    #[test]
    fn inner_expressions_see_the_element_and_the_outer_names() {
        assert!(evaluate("pods | any('it.restarts > 5')").is_true());
        assert!(!evaluate("pods | all('it.restarts > 5')").is_true());
        assert_eq!(evaluate("pods | count('it.node == node.name')"), Value::from(1));
        assert_eq!(evaluate("(pods | where('it.node != node.name') | first).name"), Value::from("b"));
        assert_eq!(evaluate("pods | count"), Value::from(2));
    }

    #[test]
    fn a_list_that_is_not_there_is_empty() {
        assert!(!evaluate("nothing.at_all | any('it.x')").is_true());
        assert!(evaluate("nothing.at_all | all('it.x')").is_true());
        assert_eq!(evaluate("nothing.at_all | count"), Value::from(0));
    }

    #[test]
    fn inner_expressions_nest() {
        let nested = "pods | any('pods | any(\"it.restarts > 5\")')";
        assert!(evaluate(nested).is_true());
    }

    #[test]
    fn work_is_bounded() {
        let long: Vec<u64> = (0..3_000).collect();
        let context = context!(long);
        let squared = Expression::compile("long | all('long | all(\"true\")')").unwrap();
        let error = super::super::bounded(|| squared.evaluate(&context)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfFuel);
    }
}

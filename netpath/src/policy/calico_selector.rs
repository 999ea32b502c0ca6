//! Calico's selector language, as far as it tells which pods a policy is about
//! (<https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors>).

use super::endpoint::Pod;
use super::label::Labels;
use crate::held::Held;

/// Nesting deeper than this is not followed.
const MAX_DEPTH: usize = 32;

/// Whether a selector selects a pod; none where the expression cannot be read or asks for what the evidence does not
/// hold.
pub(super) fn selects_pod(selector: &str, pod: &Pod) -> Option<Held> {
    let mut labels = pod.labels.clone();
    labels.insert("projectcalico.org/namespace".into(), pod.namespace.clone());
    labels.insert("projectcalico.org/orchestrator".into(), "k8s".into());
    for (key, value) in pod.namespace_labels.iter().flatten() {
        labels.insert(format!("pcns.{key}").into(), value.clone());
    }
    let asks_more = selector.contains("projectcalico.org/serviceaccount") || selector.contains("pcsa.");
    if asks_more || (selector.contains("pcns.") && pod.namespace_labels.is_none()) {
        return None;
    }
    evaluate(selector, &labels).map(Held::from)
}

/// Whether a selector of namespaces selects the pod's.
pub(super) fn selects_namespace(selector: &str, pod: &Pod) -> Option<Held> {
    if matches!(selector.trim(), "" | "all()") {
        return Some(Held::Yes);
    }
    let mut labels = pod.namespace_labels.clone()?;
    labels.insert("projectcalico.org/name".into(), pod.namespace.clone());
    evaluate(selector, &labels).map(Held::from)
}

fn evaluate(selector: &str, labels: &Labels) -> Option<bool> {
    let mut reader = Reader { rest: selector, labels };
    if reader.rest.trim().is_empty() {
        return Some(true);
    }
    let selected = reader.either(0)?;
    reader.rest.trim().is_empty().then_some(selected)
}

struct Reader<'s> {
    rest: &'s str,
    labels: &'s Labels,
}

impl<'s> Reader<'s> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    fn either(&mut self, depth: usize) -> Option<bool> {
        let mut selected = self.both(depth)?;
        while self.take("||") {
            selected |= self.both(depth)?;
        }
        Some(selected)
    }

    fn both(&mut self, depth: usize) -> Option<bool> {
        let mut selected = self.one(depth)?;
        while self.take("&&") {
            selected &= self.one(depth)?;
        }
        Some(selected)
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take("!") {
            return Some(!self.one(depth + 1)?);
        }
        if self.take("(") {
            let selected = self.either(depth + 1)?;
            return self.take(")").then_some(selected);
        }
        if self.take("all()") {
            return Some(true);
        }
        if self.take("has(") {
            let key = self.key()?;
            return self.take(")").then(|| self.labels.contains_key(key));
        }
        let key = self.key()?;
        self.comparison(key)
    }

    fn comparison(&mut self, key: &str) -> Option<bool> {
        let value = self.labels.get(key).map(|value| &**value);
        let compare = |test: &dyn Fn(&str) -> bool| value.is_some_and(test);
        if self.take("==") {
            let text = self.text()?;
            return Some(compare(&|value| value == text));
        }
        if self.take("!=") {
            let text = self.text()?;
            return Some(!compare(&|value| value == text));
        }
        if self.take("not in") {
            let texts = self.texts()?;
            return Some(!compare(&|value| texts.contains(&value)));
        }
        if self.take("in") {
            let texts = self.texts()?;
            return Some(compare(&|value| texts.contains(&value)));
        }
        if self.take("contains") {
            let text = self.text()?;
            return Some(compare(&|value| value.contains(text)));
        }
        if self.take("starts with") {
            let text = self.text()?;
            return Some(compare(&|value| value.starts_with(text)));
        }
        if self.take("ends with") {
            let text = self.text()?;
            return Some(compare(&|value| value.ends_with(text)));
        }
        None
    }

    fn key(&mut self) -> Option<&'s str> {
        let rest = self.rest.trim_start();
        let belongs = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
        let end = rest.find(|character: char| !belongs(character)).unwrap_or(rest.len());
        let (key, after) = rest.split_at_checked(end)?;
        self.rest = after;
        (!key.is_empty()).then_some(key)
    }

    fn text(&mut self) -> Option<&'s str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, after) = rest.get(1..)?.split_once(quote)?;
        self.rest = after;
        Some(text)
    }

    fn texts(&mut self) -> Option<Vec<&'s str>> {
        if !self.take("{") {
            return None;
        }
        let mut texts = Vec::new();
        while !self.take("}") {
            texts.push(self.text()?);
            self.take(",");
        }
        Some(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Pod {
        let labels = [("app".into(), "web".into()), ("tier".into(), "front".into())].into();
        Pod { namespace: "shop".into(), name: "web-1".into(), labels, ..Pod::default() }
    }

    #[test]
    fn expressions() {
        let cases = [
            ("", Some(true)),
            ("all()", Some(true)),
            ("app == 'web'", Some(true)),
            ("app != \"web\"", Some(false)),
            ("role != 'x'", Some(true)),
            ("has(app) && !has(role)", Some(true)),
            ("app in {'api', 'web'} && (tier not in {'front'} || has(tier))", Some(true)),
            ("app starts with 'we' && app ends with 'b' && app contains 'e'", Some(true)),
            ("projectcalico.org/namespace == 'shop'", Some(true)),
            ("projectcalico.org/serviceaccount == 'a'", None),
            ("app ~~ 'x'", None),
            ("app == 'web' garbage", None),
            ("(app == 'web'", None),
            ("app in {'a'", None),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects_pod(selector, &web()), expected.map(Held::from), "{selector}");
        }
        assert_eq!(selects_pod(&"(".repeat(100_000), &web()), None);
        assert_eq!(selects_pod(&"!".repeat(100_000), &web()), None);
    }
}

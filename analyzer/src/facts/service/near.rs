//! Which labels a selector that selects nothing probably meant.

use super::Service;
use crate::facts::metadata::Labels;
use crate::facts::pod::Pods;

/// The label set that comes nearest to a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The label that differs.
    pub key: String,
    /// What the selector wants.
    pub wanted: String,
    /// What the pods have; none where they lack the label.
    pub found: Option<String>,
    /// How many pods have these labels.
    pub pods: usize,
}

/// The pods' labels in the Service's namespace that differ from its selector in one label: of several, those whose
/// value is most alike. Nothing where every label set differs in more, unless the selector has one label and a value
/// is alike.
pub fn nearest(service: &Service, pods: &Pods) -> Option<Nearest> {
    let candidates = pods.label_sets(&service.namespace).filter_map(|labels| candidate(&service.selector, labels));
    let (_, key, found) = candidates.min()?;
    let wanted = service.selector.get(&key)?.to_string();
    let has = |place: &u32| {
        let labels = pods.get(*place).map(|pod| &pod.labels);
        labels.is_some_and(|labels| differs_by(&service.selector, labels, &key, found.as_deref()))
    };
    let count = pods.in_namespace(&service.namespace).iter().filter(|place| has(place)).count();
    Some(Nearest { key, wanted, found, pods: count })
}

/// How far a label set is from a selector, with the one label that differs.
fn candidate(selector: &Labels, labels: &Labels) -> Option<(usize, String, Option<String>)> {
    let mut differing = selector.0.iter().filter(|(key, value)| labels.get(key) != Some(value));
    let (key, wanted) = differing.next()?;
    if differing.next().is_some() {
        return None;
    }
    let found = labels.get(key).map(|value| value.to_string());
    let distance = found.as_deref().map_or(wanted.chars().count(), |found| edit_distance(wanted, found));
    // With one label alone nothing says that these pods were meant, unless the values are alike.
    if selector.0.len() == 1 && (found.is_none() || distance > 1 + wanted.chars().count() / 3) {
        return None;
    }
    Some((distance, key.to_string(), found))
}

/// Whether labels satisfy a selector but for one label, which has this value.
fn differs_by(selector: &Labels, labels: &Labels, key: &str, found: Option<&str>) -> bool {
    selector.0.iter().all(|(name, wanted)| {
        let value = labels.get(name).map(|value| &**value);
        if **name == *key { value == found } else { value == Some(wanted) }
    })
}

/// How many characters must be added, removed or replaced to turn one text into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (b, above) in to.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != *b)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[test]
    fn distances() {
        assert_eq!(edit_distance("web", "web"), 0);
        assert_eq!(edit_distance("web", "wbe"), 2);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("frontend", "front-end"), 1);
    }

    #[test]
    fn one_label_that_differs_is_near_and_two_are_not() {
        let selector = labels(&[("app", "web"), ("tier", "front")]);
        let one = candidate(&selector, &labels(&[("app", "web"), ("tier", "frontend")]));
        assert_eq!(one, Some((3, "tier".to_owned(), Some("frontend".to_owned()))));
        assert_eq!(candidate(&selector, &labels(&[("app", "api"), ("tier", "back")])), None);
        assert_eq!(candidate(&labels(&[("app", "web")]), &labels(&[("app", "database")])), None);
        assert!(candidate(&labels(&[("app", "web")]), &labels(&[("app", "wep")])).is_some());
    }
}

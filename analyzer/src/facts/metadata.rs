//! `metadata` of objects: names, labels, owners.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::intern::{Strings, Structures};
use super::json::{Seconds, Text, or_default};

/// `metadata`, borrowed from the object's text.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its namespace; empty where the kind has none.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Its uid.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// When it was created.
    pub creation_timestamp: Seconds,
    /// When its deletion was asked for, plus its grace period.
    pub deletion_timestamp: Seconds,
    /// Its labels.
    #[serde(borrow)]
    pub labels: Pairs<'a>,
    /// Its annotations, as far as the collector takes them.
    #[serde(borrow)]
    pub annotations: Pairs<'a>,
    /// Who owns it.
    #[serde(borrow, deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference<'a>>,
    /// Who changed it, and when.
    #[serde(borrow, deserialize_with = "or_default")]
    pub managed_fields: Vec<ManagedField<'a>>,
    /// The generation of its specification.
    pub generation: i64,
}

impl Metadata<'_> {
    /// When the object changed last, as far as its managed fields say; else when it was created.
    pub fn latest_change(&self) -> Seconds {
        self.managed_fields.iter().map(|field| field.time).max().unwrap_or_default().max(self.creation_timestamp)
    }
}

/// An entry of `metadata.managedFields`, without the fields: the collector does not take them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ManagedField<'a> {
    /// Who.
    #[serde(borrow)]
    pub manager: Text<'a>,
    /// When it changed one of its fields last.
    pub time: Seconds,
    /// `status`, `scale`, or empty for the object itself.
    #[serde(borrow)]
    pub subresource: Text<'a>,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    /// The owner's kind.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// The owner's name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Whether it is the one that controls the object.
    pub controller: bool,
}

/// A map from strings to strings, sorted by its keys; values that are no strings are left out.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Pairs<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from strings to strings")
            }

            fn visit_unit<E>(self) -> Result<Pairs<'de>, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    pairs.push(pair);
                }
                pairs.sort_unstable();
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_any(PairsVisitor)
    }
}

impl Pairs<'_> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
    }

    /// The same with strings of its own.
    pub fn to_labels(&self, strings: &mut Strings) -> Labels {
        Labels(self.0.iter().map(|(key, value)| (strings.get(key), strings.get(value))).collect())
    }
}

/// Labels or another map from strings to strings, sorted by its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(pub Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let place = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `selector`'s labels are among these.
    pub fn satisfy(&self, selector: &Labels) -> bool {
        selector.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// As a map of an expression.
    pub fn value(&self) -> Value {
        let map: BTreeMap<&str, Value> =
            self.0.iter().map(|(key, value)| (&**key, Value::from(value.clone()))).collect();
        Value::from(map)
    }
}

impl fmt::Display for Labels {
    /// As kubectl takes selectors: `app=web,tier=front`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The owner that controls an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its kind: `ReplicaSet`, `Node` for static pods.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// The owner that controls an object, kept once.
pub fn owner(
    references: &[OwnerReference],
    strings: &mut Strings,
    owners: &mut Structures<Owner>,
) -> Option<Arc<Owner>> {
    let reference = references.iter().find(|owner| owner.controller).or(references.first())?;
    Some(owners.get(&(&*reference.kind, &*reference.name), || {
        Arc::new(Owner { kind: strings.get(&reference.kind), name: strings.get(&reference.name) })
    }))
}

impl Metadata<'_> {
    /// When this subresource was changed last; the empty one is the object itself. Absent where nobody says so.
    pub fn changed(&self, subresource: &str) -> Seconds {
        let of = self.managed_fields.iter().filter(|field| &*field.subresource == subresource);
        of.map(|field| field.time).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_satisfy_selectors() {
        let text = r#"{"name":"a","labels":{"tier":"front","app":"web"},"ownerReferences":null,"annotations":null}"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        let mut strings = Strings::default();
        let labels = metadata.labels.to_labels(&mut strings);
        assert_eq!(labels.to_string(), "app=web,tier=front");
        assert!(labels.satisfy(&Labels(Box::new([("app".into(), "web".into())]))));
        assert!(!labels.satisfy(&Labels(Box::new([("app".into(), "api".into())]))));
        assert!(owner(&metadata.owner_references, &mut strings, &mut Structures::default()).is_none());
    }
}

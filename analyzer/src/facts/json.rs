//! Reading objects of the Kubernetes API tolerantly: strings borrowed where they can be, null as absence.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use minijinja::Value;
use serde::de::{Deserialize, Deserializer, Visitor};

/// A string of a JSON document, borrowed from it unless it is written with escapes. Null is the empty string, and so
/// is absence with `#[serde(default)]`: the API leaves empty strings out.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or null")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// An integer or a string: `targetPort`, `maxUnavailable`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IntOrText {
    /// An integer.
    Int(i64),
    /// A string.
    Text(String),
}

impl<'de> Deserialize<'de> for IntOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Int(i64),
            Text(String),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Int(number) => IntOrText::Int(number),
            Either::Text(text) => IntOrText::Text(text),
        })
    }
}

/// Reads null as the type's default: the API writes `"items": null` and `"conditions": null` for empty lists.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A point in time as whole seconds since 1970, small enough to be kept a hundred thousand times. Zero is absence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(i64);

impl Seconds {
    /// The time that an RFC 3339 text means, with or without a fraction; absence where it means none.
    pub fn parse(text: &str) -> Seconds {
        if text.is_empty() {
            return Seconds(0);
        }
        text.parse::<Timestamp>().map_or(Seconds(0), |time| Seconds(time.as_second()))
    }

    /// As a timestamp; none where it is absent.
    pub fn timestamp(self) -> Option<Timestamp> {
        if self.0 == 0 { None } else { Timestamp::from_second(self.0).ok() }
    }

    /// As expressions see times: RFC 3339 text, for the filter `age`; none where it is absent.
    pub fn value(self) -> Option<Value> {
        self.timestamp().map(|time| Value::from(time.to_string()))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Seconds::parse(&text))
    }
}

/// An IP address, or absence where the text is none.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// A non-empty text as a value; none where it is empty.
pub fn text_value(text: &str) -> Option<Value> {
    if text.is_empty() { None } else { Some(Value::from(text)) }
}

/// A JSON document as expressions see values. Numbers that do not fit 64 bits become floating point.
pub fn to_value(json: &serde_json::Value) -> Value {
    Value::from(minijinja::value::Serde(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Sample<'a> {
        #[serde(borrow, default)]
        plain: Text<'a>,
        #[serde(borrow, default)]
        escaped: Text<'a>,
        #[serde(borrow, default)]
        null: Text<'a>,
        #[serde(default, deserialize_with = "or_default")]
        list: Vec<i64>,
        #[serde(default)]
        at: Seconds,
    }

    #[test]
    fn strings_are_borrowed_unless_escaped_and_null_is_absence() {
        let text = r#"{"plain":"a","escaped":"a\"b","null":null,"list":null,"at":"2026-11-21T10:00:00.5Z"}"#;
        let sample: Sample = serde_json::from_str(text).unwrap();
        assert!(matches!(sample.plain.0, Cow::Borrowed("a")));
        assert_eq!(&*sample.escaped, "a\"b");
        assert_eq!((&*sample.null, sample.list.len()), ("", 0));
        assert_eq!(sample.at.value().unwrap().as_str(), Some("2026-11-21T10:00:00Z"));
        assert_eq!(Seconds::parse("yesterday").value(), None);
    }

    #[test]
    fn ports_are_numbers_or_names() {
        let ports: Vec<IntOrText> = serde_json::from_str(r#"[8080,"http"]"#).unwrap();
        assert_eq!(ports, [IntOrText::Int(8080), IntOrText::Text("http".to_owned())]);
    }
}

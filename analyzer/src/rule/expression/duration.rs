//! Durations and ages. Ages are relative to the time of collection, never to a clock.

use jiff::{SignedDuration, Timestamp};
use minijinja::{Error, ErrorKind, State, Value};

use crate::rule::root::COLLECTED;

/// Seconds from a timestamp to the time of collection; nothing where there is no value.
pub fn age(state: &State, value: &Value) -> Result<Value, Error> {
    let Some(then) = timestamp(value)? else { return Ok(Value::UNDEFINED) };
    Ok(Value::from(collected(state)?.duration_since(then).as_secs()))
}

/// Seconds from the time of collection to a timestamp, negative where it is past; nothing where there is no
/// value.
pub fn until(state: &State, value: &Value) -> Result<Value, Error> {
    let Some(then) = timestamp(value)? else { return Ok(Value::UNDEFINED) };
    Ok(Value::from(then.duration_since(collected(state)?).as_secs()))
}

/// The seconds that a duration means (`5m`, `1h30m`, `250ms`); nothing where the text is none.
pub fn seconds(value: &Value) -> Value {
    if value.is_number() {
        return value.clone();
    }
    let duration = value.as_str().and_then(|text| text.parse::<SignedDuration>().ok());
    duration.map_or(Value::UNDEFINED, |duration| Value::from(duration.as_secs_f64()))
}

/// A number of seconds in words, its two largest units: `3m20s`, `2d4h`; `unknown` where there is none.
pub fn words(value: &Value) -> String {
    let Ok(seconds) = f64::try_from(value.clone()) else { return "unknown".to_owned() };
    let whole = seconds.abs() as u64;
    let units = [("d", whole / 86_400), ("h", whole / 3_600 % 24), ("m", whole / 60 % 60), ("s", whole % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(3);
    let shown = units.iter().skip(first).take(2).filter(|(_, count)| *count > 0 || whole == 0);
    let sign = if seconds < 0.0 { "-" } else { "" };
    shown.fold(sign.to_owned(), |text, (unit, count)| format!("{text}{count}{unit}"))
}

/// The moment that a value is; nothing where there is no value. Anything else fails, because an age that is not there
/// would compare as less than every other.
fn timestamp(value: &Value) -> Result<Option<Timestamp>, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(None);
    }
    let moment = value.as_str().and_then(|text| text.parse().ok());
    let wrong = || Error::new(ErrorKind::InvalidOperation, format!("`{value}` is no timestamp"));
    moment.map(Some).ok_or_else(wrong)
}

fn collected(state: &State) -> Result<Timestamp, Error> {
    let known = state.lookup(COLLECTED).unwrap_or_default();
    timestamp(&known)?.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the time of collection is not known"))
}

#[cfg(test)]
mod tests {
    use minijinja::{Value, context};

    use super::super::Expression;
    use super::words;

    fn evaluate(expression: &str) -> Value {
        let context = context!(collected => "2026-11-21T10:00:00Z", list => vec!["2026-11-21T09:00:00Z"]);
        Expression::compile(expression).unwrap().evaluate(&context).unwrap()
    }

    #[test]
    fn ages_count_from_collection() {
        assert_eq!(evaluate("'2026-11-21T09:58:00Z' | age"), Value::from(120));
        assert_eq!(evaluate("'2026-11-21T10:01:00Z' | until"), Value::from(60));
        assert!(evaluate("nothing | age").is_undefined());
        assert!(Expression::compile("'yesterday' | age").unwrap().evaluate(&Value::from(0)).is_err());
        assert!(evaluate("list | any('(it | age) == 3600')").is_true());
        assert_eq!(evaluate("'1h30m' | seconds"), Value::from(5400.0));
        assert_eq!(evaluate("'250ms' | seconds"), Value::from(0.25));
    }

    #[test]
    fn durations_in_words() {
        assert_eq!(words(&Value::from(200)), "3m20s");
        assert_eq!(words(&Value::from(180)), "3m");
        assert_eq!(words(&Value::from(187_200)), "2d4h");
        assert_eq!(words(&Value::from(0)), "0s");
        assert_eq!(words(&Value::UNDEFINED), "unknown");
    }
}

//! Moments in a scenario's files: `<5m ago>` is filled in when a sample is made.

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};

/// The text with every `<N… ago>` replaced by that moment in RFC 3339.
pub fn dated(text: &str) -> String {
    dated_at(text, Timestamp::now())
}

/// The text with every `<N… ago>` replaced by the moment that long before `now`.
pub fn dated_at(text: &str, now: Timestamp) -> String {
    #[allow(clippy::expect_used, clippy::unwrap_used)]
    let token = Regex::new(r"<(\d{1,6})([smhd]) ago>").expect("the pattern is a constant");
    let replaced = token.replace_all(text, |found: &Captures| {
        let count: i64 = found[1].parse().unwrap_or_default();
        let seconds = match &found[2] {
            "s" => count,
            "m" => count * 60,
            "h" => count * 3600,
            _ => count * 86_400,
        };
        let moment = now - SignedDuration::from_secs(seconds);
        moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    });
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_relative_to_now() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(dated_at("a <90s ago> b <2d ago>", now), "a 2026-03-01T11:58:30Z b 2026-02-27T12:00:00Z");
        assert_eq!(dated_at("<5 ago> <m ago>", now), "<5 ago> <m ago>");
    }
}

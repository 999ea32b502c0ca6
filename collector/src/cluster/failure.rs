//! Why a request gave nothing, or not everything, and which status an item has for it.

use std::io;

use bundle::manifest::{Ended, ItemStatus};
use bundle::{ItemEnd, WriteError};

use super::credentials;

/// A request that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The status of an item for which this was asked.
    pub status: ItemStatus,
    /// What happened, in the server's words where it spoke.
    pub reason: String,
    /// The answer's HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// The token with which an expired list may be continued, where the server gave one (410).
    pub continue_with: Option<String>,
    /// Whether the same request may succeed a moment later.
    pub passing: bool,
}

impl Failure {
    /// A failure without an answer of the server.
    pub fn new(status: ItemStatus, reason: impl Into<String>) -> Failure {
        Failure { status, reason: reason.into(), http_status: None, continue_with: None, passing: false }
    }

    /// The run ended while the request was under way.
    pub fn stopped(ended: Ended) -> Failure {
        let why = match ended {
            Ended::Deadline => "the time for the whole run was used up while it was read",
            Ended::Signal => "a signal ended the run while it was read",
            Ended::Space => "the space for the bundle was used up while it was read",
            Ended::Done => "the run ended while it was read",
        };
        Failure::new(ItemStatus::NotReached, why)
    }

    /// Nothing came for too long.
    pub fn timeout(what: impl Into<String>) -> Failure {
        Failure::new(ItemStatus::Timeout, what)
    }

    /// An answer other than success. The meaning of the codes is that of the API conventions, "HTTP Status codes".
    pub fn answered(http_status: u16, phrase: &str, message: &str, continue_with: Option<String>) -> Failure {
        let status = match http_status {
            401 | 403 => ItemStatus::Forbidden,
            404 => ItemStatus::Absent,
            406 => ItemStatus::Unsupported,
            504 => ItemStatus::Timeout,
            502 | 503 => ItemStatus::Unreachable,
            _ => ItemStatus::Error,
        };
        let message = clipped(message.trim());
        let reason = if message.is_empty() {
            format!("the server answered {http_status} {phrase}")
        } else {
            format!("the server answered {http_status} {phrase}: {message}")
        };
        let passing = matches!(http_status, 429 | 500 | 502 | 503 | 504);
        Failure { status, reason, http_status: Some(http_status), continue_with, passing }
    }

    /// The connection failed, before an answer or in the middle of one.
    pub fn connection(error: &(dyn std::error::Error + 'static)) -> Failure {
        if let Some(failure) = carried(error) {
            return failure;
        }
        if let Some(reason) = credentials::of_cause(error) {
            return Failure::new(ItemStatus::Unreachable, clipped(&reason));
        }
        let mut reasons: Vec<String> = Vec::new();
        let mut timed_out = false;
        let mut link = Some(error);
        while let Some(error) = link {
            timed_out |= error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
            let text = error.to_string();
            // Most layers repeat the text of the layer below.
            if !reasons.iter().any(|reason| reason.contains(&text)) {
                reasons.push(text);
            }
            link = error.source();
        }
        let status = if timed_out { ItemStatus::Timeout } else { ItemStatus::Unreachable };
        Failure { passing: !timed_out, ..Failure::new(status, clipped(&reasons.join(": "))) }
    }

    /// The bundle could not be written.
    pub fn writing(error: &WriteError) -> Failure {
        Failure::new(ItemStatus::Error, format!("it could not be written to the bundle: {error}"))
    }

    /// The end of an item for which this was asked.
    pub fn end(&self) -> ItemEnd {
        let exit_code = self.http_status.map(i32::from);
        ItemEnd { exit_code, ..ItemEnd::because(self.status, self.reason.clone()) }
    }
}

/// The failure that a body's reader wrapped into an I/O error, if it is one.
fn carried(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        link = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// A message of a line, short enough for a manifest.
fn clipped(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(1_000) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_status() {
        let status = |code| Failure::answered(code, "", "", None).status;
        assert_eq!(status(403), ItemStatus::Forbidden);
        assert_eq!(status(404), ItemStatus::Absent);
        assert_eq!(status(429), ItemStatus::Error);
        assert_eq!(status(500), ItemStatus::Error);
        assert_eq!(status(504), ItemStatus::Timeout);
    }

    #[test]
    fn a_failure_inside_an_io_error_is_found_again() {
        let inner = Failure::timeout("nothing for 30 s");
        let wrapped = io::Error::other(io::Error::other(inner));
        assert_eq!(Failure::connection(&wrapped).status, ItemStatus::Timeout);
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "reset");
        assert_eq!(Failure::connection(&reset).status, ItemStatus::Unreachable);
    }

    #[test]
    fn a_page_of_html_becomes_a_line() {
        let failure = Failure::answered(502, "Bad Gateway", &"<html>\n<p>".repeat(500), None);
        assert!(failure.reason.starts_with("the server answered 502 Bad Gateway: <html> <p><html>"));
        assert!(failure.reason.chars().count() < 1_100 && !failure.reason.contains('\n'));
    }
}

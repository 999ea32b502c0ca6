//! How the API server itself is: what it says of its own checks, how long it takes to answer, whose it is.

use std::io::Write as _;
use std::time::Instant;

use bundle::manifest::Clock;
use bundle::{ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;
use serde::Serialize;

use super::connection::FirstAnswer;
use super::document;
use super::request::{Ask, Requests};
use super::strip::Profile;
use crate::plan::{Cost, PlanLine};
use crate::run::{Item, Run};

/// How often the round trip is measured.
const ROUNDS: usize = 5;
/// The longest that a health page may be.
const LONGEST: u64 = 1 << 20;

/// Something of the server's own health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// `/version`, which was asked for to begin with.
    Version,
    /// `/readyz?verbose`
    Readyz,
    /// `/livez?verbose`
    Livez,
    /// How long `/livez` takes.
    RoundTrips,
    /// The uid of kube-system.
    Identity,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 5] = [Check::Version, Check::Readyz, Check::Livez, Check::RoundTrips, Check::Identity];

    /// The line of the plan.
    pub fn plan(self) -> PlanLine {
        let (id, what, bound) = match self {
            Check::Version => ("version", "GET /version".to_owned(), "20 s"),
            Check::Readyz => ("readyz", "GET /readyz?verbose".to_owned(), "60 s, 1 MiB"),
            Check::Livez => ("livez", "GET /livez?verbose".to_owned(), "60 s, 1 MiB"),
            Check::RoundTrips => ("round-trips", format!("GET /livez, {ROUNDS} times"), "60 s"),
            Check::Identity => ("identity", "GET /api/v1/namespaces/kube-system".to_owned(), "60 s"),
        };
        PlanLine::new(format!("api.health.{id}"), Scope::Cluster, what, Cost::Trivial, bound)
    }

    /// Asks. Blocks.
    pub fn gather(self, requests: &Requests, line: &PlanLine, first: &FirstAnswer, deadline: Instant) {
        let page = |path: &str, file: &str| {
            let draft = requests.run().draft(line, Source::Request(path.to_owned()));
            // A server that is not ready answers 500 with the list of its checks: that list is what is wanted.
            document::gather(requests, draft, &Ask::get(path, deadline), layout::cluster_file(file), LONGEST, true);
        };
        match self {
            Check::Version => version(requests.run(), line, first),
            Check::Readyz => page("/readyz?verbose", "readyz.txt"),
            Check::Livez => page("/livez?verbose", "livez.txt"),
            Check::RoundTrips => round_trips(requests, line, deadline),
            Check::Identity => {
                let path = "/api/v1/namespaces/kube-system";
                let draft = requests.run().draft(line, Source::Request(path.to_owned()));
                let file = layout::cluster_file("kube-system.json");
                document::gather_object(requests, draft, &Ask::get(path, deadline), file, Profile::Plain);
            }
        }
    }
}

/// What the server's clock said in its first answer, against ours.
pub fn clock(first: &FirstAnswer) -> Option<Clock> {
    let date = first.date?;
    let half = first.took.as_secs_f64() / 2.0;
    let asked = first.asked.as_nanosecond() as f64 / 1e9;
    // The header is cut to whole seconds: on the average half a second is missing, and as much is uncertain.
    let ahead = date.as_second() as f64 + 0.5 - (asked + half);
    Some(Clock {
        scope: Scope::Cluster,
        utc: date,
        ahead_seconds: Some((ahead * 1e3).round() / 1e3),
        uncertainty_seconds: Some(((half + 0.5) * 1e3).round() / 1e3),
        boot_seconds: None,
    })
}

fn version(run: &Run, line: &PlanLine, first: &FirstAnswer) {
    let draft = run.draft(line, Source::Request("/version".to_owned()));
    let status = match first.status.as_u16() {
        200 => ItemStatus::Ok,
        401 | 403 => ItemStatus::Forbidden,
        404 => ItemStatus::Absent,
        _ => ItemStatus::Error,
    };
    let mut end = ItemEnd::new(status);
    if status != ItemStatus::Ok {
        end.exit_code = Some(i32::from(first.status.as_u16()));
        end.reason = Some(format!("the server answered {}", first.status));
        run.record(draft, end, first.asked);
        return;
    }
    write(run, run.begin(draft, layout::cluster_file("version.json")), &first.body, end);
}

#[derive(Serialize)]
struct RoundTrips {
    requests: Vec<RoundTrip>,
}

#[derive(Serialize)]
struct RoundTrip {
    path: &'static str,
    started: Timestamp,
    http_status: Option<u16>,
    milliseconds: f64,
    error: Option<String>,
}

fn round_trips(requests: &Requests, line: &PlanLine, deadline: Instant) {
    let path = "/livez";
    let ask = Ask::get(path, deadline);
    let mut trips = RoundTrips { requests: Vec::new() };
    for _ in 0..ROUNDS {
        // A run that is to stop has no turns left; what was measured before counts.
        let Ok(turn) = requests.turn() else { break };
        let (started, clock) = (Timestamp::now(), Instant::now());
        let answer = requests.send_whatever(&ask, turn);
        let latency = answer.as_ref().map_or_else(|_| clock.elapsed(), |answer| answer.latency);
        trips.requests.push(RoundTrip {
            path,
            started,
            http_status: answer.as_ref().ok().map(|answer| answer.status.as_u16()),
            milliseconds: (latency.as_secs_f64() * 1e6).round() / 1e3,
            error: answer.as_ref().err().map(|failure| failure.reason.clone()),
        });
        // Reading to the end lets the next request use the same connection, so that the trip alone is measured.
        if let Ok(answer) = answer {
            let _ = answer.body.read_whole(LONGEST);
        }
    }
    let run = requests.run();
    let draft = run.draft(line, Source::Request(path.to_owned()));
    let statuses = trips.requests.iter().map(|trip| http::StatusCode::from_u16(trip.http_status?).ok());
    if let Some(Some(refusal)) = statuses.map(|status| document::refusal(status?)).min_by_key(Option::is_some) {
        run.record(draft, refusal.end(), Timestamp::now());
        return;
    }
    let text = serde_json::to_vec(&trips).unwrap_or_default();
    write(run, run.begin(draft, layout::cluster_file("health.json")), &text, ItemEnd::new(ItemStatus::Ok));
}

/// Writes a short item whole.
pub fn write(run: &Run, item: Result<Item, bundle::WriteError>, text: &[u8], end: ItemEnd) {
    let written = item.and_then(|mut item| {
        // What cannot be written is the writer's to report when the item ends.
        let _ = item.write_all(text);
        item.end(end)
    });
    if let Err(error) = written {
        run.progress().say(&format!("error: {error}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_clock_that_agrees_is_within_its_uncertainty() {
        let asked: Timestamp = "2026-01-01T00:00:10.7Z".parse().unwrap();
        let first = |date: &str| FirstAnswer {
            status: http::StatusCode::OK,
            body: bytes::Bytes::new(),
            date: Some(date.parse().unwrap()),
            asked,
            took: std::time::Duration::from_millis(100),
        };
        let same = clock(&first("2026-01-01T00:00:10Z")).unwrap();
        assert!(same.ahead_seconds.unwrap().abs() <= same.uncertainty_seconds.unwrap());
        let ahead = clock(&first("2026-01-01T00:05:10Z")).unwrap();
        assert!((ahead.ahead_seconds.unwrap() - 300.0).abs() <= ahead.uncertainty_seconds.unwrap());
    }
}

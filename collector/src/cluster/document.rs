//! One answer that goes into the bundle as the server gave it.

use std::io::{Read as _, Write as _};

use bundle::{ItemDraft, ItemEnd, ItemStatus};
use jiff::Timestamp;

use super::failure::Failure;
use super::request::{Answer, Ask, Requests};
use super::strip::{Profile, Stripper};

/// Asks, and writes the answer's body to `path`; what fails is recorded. Where `any_status` says so, answers of other
/// statuses than 2xx are content as well; a refusal is none.
pub fn gather(requests: &Requests, draft: ItemDraft, ask: &Ask, path: String, longest: u64, any_status: bool) {
    let run = requests.run();
    let started = Timestamp::now();
    let answer = match any_status {
        true => requests.turn().and_then(|turn| requests.send_whatever(ask, turn)),
        false => requests.send(ask),
    };
    let written = answer.and_then(|answer| write(requests, draft.clone(), answer, path, longest));
    if let Err(failure) = written {
        run.record(draft, failure.end(), started);
    }
}

fn write(requests: &Requests, draft: ItemDraft, answer: Answer, path: String, longest: u64) -> Result<(), Failure> {
    if let Some(refusal) = refusal(answer.status) {
        return Err(refusal);
    }
    let mut end = ItemEnd::new(ItemStatus::Ok);
    if !answer.status.is_success() {
        end.exit_code = Some(i32::from(answer.status.as_u16()));
        end.reason = Some(format!("the server answered {}", answer.status));
    }
    let mut body = Vec::new();
    let read = answer.body.take(longest).read_to_end(&mut body);
    if let Err(error) = read {
        end = Failure::connection(&error).end();
    }
    let mut item = requests.run().begin(draft, path).map_err(|error| Failure::writing(&error))?;
    // What cannot be written is the writer's to report when the item ends.
    let _ = item.write_all(&body);
    item.end(end).map_err(|error| Failure::writing(&error))
}

/// A server that does not let us in tells nothing of what was asked.
pub fn refusal(status: http::StatusCode) -> Option<Failure> {
    let refused = matches!(status.as_u16(), 401 | 403);
    refused.then(|| Failure::answered(status.as_u16(), "", "", None))
}

/// Asks for one object, strips it and writes it as a line; what fails is recorded.
pub fn gather_object(requests: &Requests, draft: ItemDraft, ask: &Ask, path: String, profile: Profile) {
    /// Twice what etcd stores in one object.
    const LONGEST: u64 = 4 << 20;

    let run = requests.run();
    let started = Timestamp::now();
    let written = requests.send(ask).and_then(|answer| answer.body.read_whole(LONGEST)).and_then(|body| {
        let mut stripper = Stripper::new(profile);
        let object = stripper
            .strip(&body)
            .map_err(|error| Failure::new(ItemStatus::Error, format!("the object cannot be read: {error}")))?;
        let mut item = run.begin(draft.clone(), path).map_err(|error| Failure::writing(&error))?;
        let _ = item.write_all(object).and_then(|()| item.write_all(b"\n"));
        item.end(ItemEnd::new(ItemStatus::Ok)).map_err(|error| Failure::writing(&error))
    });
    if let Err(failure) = written {
        run.record(draft, failure.end(), started);
    }
}

//! What came of a command, told from how it ended and what it said.

use bundle::ItemEnd;
use bundle::manifest::{Ended, ItemStatus};

use super::Context;
use crate::run::command::{Ending, Report};

/// Whether a command refused its options, as old versions of ip(8), dmesg(1) and others do.
pub fn option_unknown(report: &Report) -> bool {
    const PHRASES: &[&str] =
        &["is unknown, try", "unrecognized option", "invalid option", "unknown option", "Usage:", "usage:"];
    let failed = matches!(report.ending, Ending::Exited(code) if code != 0);
    let stderr = report.stderr_tail.as_deref().unwrap_or_default();
    failed && PHRASES.iter().any(|phrase| stderr.contains(phrase))
}

/// What came of a command, from how it ended and what it said.
pub fn end_of(context: &Context<'_>, report: &Report, answers: &[i32], has_content: bool, dropped: u64) -> ItemEnd {
    let stderr = report.stderr_tail.as_deref().unwrap_or_default();
    let mut end = match report.ending {
        Ending::Exited(code) if code == 0 || answers.contains(&code) => {
            let hidden = refusal(stderr).filter(|_| !context.host.privileged);
            hidden.map_or(ItemEnd::new(ItemStatus::Ok), |why| ItemEnd::because(ItemStatus::Forbidden, why))
        }
        Ending::Exited(code) => match (refusal(stderr), absence(stderr)) {
            (Some(why), _) => ItemEnd::because(ItemStatus::Forbidden, why),
            (None, Some(why)) if !has_content => ItemEnd::because(ItemStatus::Absent, why),
            _ => ItemEnd::because(ItemStatus::Error, format!("it ended with exit code {code}")),
        },
        Ending::Signal(signal) => ItemEnd::because(ItemStatus::Error, format!("signal {signal} ended it")),
        Ending::TooLong => ItemEnd::because(ItemStatus::Truncated, "it was ended because it printed too much"),
        Ending::Deadline | Ending::Stopped => interrupted(context.run.stopped(), has_content),
    };
    if let Ending::Exited(code) = report.ending {
        end.exit_code = Some(code);
    }
    if end.status == ItemStatus::Ok && dropped > 0 {
        end = ItemEnd { exit_code: end.exit_code, ..truncated(dropped) };
    }
    if end.status == ItemStatus::Ok && report.pipes_held {
        end.status = ItemStatus::Truncated;
        end.reason = Some("a process that it left behind held its output open".to_owned());
    }
    end.bytes_dropped = dropped;
    end.stderr_tail.clone_from(&report.stderr_tail);
    end
}

fn interrupted(stopped: Option<Ended>, has_content: bool) -> ItemEnd {
    let Some(why) = stopped else {
        return ItemEnd::because(ItemStatus::Timeout, "it did not end in its time; what it had printed is kept");
    };
    let why = match why {
        Ended::Signal => "a signal ended the run",
        Ended::Space => "the space for the bundle was used up",
        Ended::Deadline | Ended::Done => "the time for the whole run was used up",
    };
    let status = if has_content { ItemStatus::Truncated } else { ItemStatus::NotReached };
    ItemEnd::because(status, why)
}

/// The end of an item whose middle was cut out.
pub fn truncated(dropped: u64) -> ItemEnd {
    let reason = format!("{dropped} bytes were cut out to keep it small");
    ItemEnd { bytes_dropped: dropped, ..ItemEnd::because(ItemStatus::Truncated, reason) }
}

/// The sentence by which a command says that what it was asked for does not exist.
fn absence(stderr: &str) -> Option<String> {
    const PHRASES: &[&str] = &[
        "No journal files were found",
        "no persistent journal was found",
        "Data from the specified boot",
        "Specifying boot ID or boot offset has no effect",
        "No journal boot entry found",
    ];
    sentence(stderr, PHRASES)
}

/// The sentence by which a command says that it lacks rights.
fn refusal(stderr: &str) -> Option<String> {
    const PHRASES: &[&str] = &[
        "Permission denied",
        "permission denied",
        "Operation not permitted",
        "must be root",
        "need to be root",
        "Access denied",
        "not seeing messages from other users",
        "Authorization failed",
    ];
    sentence(stderr, PHRASES)
}

fn sentence(stderr: &str, phrases: &[&str]) -> Option<String> {
    stderr.lines().find(|line| phrases.iter().any(|phrase| line.contains(phrase))).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(code: i32, stderr: &str) -> Report {
        Report { ending: Ending::Exited(code), stderr_tail: Some(stderr.to_owned()), pipes_held: false }
    }

    #[test]
    fn old_versions_refuse_options_in_their_own_words() {
        // iproute2 4.11, BusyBox 1.36 dmesg, util-linux 2.20 dmesg.
        for said in [
            "Option \"-j\" is unknown, try \"ip -help\".",
            "dmesg: unrecognized option '--time-format=iso'",
            "dmesg: invalid option -- 'T'\nUsage: dmesg [-cr]",
        ] {
            assert!(option_unknown(&report(255, said)), "{said}");
            assert!(!option_unknown(&report(0, said)), "a command that ended well knew its options");
        }
        assert!(!option_unknown(&report(1, "RTNETLINK answers: Operation not permitted")));
    }

    #[test]
    fn refusals_and_absences_are_told_apart() {
        // iptables-nft-save 1.8.9, ufw 0.36.2, nft 1.0.6 and journalctl 252, run without rights or without a journal.
        for said in [
            "iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
            "ERROR: You need to be root to run this script",
            "Operation not permitted (you must be root)",
        ] {
            assert!(refusal(said).is_some() && absence(said).is_none(), "{said}");
        }
        let none = "Data from the specified boot (-1) is not available: No such boot ID in journal";
        assert!(refusal(none).is_none() && absence(none).is_some());
    }
}

//! What a run costs the machine that it runs on: processor time by what it went into, memory, requests.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bundle::write::spent::{ContentCosts, Spent};
use rustix::time::{ClockId, clock_gettime};

use crate::cluster::pace::Pace;

/// Processor time by what it went into, beside that of the content of items.
#[derive(Debug, Default)]
pub struct Costs {
    /// All work of threads that gather items.
    pub gathering: Spent,
    /// Taking out of objects what is not collected.
    pub strip: Spent,
    /// What the bundle's writer does with the content; part of `gathering`.
    pub content: Arc<ContentCosts>,
}

impl Costs {
    /// Prints what was spent so far. The whole process is looked at: what is not gathering is done by the runtime's threads,
    /// which serve sockets.
    pub fn print(&self, pace: Option<&Pace>, out: &mut dyn Write) -> io::Result<()> {
        let all = process_time();
        let gathering = self.gathering.time().min(all);
        let parts = [
            ("TLS and sockets", all - gathering),
            ("strip", self.strip.time()),
            ("redact", self.content.filter.time()),
            ("deflate", self.content.deflate.time()),
            ("hash", self.content.hash.time()),
        ];
        let named: Duration = parts.iter().map(|(_, time)| *time).sum();
        let rest = ("the rest", all.saturating_sub(named));
        let split: Vec<String> =
            parts.into_iter().chain([rest]).map(|(name, time)| format!("{:.2} {name}", time.as_secs_f64())).collect();
        writeln!(out, "cpu     {:.2} s: {}", all.as_secs_f64(), split.join(", "))?;
        if let Some(bytes) = peak_memory() {
            writeln!(out, "memory  {:.0} MB at most", bytes as f64 / 1e6)?;
        }
        if let Some(pace) = pace {
            let paced = pace.paced();
            writeln!(out, "asked   {} requests, {} of which waited for their turn (--qps)", paced.asked, paced.waited)?;
        }
        Ok(())
    }
}

/// The time that all threads of this process have had of processors (clock_gettime(2), CLOCK_PROCESS_CPUTIME_ID).
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The most bytes of memory that were resident at one time (`VmHWM` of proc(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_parts_are_the_whole() {
        let costs = Costs::default();
        costs.gathering.on(|| costs.strip.on(|| (0..5_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n))));
        let mut out = Vec::new();
        costs.print(Some(&Pace::new(5)), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let cpu = text.lines().next().unwrap();
        let (all, split) = cpu.strip_prefix("cpu     ").unwrap().split_once(" s: ").unwrap();
        let parts = split.split(", ").map(|part| part.split_once(' ').unwrap().0.parse::<f64>().unwrap());
        let sum: f64 = parts.sum();
        // Each is rounded to a hundredth.
        assert!((sum - all.parse::<f64>().unwrap()).abs() < 0.04, "{text}");
        assert!(
            text.contains("\nmemory  ")
                && text.ends_with("asked   0 requests, 0 of which waited for their turn (--qps)\n")
        );
    }
}

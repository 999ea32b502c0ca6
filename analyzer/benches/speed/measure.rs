//! Runs a program and tells its wall time, CPU time and the peak of its anonymous memory, from /proc.

use std::process::Command;
use std::time::{Duration, Instant};

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of user and system time, to a hundredth.
    pub cpu: f64,
    /// Bytes of anonymous memory at most, sampled every two milliseconds.
    pub anonymous: f64,
}

/// Runs the program to its end.
pub fn run(command: &mut Command) -> Run {
    let cpu_before = children_cpu();
    let start = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {:?} cannot be started: {error}", command.get_program());
            return Run { wall: f64::NAN, cpu: f64::NAN, anonymous: f64::NAN };
        }
    };
    let mut anonymous = 0.0_f64;
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        anonymous = anonymous.max(anonymous_of(child.id()));
        std::thread::sleep(Duration::from_millis(2));
    }
    Run { wall: start.elapsed().as_secs_f64(), cpu: children_cpu() - cpu_before, anonymous }
}

/// The median of one figure of several runs.
pub fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// `RssAnon` of a process, in bytes (proc(5)).
fn anonymous_of(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

/// CPU seconds of all children that ended: `cutime` and `cstime` of proc(5), in ticks of a hundredth.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses and may hold blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) / 100.0
}

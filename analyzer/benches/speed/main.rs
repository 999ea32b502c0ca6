//! How fast `dossier analyze` is, in ratios to other work on the same machine in the same run:
//! `cargo bench -p analyzer --bench speed [-- --mb 1000 --rounds 3]`.
//!
//! The bundle is made once, deterministically, and kept below the target folder. Nothing is asserted: a benchmark tells.

mod log_bundle;
mod manifest;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use measure::{Run, median};

/// A program that is measured, by name.
type Program<'p> = (&'static str, Box<dyn Fn() -> Run + 'p>);

struct Arguments {
    mb: u64,
    rounds: usize,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments { mb: 1000, rounds: 3 };
    let words: Vec<String> = std::env::args().skip(1).collect();
    for pair in words.windows(2) {
        match (pair.first().map(String::as_str), pair.get(1).and_then(|value| value.parse().ok())) {
            (Some("--mb"), Some(value)) => arguments.mb = value,
            (Some("--rounds"), Some(value)) => arguments.rounds = value as usize,
            _ => {}
        }
    }
    arguments
}

fn main() {
    let Arguments { mb, rounds } = arguments();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let bundle = folder.join(format!("logs-{mb}mb.zip"));
    if !bundle.exists() {
        println!("making {} MB of logs", mb);
        log_bundle::make(&bundle, mb * 1_000_000);
    }
    let size = std::fs::metadata(&bundle).map(|data| data.len()).unwrap_or_default();
    println!("{mb} MB of logs in {:.0} MB of bundle, {rounds} rounds, medians", size as f64 / 1e6);
    let programs: [Program<'_>; 4] = [
        ("unzip -p", Box::new(|| measure::run(Command::new("unzip").arg("-p").arg(&bundle).stdout(Stdio::null())))),
        ("dossier analyze, 2 threads", Box::new(|| measure::run(&mut analyze(&bundle, &folder, 2)))),
        ("dossier analyze, 1 thread", Box::new(|| measure::run(&mut analyze(&bundle, &folder, 1)))),
        (
            "dossier verify",
            Box::new(|| measure::run(Command::new(DOSSIER).arg("verify").arg(&bundle).stdout(Stdio::null()))),
        ),
    ];
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    // Round by round, so that other load on the machine meets all of them alike.
    for _ in 0..rounds {
        for ((_, program), runs) in programs.iter().zip(&mut runs) {
            runs.push(program());
        }
    }
    let unit = runs.first().map(|runs| median(runs, |run| run.wall)).unwrap_or(1.0);
    println!("{:<28} {:>8} {:>8} {:>14} {:>16}", "", "wall s", "CPU s", "x unzip -p", "anonymous MB");
    for ((name, _), runs) in programs.iter().zip(&runs) {
        let wall = median(runs, |run| run.wall);
        let cpu = median(runs, |run| run.cpu);
        let memory = median(runs, |run| run.anonymous);
        println!("{name:<28} {wall:>8.2} {cpu:>8.2} {:>14.2} {:>16.0}", wall / unit, memory / 1e6);
    }
    if let [_, two, one, _] = runs.as_slice() {
        println!("2 threads are {:.2} times as fast as 1", median(one, |run| run.wall) / median(two, |run| run.wall));
    }
}

const DOSSIER: &str = env!("CARGO_BIN_EXE_dossier");

fn analyze(bundle: &Path, folder: &Path, threads: usize) -> Command {
    let out: PathBuf = folder.join(format!("report-{threads}"));
    let mut command = Command::new(DOSSIER);
    command.arg("analyze").arg(bundle).arg("--out").arg(out).args(["--format", "json", "--threads"]);
    command.arg(threads.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

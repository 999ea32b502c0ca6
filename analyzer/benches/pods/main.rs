//! How fast a list of many pods becomes facts, and is judged, in ratios to `unzip -p` of the same bundle in the same run:
//! `cargo bench -p analyzer --bench pods [-- --pods 150000 --rounds 3]`.
//!
//! The bundle is made once, deterministically, and kept below the target folder. Nothing is asserted: a benchmark tells.
//! With `--facts BUNDLE THREADS` the program is the one that is measured: it parses the pods and ends.

#[path = "../speed/manifest.rs"]
mod manifest;
#[path = "../speed/measure.rs"]
mod measure;
mod pod_list;

use std::path::Path;
use std::process::{Command, Stdio};

use analyzer::facts::Facts;
use bundle::{Bundle, Limits};
use measure::{Run, median};

/// A program that is measured, by name.
type Program<'p> = (&'static str, Box<dyn Fn() -> Run + 'p>);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, bundle, threads] = words.as_slice()
        && flag == "--facts"
    {
        return facts(Path::new(bundle), threads.parse().unwrap_or(1));
    }
    let number = |flag: &str, default: usize| {
        let place = words.iter().position(|word| word == flag);
        place.and_then(|place| words.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    compare(number("--pods", 150_000), number("--rounds", 3));
}

/// Parses the pods of a bundle and tells how many there are.
fn facts(bundle: &Path, threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool can be made");
    let facts = Facts::new(Bundle::open(bundle, Limits::default()).expect("the bundle can be opened"));
    let pods = pool.install(|| facts.pods().all().len());
    println!("{pods}");
}

fn compare(pods: usize, rounds: usize) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pods");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let bundle = folder.join(format!("pods-{pods}.zip"));
    if !bundle.exists() {
        println!("making {pods} pods");
        pod_list::make(&bundle, pods);
    }
    let own = std::env::current_exe().expect("the program knows its path");
    let parse = |threads: &str| {
        let mut command = Command::new(&own);
        command.arg("--facts").arg(&bundle).arg(threads).stdout(Stdio::null());
        measure::run(&mut command)
    };
    let analyze = |threads: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dossier"));
        command.arg("analyze").arg(&bundle).arg("--out").arg(folder.join(format!("report-{threads}")));
        command.args(["--format", "json", "--threads", threads]).stdout(Stdio::null()).stderr(Stdio::null());
        measure::run(&mut command)
    };
    let unzip = || measure::run(Command::new("unzip").arg("-p").arg(&bundle).stdout(Stdio::null()));
    let programs: [Program<'_>; 5] = [
        ("unzip -p", Box::new(unzip)),
        ("facts, 2 threads", Box::new(|| parse("2"))),
        ("facts, 1 thread", Box::new(|| parse("1"))),
        ("dossier analyze, 2 threads", Box::new(|| analyze("2"))),
        ("dossier analyze, 1 thread", Box::new(|| analyze("1"))),
    ];
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    // Round by round, so that other load on the machine meets all of them alike.
    for _ in 0..rounds {
        for ((_, program), runs) in programs.iter().zip(&mut runs) {
            runs.push(program());
        }
    }
    let unit = runs.first().map_or(1.0, |runs| median(runs, |run| run.wall));
    println!("{pods} pods, {rounds} rounds, medians");
    println!("{:<28} {:>8} {:>8} {:>14} {:>16}", "", "wall s", "CPU s", "x unzip -p", "anonymous MB");
    for ((name, _), runs) in programs.iter().zip(&runs) {
        let (wall, cpu) = (median(runs, |run| run.wall), median(runs, |run| run.cpu));
        let memory = median(runs, |run| run.anonymous) / 1e6;
        println!("{name:<28} {wall:>8.2} {cpu:>8.2} {:>14.2} {memory:>16.0}", wall / unit);
    }
    if let [_, two, one, ..] = runs.as_slice() {
        println!(
            "facts: 2 threads are {:.2} times as fast as 1",
            median(one, |run| run.wall) / median(two, |run| run.wall)
        );
    }
}

//! How long the battery of `dossier path BUNDLE --all` takes, parsing included, over clusters of different size:
//! `cargo bench -p analyzer --bench battery [-- --services 1000 --rounds 3 --nodes 25,50,100,200]`.
//!
//! The bundles are made once, deterministically, and kept below the target folder. Nothing is asserted: a benchmark tells.

mod cluster;
#[path = "../speed/manifest.rs"]
mod manifest;
#[path = "../speed/measure.rs"]
mod measure;
mod rules;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use measure::{Run, median};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let place = words.iter().position(|word| word == flag);
        place.and_then(|place| words.get(place + 1)).map(String::as_str)
    };
    let number = |flag: &str, default: usize| value(flag).and_then(|word| word.parse().ok()).unwrap_or(default);
    let sizes = value("--nodes").unwrap_or("25,50,100,200").split(',').filter_map(|word| word.parse().ok());
    compare(&sizes.collect::<Vec<usize>>(), number("--services", 1000), number("--rounds", 3));
}

fn compare(sizes: &[usize], services: usize, rounds: usize) {
    let bundles: Vec<(usize, PathBuf)> = sizes.iter().map(|nodes| (*nodes, made(*nodes, services))).collect();
    let mut runs: Vec<Vec<[Run; 2]>> = sizes.iter().map(|_| Vec::new()).collect();
    // Round by round, so that other load on the machine meets all of them alike.
    for _ in 0..rounds {
        for ((_, bundle), runs) in bundles.iter().zip(&mut runs) {
            runs.push([unzip(bundle), battery(bundle)]);
        }
    }
    println!("{services} Services, {} rules a node, {rounds} rounds, medians, 2 threads", rules::count(services));
    println!(
        "{:>6} {:>8} {:>8} {:>14} {:>14} {:>14} {:>13}",
        "nodes", "wall s", "CPU s", "CPU ms a node", "x the smallest", "unzip -p CPU s", "anonymous MB"
    );
    let mut smallest = None;
    for (nodes, runs) in sizes.iter().zip(&runs) {
        let (unzip, battery): (Vec<Run>, Vec<Run>) = runs.iter().map(|[unzip, battery]| (*unzip, *battery)).unzip();
        let (wall, cpu) = (median(&battery, |run| run.wall), median(&battery, |run| run.cpu));
        let each = cpu / *nodes as f64;
        let ratio = each / *smallest.get_or_insert(each);
        println!(
            "{nodes:>6} {wall:>8.2} {cpu:>8.2} {:>14.1} {ratio:>14.2} {:>14.2} {:>13.0}",
            each * 1e3,
            median(&unzip, |run| run.cpu),
            median(&battery, |run| run.anonymous) / 1e6
        );
    }
}

/// The bundle of that size, made where it is not there yet.
fn made(nodes: usize, services: usize) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("battery");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let bundle = folder.join(format!("{nodes}-nodes-{services}-services.zip"));
    if !bundle.exists() {
        println!("making {nodes} nodes");
        cluster::make(&bundle, nodes, services);
    }
    bundle
}

fn unzip(bundle: &Path) -> Run {
    measure::run(Command::new("unzip").arg("-p").arg(bundle).stdout(Stdio::null()))
}

fn battery(bundle: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dossier"));
    command.arg("path").arg(bundle).args(["--all", "--json"]).env("RAYON_NUM_THREADS", "2");
    measure::run(command.stdout(Stdio::null()))
}

//! What collecting a big cluster costs, against fetching the same lists and tables, and the same logs, raw:
//! `cargo bench -p tests --bench scale [-- --nodes 1000 --pods 1000,10000 --namespaces 200 --log-lines 10000 --rounds 3 --profile dist]`.
//!
//! A real API server is started and filled through its API; curl is the floor, with eight requests in flight and at the
//! priority that the collector takes itself. Both are run in turn, round by round, so that other load on the machine meets
//! them alike. Nothing is asserted: a benchmark tells. It takes some minutes, most of them for filling the server.
#![allow(clippy::unwrap_used)]

mod cluster;
mod collected;
mod curl;
#[path = "../../../analyzer/benches/speed/measure.rs"]
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cluster::{Kubelet, Sizes};
use collected::Collected;
use curl::{Curl, Request};
use measure::{Run, median};
use tests::{ApiServer, Options, User, product};

/// What the command line says.
struct Wanted {
    sizes: Sizes,
    pods: Vec<usize>,
    log_lines: usize,
    rounds: usize,
    profile: String,
}

impl Wanted {
    fn read() -> Wanted {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let value = |flag: &str| {
            let place = words.iter().position(|word| word == flag);
            place.and_then(|place| words.get(place + 1)).map(String::as_str)
        };
        let number = |flag: &str, default: usize| value(flag).and_then(|word| word.parse().ok()).unwrap_or(default);
        let pods = value("--pods").unwrap_or("1000,10000").split(',').filter_map(|word| word.parse().ok()).collect();
        Wanted {
            sizes: Sizes { nodes: number("--nodes", 1_000), namespaces: number("--namespaces", 200) },
            pods,
            log_lines: number("--log-lines", 10_000),
            rounds: number("--rounds", 3),
            profile: value("--profile").unwrap_or("dist").to_owned(),
        }
    }
}

fn main() {
    let wanted = Wanted::read();
    let program = product::released_collector(&wanted.profile);
    let server = ApiServer::start(&Options::default()).unwrap_or_else(|missing| panic!("{missing}"));
    let kubelet = Kubelet::start(wanted.log_lines).unwrap_or_else(|missing| panic!("{missing}"));
    let site = Site { curl: Curl::new(&server), folder: tempfile::tempdir().unwrap(), server, program };
    cluster::fill_base(&site.curl, &wanted.sizes, kubelet.port());
    let mut there = 0;
    for pods in wanted.pods {
        cluster::fill_pods(&site.curl, &wanted.sizes, there..pods);
        there = there.max(pods);
        println!("{} nodes, {there} pods, {} namespaces", wanted.sizes.nodes, wanted.sizes.namespaces);
        site.measure_lists(wanted.rounds);
        site.measure_logs(wanted.rounds);
    }
}

struct Site {
    server: ApiServer,
    curl: Curl,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Site {
    /// The whole run of an administrator at the usual pace, and how much of it the lists and tables took.
    fn measure_lists(&self, rounds: usize) {
        let first = self.collect(User::Admin, &[]);
        let lists = first.requests(|item| item.id.starts_with("api.") || item.id.starts_with("table."));
        let lists: Vec<Request> =
            lists.iter().filter_map(|path| Request::of_list(path)).map(|request| request.into(self.out())).collect();
        let runs: Vec<(Run, Collected)> =
            (0..rounds).map(|_| (self.raw(&lists), self.collect(User::Admin, &[]))).collect();
        let raw: Vec<Run> = runs.iter().map(|(raw, _)| *raw).collect();
        let middle = |of: &dyn Fn(&(Run, Collected)) -> f64| middle(runs.iter().map(of).collect());
        println!(
            "  raw        {} lists and tables: {:.2} s wall, {:.2} CPU s",
            lists.len(),
            median(&raw, |run| run.wall),
            median(&raw, |run| run.cpu)
        );
        println!(
            "  collector  the same: {:.2} s wall, {:.2} times raw; the whole run {:.2} s at the usual pace ({})",
            middle(&|(_, collected)| collected.lists_took()),
            middle(&|(raw, collected)| collected.lists_took() / raw.wall),
            middle(&|(_, collected)| collected.run.wall),
            first.asked
        );
        // A split is one run's: the medians of its parts need not add up.
        let mut by_cpu: Vec<&Collected> = runs.iter().map(|(_, collected)| collected).collect();
        by_cpu.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        println!("  {}", by_cpu[by_cpu.len() / 2].split);
        let most = |of: &dyn Fn(&Collected) -> f64| runs.iter().map(|(_, run)| of(run)).fold(0.0, f64::max) / 1e6;
        let (peak, anonymous) = (most(&|run| run.peak), most(&|run| run.run.anonymous));
        println!("  memory     {peak:.0} MB at most in all rounds, {anonymous:.0} MB of them not the program's file");
    }

    /// Logs alone, as somebody sees them who may list pods and read logs and nothing else: nothing else is asked for beside
    /// them then. Unpaced, as curl is.
    fn measure_logs(&self, rounds: usize) {
        cluster::allow_logs(&self.curl);
        let unpaced = ["--qps", "10000"];
        let first = self.collect(User::Viewer, &unpaced);
        let logs = first.requests(|item| item.id.starts_with("log."));
        let logs: Vec<Request> = logs.iter().map(|path| Request::get(path).into(self.out())).collect();
        let runs: Vec<(Run, Collected)> =
            (0..rounds).map(|_| (self.raw(&logs), self.collect(User::Viewer, &unpaced))).collect();
        let middle = |of: &dyn Fn(&(Run, Collected)) -> f64| middle(runs.iter().map(of).collect());
        println!(
            "  logs       {} of {:.1} MB: raw {:.2} s, collector {:.2} s, {:.2} times raw",
            logs.len(),
            first.log_bytes() / 1e6,
            middle(&|(raw, _)| raw.wall),
            middle(&|(_, collected)| collected.logs_took()),
            middle(&|(raw, collected)| collected.logs_took() / raw.wall)
        );
        println!("  {}", first.split);
    }

    fn raw(&self, requests: &[Request]) -> Run {
        self.curl.prepare(requests, &self.folder.path().join("requests"));
        let mut nice = Command::new("nice");
        nice.args(["-n", "19", "curl", "--no-progress-meter", "--parallel", "--parallel-max", "8", "--config"]);
        nice.arg(self.folder.path().join("requests")).stdin(Stdio::null()).stdout(Stdio::null());
        measure::run(&mut nice)
    }

    fn collect(&self, user: User, arguments: &[&str]) -> Collected {
        Collected::run(&self.program, &self.server.kubeconfig(user), arguments, self.folder.path())
    }

    fn out(&self) -> &Path {
        self.folder.path()
    }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

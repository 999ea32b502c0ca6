//! One run of the collector, and what it says of itself.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use bundle::{Bundle, ItemRecord, Limits, Source};

use super::measure::{self, Run};

/// What came of a run.
pub struct Collected {
    bundle: Bundle,
    /// What it cost as seen from outside.
    pub run: Run,
    /// Processor seconds.
    pub cpu: f64,
    /// Most bytes of resident memory.
    pub peak: f64,
    /// The line that says what the processor seconds went into.
    pub split: String,
    /// The line that says how many requests were sent, and how many waited.
    pub asked: String,
}

impl Collected {
    /// Runs the program with `--costs`; its bundle goes to `folder`.
    pub fn run(program: &Path, kubeconfig: &Path, arguments: &[&str], folder: &Path) -> Collected {
        let (zip, said) = (folder.join("bundle.zip"), folder.join("said"));
        let _ = fs::remove_file(&zip);
        let mut collector = Command::new(program);
        collector.arg("--kubeconfig").arg(kubeconfig).arg("--costs").arg("--out").arg(&zip).args(arguments);
        collector.stdin(Stdio::null()).stdout(File::create(&said).unwrap()).stderr(Stdio::null());
        let run = measure::run(&mut collector);
        let said = fs::read_to_string(&said).unwrap();
        let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let number = |line: &str| line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(f64::NAN);
        Collected {
            bundle: Bundle::open(&zip, Limits::default()).unwrap_or_else(|e| panic!("{e}: {said}")),
            run,
            cpu: number(&line("cpu ")),
            peak: number(&line("memory ")) * 1e6,
            split: line("cpu "),
            asked: line("asked ").trim_start_matches("asked").trim().to_owned(),
        }
    }

    fn items(&self) -> &[ItemRecord] {
        &self.bundle.manifest().items
    }

    /// The requests of items with content that are asked for.
    pub fn requests(&self, wanted: impl Fn(&ItemRecord) -> bool) -> Vec<String> {
        self.with_content(wanted)
            .filter_map(|item| match &item.source {
                Source::Request(path) => Some(path.clone()),
                _ => None,
            })
            .collect()
    }

    /// Seconds from the run's beginning to the end of its last list, table or text of a table. Logs and kubelets are asked
    /// for when the pods are there, which is the longest list.
    pub fn lists_took(&self) -> f64 {
        let of_lists = ["api.", "table.", "kubectl."];
        let of_lists = |item: &ItemRecord| of_lists.iter().any(|start| item.id.starts_with(start));
        let ends = self.with_content(of_lists).map(|item| self.at(item) + item.duration_ms as f64 / 1e3);
        ends.fold(0.0, f64::max)
    }

    /// Seconds from the first log's beginning to the last one's end.
    pub fn logs_took(&self) -> f64 {
        let logs = || self.with_content(|item| item.id.starts_with("log."));
        let end = logs().map(|item| self.at(item) + item.duration_ms as f64 / 1e3).fold(0.0, f64::max);
        end - logs().map(|item| self.at(item)).fold(end, f64::min)
    }

    fn with_content(&self, wanted: impl Fn(&ItemRecord) -> bool) -> impl Iterator<Item = &ItemRecord> {
        self.items().iter().filter(move |item| item.path.is_some() && wanted(item))
    }

    /// Seconds from the run's beginning to that of an item.
    fn at(&self, item: &ItemRecord) -> f64 {
        item.started.duration_since(self.bundle.manifest().started).as_secs_f64()
    }

    /// Bytes of all logs.
    pub fn log_bytes(&self) -> f64 {
        self.items().iter().filter(|item| item.id.starts_with("log.")).map(|item| item.bytes as f64).sum()
    }
}

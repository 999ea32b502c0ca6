//! `dossier analyze`: judges a bundle and writes the report.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bundle::manifest::Symptom;
use clap::ValueEnum;

use crate::facts::Facts;
use crate::finding::{Findings, Health, Severity};
use crate::report::{self, Format};
use crate::rule::{Options, RuleSet, analyze};

/// Judges a bundle: a summary here, and report.html, report.md and findings.json in a folder.
///
/// Needs no network, no cluster and no clock: ages count back from the end of collection, and the same bundle gives
/// the same bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing at or above --fail-on, 1 something, 2 could not analyze, or nothing could be decided."
)]
pub struct Analyze {
    /// The bundle: a zip file or an unpacked folder.
    bundle: PathBuf,
    /// The folder for the report, made where it is missing; `-` prints one --format to standard output
    /// [default: BUNDLE's name with -report, in this folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these forms of the report.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMAT")]
    format: Vec<Format>,
    /// A folder of rules of your own, beside the built-in ones.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Only these rules.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    only: Vec<String>,
    /// What is broken, in place of what the bundle's sender said: from=pod/NS/NAME,to=…,error=TEXT, or a file of such
    /// lines.
    #[arg(long, value_name = "FIELDS|@FILE", value_parser = Symptom::from_argument)]
    symptom: Option<Symptom>,
    /// The least severity that makes the exit code 1.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    /// Threads to work with [default: one per processor]. The report does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// A severity, as the command line spells it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    Info,
    Warning,
    Error,
    Critical,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Severity {
        match fail_on {
            FailOn::Info => Severity::Info,
            FailOn::Warning => Severity::Warning,
            FailOn::Error => Severity::Error,
            FailOn::Critical => Severity::Critical,
        }
    }
}

impl Analyze {
    /// Analyzes, writes, summarizes.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let rules = self.rules()?;
        let bundle = super::open(&self.bundle)?;
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")?;
        }
        let progress = Progress::start();
        let facts = Facts::about(bundle, self.symptom.clone());
        let findings = analyze(&facts, &rules, &Options { only: self.only.clone() });
        progress.stop();
        self.put(&findings)?;
        Ok(self.code(&findings))
    }

    fn rules(&self) -> anyhow::Result<RuleSet> {
        let rules = match &self.rules {
            Some(folder) => RuleSet::with_folder(folder)?,
            None => RuleSet::builtin()?,
        };
        if let Some(unknown) = self.only.iter().find(|id| rules.get(id).is_none()) {
            bail!("there is no rule {unknown}; `dossier rules list` names them all");
        }
        Ok(rules)
    }

    fn put(&self, findings: &Findings) -> anyhow::Result<()> {
        if self.out.as_deref() == Some(Path::new("-")) {
            let [format] = self.format[..] else {
                bail!("--out - prints one form of the report: name it with --format html, md or json");
            };
            let text = report::render(findings, format)?;
            return Ok(super::print(|out| out.write_all(text.as_bytes()))?);
        }
        let formats = if self.format.is_empty() { &Format::ALL[..] } else { &self.format };
        let folder = self.out.clone().unwrap_or_else(|| default_folder(&self.bundle));
        let written = report::write_all(findings, formats, &folder)?;
        super::print(|out| {
            report::write_summary(findings, out)?;
            written.iter().try_for_each(|path| writeln!(out, "{}", path.display()))
        })?;
        Ok(())
    }

    fn code(&self, findings: &Findings) -> ExitCode {
        let at_least = Severity::from(self.fail_on);
        if findings.findings.iter().any(|finding| finding.severity >= at_least) {
            return super::found();
        }
        if findings.verdict.health == Health::Unknown { super::could_not() } else { super::FINE }
    }
}

/// `bundle.zip` gives `bundle-report` in the current folder: the bundle may lie where nobody may write.
fn default_folder(bundle: &Path) -> PathBuf {
    let stem = bundle.file_stem().map_or_else(|| "bundle".into(), |stem| stem.to_string_lossy());
    PathBuf::from(format!("{stem}-report"))
}

/// Says on a terminal that work goes on, once it takes longer than a person waits without wondering.
struct Progress {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Progress {
    fn start() -> Progress {
        if !io::stderr().is_terminal() {
            return Progress { stop: None, thread: None };
        }
        let (stop, stopped) = channel();
        Progress { stop: Some(stop), thread: Some(std::thread::spawn(move || tell(&stopped))) }
    }

    fn stop(self) {
        drop(self.stop);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

fn tell(stopped: &Receiver<()>) {
    let started = Instant::now();
    let mut told = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_secs(1)) {
        let _ = write!(io::stderr(), "\rreading and judging the bundle, {} s ", started.elapsed().as_secs());
        told = true;
    }
    if told {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
}

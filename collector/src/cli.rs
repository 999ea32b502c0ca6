//! The command line: what can be asked of the collector, and the exit code it answers with.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bundle::BundleWriter;
use bundle::manifest::{Ended, RunKind, Symptom};
use bundle::write::WriteOptions;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use jiff::Timestamp;

use crate::plan::Plan;
use crate::reach::{self, cleanup};
use crate::redact::{self, Redaction};
use crate::run::finish::{Outcome, finish, print_last_lines};
use crate::run::{Costs, Limits, Progress, Run, signals, space};
use crate::{attach, cloud, cluster, merge, node, symptom};

/// The exit code of a command line that cannot be understood (sysexits' EX_USAGE).
const USAGE: u8 = 64;
/// The exit code of a run that gathered nothing.
const NOTHING: u8 = 3;

/// Gathers what is needed to judge a Kubernetes network problem into one zip file, changing nothing.
///
/// Without a command, a cluster is asked through its API server. Look first with --plan: it prints every request,
/// command and path, and contacts nobody.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    cluster: ClusterRun,
}

const EXIT_CODES: &str = "Exit codes: 0 complete, 2 partial (the manifest says what is missing), 3 nothing, 64 usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads the host that this runs on; needs no API server. Best run as root.
    #[command(after_help = EXIT_CODES)]
    Node(Box<NodeRun>),
    /// Removes what a run with --nodes that was killed left in the cluster, found by its label.
    #[command(after_help = "Exit codes: 0 nothing is left, 2 something is, 3 the cluster cannot be asked, 64 usage.")]
    Cleanup(cleanup::Options),
    /// Folds the bundle of a cluster and those of hosts that were read by hand into one.
    #[command(after_help = "Exit codes: 0 done, 3 the bundles cannot be merged, 64 usage.")]
    Merge(merge::Options),
    /// Takes secrets out of standard input, as it is done with all that goes into a bundle, and writes what is left to
    /// standard output.
    #[command(after_help = "Exit codes: 0 done, 3 it cannot be looked into or written, 64 usage.")]
    Redact,
}

/// A run that asks a cluster.
#[derive(Debug, Args)]
struct ClusterRun {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    cluster: cluster::Options,
    #[command(flatten)]
    reach: reach::Options,
    /// Asks the provider's own program, where it is logged in, about the networks around the nodes; it only reads.
    #[arg(long, value_enum, value_name = "PROVIDER")]
    cloud: Option<cloud::Provider>,
    /// Adds the items of the host that this runs on.
    #[arg(long)]
    this_host: bool,
    /// On the hosts that are read, adds what a busy one feels: see `node --help`.
    #[arg(long)]
    deep: bool,
    /// The name of this host as a node of the cluster; by default its hostname.
    #[arg(long, value_name = "NAME", requires = "this_host")]
    node_name: Option<String>,
    /// Seconds that the whole run may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
}

/// A run that reads one host.
#[derive(Debug, Args)]
struct NodeRun {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    node: node::Options,
    #[command(flatten)]
    reply: reach::reply::Options,
    /// Seconds that the whole run may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    deadline: u64,
}

/// Where the bundle goes.
#[derive(Debug, Args)]
struct Output {
    /// The bundle to write, `-` for standard output [default: dossier-<NAME>-<UTC>.zip]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints at the end what the run cost this machine: processor seconds by what they went into, memory, requests.
    #[arg(long)]
    costs: bool,
    /// Prints every request, command and path with its cost and bound; contacts nobody and writes nothing.
    #[arg(long)]
    plan: bool,
    /// Ends with 0 where the bundle is partial, for whatever would try again or take it for a failure, as a Job does.
    #[arg(long)]
    accept_partial: bool,
    #[command(flatten)]
    limits: Limits,
    /// What is broken, for whoever reads the bundle: from=pod/NS/NAME,to=…,error=TEXT, or a file of such lines.
    #[arg(long, value_name = "FIELDS|@FILE", value_parser = Symptom::from_argument)]
    symptom: Option<Symptom>,
    /// Takes these files along: what az, tccli or kubectl printed, say. The analyzer knows them by their content.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    attach: Vec<PathBuf>,
}

/// What a run consists of, decided before anything is contacted.
struct Job {
    cluster: Option<cluster::Options>,
    reach: Option<reach::Options>,
    /// Whether the nodes that are reached are asked for their heavy items.
    deep: bool,
    node: Option<node::Options>,
    out: Option<PathBuf>,
    /// How the items go back to the collector that started this one in a pod.
    reply: Option<reach::reply::Options>,
    symptom: Option<Symptom>,
    attach: Vec<PathBuf>,
    cloud: Option<cloud::Provider>,
    /// The middle of the default file name.
    name: String,
    budget: Duration,
    limits: Limits,
    plan: Plan,
    costs: Option<Arc<Costs>>,
}

/// Runs the program under the name by which it was called, and gives its exit code.
pub fn main(name: &'static str) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = crate::run::enter_root::try_main(&arguments) {
        return code;
    }
    let parsed = Cli::command().name(name).bin_name(name).try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are printed to standard output and are no error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match execute(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {}", redact::message(&bundle::in_one_line(error.as_ref())));
            ExitCode::from(NOTHING)
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<u8> {
    if let Some(Command::Merge(options)) = &cli.command {
        merge::run(options, README, &mut io::stdout().lock())?;
        return Ok(0);
    }
    if let Some(Command::Cleanup(options)) = &cli.command {
        let done = runtime()?.block_on(cleanup::run(options, &mut io::stdout().lock()))?;
        return Ok(if done { 0 } else { Outcome::Partial.code() });
    }
    if matches!(cli.command, Some(Command::Redact)) {
        let masked = Redaction::new().copy(&mut io::stdin().lock(), &mut io::stdout().lock());
        let masked = masked.context("what was not written cannot be shown without its secrets")?;
        let kinds: Vec<String> = masked.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        eprintln!("masked  {}", if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") });
        return Ok(0);
    }
    let (output, job) = match job(cli) {
        Ok(job) => job,
        Err(error) => {
            eprintln!("error: {}", redact::message(&bundle::in_one_line(error.as_ref())));
            return Ok(USAGE);
        }
    };
    if output.plan {
        let printed = job.plan.print(&mut io::stdout().lock());
        // A reader who has seen enough (`| head`) is no error.
        return match printed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot print the plan"),
            _ => Ok(0),
        };
    }
    crate::run::be_gentle();
    let runtime = runtime()?;
    let outcome = runtime.block_on(collect(job))?;
    // A thread that hangs in the kernel (a dead NFS mount) must not keep the finished bundle's author waiting.
    runtime.shutdown_background();
    Ok(if output.accept_partial && outcome == Outcome::Partial { 0 } else { outcome.code() })
}

/// One thread for all sockets, besides the blocking ones that do the work: it decrypts a gigabyte a second, and two take
/// more processor time, since they wake each other.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    runtime.context("cannot start threads; is the limit of processes (ulimit -u) reached?")
}

fn job(cli: Cli) -> anyhow::Result<(Output, Job)> {
    match cli.command {
        Some(Command::Node(run)) => {
            let run = *run;
            let plan = Plan::new(node::plan(&run.node).into_iter().chain(attach::plan(&run.output.attach)));
            let name = run.node.node_name();
            let job = Job {
                cluster: None,
                reach: None,
                deep: false,
                out: run.output.out.clone(),
                reply: run.reply.framed.then_some(run.reply),
                symptom: run.output.symptom.clone(),
                attach: run.output.attach.clone(),
                cloud: None,
                name,
                budget: Duration::from_secs(run.deadline),
                limits: run.output.limits.clone(),
                plan,
                costs: run.output.costs.then(Arc::default),
                node: Some(run.node),
            };
            Ok((run.output, job))
        }
        Some(Command::Cleanup(_) | Command::Merge(_) | Command::Redact) | None => {
            let run = cli.cluster;
            let node = run.this_host.then(|| node::Options::this_host(run.node_name, run.deep));
            let name = cluster::name(&run.cluster);
            let mut lines = cluster::plan(&run.cluster);
            let reach = reach::plan(&run.reach);
            lines.extend(reach.clone());
            lines.extend(run.cloud.into_iter().flat_map(cloud::plan));
            lines.extend(attach::plan(&run.output.attach));
            lines.extend(node.iter().flat_map(node::plan));
            let each_node = reach.iter().flat_map(|_| node::plan(&node::Options::through_host("*", "/host", run.deep)));
            let each_node = each_node.collect();
            let job = Job {
                cluster: Some(run.cluster),
                reach: run.reach.nodes.is_some().then_some(run.reach),
                deep: run.deep,
                node,
                out: run.output.out.clone(),
                reply: None,
                symptom: run.output.symptom.clone(),
                attach: run.output.attach.clone(),
                cloud: run.cloud,
                name,
                budget: Duration::from_secs(run.deadline),
                limits: run.output.limits.clone(),
                plan: Plan::new(lines).with_each_node(each_node),
                costs: run.output.costs.then(Arc::default),
            };
            Ok((run.output, job))
        }
    }
}

/// Gathers everything, and writes the bundle whatever happened on the way.
async fn collect(job: Job) -> anyhow::Result<Outcome> {
    let programs = match &job.reach {
        Some(options) => Some(reach::Programs::read(&options.node_binary)?),
        None => None,
    };
    let kind = if job.cluster.is_some() { RunKind::Cluster } else { RunKind::Node };
    // Where the cluster is all that is asked and its credentials are of no use, there is nothing to write. A server that
    // does not answer is told in a bundle, which then has the manifest alone.
    let mut signals = signals::Signals::take().context("cannot listen for signals")?;
    let mut interrupted = false;
    let connected = match &job.cluster {
        Some(options) if job.node.is_none() => {
            let answered = tokio::select! {
                answered = cluster::connect(options) => answered,
                () = signals.first() => {
                    interrupted = true;
                    Err(anyhow::anyhow!("a signal ended the run before the API server answered"))
                }
            };
            match answered {
                Err(error) if !interrupted && !error.is::<cluster::Unreachable>() => return Err(error),
                answered => Some(answered),
            }
        }
        _ => None,
    };
    let to_stdout = job.reply.is_some() || job.out.as_deref() == Some(Path::new("-"));
    let told = job.reply.as_ref().and_then(reach::reply::Options::key);
    let redaction = told.map_or_else(Redaction::new, Redaction::by);
    let writer = writer(&job, &redaction)?;
    let progress = Progress::on_stderr(job.plan.lines().len());
    let run = Run::with_costs(writer, job.budget, job.limits.clone(), progress, job.costs.clone());
    space::note_scarce(&run);
    if let Some(symptom) = job.symptom.clone() {
        run.note_symptom(symptom::masked(&symptom).context("the symptom cannot be searched for secrets")?);
    }
    signals.end(&run);
    if interrupted {
        run.tell_to_stop(Ended::Signal);
    }

    let beside = {
        let (run, attach, cloud) = (run.clone(), job.attach.clone(), job.cloud);
        let server = job.cluster.as_ref().and_then(cluster::server_name);
        tokio::task::spawn_blocking(move || {
            run.gathering(|| {
                attach::collect(&run, &attach);
                if let Some(provider) = cloud {
                    cloud::collect(&run, provider, server.as_deref());
                }
            });
            Ok(())
        })
    };
    let node = job.node.map(|options| {
        let run = run.clone();
        tokio::task::spawn_blocking(move || run.gathering(|| node::collect(&run, &options)))
    });
    let connection = match (connected, &job.cluster) {
        (Some(connection), _) => Some(connection),
        // The host is read meanwhile, and a signal need not wait for a server that does not answer.
        (None, Some(options)) => Some(tokio::select! {
            connection = cluster::connect(options) => connection,
            _ = run.stop() => Err(anyhow::anyhow!("the run was stopped before the API server answered")),
        }),
        (None, None) => None,
    };
    let mut pace = None;
    let asked = match connection {
        Some(Ok(connection)) => {
            let api = reach::Api::new(connection.client.clone(), connection.pace.clone());
            let server = connection.server.to_string();
            let nodes = async {
                if let (Some(options), Some(programs)) = (&job.reach, programs) {
                    let asked = reach::Asked { options, deep: job.deep, key: redaction.key() };
                    reach::collect(&run, asked, programs, api, server).await;
                }
            };
            let paced = pace.insert(connection.pace.clone()).clone();
            let (asked, ()) = tokio::join!(cluster::collect(&run, connection), nodes);
            paced.note(&run);
            asked.context("while asking the cluster")
        }
        // Nothing is known of a server that was not waited for; the end of the run says so of each line.
        Some(Err(error)) if run.stopped().is_some() => Err(error),
        Some(Err(error)) => {
            cluster::record_unreachable(&run, &error);
            if job.reach.is_some() {
                reach::record_unreachable(&run, &error);
            }
            Err(error)
        }
        None => Ok(()),
    };
    let read = match node {
        Some(node) => wait_for(&run, node).await.context("while reading the host"),
        None => Ok(()),
    };
    let told = wait_for(&run, beside).await.context("while asking the provider");
    for error in [asked.err(), read.err(), told.err()].into_iter().flatten() {
        if space::is_full(&error) {
            run.note_limit("disk", "full", "what was not gathered before is missing");
            run.tell_to_stop(Ended::Space);
        }
        run.progress().say(&format!("error: {}", bundle::in_one_line(error.as_ref())));
    }

    let finished = finish(run, &job.plan, kind).context("the bundle could not be finished")?;
    let outcome = finished.outcome;
    let mut out: Box<dyn Write> = if to_stdout { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let printed = print_last_lines(&finished, &mut out).and_then(|()| match &job.costs {
        Some(costs) => costs.print(pace.as_ref(), &mut out),
        None => Ok(()),
    });
    // The bundle is in its place; that nobody reads the last lines does not change the outcome.
    drop(printed);
    Ok(outcome)
}

/// Waits for the host's half. A thread that hangs in the kernel cannot be ended; past the deadline it is left behind,
/// and the item in its hands is recorded as not reached.
async fn wait_for(run: &Run, node: tokio::task::JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    /// What a command needs to be ended and its output to be written after the run was told to stop.
    const AFTER_STOP: Duration = Duration::from_secs(15);
    let late = async {
        run.stop().await;
        tokio::time::sleep(AFTER_STOP).await;
    };
    tokio::select! {
        done = node => done.context("the thread that reads the host ended early")?,
        () = late => anyhow::bail!("a file or command did not return and was left behind"),
    }
}

fn writer(job: &Job, redaction: &Redaction) -> anyhow::Result<BundleWriter> {
    // Every byte of every item passes this, and there is no other writer.
    let costs = job.costs.as_ref().map(|costs| costs.content.clone());
    let options = WriteOptions { filters: redaction.filters(), costs, ..WriteOptions::default() };
    if let Some(reply) = &job.reply {
        return Ok(BundleWriter::create_framed(reply.writer(), options));
    }
    let path = match &job.out {
        Some(path) if path == Path::new("-") => {
            return BundleWriter::create_stream(Box::new(io::stdout()), README, options)
                .context("cannot write to standard output");
        }
        Some(path) => path.clone(),
        None => {
            let utc = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            PathBuf::from(format!("dossier-{}-{utc}.zip", bundle::layout::component(&job.name)))
        }
    };
    let elsewhere = "choose another place with --out, or standard output with --out -";
    space::look_before(&path, &job.limits).map_err(|error| anyhow::anyhow!("{error}; {elsewhere}"))?;
    BundleWriter::create_with(&path, README, options).map_err(|error| anyhow::anyhow!("{error}; {elsewhere}"))
}

const README: &str = include_str!("README.bundle.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

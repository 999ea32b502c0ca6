//! `dossier`: judges a support bundle, offline.

use std::process::ExitCode;

use analyzer::command::{
    analyze::Analyze, could_not, inspect::Inspect, path::Path, rules::Rules, test::Test, verify::Verify,
};
use analyzer::rule::load::LoadError;
use clap::{Parser, Subcommand};

/// Tells what is broken in a cluster from its support bundle alone: no network, no cluster, no clock.
#[derive(Debug, Parser)]
#[command(name = "dossier", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Analyze(Analyze),
    Inspect(Inspect),
    Path(Path),
    Rules(Rules),
    Test(Test),
    Verify(Verify),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Analyze(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Path(command) => command.run(),
        Command::Rules(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Verify(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // What is wrong with rules is shown in their files, with carets; everything else is one line.
            if let Some(LoadError::Problems(problems)) = error.downcast_ref() {
                eprintln!("{}", analyzer::report::visible(&problems.to_string()));
                return could_not();
            }
            eprintln!("dossier: {}", analyzer::report::visible(&bundle::in_one_line(error.as_ref())));
            could_not()
        }
    }
}

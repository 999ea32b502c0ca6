//! `dossier-collect`: gathers a bundle from a cluster, from this host, or from both.

use std::process::ExitCode;

fn main() -> ExitCode {
    collector::cli::main("dossier-collect")
}

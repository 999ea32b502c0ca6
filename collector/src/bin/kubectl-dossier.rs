//! `kubectl dossier`: the same program as `dossier-collect`, under the name by which kubectl finds it.

use std::process::ExitCode;

fn main() -> ExitCode {
    collector::cli::main("kubectl dossier")
}

//! `dossier verify`: recomputes every hash of a bundle.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::visible;

/// Recomputes every hash of a bundle and compares with its manifest.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The bundle: a zip file or an unpacked folder.
    bundle: PathBuf,
}

impl Verify {
    /// Prints what does not agree; exit 1 where anything does not.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let bundle = super::open(&self.bundle)?;
        let mismatches = bundle::verify::verify(&bundle);
        let items = &bundle.manifest().items;
        let hashed = items.iter().filter(|item| item.path.is_some()).count();
        super::print(|out| {
            for mismatch in &mismatches {
                writeln!(out, "{}: {}", visible(&mismatch.path), visible(&mismatch.problem))?;
            }
            match mismatches.len() {
                0 => writeln!(
                    out,
                    "{hashed} items with content agree with the manifest; {} gave none",
                    items.len() - hashed
                ),
                wrong => writeln!(out, "{wrong} of {hashed} items with content do not agree with the manifest"),
            }
        })?;
        Ok(if mismatches.is_empty() { super::FINE } else { super::found() })
    }
}

//! The commands of `dossier`, one file each.

pub mod analyze;
pub mod inspect;
pub mod path;
pub mod rules;
pub mod test;
pub mod verify;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bundle::{Bundle, Limits};

/// Nothing at or above the asked severity; everything agrees.
pub const FINE: ExitCode = ExitCode::SUCCESS;

/// Something was found, or does not agree.
pub fn found() -> ExitCode {
    ExitCode::from(1)
}

/// The command could not do its work.
pub fn could_not() -> ExitCode {
    ExitCode::from(2)
}

/// Opens a bundle within the product's limits.
pub fn open(path: &Path) -> anyhow::Result<Bundle> {
    Bundle::open(path, Limits::default()).context("the bundle cannot be opened")
}

/// Standard output that ends the command quietly when its reader goes away (`dossier inspect … | head`).
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

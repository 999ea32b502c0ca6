//! Prerequisites of a test, stated where it begins.
//!
//! A test that lacks something says `skipped: why` on standard error, past the capture of the test harness, and never
//! passes silently: with `DOSSIER_TESTS_MUST_RUN=1`, as in continuous integration, it fails instead.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something a test needs and this machine has not, with what to do about it.
#[derive(Debug, Clone)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Unwraps a prerequisite, or ends the test as skipped (as failed where nothing may be skipped).
#[macro_export]
macro_rules! require {
    ($prerequisite:expr) => {
        match $prerequisite {
            Ok(value) => value,
            Err(missing) => {
                $crate::require::skip(&missing);
                return;
            }
        }
    };
}

/// Reports that the running test is skipped.
///
/// # Panics
///
/// Where `DOSSIER_TESTS_MUST_RUN` is set to anything but `0` or nothing.
pub fn skip(missing: &Missing) {
    let must_run = std::env::var_os("DOSSIER_TESTS_MUST_RUN").is_some_and(|v| !v.is_empty() && v != "0");
    assert!(!must_run, "this test may not be skipped here, but {missing}");
    let thread = std::thread::current();
    // Only the macros print! and eprint! are captured by the harness: this line is seen, and counted by tests/run.
    let _ = writeln!(std::io::stderr(), "skipped: {}: {missing}", thread.name().unwrap_or("a test"));
}

/// The path of a program found in `PATH` or in the system folders that are often not in a user's `PATH`.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates.find(|p| p.is_file()).ok_or_else(|| Missing(format!("{name} is not installed (tests/run installs it)")))
}

/// The right to create namespaces, which every test with a network of its own needs: it is tried, not guessed.
pub fn namespaces() -> Result<(), Missing> {
    let unshare = program("unshare")?;
    let tried = Command::new(unshare)
        .args(["--mount", "--net", "--uts", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Missing("namespaces cannot be created here: run the tests as root".into())),
    }
}

/// A file or folder that must exist.
pub fn path(path: &Path) -> Result<(), Missing> {
    if path.exists() { Ok(()) } else { Err(Missing(format!("{} does not exist", path.display()))) }
}

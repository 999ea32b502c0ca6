//! Runs a command below another root directory, for a collector that sees its host at `/host`.
//!
//! A host's program cannot be started through `/host`: its interpreter and libraries have absolute paths. Changing
//! the root between fork and exec would need unsafe code, so the collector starts itself with a hidden first argument,
//! changes its own root and replaces itself by the command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The hidden first argument.
pub const ARGUMENT: &str = "__enter-root";
/// The exit code where the root cannot be entered or the command not be started, as chroot(1) has it.
pub const FAILED: u8 = 125;

/// Where the arguments are `PROGRAM __enter-root ROOT COMMAND…`: changes the root and becomes the command. Returns
/// only where that fails, and `None` where the arguments are of another kind.
pub fn try_main(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, hidden, root, command, rest @ ..] = arguments else { return None };
    if hidden != ARGUMENT {
        return None;
    }
    let entered = rustix::process::chroot(root.as_os_str()).and_then(|()| rustix::process::chdir("/"));
    let error = match entered {
        Ok(()) => Command::new(command).args(rest).exec(),
        Err(error) => error.into(),
    };
    eprintln!("cannot run {} below {}: {error}", command.display(), root.display());
    Some(ExitCode::from(FAILED))
}

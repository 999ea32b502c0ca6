//! Runs one command of the host: without a shell, bounded in time and output, and leaving no process behind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Where programs are looked for, and the PATH that commands themselves see.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin";
/// How often a stop, a deadline and an exit are looked for.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// What a command gets to end by itself after SIGTERM.
const AFTER_TERM: Duration = Duration::from_secs(2);
/// What the kernel gets to end a process after SIGKILL; one in uninterruptible sleep is left to it.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// What a pipe gets to drain after its command has exited while somebody else still holds it.
const AFTER_EXIT: Duration = Duration::from_millis(250);
/// The end of standard error that is kept.
const STDERR_TAIL: usize = 2_000;
/// What a command may print before it is stopped, whatever is kept of it: one that prints forever would otherwise
/// keep a processor busy until its deadline.
const PRINTED_AT_MOST: u64 = 256_000_000;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// By ours, at its deadline.
    Deadline,
    /// By ours, because the run was told to stop.
    Stopped,
    /// By ours, because it printed more than any command should.
    TooLong,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// The end of its standard error, as text.
    pub stderr_tail: Option<String>,
    /// Whether somebody held its pipes when it had ended; what they would still have written is missing.
    pub pipes_held: bool,
}

/// Why a command did not give a report.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program's path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its output could not be read or handed on.
    #[error("cannot keep the output of {program}: {source}")]
    Output {
        /// The program's path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Runs `argv`, whose first element is the program's absolute path, for at most `time`, and hands its standard output
/// to `out` as it comes. `stopped` is asked fifty times a second; once it says so the command is ended.
pub fn run(
    argv: &[String],
    time: Duration,
    stopped: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<Report, CommandError> {
    run_in(Environment::Bare, argv, time, stopped, out)
}

/// What a command sees of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Nothing of the caller's: the fixed [`PATH`], no home, messages in English.
    Bare,
    /// The caller's: for programs that are logged in with the caller's files.
    Callers,
}

/// The same, in an environment of choice.
pub fn run_in(
    environment: Environment,
    argv: &[String],
    time: Duration,
    stopped: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<Report, CommandError> {
    let program = argv.first().cloned().unwrap_or_default();
    let child = spawn(environment, argv).map_err(|source| CommandError::Start { program: program.clone(), source })?;
    let mut supervised = match Supervised::new(child) {
        Ok(supervised) => supervised,
        Err(source) => return Err(CommandError::Output { program, source }),
    };
    supervised.watch(time, stopped, out).map_err(|source| CommandError::Output { program, source })
}

/// The absolute path of a program in the fixed PATH below `root`, as seen from that root.
pub fn find_program(root: &Path, name: &str) -> Option<String> {
    PATH.split(':').map(|folder| format!("{folder}/{name}")).find(|path| {
        // A link counts by being there: below another root its target cannot be looked up from here.
        root.join(path.trim_start_matches('/')).symlink_metadata().is_ok()
    })
}

/// One command is started at a time. Between fork and exec a child holds copies of all our pipes; were another command
/// started meanwhile, its pipe would seem to be held by somebody after it has exited, for as long as a busy host takes to
/// get the first one to its exec.
static STARTING: Mutex<()> = Mutex::new(());

fn spawn(environment: Environment, argv: &[String]) -> io::Result<Child> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program was named"));
    };
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(program);
    if environment == Environment::Bare {
        command.env_clear().env("PATH", PATH).env("HOME", "/");
    }
    // A process group of its own, so that whatever it starts can be ended with it; no terminal, messages in English.
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TERM", "dumb")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// A running command with its two pipes. Dropping it ends the whole process group.
struct Supervised {
    child: Child,
    group: Pid,
    stdout: Option<File>,
    stderr: Option<File>,
    stderr_tail: Vec<u8>,
    printed: u64,
    reaped: bool,
}

impl Supervised {
    fn new(mut child: Child) -> io::Result<Self> {
        let group = Pid::from_child(&child);
        let stdout = child.stdout.take().map(OwnedFd::from).map(File::from);
        let stderr = child.stderr.take().map(OwnedFd::from).map(File::from);
        let supervised =
            Supervised { child, group, stdout, stderr, stderr_tail: Vec::new(), printed: 0, reaped: false };
        for pipe in [&supervised.stdout, &supervised.stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(supervised)
    }

    fn watch(&mut self, time: Duration, stopped: &dyn Fn() -> bool, out: &mut dyn Write) -> io::Result<Report> {
        let deadline = Instant::now() + time;
        let mut ended_by_us: Option<(Ending, Instant)> = None;
        let mut killed = false;
        let mut exited: Option<Instant> = None;
        loop {
            self.wait_for_output()?;
            self.drain(out)?;
            let now = Instant::now();
            if exited.is_none() && self.has_exited()? {
                exited = Some(now);
            }
            if let Some(exited) = exited {
                let closed = self.stdout.is_none() && self.stderr.is_none();
                if closed || now > exited + AFTER_EXIT {
                    break;
                }
                continue;
            }
            match ended_by_us {
                None => {
                    let why = if stopped() {
                        Ending::Stopped
                    } else if now >= deadline {
                        Ending::Deadline
                    } else if self.printed > PRINTED_AT_MOST {
                        Ending::TooLong
                    } else {
                        continue;
                    };
                    self.signal(Signal::TERM);
                    ended_by_us = Some((why, now));
                }
                Some((_, at)) if !killed && now > at + AFTER_TERM => {
                    self.signal(Signal::KILL);
                    killed = true;
                }
                Some((ending, at)) if now > at + AFTER_TERM + AFTER_KILL => {
                    // It sleeps in the kernel; nothing can be done but to leave it there and say so.
                    self.reaped = true;
                    return Ok(self.report(ending, true));
                }
                Some(_) => {}
            }
        }
        let pipes_held = self.stdout.is_some() || self.stderr.is_some();
        if pipes_held || ended_by_us.is_some() {
            // Whoever is left of the group holds our pipes or outlived our signal. The leader is not reaped yet, so
            // the group's number cannot have been given to anybody else.
            self.signal(Signal::KILL);
            self.drain(out)?;
        }
        let status = self.child.wait()?;
        self.reaped = true;
        let ending = match (ended_by_us, status.code()) {
            (Some((ending, _)), _) => ending,
            (None, Some(code)) => Ending::Exited(code),
            (None, None) => Ending::Signal(status.signal().unwrap_or(0)),
        };
        Ok(self.report(ending, pipes_held))
    }

    fn report(&self, ending: Ending, pipes_held: bool) -> Report {
        let stderr = String::from_utf8_lossy(&self.stderr_tail);
        let stderr = stderr.trim();
        Report { ending, stderr_tail: (!stderr.is_empty()).then(|| stderr.to_owned()), pipes_held }
    }

    /// Waits a tick, or shorter where something was printed.
    fn wait_for_output(&self) -> io::Result<()> {
        let mut pipes: Vec<PollFd<'_>> =
            [&self.stdout, &self.stderr].into_iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        match poll(&mut pipes, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what is in the pipes, at most a megabyte at a time so that clocks are looked at in between.
    fn drain(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = [0; 1 << 16];
        for _ in 0..16 {
            let Some(pipe) = &mut self.stdout else { break };
            match take(pipe, &mut buffer)? {
                Taken::Bytes(bytes) => {
                    self.printed += bytes.len() as u64;
                    out.write_all(bytes)?;
                }
                Taken::Nothing => break,
                Taken::End => self.stdout = None,
            }
        }
        for _ in 0..16 {
            let Some(pipe) = &mut self.stderr else { break };
            match take(pipe, &mut buffer)? {
                Taken::Bytes(bytes) => {
                    self.printed += bytes.len() as u64;
                    self.stderr_tail.extend_from_slice(bytes);
                    let excess = self.stderr_tail.len().saturating_sub(STDERR_TAIL);
                    self.stderr_tail.drain(..excess);
                }
                Taken::Nothing => break,
                Taken::End => self.stderr = None,
            }
        }
        Ok(())
    }

    /// Whether the command itself has exited; it stays a zombie, and its number with it, until it is waited for.
    fn has_exited(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.group), options)?.is_some())
    }

    fn signal(&self, signal: Signal) {
        // That nobody is left in the group is as good as having ended them.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

enum Taken<'a> {
    Bytes(&'a [u8]),
    Nothing,
    End,
}

fn take<'a>(pipe: &mut File, buffer: &'a mut [u8]) -> io::Result<Taken<'a>> {
    match pipe.read(buffer) {
        Ok(0) => Ok(Taken::End),
        Ok(n) => Ok(Taken::Bytes(buffer.get(..n).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted => {
            Ok(Taken::Nothing)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;

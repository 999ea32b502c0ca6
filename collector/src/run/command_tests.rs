//! The runner against real processes that do not behave.

#![allow(clippy::unwrap_used)]

use super::*;

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

fn run_for(script: &str, time: Duration) -> (Report, String) {
    let mut out = Vec::new();
    let report = run(&shell(script), time, &|| false, &mut out).unwrap();
    (report, String::from_utf8_lossy(&out).into_owned())
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie that init has not reaped yet is dead.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn output_error_and_code_are_kept_apart() {
    let (report, out) = run_for("echo out; echo err >&2; exit 3", Duration::from_secs(10));
    assert_eq!(report.ending, Ending::Exited(3));
    assert_eq!(report.stderr_tail.as_deref(), Some("err"));
    assert_eq!(out, "out\n");
    assert!(!report.pipes_held);
}

#[test]
fn the_environment_is_ours_alone() {
    let (_, out) = run_for("env | sort", Duration::from_secs(10));
    let names: Vec<&str> = out.lines().filter_map(|line| line.split('=').next()).collect();
    // PWD, SHLVL and _ are the shell's own doing.
    let ours = ["HOME", "LC_ALL", "PATH", "SYSTEMD_COLORS", "SYSTEMD_PAGER", "TERM"];
    assert!(names.iter().all(|name| ours.contains(name) || ["PWD", "OLDPWD", "SHLVL", "_"].contains(name)), "{out}");
    assert!(out.contains("LC_ALL=C\n"));
}

#[test]
fn what_was_printed_before_the_deadline_is_kept() {
    let (report, out) = run_for("echo before; sleep 60; echo after", Duration::from_millis(300));
    assert_eq!(report.ending, Ending::Deadline);
    assert_eq!(out, "before\n");
}

#[test]
fn who_ignores_sigterm_is_killed_with_its_children() {
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; while :; do sleep 1; done";
    let (report, out) = run_for(script, Duration::from_millis(300));
    assert_eq!(report.ending, Ending::Deadline);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!is_alive(&out), "the child {out} outlived its group");
}

#[test]
fn who_prints_forever_is_stopped_and_holds_no_memory() {
    let mut out = crate::run::capped::Capped::new(io::sink(), crate::run::capped::Cap { head: 10, tail: 1_000 });
    let report = run(&["/usr/bin/yes".to_owned()], Duration::from_secs(60), &|| false, &mut out).unwrap();
    assert_eq!(report.ending, Ending::TooLong);
    assert!(out.finish().unwrap().1 >= PRINTED_AT_MOST - 1_010);
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
    let (report, out) = run_for("sleep 60 & echo $!", Duration::from_secs(30));
    assert_eq!(report.ending, Ending::Exited(0));
    assert!(report.pipes_held);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!is_alive(&out), "the grandchild {out} is still there");
}

#[test]
fn a_grandchild_that_left_the_group_does_not_hold_us_either() {
    let (report, out) = run_for("setsid sleep 5 & echo held", Duration::from_secs(30));
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(out, "held\n");
}

#[test]
fn an_exit_by_a_signal_is_told() {
    let (report, _) = run_for("kill -SEGV $$", Duration::from_secs(10));
    assert_eq!(report.ending, Ending::Signal(11));
}

#[test]
fn a_stop_ends_the_command() {
    let began = Instant::now();
    let stopped = move || began.elapsed() > Duration::from_millis(200);
    let report = run(&shell("sleep 60"), Duration::from_secs(60), &stopped, &mut io::sink()).unwrap();
    assert_eq!(report.ending, Ending::Stopped);
}

#[test]
fn a_missing_program_is_an_error_that_names_it() {
    let error = run(&["/nonexistent/ip".to_owned()], Duration::from_secs(1), &|| false, &mut io::sink()).unwrap_err();
    assert!(error.to_string().starts_with("cannot start /nonexistent/ip: "), "{error}");
}

#[test]
fn an_output_that_cannot_be_written_ends_the_command() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = run(&shell("echo x; sleep 60"), Duration::from_secs(60), &|| false, &mut Full).unwrap_err();
    assert!(matches!(error, CommandError::Output { .. }), "{error}");
}

#[test]
fn programs_are_found_in_the_fixed_path_alone() {
    assert!(find_program(Path::new("/"), "sh").is_some_and(|path| path.ends_with("/bin/sh")));
    assert_eq!(find_program(Path::new("/"), "no-such-program"), None);
    assert_eq!(find_program(Path::new("/nonexistent"), "sh"), None);
}

#[test]
fn commands_started_side_by_side_do_not_hold_each_others_pipes() {
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..50 {
                    let (report, out) = run_for("echo x", Duration::from_secs(30));
                    assert_eq!((report.ending, report.pipes_held, out.as_str()), (Ending::Exited(0), false, "x\n"));
                }
            });
        }
    });
}

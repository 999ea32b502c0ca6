//! Ctrl-C, SIGTERM and SIGHUP end the run, not the program: what was gathered still becomes a valid bundle.

use std::io;

use bundle::manifest::Ended;
use tokio::signal::unix::{SignalKind, signal};

use super::Run;

/// Begins to listen; from here on none of the three signals ends the program by itself. SIGHUP is among them because
/// the collector is often run over an ssh session that breaks, on a node whose network is what is wrong.
pub fn listen(run: &Run) -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let run = run.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                run.progress().say("stopping; what was gathered so far is being written");
                run.tell_to_stop(Ended::Signal);
            }
        });
    }
    Ok(())
}

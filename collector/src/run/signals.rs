//! Ctrl-C, SIGTERM and SIGHUP end the run, not the program: what was gathered still becomes a valid bundle.

use std::future::Future as _;
use std::io;
use std::task::Poll;

use bundle::manifest::Ended;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Run;

/// The three signals, taken but not yet answered.
pub struct Signals(Vec<Signal>);

impl Signals {
    /// Begins to listen; from here on none of the three signals ends the program by itself. What comes before
    /// [`Signals::end`] is not lost. SIGHUP is among them because the collector is often run over an ssh session that
    /// breaks, on a node whose network is what is wrong.
    pub fn take() -> io::Result<Signals> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.into_iter().map(signal).collect::<io::Result<_>>().map(Signals)
    }

    /// Waits for the first, while there is no run yet that it could end.
    pub async fn first(&mut self) {
        let waiting = self.0.iter_mut().map(|signals| Box::pin(signals.recv()));
        // No stream of signals ends while the program runs.
        let mut waiting: Vec<_> = waiting.collect();
        std::future::poll_fn(|context| {
            let came = waiting.iter_mut().any(|one| one.as_mut().poll(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Ends the run when one comes.
    pub fn end(self, run: &Run) {
        for mut signals in self.0 {
            let run = run.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    run.progress().say("stopping; what was gathered so far is being written");
                    run.tell_to_stop(Ended::Signal);
                }
            });
        }
    }
}

//! What the person who waits is told: one line that is redrawn on a terminal, a line a second otherwise.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bundle::ItemDraft;
use bundle::manifest::{ItemStatus, Scope};

/// Tells on standard error how far a run is. Clones share the count.
#[derive(Clone)]
pub struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    style: Style,
    began: Instant,
    total: usize,
    done: BTreeSet<(Scope, String)>,
    current: String,
    bytes: u64,
    told: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Redrawn,
    Lines,
    Silent,
}

impl Style {
    /// How often a person can take something in: a redrawn line ten times a second, a new line once a second.
    fn pause(self) -> Duration {
        match self {
            Style::Redrawn => Duration::from_millis(100),
            Style::Lines | Style::Silent => Duration::from_secs(1),
        }
    }
}

impl Progress {
    /// Progress through `total` lines of the plan, told in the way that suits standard error.
    pub fn on_stderr(total: usize) -> Progress {
        let style = if io::stderr().is_terminal() { Style::Redrawn } else { Style::Lines };
        Progress::styled(style, total)
    }

    /// Progress that is told to nobody.
    pub fn silent() -> Progress {
        Progress::styled(Style::Silent, 0)
    }

    fn styled(style: Style, total: usize) -> Progress {
        let state = State {
            style,
            began: Instant::now(),
            total,
            done: BTreeSet::new(),
            current: String::new(),
            bytes: 0,
            told: None,
        };
        Progress { state: Arc::new(Mutex::new(state)) }
    }

    /// An item is being gathered.
    pub fn begin(&self, draft: &ItemDraft) {
        let mut state = self.lock();
        state.current.clone_from(&draft.id);
        state.tell();
    }

    /// Content came.
    pub fn add_bytes(&self, n: u64) {
        let mut state = self.lock();
        state.bytes += n;
        state.tell();
    }

    /// An item of this line of the plan ended.
    pub fn ended(&self, scope: &Scope, plan: &str, _status: ItemStatus) {
        let mut state = self.lock();
        plan.clone_into(&mut state.current);
        state.done.insert((scope.clone(), plan.to_owned()));
        state.tell();
    }

    /// Says a sentence between the progress lines.
    pub fn say(&self, sentence: &str) {
        let mut state = self.lock();
        if state.style != Style::Silent {
            state.clear();
            // Whoever closed standard error does not want to be told.
            let _ = writeln!(io::stderr(), "{}", crate::redact::message(sentence));
        }
    }

    /// Leaves the terminal ready for the last lines.
    pub fn finish(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self) {
        if self.style == Style::Silent || self.told.is_some_and(|told| told.elapsed() < self.style.pause()) {
            return;
        }
        self.told = Some(Instant::now());
        let line = self.line();
        let mut stderr = io::stderr();
        let _ = match self.style {
            // The line is cut to 79 columns, so that redrawing never wraps; \x1b[K clears what was longer before.
            Style::Redrawn => write!(stderr, "\r{}\x1b[K", line.chars().take(79).collect::<String>()),
            _ => writeln!(stderr, "{line}"),
        };
        let _ = stderr.flush();
    }

    fn line(&self) -> String {
        let seconds = self.began.elapsed().as_secs();
        let done = self.done.len().min(self.total);
        format!("{done} of {}  {}  {:.1} MB  {seconds} s", self.total, self.current, self.bytes as f64 / 1e6)
    }

    fn clear(&mut self) {
        if self.style == Style::Redrawn && self.told.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_plan_counts_once_however_many_items_it_gave() {
        let progress = Progress::styled(Style::Silent, 3);
        for plan in ["node.log", "node.log", "node.ip.link"] {
            progress.ended(&Scope::Node("n1".to_owned()), plan, ItemStatus::Ok);
        }
        progress.add_bytes(2_500_000);
        assert_eq!(progress.lock().line(), "2 of 3  node.ip.link  2.5 MB  0 s");
    }
}

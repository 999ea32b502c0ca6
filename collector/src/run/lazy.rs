//! An item whose place in the bundle is taken by its first byte, so that one without content has no empty file.

use std::io::{self, Write};

use bundle::manifest::ItemStatus;
use bundle::{ItemDraft, ItemEnd, WriteError};
use jiff::Timestamp;

use super::{Item, Run};

/// An item that is begun when its first byte comes.
pub struct LazyItem<'a> {
    run: &'a Run,
    started: Timestamp,
    path: String,
    state: State,
}

enum State {
    Waiting(ItemDraft),
    Begun(Box<Item>),
    Failed,
}

impl<'a> LazyItem<'a> {
    /// An item that will lie at `path` of the bundle, if it has content.
    pub fn new(run: &'a Run, draft: ItemDraft, path: String) -> Self {
        run.progress().begin(&draft);
        LazyItem { run, started: Timestamp::now(), path, state: State::Waiting(draft) }
    }

    /// Says that the item was asked for at this moment, where that was before it was made.
    pub fn asked_at(mut self, started: Timestamp) -> Self {
        self.started = started;
        self
    }

    /// Whether a byte has come.
    pub fn has_content(&self) -> bool {
        matches!(self.state, State::Begun(_))
    }

    /// Ends the item; `Ok` without content is `Empty`.
    pub fn end(self, mut end: ItemEnd) -> Result<(), WriteError> {
        match self.state {
            State::Begun(item) => (*item).end(end),
            State::Waiting(draft) => {
                if end.status == ItemStatus::Ok {
                    end.status = ItemStatus::Empty;
                }
                self.run.record(draft, end, self.started);
                Ok(())
            }
            State::Failed => Ok(()),
        }
    }

    /// Gives up the item before it has content, and gives the draft back; `None` where content has come.
    pub fn give_up(self) -> Option<ItemDraft> {
        match self.state {
            State::Waiting(draft) => Some(draft),
            State::Begun(_) | State::Failed => None,
        }
    }
}

impl Write for LazyItem<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if let State::Waiting(_) = self.state
            && let State::Waiting(draft) = std::mem::replace(&mut self.state, State::Failed)
        {
            let mut item = self.run.begin(draft, self.path.clone()).map_err(io::Error::other)?;
            item.asked_at(self.started);
            self.state = State::Begun(Box::new(item));
        }
        match &mut self.state {
            State::Begun(item) => item.write(bytes),
            State::Waiting(_) | State::Failed => Err(io::Error::other("the item could not be begun")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

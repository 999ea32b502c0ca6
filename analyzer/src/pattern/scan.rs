//! All logs in one pass, in parallel, in bounded memory.
//!
//! The unit of work is: take a log from the pool, read its next chunk, give the log back, search the chunk. So one log
//! of a gigabyte keeps all threads busy, as a hundred small ones do, and each thread holds one chunk. The threads are
//! of this pass alone, because those of rayon must not wait for one another (see `facts`).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bundle::Bundle;

use super::chunk::{Chunk, Chunks, line_ends};
use super::hits::{Hit, Hits};
use super::set::PatternSet;
use super::timestamp;
use crate::citation::Citation;
use crate::finding::Unreadable;

/// Searches the entries at these paths for all patterns. Hits name an entry by its index in `paths`. The result does not
/// depend on the number of threads.
pub fn scan(bundle: &Bundle, paths: &[&str], patterns: &PatternSet, threads: usize) -> Hits {
    let pool = Pool::new(bundle, paths);
    let sum = Mutex::new(Hits::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 256) {
            scope.spawn(|| {
                let hits = work(&pool, patterns);
                lock(&sum).merge(hits);
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The logs that are being read or wait to be.
struct Pool<'b> {
    bundle: &'b Bundle,
    paths: &'b [&'b str],
    state: Mutex<State<'b>>,
    /// A log was given back, or is at its end.
    changed: Condvar,
}

struct State<'b> {
    /// Logs that nobody reads at the moment, by index.
    waiting: VecDeque<(usize, Chunks<'b>)>,
    /// The next log that was never opened.
    next: usize,
    /// Logs that a thread reads at the moment.
    taken: usize,
    unreadable: Vec<Unreadable>,
}

/// What a thread takes from the pool.
enum Taken<'b> {
    Open(usize, Chunks<'b>),
    New(usize),
    Nothing,
}

impl<'b> Pool<'b> {
    fn new(bundle: &'b Bundle, paths: &'b [&'b str]) -> Pool<'b> {
        let state = State { waiting: VecDeque::new(), next: 0, taken: 0, unreadable: Vec::new() };
        Pool { bundle, paths, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next log to read from. Waits while every log is being read; there is nothing when all are at their ends.
    fn take(&self) -> Taken<'b> {
        let mut state = lock(&self.state);
        loop {
            if let Some((index, chunks)) = state.waiting.pop_front() {
                state.taken += 1;
                return Taken::Open(index, chunks);
            }
            if state.next < self.paths.len() {
                state.taken += 1;
                state.next += 1;
                return Taken::New(state.next - 1);
            }
            if state.taken == 0 {
                return Taken::Nothing;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, index: usize, chunks: Chunks<'b>) {
        let mut state = lock(&self.state);
        state.taken -= 1;
        state.waiting.push_back((index, chunks));
        self.changed.notify_one();
    }

    /// Ends a log, with the reason where it could not be read to its end.
    fn end(&self, index: usize, reason: Option<String>) {
        let mut state = lock(&self.state);
        state.taken -= 1;
        if let Some(reason) = reason {
            let path = self.paths.get(index).copied().unwrap_or_default().to_owned();
            state.unreadable.push(Unreadable { path, reason });
        }
        self.changed.notify_all();
    }

    /// Reads the next chunk of some log into the buffer; gives the log's index, nothing when all logs are done.
    fn read(&self, chunk: &mut Chunk) -> Option<usize> {
        loop {
            let (index, mut chunks) = match self.take() {
                Taken::Nothing => return None,
                Taken::Open(index, chunks) => (index, chunks),
                Taken::New(index) => {
                    let path = self.paths.get(index).copied().unwrap_or_default();
                    match self.bundle.stream(path) {
                        Ok(stream) => (index, Chunks::new(stream)),
                        Err(error) => {
                            self.end(index, Some(error.to_string()));
                            continue;
                        }
                    }
                }
            };
            match chunks.next(chunk) {
                Ok(true) => {
                    self.give_back(index, chunks);
                    return Some(index);
                }
                Ok(false) => self.end(index, None),
                Err(error) => self.end(index, Some(error.to_string())),
            }
        }
    }
}

fn work(pool: &Pool<'_>, patterns: &PatternSet) -> Hits {
    let mut hits = Hits::default();
    let mut chunk = Chunk::default();
    while let Some(log) = pool.read(&mut chunk) {
        search(log, &chunk, patterns, &mut hits);
    }
    hits.unreadable = std::mem::take(&mut lock(&pool.state).unreadable);
    hits
}

fn search(log: usize, chunk: &Chunk, patterns: &PatternSet, hits: &mut Hits) {
    let bytes = chunk.bytes.as_slice();
    let mut from = 0;
    let mut counted = 0;
    let mut line = chunk.lines_before + 1;
    // The last line of each pattern in this chunk. Only the first and the last hits get a text: a log may say the same
    // thing a million times.
    let mut last: BTreeMap<usize, (u64, Range<usize>)> = BTreeMap::new();
    while let Some(range) = patterns.next_line(bytes, from) {
        line += line_ends(bytes.get(counted..range.start).unwrap_or_default());
        counted = range.start;
        from = range.end + 1;
        let text = bytes.get(range.clone()).unwrap_or_default();
        for pattern in patterns.in_line(text) {
            let found = hits.by_pattern.entry((pattern, log)).or_default();
            found.count += 1;
            if found.wants(line) {
                found.add(hit(text, line, pattern, patterns));
            } else {
                last.insert(pattern, (line, range.clone()));
            }
        }
        if from > bytes.len() {
            break;
        }
    }
    for (pattern, (line, range)) in last {
        let text = bytes.get(range).unwrap_or_default();
        hits.by_pattern.entry((pattern, log)).or_default().add(hit(text, line, pattern, patterns));
    }
}

fn hit(text: &[u8], line: u64, pattern: usize, patterns: &PatternSet) -> Hit {
    let captures = patterns.patterns().get(pattern).map(|pattern| pattern.captures(text)).unwrap_or_default();
    let shown = text.get(..Citation::TEXT_LIMIT * 2).unwrap_or(text);
    let shown = String::from_utf8_lossy(shown).trim_end_matches('\r').to_owned();
    Hit { line, time: timestamp::of_line(&shown), text: shown, captures }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

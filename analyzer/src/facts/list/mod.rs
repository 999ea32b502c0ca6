//! Lists of objects, read as streams: the calling thread inflates and splits, and it and others parse batches of
//! objects, so that a list of 150,000 pods (693 MB of JSON) becomes facts without ever lying in memory whole.
//!
//! The threads are this module's own, as many in all as the pool has that the caller runs in: see the invariants of
//! [`super`] for why no thread of that pool may wait here.

mod split;

use std::io::Read;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::{Bundle, Scope};
use split::Splitter;

use crate::evidence::Evidence;
use crate::finding::Unreadable;

/// Bytes that are read and handed on at once: some two hundred pods.
const PIECE: usize = 1 << 20;
/// Batches that wait for a thread, at most. With the batch that each thread holds, this bounds the memory.
const WAITING: usize = 4;

/// Where an object came from: its list and its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The list's path in the bundle.
    pub path: Arc<str>,
    /// The object's index in `items`.
    pub index: u32,
}

impl Origin {
    /// The JSON pointer of a place in the object: `/items/7` and `below`, which begins with a slash or is empty.
    pub fn pointer(&self, below: &str) -> String {
        format!("/items/{}{below}", self.index)
    }

    /// A citation of a place in the object.
    pub fn cite(&self, below: &str, text: &str) -> crate::citation::Citation {
        crate::citation::Citation::pointer(&self.path, self.pointer(below), text)
    }
}

/// What was read of one list, or of several that serve one evidence id.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// What was made of the objects, in the order of the lists.
    pub items: Vec<T>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed { items: Vec::new(), unreadable: Vec::new() }
    }
}

impl<T> Listed<T> {
    fn add(&mut self, other: Listed<T>) {
        self.items.extend(other.items);
        self.unreadable.extend(other.unreadable);
    }
}

/// Turns the bytes of objects into facts. One is made for each thread, so that it can keep strings it has seen.
pub trait Parser<T>: Send {
    /// What the object at this place is; none where it is not one of ours; the reason where it cannot be read.
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<T>, serde_json::Error>;
}

impl<T, F> Parser<T> for F
where
    F: FnMut(Origin, &[u8]) -> Result<Option<T>, serde_json::Error> + Send,
{
    fn parse(&mut self, origin: Origin, object: &[u8]) -> Result<Option<T>, serde_json::Error> {
        self(origin, object)
    }
}

/// Reads the lists of the cluster that serve an evidence id: one, or several where the id stands for several.
pub fn read<T: Send, P: Parser<T>>(evidence: &Evidence, id: &str, parser: impl Fn() -> P + Sync) -> Listed<T> {
    let mut listed = Listed::default();
    for item in evidence.items(id, &Scope::Cluster) {
        if let Some(path) = &item.path {
            listed.add(read_entry(evidence.bundle(), path, &parser));
        }
    }
    listed
}

/// Reads the list at a path.
pub fn read_entry<T: Send, P: Parser<T>>(bundle: &Bundle, path: &str, parser: impl Fn() -> P + Sync) -> Listed<T> {
    let stream = match bundle.stream(path) {
        Ok(stream) => stream,
        Err(error) => return Listed { items: Vec::new(), unreadable: vec![unreadable(path, error.to_string())] },
    };
    let threads = rayon::current_num_threads();
    read_stream(stream, &Arc::from(path), threads, parser)
}

fn unreadable(path: &str, reason: String) -> Unreadable {
    Unreadable { path: path.to_owned(), reason }
}

/// Bytes that hold whole objects.
struct Batch {
    number: usize,
    first: usize,
    bytes: Vec<u8>,
    objects: Vec<Range<usize>>,
}

/// Reads a list from a stream with this many threads, the calling one among them.
pub fn read_stream<T: Send, P: Parser<T>>(
    stream: impl Read,
    path: &Arc<str>,
    threads: usize,
    parser: impl Fn() -> P + Sync,
) -> Listed<T> {
    let (sender, receiver) = sync_channel::<Batch>(WAITING);
    let receiver = Mutex::new(receiver);
    let free: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let mut unreadable_of_stream = Vec::new();
    let mut parts: Vec<(usize, Listed<T>)> = std::thread::scope(|scope| {
        let work = || {
            let mut own = Parsing { parser: parser(), path, parts: Vec::new(), free: &free };
            while let Some(batch) = next(&receiver) {
                own.batch(batch);
            }
            own.parts
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut own = Parsing { parser: parser(), path, parts: Vec::new(), free: &free };
        // A small list is read before the others have begun; without others every batch is parsed here.
        split_stream(stream, path, &free, &mut unreadable_of_stream, |batch| match (threads > 1).then_some(&sender) {
            Some(sender) => own.send_or_do(sender, batch),
            None => own.batch(batch),
        });
        drop(sender);
        while let Some(batch) = next(&receiver) {
            own.batch(batch);
        }
        let parts = others.into_iter().filter_map(|thread| thread.join().ok()).flatten();
        own.parts.into_iter().chain(parts).collect()
    });
    parts.sort_by_key(|(number, _)| *number);
    let mut listed = Listed {
        items: Vec::with_capacity(parts.iter().map(|(_, part)| part.items.len()).sum()),
        unreadable: Vec::new(),
    };
    parts.into_iter().for_each(|(_, part)| listed.add(part));
    listed.unreadable.extend(unreadable_of_stream);
    listed
}

fn next(receiver: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// One thread's parsing.
struct Parsing<'a, T, P> {
    parser: P,
    path: &'a Arc<str>,
    parts: Vec<(usize, Listed<T>)>,
    free: &'a Mutex<Vec<Vec<u8>>>,
}

impl<T, P: Parser<T>> Parsing<'_, T, P> {
    /// Hands a batch to another thread, or parses it here where all have enough to do.
    fn send_or_do(&mut self, sender: &SyncSender<Batch>, batch: Batch) {
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) = sender.try_send(batch) {
            self.batch(batch);
        }
    }

    fn batch(&mut self, batch: Batch) {
        let mut part = Listed { items: Vec::with_capacity(batch.objects.len()), unreadable: Vec::new() };
        for (place, range) in batch.objects.into_iter().enumerate() {
            let Some(object) = batch.bytes.get(range) else { continue };
            let origin =
                Origin { path: self.path.clone(), index: u32::try_from(batch.first + place).unwrap_or(u32::MAX) };
            let pointer = origin.pointer("");
            match self.parser.parse(origin, object) {
                Ok(item) => part.items.extend(item),
                Err(error) => part.unreadable.push(unreadable(self.path, format!("{pointer}: {error}"))),
            }
        }
        self.parts.push((batch.number, part));
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(batch.bytes);
    }
}

/// Reads a stream in pieces and hands on batches of whole objects.
fn split_stream(
    mut stream: impl Read,
    path: &str,
    free: &Mutex<Vec<Vec<u8>>>,
    unreadable_of: &mut Vec<Unreadable>,
    mut hand_on: impl FnMut(Batch),
) {
    let buffer = || free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    let mut splitter = Splitter::default();
    let mut bytes = buffer();
    let mut number = 0;
    loop {
        let read = match read_piece(&mut stream, &mut bytes) {
            Ok(read) => read,
            Err(error) => {
                unreadable_of.push(unreadable(path, format!("behind item {}: {error}", splitter.count())));
                return;
            }
        };
        if read == 0 {
            break;
        }
        let (first, dropped) = (splitter.count(), splitter.dropped.len());
        let found = splitter.look(&bytes);
        let mut rest = buffer();
        rest.clear();
        rest.extend_from_slice(bytes.get(found.done..).unwrap_or_default());
        // A dropped object is the first one that a piece completes, so the others follow it.
        let first = first + splitter.dropped.len() - dropped;
        hand_on(Batch { number, first, bytes: std::mem::replace(&mut bytes, rest), objects: found.objects });
        number += 1;
        if let Some(problem) = found.problem {
            unreadable_of.push(unreadable(path, format!("behind item {}: {problem}", splitter.count())));
            return;
        }
    }
    for index in &splitter.dropped {
        unreadable_of.push(unreadable(path, format!("/items/{index}: an object of more than 32 MB")));
    }
    if let Err(error) = splitter.finish() {
        unreadable_of.push(unreadable(path, error.to_string()));
    }
}

/// Reads up to [`PIECE`] bytes behind what is there; 0 at the end.
fn read_piece(stream: &mut impl Read, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let before = bytes.len();
    bytes.reserve(PIECE);
    stream.by_ref().take(PIECE as u64).read_to_end(bytes)?;
    Ok(bytes.len() - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }

    fn names(document: &[u8], threads: usize) -> (Vec<String>, Vec<String>) {
        let parser = || {
            |origin: Origin, object: &[u8]| {
                serde_json::from_slice::<Named>(object).map(|named| Some(format!("{} {}", origin.index, named.name)))
            }
        };
        let listed = read_stream(document, &Arc::from("x.json"), threads, parser);
        (listed.items, listed.unreadable.into_iter().map(|unreadable| unreadable.reason).collect())
    }

    #[test]
    fn one_bad_object_never_loses_the_others() {
        let document = br#"{"items":[{"name":"a"},{"name":7},{"name":"c"},null,{"name":"e"}]}"#;
        let (names, unreadable) = names(document, 1);
        assert_eq!(names, ["0 a", "2 c", "4 e"]);
        assert_eq!(unreadable.len(), 2);
        assert!(unreadable[0].starts_with("/items/1: invalid type"), "{}", unreadable[0]);
    }

    #[test]
    fn a_cut_list_keeps_what_is_whole_and_says_so() {
        let (names, unreadable) = names(br#"{"items":[{"name":"a"},{"name":"#, 2);
        assert_eq!(names, ["0 a"]);
        assert_eq!(unreadable, ["the document ends before its list does"]);
    }

    #[test]
    fn any_number_of_threads_gives_the_same() {
        let items: Vec<String> =
            (0..40_000).map(|i| format!(r#"{{"name":"n{i}","pad":"{}"}}"#, "x".repeat(90))).collect();
        let document = format!(r#"{{"items":[{}]}}"#, items.join(","));
        let (one, none) = names(document.as_bytes(), 1);
        assert_eq!((one.len(), none.len()), (40_000, 0));
        assert_eq!(one, names(document.as_bytes(), 3).0);
    }
}

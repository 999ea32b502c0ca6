//! Takes the items that come from a node into the bundle.

use std::collections::BTreeSet;
use std::io::{self, Read};

use bundle::manifest::{ItemRecord, LimitHit, Manifest, Scope};
use bundle::write::frames::{self, Frame};
use bundle::{WriteError, layout};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::cluster::failure::Failure;
use crate::run::Run;

/// Compressed bytes that one node may always send, however little of it is to be kept.
const NODE_AT_LEAST: u64 = 10_000_000;

/// What came of a node.
#[derive(Debug, Default)]
pub struct Taken {
    /// The lines of the plan that have a record.
    pub lines: BTreeSet<String>,
    /// Items that were taken.
    pub items: usize,
    /// Compressed bytes that came.
    pub bytes: u64,
    /// Whether the node's collector said that it was done.
    pub ended: bool,
    /// Why nothing more was taken, where the stream did not end by itself.
    pub trouble: Option<String>,
    /// Why the first way was not taken; with the status of a node of which not everything came.
    pub remark: Option<Failure>,
}

/// Takes items until the stream ends. What came is kept, however it ends.
pub fn take_in(run: &Run, node: &str, stream: &mut impl Read) -> Taken {
    let mut taken = Taken::default();
    let result = take(run, node, stream, &mut taken);
    taken.trouble = match result {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some("the stream broke off".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    taken
}

fn take(run: &Run, node: &str, stream: &mut impl Read, taken: &mut Taken) -> io::Result<()> {
    // The collector there keeps the bound itself, before compression; this holds where it does not.
    let most = run.limits().node_bytes().max(NODE_AT_LEAST);
    while let Some(frame) = frames::next(stream)? {
        match frame {
            Frame::Record(record) => {
                own(&record, node)?;
                let record = run.writer().absorb_record(*record);
                taken.note(run, &record);
            }
            Frame::Item(record, content) => {
                own(&record, node)?;
                taken.bytes += content.compressed();
                if taken.bytes > most {
                    return Err(io::Error::other(format!("the node sent more than {most} bytes")));
                }
                run.mind_space();
                let bytes = record.bytes;
                let record = run.writer().absorb(*record, content, stream).map_err(as_io)?;
                run.progress().add_bytes(bytes);
                taken.note(run, &record);
            }
            Frame::End(manifest) => {
                note(run, node, *manifest);
                taken.ended = true;
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Taken {
    fn note(&mut self, run: &Run, record: &ItemRecord) {
        run.progress().ended(&record.scope, &record.plan, record.status);
        self.lines.insert(record.plan.clone());
        self.items += 1;
    }
}

/// A node speaks for itself alone.
fn own(record: &ItemRecord, node: &str) -> io::Result<()> {
    let folder = format!("nodes/{}/", layout::component(node));
    let scope = matches!(&record.scope, Scope::Node(name) if name == node);
    if scope && record.path.as_ref().is_none_or(|path| path.starts_with(&folder)) {
        return Ok(());
    }
    let what = format!("it sent {} of {}, which is not its own", record.id, record.scope);
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// What the node's collector said besides its items.
fn note(run: &Run, node: &str, manifest: Manifest) {
    // The frame with the end is sent at once after `finished` was noted, and is small.
    let ahead = manifest.finished.duration_since(Timestamp::now()).as_secs_f64();
    for mut clock in manifest.clocks {
        if clock.ahead_seconds.is_none() {
            (clock.ahead_seconds, clock.uncertainty_seconds) = (Some(ahead), Some(1.0));
        }
        run.note_clock(clock);
    }
    manifest.hosts.into_iter().filter(|host| host.node == node).for_each(|host| run.note_host(host));
    for LimitHit { limit, value, effect } in manifest.limits {
        run.note_limit(&limit, value, format!("{node}: {effect}"));
    }
}

fn as_io(error: WriteError) -> io::Error {
    match error {
        WriteError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// Bytes that a task receives, as a thread reads them. It ends when the sending end is dropped.
pub struct Incoming {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Incoming {
    /// A pipe that holds a few chunks.
    pub fn pipe() -> (mpsc::Sender<Bytes>, Incoming) {
        let (sender, chunks) = mpsc::channel(8);
        (sender, Incoming { chunks, current: Bytes::new() })
    }
}

impl Read for Incoming {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(room.len());
        let given = self.current.split_to(n);
        if let Some(room) = room.get_mut(..n) {
            room.copy_from_slice(&given);
        }
        Ok(n)
    }
}

//! The body of an answer: the runtime reads it from the socket, and hands it in chunks to the blocking thread that works on
//! it.
//!
//! A frame is what one read of the socket gave, some kilobytes. Handed over one by one, 140 MB of logs let two threads wait
//! for each other 20,000 times, which took a third of the processor's time.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use bundle::manifest::Ended;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::failure::Failure;
use crate::run::Run;

/// Bytes that are handed over together, at least, unless the answer ends. One chunk is worked on, one waits and one comes,
/// for each of the answers in flight.
const CHUNK: usize = 128 << 10;

/// How long a body may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long nothing may come.
    pub silence: Duration,
    /// When the item for which it was asked must be done.
    pub deadline: Instant,
}

impl Patience {
    /// When it ends, if nothing came since `last`.
    fn ends(&self, last: Instant) -> Instant {
        self.deadline.min(last + self.silence)
    }

    fn used_up(&self, last: Instant) -> Failure {
        if self.ends(last) == self.deadline {
            return Failure::timeout("the time for this item was used up in the middle of the answer");
        }
        Failure::timeout(format!("nothing came for {} s in the middle of the answer", self.silence.as_secs()))
    }
}

/// What the reading task hands over.
enum Part {
    Frames(VecDeque<Bytes>),
    /// The body has ended, or why no more of it can be had.
    End(Result<(), Failure>),
}

/// An answer's body, read by a blocking thread. Errors carry a [`Failure`].
pub struct Body {
    parts: mpsc::Receiver<Part>,
    frames: VecDeque<Bytes>,
    has_ended: bool,
}

impl Body {
    /// Begins to read `frames` on the runtime. Reading stops with the run, or when this is dropped.
    pub(super) fn new<F>(frames: F, patience: Patience, run: Run, runtime: &Handle) -> Body
    where
        F: HttpBody<Data = Bytes, Error: Error + Send + 'static> + Unpin + Send + 'static,
    {
        let (sender, parts) = mpsc::channel(1);
        runtime.spawn(async move {
            tokio::select! {
                biased;
                () = sender.closed() => (),
                () = hand_over(frames, patience, &run, &sender) => (),
            }
        });
        Body { parts, frames: VecDeque::new(), has_ended: false }
    }

    /// Reads all of it, but no more than `limit` bytes.
    pub fn read_whole(self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        self.take(limit).read_to_end(&mut whole).map_err(|error| Failure::connection(&error))?;
        Ok(whole)
    }

    /// Waits for more. Says whether there is any.
    fn next_chunk(&mut self) -> Result<bool, Failure> {
        match self.parts.blocking_recv() {
            Some(Part::Frames(frames)) => {
                self.frames = frames;
                Ok(true)
            }
            Some(Part::End(Ok(()))) => {
                self.has_ended = true;
                Ok(false)
            }
            Some(Part::End(Err(failure))) => Err(failure),
            // The task always says how it ends, unless it is ended with the runtime.
            None => Err(Failure::stopped(Ended::Signal)),
        }
    }
}

impl Read for Body {
    /// Gives what is there of a chunk; waits only where nothing is.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.frames.is_empty() {
            if self.has_ended || !self.next_chunk().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let mut filled = 0;
        while let (Some(frame), Some(rest)) = (self.frames.front_mut(), room.get_mut(filled..)) {
            let given = frame.split_to(frame.len().min(rest.len()));
            if let Some(rest) = rest.get_mut(..given.len()) {
                rest.copy_from_slice(&given);
            }
            filled += given.len();
            if !frame.is_empty() {
                break;
            }
            self.frames.pop_front();
        }
        Ok(filled)
    }
}

/// Reads to the end. What came before a failure is handed over before it.
async fn hand_over<F>(mut frames: F, patience: Patience, run: &Run, parts: &mpsc::Sender<Part>)
where
    F: HttpBody<Data = Bytes, Error: Error + Send + 'static> + Unpin,
{
    let (mut chunk, mut bytes) = (VecDeque::new(), 0);
    let mut last = Instant::now();
    let clock = tokio::time::sleep_until(patience.ends(last).into());
    let stop = run.stop();
    tokio::pin!(clock, stop);
    let end = loop {
        let frame = tokio::select! {
            biased;
            frame = frames.frame() => frame,
            // It is set anew when it rings, and not for every frame: that would wake the runtime once more each time.
            () = &mut clock => match patience.ends(last) {
                ends if ends > Instant::now() => {
                    clock.as_mut().reset(ends.into());
                    continue;
                }
                _ => break Err(patience.used_up(last)),
            },
            ended = &mut stop => break Err(Failure::stopped(ended)),
        };
        last = Instant::now();
        match frame {
            None => break Ok(()),
            Some(Err(error)) => break Err(Failure::connection(&error)),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                // Trailers, and data of no length, would be read as the end.
                if !data.is_empty() {
                    bytes += data.len();
                    chunk.push_back(data);
                }
            }
        }
        if bytes >= CHUNK {
            bytes = 0;
            // Where nobody reads any more this fails, and the task is about to end.
            let _ = parts.send(Part::Frames(std::mem::take(&mut chunk))).await;
            // How long the chunk waited for its reader is no silence of the server's.
            last = Instant::now();
        }
    };
    let _ = parts.send(Part::Frames(chunk)).await;
    let _ = parts.send(Part::End(end)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bundle::{BundleWriter, WriteOptions};
    use hyper::body::Frame;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::run::Limits;
    use crate::run::progress::Progress;

    /// What a server sends.
    struct Sent(UnboundedReceiver<io::Result<Bytes>>);

    impl HttpBody for Sent {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0.poll_recv(cx).map(|sent| sent.map(|sent| sent.map(Frame::data)))
        }
    }

    struct Served {
        server: UnboundedSender<io::Result<Bytes>>,
        body: Body,
        run: Run,
        // Ends what runs in it when dropped.
        _runtime: tokio::runtime::Runtime,
    }

    impl Served {
        fn within(silence: Duration, all: Duration) -> Served {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let writer = BundleWriter::create_stream(Box::new(io::sink()), "", WriteOptions::default()).unwrap();
            let run = Run::new(writer, Duration::from_secs(600), Limits::default(), Progress::silent());
            let (server, sent) = unbounded_channel();
            let patience = Patience { silence, deadline: Instant::now() + all };
            let body = Body::new(Sent(sent), patience, run.clone(), runtime.handle());
            Served { server, body, run, _runtime: runtime }
        }

        fn sends(&self, bytes: &'static [u8]) {
            self.server.send(Ok(Bytes::from_static(bytes))).unwrap();
        }

        /// What comes until the end, and how that is told.
        fn read(mut self) -> (Vec<u8>, Option<String>) {
            drop(std::mem::replace(&mut self.server, unbounded_channel().0));
            let mut whole = Vec::new();
            let end = self.body.read_to_end(&mut whole);
            (whole, end.err().map(|error| Failure::connection(&error).reason))
        }
    }

    const LONG: Duration = Duration::from_secs(300);

    #[test]
    fn a_body_comes_whole_whatever_its_frames() {
        let served = Served::within(LONG, LONG);
        let piece: &'static [u8] = &[7; 50_001];
        for n in 0..20 {
            served.sends(if n % 3 == 0 { b"" } else { piece });
        }
        let (whole, end) = served.read();
        assert_eq!((whole.len(), end), (13 * 50_001, None));
    }

    #[test]
    fn what_came_before_a_failure_is_told() {
        let served = Served::within(LONG, LONG);
        served.sends(b"the beginning");
        served.server.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).unwrap();
        let (whole, end) = served.read();
        assert_eq!(whole, b"the beginning");
        assert!(end.unwrap().contains("reset"));
    }

    #[test]
    fn what_is_empty_is_no_end() {
        let served = Served::within(LONG, LONG);
        // The chunk behind it holds nothing else.
        served.sends(&[7; CHUNK]);
        served.sends(b"");
        served.server.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).unwrap();
        let (whole, end) = served.read();
        assert_eq!(whole.len(), CHUNK);
        assert!(end.unwrap().contains("reset"));
    }

    #[test]
    fn what_came_before_a_silence_is_told_and_so_is_the_silence() {
        for (silence, all, reason) in [
            (Duration::from_millis(1_200), LONG, "nothing came for 1 s in the middle of the answer"),
            (LONG, Duration::from_millis(200), "the time for this item was used up in the middle of the answer"),
        ] {
            let Served { server, body, .. } = &mut Served::within(silence, all);
            server.send(Ok(Bytes::from_static(b"the beginning"))).unwrap();
            let mut whole = Vec::new();
            let end = body.read_to_end(&mut whole).unwrap_err();
            assert_eq!(whole, b"the beginning");
            assert_eq!(Failure::connection(&end).reason, reason);
        }
    }

    #[test]
    fn a_slow_reader_is_no_silent_server() {
        let mut served = Served::within(Duration::from_secs(1), LONG);
        let chunk: &'static [u8] = &[7; CHUNK];
        served.sends(chunk);
        served.sends(chunk);
        // The first chunk waits for its reader meanwhile, and the second one cannot be handed over.
        std::thread::sleep(Duration::from_millis(1_500));
        let mut room = vec![0; CHUNK];
        served.body.read_exact(&mut room).unwrap();
        served.body.read_exact(&mut room).unwrap();
        // The server begins to be silent now.
        std::thread::sleep(Duration::from_millis(100));
        served.sends(b"the end");
        assert_eq!(served.read(), (b"the end".to_vec(), None));
    }

    #[test]
    fn a_stopped_run_keeps_what_came() {
        let Served { server, body, run, .. } = &mut Served::within(LONG, LONG);
        server.send(Ok(Bytes::from_static(b"the beginning"))).unwrap();
        let stopping = run.clone();
        let stop = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            stopping.tell_to_stop(Ended::Signal);
        });
        let mut whole = Vec::new();
        let end = body.read_to_end(&mut whole).unwrap_err();
        stop.join().unwrap();
        assert_eq!(whole, b"the beginning");
        assert_eq!(Failure::connection(&end).reason, Failure::stopped(Ended::Signal).reason);
    }

    #[test]
    fn reading_ends_when_nobody_wants_more() {
        let Served { server, body, _runtime, .. } = Served::within(LONG, LONG);
        drop(body);
        for _ in 0..500 {
            if server.is_closed() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the body is still read");
    }
}

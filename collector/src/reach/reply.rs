//! In the pod: sends items back without exec, through one ConfigMap that stands for a mailbox, and leaves the most
//! telling lines as the pod's termination message.
//!
//! The pod's token may read and change that ConfigMap and nothing else. A chunk is put in with its number and stays until
//! the number is confirmed, so that the cluster holds no more than one chunk of each node at any moment.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Cluster;
use serde_json::json;

use super::api::Api;
use super::digest;
use super::mailbox::{CHUNK, CONFIRMED, LAST, SENT};
use crate::cluster::client::client;
use crate::cluster::kubeconfig;
use crate::cluster::pace::Pace;
use crate::cluster::proxy::Environment;
use crate::redact::Key;

/// How items are sent back, in a pod of `--nodes`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Writes items as frames, for the collector that started this one in a pod.
    #[arg(long, hide = true)]
    pub framed: bool,
    /// Asks for what to mask by on standard output, and takes it from standard input.
    #[arg(long, hide = true, requires = "framed", conflicts_with = "mailbox")]
    key_on_stdin: bool,
    /// The path of the ConfigMap that frames are put into, instead of standard output.
    #[arg(long, hide = true, requires = "framed")]
    mailbox: Option<String>,
    /// Where an API server may answer; the first that does is used.
    #[arg(long, hide = true)]
    server: Vec<String>,
    /// The folder that holds `token` and `ca.crt`.
    #[arg(long, hide = true, default_value = "/dossier")]
    credentials: PathBuf,
    /// Where the most telling lines are left.
    #[arg(long, hide = true)]
    digest: Option<PathBuf>,
}

/// A chunk is sent when it is so large,
const CHUNK_BYTES: usize = 640 << 10;
/// or so old.
const CHUNK_AGE: Duration = Duration::from_secs(2);
/// How long a server may take to show that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a chunk may wait to be confirmed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests a second at most. A chunk takes one, and four a second until it was taken out.
const ASKS: u32 = 10;
/// What is kept of the frames, to compose the digest from.
const KEPT: usize = 16 << 20;

/// The argument by which the collector in a pod is told to ask for its key.
pub const KEY_ON_STDIN: &str = "--key-on-stdin";
/// How it asks, before the first frame.
pub const KEY_WANTED: &[u8] = b"dossier key\n";
/// How long it waits.
const KEY: Duration = Duration::from_secs(10);

impl Options {
    /// What to mask by, where the collector that started this one says so. Without an answer the run has numbers of its own,
    /// which hide as much.
    pub fn key(&self) -> Option<Key> {
        if !self.key_on_stdin {
            return None;
        }
        let mut out = io::stdout();
        out.write_all(KEY_WANTED).and_then(|()| out.flush()).ok()?;
        let (told, key) = sync_channel(1);
        std::thread::spawn(move || {
            let mut bytes = [0; Key::LENGTH];
            let read = io::stdin().lock().read_exact(&mut bytes);
            // Nobody may wait for it any more.
            let _ = told.send(read.ok().map(|()| Key::from(bytes)));
        });
        key.recv_timeout(KEY).ok().flatten()
    }

    /// Where frames go.
    pub fn writer(&self) -> Box<dyn Write + Send> {
        if self.mailbox.is_none() && self.digest.is_none() {
            return Box::new(io::stdout());
        }
        let (chunks, received) = sync_channel(4);
        let options = self.clone();
        let thread = std::thread::spawn(move || options.send(&received));
        Box::new(Reply { chunks: Some(chunks), thread: Some(thread) })
    }

    /// Sends until the writer is dropped, and leaves the digest.
    fn send(&self, received: &Receiver<Vec<u8>>) {
        let mut all = Vec::new();
        let mailbox = self.mailbox.as_ref().map(|path| Mailbox::open(self, path));
        let (mut mailbox, mut trouble) = match mailbox {
            Some(Ok(mailbox)) => (Some(mailbox), None),
            Some(Err(error)) => (None, Some(bundle::in_one_line(error.as_ref()))),
            None => (None, None),
        };
        let mut chunk: Vec<u8> = Vec::new();
        let mut since = Instant::now();
        loop {
            let more = received.recv_timeout(CHUNK_AGE);
            if let Ok(bytes) = &more {
                chunk.extend_from_slice(bytes);
                let room = KEPT.saturating_sub(all.len());
                all.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
            let last = matches!(more, Err(RecvTimeoutError::Disconnected));
            let due = chunk.len() >= CHUNK_BYTES || (since.elapsed() >= CHUNK_AGE && !chunk.is_empty());
            if last || due {
                let sent = mailbox.as_mut().map(|mailbox| mailbox.put(&chunk, last));
                if let Some(Err(error)) = sent {
                    trouble = Some(bundle::in_one_line(error.as_ref()));
                    mailbox = None;
                }
                chunk.clear();
                since = Instant::now();
            }
            if last {
                break;
            }
        }
        if let Some(trouble) = &trouble {
            eprintln!("{trouble}");
        }
        if let Some(path) = &self.digest {
            // A message that cannot be left has nowhere to be told.
            let _ = std::fs::write(path, digest::compose(&all, trouble));
        }
    }
}

/// The writing end.
struct Reply {
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Write for Reply {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.chunks.as_ref().map(|chunks| chunks.send(bytes.to_vec()));
        match sent {
            Some(Ok(())) => Ok(bytes.len()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        drop(self.chunks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The ConfigMap, over a server that answers.
struct Mailbox<'a> {
    runtime: tokio::runtime::Runtime,
    api: Api,
    path: &'a str,
    sent: u64,
}

impl<'a> Mailbox<'a> {
    fn open(options: &Options, path: &'a str) -> anyhow::Result<Mailbox<'a>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut troubles = Vec::new();
        for server in &options.server {
            let tried = runtime.block_on(async {
                let api = options.api(server).await?;
                let asked = tokio::time::timeout(ANSWER, api.get(path)).await;
                asked.with_context(|| format!("no answer within {} s", ANSWER.as_secs()))??;
                anyhow::Ok(api)
            });
            match tried {
                Ok(api) => return Ok(Mailbox { runtime, api, path, sent: 0 }),
                Err(error) => troubles.push(format!("{server}: {}", bundle::in_one_line(error.as_ref()))),
            }
        }
        bail!("no API server takes the items from here: {}", troubles.join("; "))
    }

    /// Puts a chunk in and waits until it was taken out.
    fn put(&mut self, chunk: &[u8], last: bool) -> anyhow::Result<()> {
        self.sent += 1;
        let number = self.sent.to_string();
        let patch = json!({
            "binaryData": { CHUNK: STANDARD.encode(chunk) },
            "data": { SENT: number, LAST: last.to_string() },
        });
        self.runtime.block_on(async {
            self.api.merge(self.path, &patch).await?;
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until && !last {
                let confirmed = self.api.get(self.path).await?["data"][CONFIRMED] == number.as_str();
                if confirmed {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            if last { Ok(()) } else { bail!("chunk {number} was not taken within {} s", PATIENCE.as_secs()) }
        })
    }
}

impl Options {
    async fn api(&self, server: &str) -> anyhow::Result<Api> {
        let file = |name: &str| self.credentials.join(name).display().to_string();
        let cluster = Cluster {
            server: Some(server.to_owned()),
            certificate_authority: Some(file("ca.crt")),
            ..Cluster::default()
        };
        // Proxies that the image's environment may name are not for this.
        let mut config = kubeconfig::of_cluster(&cluster, &Environment::default())?;
        config.auth_info.token_file = Some(file("token"));
        config.connect_timeout = Some(ANSWER);
        config.default_retry = false;
        Ok(Api::new(client(&config)?, Pace::new(ASKS)))
    }
}

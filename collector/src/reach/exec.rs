//! The first way: the collector is streamed into the pod by exec, and its items come back over the same connection. It
//! goes from the API server to the node's port 10250.

use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::api::Api;
use super::pod::CONTAINER;
use super::reply;
use super::take_in::{Incoming, Taken, take_in};
use crate::cluster::failure::Failure;
use crate::cluster::logs::of_kubelet;
use crate::redact::Key;
use crate::run::Run;

/// How long exec may take to begin: where port 10250 is blocked nothing comes at all, and the API server itself waits
/// half a minute.
const BEGIN: Duration = Duration::from_secs(10);
/// What stage0 prints when it can be sent the program (`stage0/main.rs`).
const READY: &[u8] = b"dossier stage0\n";
/// Bytes that wait in each direction.
const BUFFER: usize = 256 << 10;
/// How much of what the collector there says on its standard error is kept.
const STDERR: usize = 2 << 10;

/// What is run where.
pub struct Exec<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name.
    pub pod: &'a str,
    /// The node.
    pub node: &'a str,
    /// The command.
    pub command: Vec<String>,
    /// What goes to its standard input.
    pub input: Bytes,
    /// What the collector there masks by. It goes the way of the program, which nobody else reads: arguments would be in the
    /// API server's audit log, and an object in etcd.
    pub key: Key,
    /// When it must be done.
    pub deadline: Instant,
}

/// Runs the collector and takes its items in. An error means that it was not begun: nothing came, and another way may be
/// taken.
pub async fn collect(api: &Api, run: &Run, exec: Exec<'_>) -> Result<Taken, Failure> {
    let client = api.client().await;
    let begin_by = (Instant::now() + BEGIN).min(exec.deadline);
    let late = || Failure::timeout(format!("exec did not begin within {} s", BEGIN.as_secs()));
    let mut process = tokio::select! {
        process = timeout_at(begin_by, begin(client, &exec)) => process.map_err(|_| late())??,
        ended = run.stop() => return Err(Failure::stopped(ended)),
    };
    let (Some(mut stdout), Some(stderr)) = (process.stdout(), process.stderr()) else {
        return Err(Failure::connection(&std::io::Error::other("exec came without its streams")));
    };
    let said = tokio::spawn(last_words(stderr));
    let mut ready = vec![0; READY.len()];
    let is_ready = tokio::select! {
        read = timeout_at(begin_by, stdout.read_exact(&mut ready)) => read.map_err(|_| late())?,
        ended = run.stop() => return Err(Failure::stopped(ended)),
    };
    if is_ready.is_err() || ready != READY {
        return Err(refusal(&mut process, said).await);
    }
    Ok(exchange(run, exec, process, stdout, said).await)
}

async fn begin(client: kube::Client, exec: &Exec<'_>) -> Result<AttachedProcess, Failure> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(client, exec.namespace);
    let command: Vec<&str> = exec.command.iter().map(String::as_str).chain([reply::KEY_ON_STDIN]).collect();
    let params = AttachParams::default().container(CONTAINER).stdin(true).stdout(true).stderr(true);
    let params = params.max_stdin_buf_size(BUFFER).max_stdout_buf_size(BUFFER).max_stderr_buf_size(BUFFER);
    pods.exec(exec.pod, command, &params).await.map_err(|error| of_kube(&error))
}

/// Sends the program and takes what comes back, side by side, until the collector there is done or its time is up.
async fn exchange(
    run: &Run,
    exec: Exec<'_>,
    mut process: AttachedProcess,
    mut stdout: impl AsyncRead + Unpin,
    said: tokio::task::JoinHandle<String>,
) -> Taken {
    let status = process.take_status();
    let (sender, mut incoming) = Incoming::pipe();
    let taking = {
        let (run, node) = (run.clone(), exec.node.to_owned());
        tokio::task::spawn_blocking(move || run.gathering(|| take_in(&run, &node, &mut incoming)))
    };
    let mut stdin = process.stdin();
    let (wants, wanted) = tokio::sync::oneshot::channel();
    let send = async {
        if let Some(stdin) = &mut stdin {
            // Where the other side ends early, its last words tell more than the broken pipe.
            let _ = stdin.write_all(&exec.input).await;
            let _ = stdin.flush().await;
            // What comes before the collector asks, stage0 may take for the program's.
            if wanted.await.is_ok() {
                let _ = stdin.write_all(&exec.key.to_bytes()).await;
                let _ = stdin.flush().await;
            }
        }
    };
    let receive = async {
        let mut first = vec![0; reply::KEY_WANTED.len()];
        match stdout.read_exact(&mut first).await {
            Ok(_) if first == reply::KEY_WANTED => drop(wants.send(())),
            Ok(_) => {
                drop(wants);
                // A collector of another version says something else first.
                if sender.send(first.into()).await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
        loop {
            let mut chunk = bytes::BytesMut::with_capacity(64 << 10);
            match stdout.read_buf(&mut chunk).await {
                Ok(n) if n > 0 => {
                    if sender.send(chunk.freeze()).await.is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    // Standard input stays open until the end: versions before 1.30 end the whole connection where it is closed.
    let both = async { tokio::join!(send, receive) };
    let cut = tokio::select! {
        _ = both => None,
        () = tokio::time::sleep_until(exec.deadline) => Some("the time for this node was used up".to_owned()),
        ended = run.stop() => Some(Failure::stopped(ended).reason),
    };
    drop(sender);
    let mut taken = taking.await.unwrap_or_default();
    if taken.ended {
        return taken;
    }
    let last = tokio::time::timeout(Duration::from_secs(1), async {
        let status = match status {
            Some(status) => status.await.and_then(|status| status.message),
            None => None,
        };
        (status, said.await.unwrap_or_default())
    });
    let why = match cut {
        Some(cut) => cut,
        None => {
            let (status, stderr) = last.await.unwrap_or_default();
            let words = [taken.trouble.take(), status, Some(stderr)];
            let words = words.into_iter().flatten().filter(|text| !text.is_empty());
            let words = words.collect::<Vec<_>>().join("; ");
            format!("the collector there ended early: {words}")
        }
    };
    taken.trouble = Some(why);
    taken
}

/// Why the connection was closed before stage0 spoke: the API server says it in the status at its end.
async fn refusal(process: &mut AttachedProcess, said: tokio::task::JoinHandle<String>) -> Failure {
    let status = match process.take_status() {
        Some(status) => tokio::time::timeout(Duration::from_secs(2), status).await.ok().flatten(),
        None => None,
    };
    let stderr = tokio::time::timeout(Duration::from_secs(1), said).await;
    let stderr = stderr.ok().and_then(Result::ok).unwrap_or_default();
    let message = status.and_then(|status| status.message).unwrap_or_default();
    let words = format!("{message} {stderr}");
    of_kubelet(Failure::answered(500, "", &format!("exec failed: {}", words.trim()), None))
}

async fn last_words(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 4 << 10];
    while let Ok(n) = stderr.read(&mut buffer).await
        && n > 0
    {
        tail.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let excess = tail.len().saturating_sub(STDERR);
        tail.drain(..excess);
    }
    String::from_utf8_lossy(&tail).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What kube says of a request that became no connection.
fn of_kube(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => of_kubelet(Failure::answered(status.code, &status.reason, &status.message, None)),
        other => of_kubelet(Failure::connection(other)),
    }
}

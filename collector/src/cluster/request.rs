//! One request to the API server: its deadline, its retries, its answer as a stream.
//!
//! Whoever asks is a blocking thread that also does the work on the answer (taking apart, stripping, deflating,
//! hashing); the sockets are served by the runtime's threads meanwhile. [`Body`] is the way from these to those.

use std::time::{Duration, Instant};

use bundle::manifest::ItemStatus;
use http::{HeaderMap, Request, StatusCode, header};
use kube::client::Body as KubeBody;
use tokio::runtime::Handle;

use super::body::{Body, Patience};
use super::failure::Failure;
use super::pace::Pace;
use crate::run::Run;

/// How long nothing may come in the middle of an answer, where the server has not less to begin one.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a request is sent in all, where the failure may pass.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(400);
/// The longest that a server's Retry-After is obeyed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How much of an error's body is read.
const ERROR_BODY: u64 = 64 << 10;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Path and query.
    pub path: String,
    accept: &'static str,
    json: Option<Vec<u8>>,
    /// When the item for which it is asked must be done.
    deadline: Instant,
}

impl Ask {
    /// A GET of JSON.
    pub fn get(path: impl Into<String>, deadline: Instant) -> Ask {
        Ask { path: path.into(), accept: "application/json", json: None, deadline }
    }

    /// The same, accepting another form.
    pub fn accept(self, accept: &'static str) -> Ask {
        Ask { accept, ..self }
    }

    /// A POST of JSON.
    pub fn post(self, json: Vec<u8>) -> Ask {
        Ask { json: Some(json), ..self }
    }

    fn request(&self) -> Result<Request<KubeBody>, Failure> {
        let builder = Request::builder().uri(&self.path).header(header::ACCEPT, self.accept);
        let request = match &self.json {
            None => builder.body(KubeBody::empty()),
            Some(json) => builder
                .method("POST")
                .header(header::CONTENT_TYPE, "application/json")
                .body(KubeBody::from(json.clone())),
        };
        request.map_err(|error| Failure::new(ItemStatus::Error, format!("cannot ask for {}: {error}", self.path)))
    }
}

/// The beginning of an answer with status 2xx, and the way to the rest.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// How long the server took to begin.
    pub latency: Duration,
    /// The body.
    pub body: Body,
}

/// The right to send one request now, by the pace of the run.
pub struct Turn(());

/// Sends requests. Clones share the connections and the pace.
#[derive(Clone)]
pub struct Requests {
    client: kube::Client,
    pace: Pace,
    runtime: Handle,
    run: Run,
    /// How long the server may take to begin its answer.
    patience: Duration,
}

impl Requests {
    /// A sender over `client` at this pace, which ends with `run`; the server may take `patience` to begin an answer. Must
    /// be made within the runtime.
    pub fn new(client: kube::Client, pace: Pace, run: Run, patience: Duration) -> Requests {
        Requests { client, pace, runtime: Handle::current(), run, patience }
    }

    /// The run that this belongs to.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Waits for a turn. Whoever measures a request, or gives it little time, does so from here on. Blocks.
    pub fn turn(&self) -> Result<Turn, Failure> {
        self.wait(self.pace.turn()).map(Turn)
    }

    /// Sends until there is an answer with status 2xx, as often as the failure may pass. Blocks; not for the runtime's
    /// own threads.
    pub fn send(&self, ask: &Ask) -> Result<Answer, Failure> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let (failure, retry_after) = match self.attempt(ask, self.turn()?) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let wait = retry_after.unwrap_or(pause).min(LONGEST_PAUSE);
            let left = ask.deadline.saturating_duration_since(Instant::now());
            if !failure.passing || attempt >= ATTEMPTS || wait >= left {
                let tried = if attempt > 1 { format!(" (asked {attempt} times)") } else { String::new() };
                return Err(Failure { reason: failure.reason + &tried, ..failure });
            }
            self.wait(tokio::time::sleep(wait))?;
            attempt += 1;
            pause *= 2;
        }
    }

    /// Sends once, and takes an answer with another status than 2xx for a failure: for what is behind the API server, whose
    /// failures are slow and telling.
    pub fn send_once(&self, ask: &Ask, turn: Turn) -> Result<Answer, Failure> {
        self.attempt(ask, turn).map_err(|(failure, _)| failure)
    }

    fn attempt(&self, ask: &Ask, turn: Turn) -> Result<Answer, (Failure, Option<Duration>)> {
        match self.send_whatever(ask, turn) {
            Ok(answer) if answer.status.is_success() => Ok(answer),
            Ok(answer) => Err(refused(answer)),
            Err(failure) => Err((failure, None)),
        }
    }

    /// Sends once and gives the answer whatever its status.
    pub fn send_whatever(&self, ask: &Ask, _turn: Turn) -> Result<Answer, Failure> {
        let request = ask.request()?;
        let asked = Instant::now();
        let limit = self.patience.min(ask.deadline.saturating_duration_since(asked));
        let sent = self.runtime.block_on(async {
            tokio::select! {
                biased;
                sent = tokio::time::timeout(limit, self.client.send(request)) => Ok(sent),
                ended = self.run.stop() => Err(Failure::stopped(ended)),
            }
        })?;
        let response = sent
            .map_err(|_| Failure::timeout(format!("no answer within {} s", limit.as_secs())))?
            .map_err(|error| Failure::connection(&error))?;
        let (head, body) = response.into_parts();
        let patience = Patience { silence: SILENCE.min(self.patience), deadline: ask.deadline };
        let body = Body::new(body, patience, self.run.clone(), &self.runtime);
        Ok(Answer { status: head.status, headers: head.headers, latency: asked.elapsed(), body })
    }

    /// Waits for what only takes time, unless the run is to stop.
    fn wait(&self, what: impl Future<Output = ()>) -> Result<(), Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                () = what => Ok(()),
                ended = self.run.stop() => Err(Failure::stopped(ended)),
            }
        })
    }
}

/// What the server says with a status other than 2xx, and how long it wants to be left alone.
fn refused(answer: Answer) -> (Failure, Option<Duration>) {
    /// The API's own error, metav1.Status.
    #[derive(serde::Deserialize)]
    struct Status {
        #[serde(default)]
        message: String,
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Default, serde::Deserialize)]
    struct Metadata {
        #[serde(rename = "continue")]
        continue_with: Option<String>,
    }

    let status = answer.status;
    let retry_after = answer
        .headers
        .get(header::RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = answer.body.read_whole(ERROR_BODY).unwrap_or_default();
    let (message, continue_with) = match serde_json::from_slice::<Status>(&body) {
        Ok(said) => (said.message, said.metadata.continue_with.filter(|token| !token.is_empty())),
        // A proxy or load balancer in between answers in its own way.
        Err(_) => (String::from_utf8_lossy(&body).into_owned(), None),
    };
    let phrase = status.canonical_reason().unwrap_or_default();
    (Failure::answered(status.as_u16(), phrase, &message, continue_with), retry_after)
}

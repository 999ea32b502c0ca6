//! Which cluster is asked, as whom, and whether its API server answers at all.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{DATE, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use kube::client::Body;

use super::client::client;
use super::failure::Failure;
use super::kubeconfig;
use super::pace::Pace;

/// How the cluster is reached.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The kubeconfig to use [default: $KUBECONFIG, then ~/.kube/config, then the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use [default: its current context]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Seconds that the server may take to begin an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    request_timeout: u64,
    /// Requests a second that the API server is sent on the average; four times as many may go at once first. Lower it
    /// for a server that is short of breath: a run takes longer, and nothing is missing. What waits is what is asked of
    /// many pods and nodes (up to 550 requests to kubelets, which at 50 a second take 11 s); lists hardly do.
    #[arg(long, value_name = "REQUESTS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    qps: u32,
}

/// The API server indents its JSON, twice the bytes, for a name that begins with curl, Wget or Mozilla/5.0.
const NAME: &str = concat!("dossier-collect/", env!("CARGO_PKG_VERSION"));
/// How long the first answer may take; a server that needs longer for /version will not serve lists either.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// How long a TCP connection and its handshake may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A cluster whose API server answers.
pub struct Connection {
    /// Sends requests with the credentials.
    pub client: kube::Client,
    /// How fast it is asked; who sends something waits for its turn here.
    pub pace: Pace,
    /// The cluster's name in the kubeconfig, or `in-cluster`.
    pub name: String,
    /// The server's URL.
    pub server: Uri,
    /// The name that its certificate must carry, where it is not the URL's host.
    pub tls_server_name: Option<String>,
    /// Whether a proxy stands in between.
    pub proxied: bool,
    /// How long the server may take to begin an answer.
    pub request_timeout: Duration,
    /// What it answered to the first request.
    pub first: FirstAnswer,
}

impl Connection {
    /// The server's `gitVersion`, where it told it.
    pub fn git_version(&self) -> Option<String> {
        /// Enough of what `/version` answers.
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        serde_json::from_slice::<Version>(&self.first.body).ok().map(|version| version.git_version)
    }
}

/// The answer to `GET /version`, by which the server showed that it is there.
pub struct FirstAnswer {
    /// The HTTP status; not everybody may ask for the version.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// The server's clock, which speaks in whole seconds.
    pub date: Option<Timestamp>,
    /// Our clock when the request was sent, and how long the answer took, connecting included.
    pub asked: Timestamp,
    /// See `asked`.
    pub took: Duration,
}

/// The cluster's name in the default file name and in the manifest; reads the kubeconfig and contacts nobody.
pub fn name(options: &Options) -> String {
    match kubeconfig::find(options.kubeconfig.as_deref()) {
        Ok(Some(config)) => {
            kubeconfig::cluster_name(&config, options.context.as_deref()).unwrap_or_else(|| "cluster".to_owned())
        }
        Ok(None) => "in-cluster".to_owned(),
        Err(_) => "cluster".to_owned(),
    }
}

/// The host name or address of the API server, as the kubeconfig has it.
pub fn server_name(options: &Options) -> Option<String> {
    let config = kubeconfig::find(options.kubeconfig.as_deref()).ok()??;
    let name = kubeconfig::cluster_name(&config, options.context.as_deref())?;
    let named = config.clusters.into_iter().find(|cluster| cluster.name == name)?;
    let server: Uri = named.cluster?.server?.parse().ok()?;
    Some(host(&server).to_owned()).filter(|host| !host.is_empty())
}

/// The API server did not answer, though there are credentials for it: a fact about the cluster that is worth a bundle.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// Reads the credentials and sends the first request. An error is a line that says what to do.
pub async fn connect(options: &Options) -> anyhow::Result<Connection> {
    let (config, name) = config(options)?;
    let server = config.cluster_url.clone();
    let (tls_server_name, proxied) = (config.tls_server_name.clone(), config.proxy_url.is_some());
    // Building the client runs the kubeconfig's credential plugin, which may take its time.
    let client = tokio::task::spawn_blocking(move || client(&config))
        .await
        .context("the credentials could not be prepared")?
        .map_err(|error| {
            let reason = Failure::connection(&error).reason;
            anyhow::anyhow!(
                "the kubeconfig's credentials cannot be used: {reason}; check that `kubectl version` works here"
            )
        })?;
    let first = match first_answer(&client).await {
        Err(failure) if failure.passing => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            first_answer(&client).await
        }
        first => first,
    };
    let first = first.map_err(|failure| {
        Unreachable(format!(
            "the API server {server} cannot be reached: {}; check that `kubectl version` works from here, or read hosts \
             one by one with `dossier-collect node`",
            failure.reason
        ))
    })?;
    let request_timeout = Duration::from_secs(options.request_timeout);
    let pace = Pace::new(options.qps);
    Ok(Connection { client, pace, name, server, tls_server_name, proxied, request_timeout, first })
}

fn config(options: &Options) -> anyhow::Result<(kube::Config, String)> {
    let (mut config, name) = match kubeconfig::find(options.kubeconfig.as_deref())? {
        Some(found) => kubeconfig::client_config(&found, options.context.as_deref())?,
        None => {
            let config = kube::Config::incluster()
                .map_err(|error| anyhow::anyhow!("the pod's service account cannot be used: {error}; mount its token, or name a kubeconfig with --kubeconfig"))?;
            (config, "in-cluster".to_owned())
        }
    };
    config.headers.push((USER_AGENT, HeaderValue::from_static(NAME)));
    config.connect_timeout = Some(CONNECT);
    // kube's own policy tries 15 times over up to 1000 s; ours knows the deadline of the item (request.rs).
    config.default_retry = false;
    // On the machine itself compressing costs the server more than sending; over a link it saves nine tenths.
    config.disable_compression |= is_loopback(&config.cluster_url);
    Ok((config, name))
}

/// The host of a URL, without the brackets of an IPv6 address.
pub(super) fn host(server: &Uri) -> &str {
    server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Whether a server is on this machine.
pub(super) fn is_loopback(server: &Uri) -> bool {
    let host = host(server);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn first_answer(client: &kube::Client) -> Result<FirstAnswer, Failure> {
    /// /version is half a kilobyte; what is longer comes from something that is no API server.
    const LONGEST: usize = 64 << 10;

    let request = Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| Failure::connection(&error))?;
    let (asked, clock) = (Timestamp::now(), Instant::now());
    let answered = tokio::time::timeout(FIRST_ANSWER, async {
        let response = client.send(request).await.map_err(|error| Failure::connection(&error))?;
        let took = clock.elapsed();
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        let body = body.map_err(|error| Failure::connection(error.as_ref()))?.to_bytes();
        let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
        Ok(FirstAnswer { status: head.status, body, date, asked, took })
    });
    let late = |_| Failure::timeout(format!("no answer to GET /version within {} s", FIRST_ANSWER.as_secs()));
    answered.await.map_err(late)?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_this_machine_is_spared_compression() {
        for (server, loopback) in [
            ("https://127.0.0.1:6443", true),
            ("https://[::1]:6443", true),
            ("https://localhost", true),
            ("https://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&server.parse().unwrap()), loopback, "{server}");
        }
    }

    #[test]
    fn the_name_does_not_make_the_server_indent() {
        assert!(["curl", "Wget", "Mozilla/5.0"].iter().all(|name| !NAME.starts_with(name)));
    }
}

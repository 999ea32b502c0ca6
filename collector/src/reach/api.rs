//! Objects made and removed through the API server: one request at a time, each with its own deadline.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;

use crate::cluster::failure::Failure;
use crate::cluster::pace::Pace;

/// How long one request may take.
const TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read: a page of 500 nodes with their images is a few megabytes.
const LONGEST: usize = 64 << 20;
/// How often a request is sent in all, where the server asks to come again.
const ATTEMPTS: u32 = 4;

/// Sends requests that change something, and those that look at what was changed.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    pace: Pace,
}

impl Api {
    /// Requests over this client, at this pace.
    pub fn new(client: kube::Client, pace: Pace) -> Api {
        Api { client, pace }
    }

    /// The client once it may send a request, for what is more than one.
    pub async fn client(&self) -> kube::Client {
        self.pace.turn().await;
        self.client.clone()
    }

    /// The namespace of the kubeconfig's context.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Reads an object or a list.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None, "").await
    }

    /// Whether a path answers at all within that time, whatever with; for what is behind the API server, whose answers are
    /// not JSON.
    pub async fn reach(&self, path: &str, within: Duration) -> Result<(), Failure> {
        self.pace.turn().await;
        let late = |_| Failure::timeout(format!("no answer within {} s", within.as_secs()));
        tokio::time::timeout(within, self.reach_once(path)).await.map_err(late)?
    }

    async fn reach_once(&self, path: &str) -> Result<(), Failure> {
        let request = Request::get(path).body(Body::empty()).map_err(|error| Failure::connection(&error))?;
        let response = self.client.send(request).await.map_err(|error| Failure::connection(&error))?;
        let status = response.status();
        // Whoever may not ask is answered by the API server alone.
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(response.into_body(), 64 << 10).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let said = said["message"].as_str().unwrap_or_default();
        Err(Failure::answered(status.as_u16(), status.canonical_reason().unwrap_or_default(), said, None))
    }

    /// Creates an object. One of this name that is there already was made by an earlier attempt.
    pub async fn create(&self, collection: &str, object: &Value) -> Result<(), Failure> {
        match self.send(Method::POST, collection, Some(object), "application/json").await {
            Err(failure) if failure.http_status == Some(409) => Ok(()),
            created => created.map(drop),
        }
    }

    /// Changes some fields of an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Failure> {
        self.send(Method::PATCH, path, Some(patch), "application/merge-patch+json").await
    }

    /// Deletes an object; one that is gone is fine.
    pub async fn delete(&self, path: &str, grace_seconds: u32) -> Result<(), Failure> {
        let options = serde_json::json!({ "gracePeriodSeconds": grace_seconds, "propagationPolicy": "Background" });
        match self.send(Method::DELETE, path, Some(&options), "application/json").await {
            Err(failure) if failure.http_status == Some(404) => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, kind: &str) -> Result<Value, Failure> {
        let mut pause = Duration::from_millis(300);
        let mut attempt = 1;
        loop {
            self.pace.turn().await;
            let sent = tokio::time::timeout(TIME, self.send_once(&method, path, body, kind)).await;
            let failure = match sent {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::timeout(format!("no answer to {method} {path} within {} s", TIME.as_secs())),
            };
            if !failure.passing || attempt >= ATTEMPTS {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn send_once(&self, method: &Method, path: &str, body: Option<&Value>, kind: &str) -> Result<Value, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        let body = match body {
            None => Body::empty(),
            Some(value) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Body::from(value.to_string().into_bytes())
            }
        };
        let request = request.body(body).map_err(|error| Failure::connection(&error))?;
        let response = self.client.send(request).await.map_err(|error| Failure::connection(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        let body = body.map_err(|error| Failure::connection(error.as_ref()))?.to_bytes();
        if head.status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Failure::connection(&error));
        }
        let said = match serde_json::from_slice::<Value>(&body) {
            Ok(status) => status["message"].as_str().unwrap_or_default().to_owned(),
            // A proxy or load balancer in between answers in its own way.
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(Failure::answered(head.status.as_u16(), head.status.canonical_reason().unwrap_or_default(), &said, None))
    }
}

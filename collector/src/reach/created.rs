//! What was created and is still to be removed; and what an earlier run left behind.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::api::Api;
use super::node::escaped;
use super::pod::OWNER;
use crate::cluster::failure::Failure;

/// How long a kubelet may take to confirm that a pod is gone.
const CONFIRMED: Duration = Duration::from_secs(8);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// The paths of objects that exist, or may exist because their creation was asked for.
#[derive(Default)]
pub struct Created(Mutex<BTreeSet<String>>);

/// How a pod went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is gone, and what ran in it has ended.
    Confirmed,
    /// Its kubelet did not confirm the end, so that only the object was removed.
    Unconfirmed,
}

impl Created {
    /// Creates an object and remembers it, before the server is asked: an answer may be lost.
    pub async fn create(&self, api: &Api, collection: &str, object: &serde_json::Value) -> Result<String, Failure> {
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
        self.lock().insert(path.clone());
        let created = api.create(collection, object).await;
        if let Err(failure) = &created
            && failure.http_status.is_some_and(|status| status < 500)
        {
            // What the server refused it did not make.
            self.lock().remove(&path);
        }
        created.map(|()| path)
    }

    /// Removes a pod and waits until it is gone.
    pub async fn remove_pod(&self, api: &Api, path: &str) -> Result<Gone, Failure> {
        let gone = remove_pod(api, path).await?;
        self.lock().remove(path);
        Ok(gone)
    }

    /// Removes objects that are no longer needed; what cannot be removed is tried again at the end.
    pub async fn remove_these(&self, api: &Api, paths: Vec<String>) {
        let failed = remove(api, paths.clone()).await;
        let mut left = self.lock();
        for path in paths.iter().filter(|path| !failed.iter().any(|(failed, _)| failed == *path)) {
            left.remove(path);
        }
    }

    /// Removes all that is left, and names what could not be removed and why.
    pub async fn remove_all(&self, api: &Api) -> Vec<(String, Failure)> {
        let mut paths: Vec<String> = self.lock().iter().cloned().collect();
        // Pods first: what they mount should be there as long as they are.
        paths.sort_by_key(|path| !path.contains("/pods/"));
        let failed = remove(api, paths).await;
        let mut left = self.lock();
        left.retain(|path| failed.iter().any(|(failed, _)| failed == path));
        failed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes objects, ten at a time, and names those that could not be removed.
pub async fn remove(api: &Api, paths: Vec<String>) -> Vec<(String, Failure)> {
    let mut failed = Vec::new();
    let mut waiting = paths.into_iter();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.len() < super::AT_ONCE
            && let Some(path) = waiting.next()
        {
            let api = api.clone();
            tasks.spawn(async move {
                let removed = if path.contains("/pods/") {
                    remove_pod(&api, &path).await.map(drop)
                } else {
                    api.delete(&path, 0).await
                };
                (path, removed)
            });
        }
        match tasks.join_next().await {
            Some(Ok((path, Err(failure)))) => failed.push((path, failure)),
            Some(_) => {}
            None => return failed,
        }
    }
}

/// Deletes a pod and waits for its kubelet. Where the kubelet is silent the object is removed by force: the pod reads
/// and nothing else, it ends by itself after its deadline, and its kubelet ends it when it comes back.
async fn remove_pod(api: &Api, path: &str) -> Result<Gone, Failure> {
    api.delete(path, 1).await?;
    let began = Instant::now();
    while began.elapsed() < CONFIRMED {
        match api.get(path).await {
            Err(failure) if failure.http_status == Some(404) => return Ok(Gone::Confirmed),
            _ => sleep(PAUSE).await,
        }
    }
    api.delete(path, 0).await?;
    for _ in 0..10 {
        match api.get(path).await {
            Err(failure) if failure.http_status == Some(404) => return Ok(Gone::Unconfirmed),
            _ => sleep(PAUSE).await,
        }
    }
    Err(Failure::timeout("it was deleted and is still there"))
}

/// Kinds that a run may have created, pods first.
const KINDS: [(&str, &str); 5] = [
    ("/api/v1", "pods"),
    ("/api/v1", "configmaps"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    ("/api/v1", "serviceaccounts"),
];

/// Finds what runs left behind: in all namespaces where that may be listed, else in `namespace`. Kinds that may not be
/// listed at all come second.
pub async fn leftovers(api: &Api, namespace: Option<&str>, default: &str) -> (Vec<String>, Vec<(String, Failure)>) {
    let mut found = Vec::new();
    let mut refused = Vec::new();
    for (group, kind) in KINDS {
        let query = format!("?labelSelector={}", escaped(&format!("{}={}", OWNER.0, OWNER.1)));
        let everywhere = format!("{group}/{kind}{query}");
        let here = |namespace: &str| format!("{group}/namespaces/{namespace}/{kind}{query}");
        let listed = match namespace {
            Some(namespace) => api.get(&here(namespace)).await,
            None => match api.get(&everywhere).await {
                Err(failure) if failure.http_status == Some(403) => api.get(&here(default)).await,
                listed => listed,
            },
        };
        match listed {
            Ok(list) => found.extend(list["items"].as_array().into_iter().flatten().filter_map(|object| {
                let metadata = &object["metadata"];
                let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
                Some(format!("{group}/namespaces/{namespace}/{kind}/{name}"))
            })),
            Err(failure) => refused.push((kind.to_owned(), failure)),
        }
    }
    (found, refused)
}

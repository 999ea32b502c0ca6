//! The second way, for nodes whose port 10250 the API server cannot reach: nothing of it goes through that port.
//!
//! The kubelet mounts ConfigMaps and starts pods over its own connection to the API server. So the collector lies in
//! ConfigMaps that all nodes share, the pod's own command puts it together and runs it, and what it gathers comes back
//! through a ConfigMap of the node's own ([`super::reply`] is the other end) or, where that may not be made or cannot be
//! reached from the node, as the pod's termination message ([`super::digest`]).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::node::Node;
use super::program::Program;
use super::start::{self, Making, Started};
use super::take_in::{Incoming, Taken, take_in};
use super::{Reach, Visit, digest, pod};
use crate::cluster::failure::Failure;

/// The key of the chunk that waits.
pub const CHUNK: &str = "chunk";
/// The number of the chunk that waits.
pub const SENT: &str = "sent";
/// Whether it is the last.
pub const LAST: &str = "last";
/// The number of the last chunk that was taken.
pub const CONFIRMED: &str = "confirmed";

/// Bytes of the program in one ConfigMap, which may have 1 MiB with its keys.
const PIECE: usize = 1_000_000;
/// The pause between two looks into the mailbox.
const PAUSE: Duration = Duration::from_millis(300);
/// The pod itself is looked at every so many looks.
const LOOKS: u32 = 5;
/// Where a container's termination message lies, unless its pod says otherwise.
const TERMINATION: &str = "/dev/termination-log";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// The objects of one node.
struct Mailbox {
    /// The path of its ConfigMap; none where it could not be made, and why.
    path: Result<String, Failure>,
    /// The service account that may use it.
    account: String,
    /// All that was made, for removal.
    made: Vec<String>,
}

/// Reaches a node without exec.
pub async fn collect(reach: &Reach, node: &Node, program: &Program, deadline: Instant) -> Visit {
    let pieces = match pieces(reach, &node.architecture, program).await {
        Ok(pieces) => pieces,
        Err(failure) => return Visit { how: "the program in ConfigMaps".to_owned(), result: Err(failure) },
    };
    let mailbox = Mailbox::make(reach, node).await;
    let seconds = deadline.saturating_duration_since(Instant::now()).as_secs().saturating_sub(20).max(5);
    let servers = reach.servers().await;
    let make = |name: &str, image: &str| {
        let command = command(reach, node, &mailbox, servers, seconds);
        let mut pod = reach.objects.pod(name, &node.name, image, &command, &sources(reach, &pieces, &mailbox));
        if mailbox.path.is_ok() {
            pod["spec"]["serviceAccountName"] = json!(mailbox.account);
        }
        pod
    };
    // The first names were those of the pods that waited for an exec.
    let making = Making { first: super::image::TRIED, may_end: true, make: &make };
    let visit = match start::start_with(reach, node, deadline, making).await {
        Ok(started) => {
            let back = if mailbox.path.is_ok() { "a ConfigMap" } else { "its termination message" };
            let how = format!(
                "pod {}/{} from image {}, the program out of ConfigMaps and its items through {back}",
                reach.objects.namespace, started.pod, started.image
            );
            let result = take(reach, node, &started, &mailbox, deadline).await;
            let removed = reach.remove(&started).await;
            Visit { how: how + &removed, result }
        }
        Err(failed) => Visit { how: failed.how, result: Err(failed.failure) },
    };
    reach.created.remove_these(&reach.api, mailbox.made).await;
    visit
}

/// Lays a collector into ConfigMaps, once for all nodes of an architecture, and names them.
async fn pieces(reach: &Reach, architecture: &str, program: &Program) -> Result<Vec<String>, Failure> {
    let mut laid = reach.pieces.lock().await;
    if let Some(names) = laid.get(architecture) {
        return Ok(names.clone());
    }
    let mut names = Vec::new();
    for (number, piece) in program.packed.chunks(PIECE).enumerate() {
        let name = format!("{}-{architecture}-{number:03}", reach.objects.stage0_name());
        let metadata = reach.objects.metadata(&name);
        let key = format!("{number:03}");
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "metadata": metadata, "binaryData": { key: STANDARD.encode(piece) } });
        reach.created.create(&reach.api, &reach.objects.collection("configmaps"), &object).await?;
        names.push(name);
    }
    laid.insert(architecture.to_owned(), names.clone());
    Ok(names)
}

impl Mailbox {
    /// Makes the ConfigMap, and an account that may read and change it and nothing else.
    async fn make(reach: &Reach, node: &Node) -> Mailbox {
        let name = format!("{}-mail", reach.objects.pod_name(&node.name, 0));
        let mut made = Vec::new();
        let path = match Mailbox::objects(reach, &name, &mut made).await {
            Ok(()) => Ok(format!("{}/{name}", reach.objects.collection("configmaps"))),
            Err(failure) => Err(failure),
        };
        Mailbox { path, account: name, made }
    }

    async fn objects(reach: &Reach, name: &str, made: &mut Vec<String>) -> Result<(), Failure> {
        let namespace = &reach.objects.namespace;
        let metadata = reach.objects.metadata(name);
        let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get", "patch"] });
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name });
        let subject = json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace });
        let core = |resource: &str| reach.objects.collection(resource);
        let rbac = |resource: &str| format!("{RBAC}/namespaces/{namespace}/{resource}");
        let group = "rbac.authorization.k8s.io/v1";
        let objects = [
            (
                core("configmaps"),
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { CONFIRMED: "0" } }),
            ),
            (
                core("serviceaccounts"),
                json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false }),
            ),
            (rbac("roles"), json!({ "apiVersion": group, "kind": "Role", "metadata": metadata, "rules": [rule] })),
            (
                rbac("rolebindings"),
                json!({ "apiVersion": group, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [subject] }),
            ),
        ];
        for (collection, object) in objects {
            made.push(reach.created.create(&reach.api, &collection, &object).await?);
        }
        Ok(())
    }
}

/// What is mounted where the pod's first program is.
fn sources(reach: &Reach, pieces: &[String], mailbox: &Mailbox) -> Vec<Value> {
    let mut sources = vec![json!({ "configMap": { "name": reach.objects.stage0_name() } })];
    for (number, name) in pieces.iter().enumerate() {
        let key = format!("{number:03}");
        sources.push(
            json!({ "configMap": { "name": name, "items": [{ "key": key, "path": format!("program/{key}") }] } }),
        );
    }
    if mailbox.path.is_ok() {
        sources.push(json!({ "serviceAccountToken": { "path": "token", "expirationSeconds": 600 } }));
        // Every namespace has it, since 1.20.
        sources.push(json!({ "configMap": { "name": "kube-root-ca.crt", "optional": true, "items": [{ "key": "ca.crt", "path": "ca.crt" }] } }));
    }
    sources
}

fn command(reach: &Reach, node: &Node, mailbox: &Mailbox, servers: &[String], seconds: u64) -> Vec<String> {
    let mut command = reach.collect_command(node, "/dossier/program", seconds);
    command.extend(["--digest", TERMINATION].map(str::to_owned));
    if let Ok(path) = &mailbox.path {
        command.extend(["--mailbox".to_owned(), path.clone()]);
        for server in servers {
            command.extend(["--server".to_owned(), server.clone()]);
        }
    }
    command
}

/// Takes what comes through the mailbox, until the last chunk, the pod's end or that of the time.
async fn take(
    reach: &Reach,
    node: &Node,
    started: &Started,
    mailbox: &Mailbox,
    deadline: Instant,
) -> Result<Taken, Failure> {
    let (sender, mut incoming) = Incoming::pipe();
    let taking = {
        let (run, node) = (reach.run.clone(), node.name.clone());
        tokio::task::spawn_blocking(move || run.gathering(|| take_in(&run, &node, &mut incoming)))
    };
    let mut ended = None;
    let mut confirmed = 0;
    let mut looks = 0;
    let why = loop {
        let came = match &mailbox.path {
            Ok(path) => empty(reach, path, &mut confirmed).await,
            Err(_) => Ok(None),
        };
        match came {
            Ok(Some((chunk, last))) => {
                if sender.send(chunk).await.is_err() || last {
                    break None;
                }
                continue;
            }
            // A pod that had ended before this look puts nothing more in.
            Ok(None) if ended.is_some() => break None,
            Ok(None) => {}
            // The API server may be busy; the time decides.
            Err(_) => {}
        }
        if let Some(stopped) = reach.run.stopped() {
            break Some(Failure::stopped(stopped));
        }
        if Instant::now() >= deadline {
            break Some(Failure::timeout("the time for this node was used up"));
        }
        if looks % LOOKS == 0
            && let Ok(pod) = reach.api.get(&started.path).await
            && matches!(start::state(&pod), start::State::Ended(_) | start::State::Failed(_))
        {
            ended = Some(pod);
        }
        looks += 1;
        sleep(PAUSE).await;
    };
    drop(sender);
    let mut taken = taking.await.unwrap_or_default();
    if taken.ended {
        return Ok(taken);
    }
    if let Some(failure) = why {
        return if taken.items > 0 { Ok(Taken { trouble: Some(failure.reason), ..taken }) } else { Err(failure) };
    }
    let terminated = ended.map(|pod| pod["status"]["containerStatuses"][0]["state"]["terminated"].clone());
    let message = terminated.as_ref().and_then(|state| state["message"].as_str()).unwrap_or_default();
    let obstacle = mailbox
        .path
        .as_ref()
        .err()
        .map(|failure| format!("the ConfigMap for its items could not be made: {}", failure.reason));
    let Some(digest) = digest::read_message(message) else {
        let words = obstacle.unwrap_or_else(|| "its collector ended early".to_owned());
        let reason = format!("{words}, and its termination message tells nothing: {message:.200}");
        return Err(Failure::new(ItemStatus::Error, reason));
    };
    let obstacle = obstacle.unwrap_or_else(|| digest.lines.first().cloned().unwrap_or_default());
    keep(reach, node, &digest, &mut taken);
    taken.trouble = Some(format!("only the most telling lines came, as its pod's termination message: {obstacle}"));
    Ok(taken)
}

/// Takes a chunk out of the mailbox, where a new one waits, and confirms it.
async fn empty(reach: &Reach, path: &str, confirmed: &mut u64) -> Result<Option<(Bytes, bool)>, Failure> {
    let object = reach.api.get(path).await?;
    let sent: u64 = object["data"][SENT].as_str().and_then(|number| number.parse().ok()).unwrap_or(0);
    if sent <= *confirmed {
        return Ok(None);
    }
    let chunk = object["binaryData"][CHUNK].as_str().unwrap_or_default();
    let chunk = STANDARD.decode(chunk).map_err(|error| Failure::connection(&error))?;
    let last = object["data"][LAST] == "true";
    let patch = json!({ "data": { CONFIRMED: sent.to_string() }, "binaryData": { CHUNK: null } });
    reach.api.merge(path, &patch).await?;
    *confirmed = sent;
    Ok(Some((chunk.into(), last)))
}

/// Writes what a digest brought: whole items as what they are, the other lines as one text.
fn keep(reach: &Reach, node: &Node, digest: &digest::Digest, taken: &mut Taken) {
    let planned: BTreeSet<String> =
        crate::node::plan(&crate::node::Options::through_host(&node.name, pod::HOST, reach.deep))
            .into_iter()
            .map(|line| line.id)
            .collect();
    let folder = layout::node_file(&node.name, "");
    let source = || Source::Computed("the termination message of its pod".to_owned());
    let scope = Scope::Node(node.name.clone());
    for item in
        digest.items.iter().filter(|item| planned.contains(&item.id) && item.path.starts_with(&format!("{folder}/")))
    {
        let draft = ItemDraft { id: item.id.clone(), scope: scope.clone(), source: source(), plan: item.id.clone() };
        reach.put(draft, item.path.clone(), item.text.as_bytes(), ItemEnd::new(ItemStatus::Ok));
        taken.lines.insert(item.id.clone());
        taken.items += 1;
    }
    let text = digest.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let id = format!("{}.digest", super::LINE);
    let draft = ItemDraft { id, scope, source: source(), plan: super::LINE.to_owned() };
    let end = ItemEnd::because(ItemStatus::Truncated, "what fits into a termination message");
    reach.put(draft, layout::node_file(&node.name, "reach-digest.txt"), text.as_bytes(), end);
    taken.items += 1;
}

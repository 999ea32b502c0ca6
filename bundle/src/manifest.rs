//! `manifest.json`: who collected, when, with which clocks and limits, and one record for every item.
//!
//! The analyzer's invariant "absence is not health" rests on this file: an item that gave no content is still a
//! record, with a status that keeps health, fact and blindness apart.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bundle format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The whole of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The bundle format; a reader refuses a number above the one it knows.
    pub format: u32,
    /// The program that wrote the bundle.
    pub tool: Tool,
    /// What kind of run it was.
    pub kind: RunKind,
    /// When collection began, by the clock of the machine that collected.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When collection ended. The analyzer measures every age from here; it never asks a clock.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Why the run ended.
    pub ended: Ended,
    /// The cluster, where an API server was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// The hosts that items were gathered on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// The clocks of all who took part, so that logs of several machines can be put in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
    /// Limits that were met, each with what it cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitHit>,
    /// What the sender said is broken, where they said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Symptom>,
    /// What was folded together, where `kind` is `merged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// A record for every item, in the order in which they ended; sorted by path in a merged bundle.
    pub items: Vec<ItemRecord>,
}

impl Manifest {
    /// That of a run which ended when it began and gathered nothing: what benchmarks and tests make bundles of.
    pub fn empty(tool: Tool, kind: RunKind, at: Timestamp) -> Manifest {
        Manifest {
            format: FORMAT,
            tool,
            kind,
            started: at,
            finished: at,
            ended: Ended::Done,
            cluster: None,
            hosts: Vec::new(),
            clocks: Vec::new(),
            limits: Vec::new(),
            symptom: None,
            merged: None,
            items: Vec::new(),
        }
    }
}

/// What a merged bundle was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    /// The bundles, by the time at which they began.
    pub bundles: Vec<MergedBundle>,
    /// What they disagreed on, and what was kept, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
}

/// One of the bundles that were folded together, as its own manifest described it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MergedBundle {
    /// The program that wrote it.
    pub tool: Tool,
    /// What kind of run it was.
    pub kind: RunKind,
    /// When its collection began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When its collection ended.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Why its run ended.
    pub ended: Ended,
    /// The nodes whose folders it brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// The program that wrote a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its name, `dossier-collect`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What kind of run wrote the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// A cluster was asked through its API server, perhaps with nodes beside it.
    Cluster,
    /// One host was read, without an API server.
    Node,
    /// Several bundles were folded into one.
    Merged,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Everything planned was tried.
    Done,
    /// The time budget ran out.
    Deadline,
    /// A signal (Ctrl-C, SIGTERM) stopped it.
    Signal,
    /// The size or disk limit stopped it.
    Space,
}

/// The cluster that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// The name in the kubeconfig's context, or `in-cluster`.
    pub name: String,
    /// The server's URL, as the kubeconfig gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The server's `gitVersion`, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The uid of the `kube-system` namespace, the customary identity of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// A host that items were gathered on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The name of its folder below `nodes/`.
    pub node: String,
    /// Its hostname, by `uname`; it need not be the name that the cluster knows the node by.
    pub hostname: String,
    /// SHA-256, in hexadecimal, of the 32 hexadecimal digits of its /etc/machine-id (machine-id(5) asks that the id
    /// itself be kept confidential). `merge` knows the host again by it; clones of one image may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id_sha256: Option<String>,
    /// Its addresses, without loopback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Operating system and architecture, `linux/amd64`.
    pub platform: String,
    /// Whether the collector ran with root's rights there.
    pub privileged: bool,
}

/// What a clock said at one moment of the collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// Whose clock.
    pub scope: Scope,
    /// What it said.
    #[schemars(with = "String")]
    pub utc: Timestamp,
    /// How far it is from the collecting machine's clock, in seconds; positive is ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<f64>,
    /// Half of the round trip within which both were read, in seconds: the error of the above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty_seconds: Option<f64>,
    /// Seconds since the machine booted, counting sleep (CLOCK_BOOTTIME).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_seconds: Option<f64>,
}

/// A limit that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitHit {
    /// The limit's name, as the option that sets it is called, without its dashes: `max-size`.
    pub limit: String,
    /// Its value, for people.
    pub value: String,
    /// What it cut.
    pub effect: String,
}

/// What the sender says is broken; any of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Symptom {
    /// Where the traffic comes from: `pod/NS/NAME`, `node/NAME`, an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it should arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The error's text, as the sender saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything else the sender said, by field name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

/// One item: what was asked, of whom, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemRecord {
    /// The evidence id (`api.nodes`, `node.iptables.nft-v4`). A rule that needs `node.iptables` is served by every
    /// item whose id is that or continues it behind a dot.
    pub id: String,
    /// Whose evidence it is.
    pub scope: Scope,
    /// Where its content lies in the bundle; none where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it was asked for.
    pub source: Source,
    /// The line of `--plan` that announced it.
    pub plan: String,
    /// What came of it.
    pub status: ItemStatus,
    /// Why it is not `ok`, in a sentence or the server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The command's exit code, or the response's HTTP status. None where neither came: the command could not be
    /// started or was ended by a signal, the connection failed; `reason` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Bytes of content, uncompressed, as they lie in the bundle: after redaction and after a cap.
    pub bytes: u64,
    /// Bytes that a cap cut out of the middle; a log that was asked for its end alone does not count what it was not
    /// asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_dropped: u64,
    /// The end of what a command wrote to its standard error, which is never mixed into the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
    /// SHA-256 of the content, in lower-case hexadecimal as `sha256sum` prints it; none where there is no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many values were masked, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redactions: BTreeMap<String, u64>,
    /// Where a symbolic link led, where the item was reached through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_target: Option<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How an item was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A request to the API server: path and query.
    Request(String),
    /// A command, as an argument vector; no shell was involved.
    Argv(Vec<String>),
    /// A file or folder on the host.
    File(String),
    /// Computed by the collector from what the string names.
    Computed(String),
    /// Given by the sender.
    Attached(String),
}

/// What came of an item. The first three are facts; `truncated` is a fact with a hole; the rest is blindness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ItemStatus {
    /// Content, whole.
    Ok,
    /// Asked and answered: there is nothing (an empty list, an empty file).
    Empty,
    /// Proved not to exist: a CRD that is not installed, a file that is not there.
    Absent,
    /// The program that would tell is not installed.
    ToolMissing,
    /// The kernel module is not loaded, and asking would load it.
    ModuleNotLoaded,
    /// The server or the kernel refused.
    Forbidden,
    /// No answer within the deadline.
    Timeout,
    /// Content, but a cap cut its middle or its beginning.
    Truncated,
    /// Nobody answered at that address.
    Unreachable,
    /// The sender did not ask for it.
    NotRequested,
    /// The budget ran out or a signal came first.
    NotReached,
    /// Not possible on this system or architecture.
    Unsupported,
    /// Gathered and thrown away, because redaction failed.
    Withheld,
    /// Anything else; the reason says what.
    Error,
}

impl ItemStatus {
    /// Every status, in the order in which summaries print them.
    pub const ALL: [ItemStatus; 14] = [
        ItemStatus::Ok,
        ItemStatus::Empty,
        ItemStatus::Absent,
        ItemStatus::ToolMissing,
        ItemStatus::ModuleNotLoaded,
        ItemStatus::Forbidden,
        ItemStatus::Timeout,
        ItemStatus::Truncated,
        ItemStatus::Unreachable,
        ItemStatus::NotRequested,
        ItemStatus::NotReached,
        ItemStatus::Unsupported,
        ItemStatus::Withheld,
        ItemStatus::Error,
    ];

    /// The name, as the manifest spells it.
    pub fn name(self) -> &'static str {
        match self {
            ItemStatus::Ok => "ok",
            ItemStatus::Empty => "empty",
            ItemStatus::Absent => "absent",
            ItemStatus::ToolMissing => "tool-missing",
            ItemStatus::ModuleNotLoaded => "module-not-loaded",
            ItemStatus::Forbidden => "forbidden",
            ItemStatus::Timeout => "timeout",
            ItemStatus::Truncated => "truncated",
            ItemStatus::Unreachable => "unreachable",
            ItemStatus::NotRequested => "not-requested",
            ItemStatus::NotReached => "not-reached",
            ItemStatus::Unsupported => "unsupported",
            ItemStatus::Withheld => "withheld",
            ItemStatus::Error => "error",
        }
    }

    /// Whether a rule may draw a conclusion from the item: its content or its proved absence.
    pub fn is_known(self) -> bool {
        matches!(self, ItemStatus::Ok | ItemStatus::Empty | ItemStatus::Absent | ItemStatus::Truncated)
    }

    /// Whether the item makes a run partial (exit code 2).
    pub fn makes_partial(self) -> bool {
        matches!(
            self,
            ItemStatus::Forbidden
                | ItemStatus::Timeout
                | ItemStatus::Unreachable
                | ItemStatus::NotReached
                | ItemStatus::Withheld
                | ItemStatus::Error
        )
    }
}

impl fmt::Display for ItemStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose evidence an item is. Written `cluster`, `node/NAME` or `pod/NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub enum Scope {
    /// The cluster as a whole.
    Cluster,
    /// One node.
    Node(String),
    /// One pod: namespace and name.
    Pod(String, String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Cluster => f.write_str("cluster"),
            Scope::Node(name) => write!(f, "node/{name}"),
            Scope::Pod(namespace, name) => write!(f, "pod/{namespace}/{name}"),
        }
    }
}

/// A scope that is not written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scope `{0}` is neither `cluster` nor `node/NAME` nor `pod/NAMESPACE/NAME`")]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut parts = s.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("cluster"), None, None) => Ok(Scope::Cluster),
            (Some("node"), Some(name), None) if !name.is_empty() => Ok(Scope::Node(name.to_owned())),
            (Some("pod"), Some(namespace), Some(name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Scope::Pod(namespace.to_owned(), name.to_owned()))
            }
            _ => Err(ScopeError(s.to_owned())),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

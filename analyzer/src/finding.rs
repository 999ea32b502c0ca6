//! What rules say, and `findings.json`: the contract that every report and every other program reads.

use std::collections::BTreeMap;
use std::fmt;

use bundle::manifest::LimitHit;
use bundle::{ItemStatus, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::citation::Citation;

/// The version of `findings.json`.
pub const FINDINGS_FORMAT: u32 = 1;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A hazard, or a defect that few notice.
    Warning,
    /// Something does not work.
    Error,
    /// The cluster or a whole node does not work.
    Critical,
}

/// How sure we are. A finding is confirmed where configuration and observation agree, likely with one of them,
/// latent where it is a hazard without a symptom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A hazard without a symptom.
    Latent,
    /// Configuration or observation says so.
    Likely,
    /// Configuration and observation agree.
    Confirmed,
}

/// What a rule ranges over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// The cluster as a whole: one subject.
    Cluster,
    /// Every node, known from the API or from its folder.
    Node,
    /// Every pod.
    Pod,
    /// Every Service.
    Service,
    /// Every workload: Deployment, DaemonSet, StatefulSet, ReplicaSet.
    Workload,
    /// Every NodeNetworkConfig of Azure's CNI.
    NodeNetworkConfig,
    /// Every log of a container or of a unit of a node.
    Log,
    /// Every certificate.
    Certificate,
}

/// One thing that a rule looked at: `cluster`, `node/n1`, `pod/kube-system/coredns-x`, `service/ns/name` …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its name, with namespace where it has one; empty for the cluster.
    pub name: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SubjectKind::Cluster => return f.write_str("cluster"),
            SubjectKind::Node => "node",
            SubjectKind::Pod => "pod",
            SubjectKind::Service => "service",
            SubjectKind::Workload => "workload",
            SubjectKind::NodeNetworkConfig => "node-network-config",
            SubjectKind::Log => "log",
            SubjectKind::Certificate => "certificate",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// The row of the catalogue that the rule implements: `34`, `E16`.
    pub row: String,
    /// The rule's title.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure we are.
    pub confidence: Confidence,
    /// What it is about.
    pub scope: Subject,
    /// What is wrong, in a sentence with the names and numbers of this case.
    pub message: String,
    /// What proves it; at least one.
    pub evidence: Vec<Citation>,
    /// What it would explain: other rules' ids and symptom ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explains: Vec<Explains>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// One effect of a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explains {
    /// The rule or symptom that is explained.
    pub effect: String,
    /// Within which scope: `node`, `pair`, `subnet`, `namespace`, `cluster`.
    pub scope: String,
    /// How strongly, 0 to 1.
    pub weight: f64,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// In words.
    pub text: String,
    /// Commands for the customer to run, with the names of this case filled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What to mind, by provider (`aks`, `tke`, `any` …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caveats: BTreeMap<String, String>,
}

/// What a rule said of one subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Something is wrong. Boxed, because passes are many and findings few.
    Finding(Box<Finding>),
    /// It was looked at and is fine; some passes say why.
    Pass(Option<String>),
    /// The rule has nothing to say here, and why.
    NotApplicable(String),
    /// Evidence is missing.
    NotChecked(Vec<Missing>),
    /// The rule itself failed.
    RuleError(String),
}

/// Evidence that a rule needed and did not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The evidence id.
    pub id: String,
    /// Whose evidence.
    pub scope: Scope,
    /// Why it is missing; `not-requested` where the manifest has no record of it.
    pub status: ItemStatus,
    /// The manifest's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `findings.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// [`FINDINGS_FORMAT`].
    pub format: u32,
    /// The analyzer's version.
    pub analyzer: String,
    /// What was analyzed.
    pub bundle: BundleSummary,
    /// The verdict.
    pub verdict: Verdict,
    /// What the sender says is broken, and what the bundle says to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<SymptomAnswer>,
    /// Root causes: findings that no other explains, in the order of the worst that each explains.
    pub causes: Vec<Cause>,
    /// All findings, by severity, confidence and scope.
    pub findings: Vec<Finding>,
    /// Rules that looked and found nothing wrong.
    pub passed: Vec<Passed>,
    /// Rules that have nothing to say of this bundle.
    pub not_applicable: Vec<NotApplicable>,
    /// Rules that could not decide, with what is missing.
    pub not_checked: Vec<NotChecked>,
    /// Rules that failed.
    pub rule_errors: Vec<RuleError>,
    /// Per node: address counts of its IPAM stores.
    pub nodes: Vec<NodeAddresses>,
    /// Evidence that was collected and that no rule judges yet: item ids with their number.
    pub not_judged: BTreeMap<String, u64>,
}

/// What the sender says is broken, and what the bundle says to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomAnswer {
    /// What was said, field by field.
    pub fields: Vec<SymptomField>,
    /// What becomes of a packet from `from` to `to`, where both could be found in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<WalkedWay>,
    /// Why the way from `from` to `to` could not be walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_walked: Option<String>,
    /// What the error's text is known to mean, the pattern that explains most of it first.
    pub recognized: Vec<Recognized>,
    /// Whether an error's text was given and no message pattern knows it.
    pub not_recognized: bool,
    /// Findings about the very pod, node or Service that the symptom names.
    pub named: Vec<Related>,
}

/// What becomes of a packet between the ends that a symptom names; `dossier path` tells the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WalkedWay {
    /// The source, as it was found.
    pub from: String,
    /// The destination, as it was found.
    pub to: String,
    /// `tcp`, `udp`, `sctp`, `icmp`.
    pub protocol: String,
    /// The verdict and what the client sees, in words.
    pub headline: String,
    /// The same in a sentence.
    pub detail: String,
    /// Whether the client is connected for certain.
    pub connected: bool,
    /// The line that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Citation>,
    /// The changes that let it pass, all together, each with where it is made.
    pub fix: Vec<String>,
    /// Whether walking again with the changes showed that the client is then connected.
    pub fix_verified: bool,
    /// What the answer depends on.
    pub unknowns: Vec<String>,
    /// Networks between nodes that a packet which passes went over, and that the bundle does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_for_granted: Vec<String>,
}

/// A field of a symptom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomField {
    /// Its name: `from`, `to`, `error` …
    pub name: String,
    /// What was said.
    pub text: String,
}

impl SymptomField {
    /// A field.
    pub fn new(name: &str, text: &str) -> SymptomField {
        SymptomField { name: name.to_owned(), text: text.to_owned() }
    }
}

/// A message pattern that is found in the error's text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recognized {
    /// The pattern's id.
    pub pattern: String,
    /// What it means that it was said.
    pub means: String,
    /// The pattern's named parts in the error's text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
    /// Lines of the bundle's logs that say the same.
    pub lines: u64,
    /// Events that say the same.
    pub events: u64,
    /// Some of these lines and events.
    pub evidence: Vec<Citation>,
    /// The rules that ask for the pattern, with what they came to.
    pub checks: Vec<Related>,
}

/// A rule that has to do with a symptom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// The rule's id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// What it came to.
    pub standing: Standing,
    /// The finding, or why there is none.
    pub message: String,
}

/// What a rule came to, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It found something.
    Found,
    /// Evidence is missing.
    NotChecked,
    /// It looked and found nothing.
    Passed,
    /// It has nothing to say of this bundle.
    NotApplicable,
}

/// What was analyzed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BundleSummary {
    /// The cluster's name, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The API server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Hosts that items were gathered on.
    pub hosts: Vec<String>,
    /// When collection began (RFC 3339).
    pub started: String,
    /// When collection ended (RFC 3339).
    pub finished: String,
    /// Why it ended: `done`, `deadline`, `signal`, `space`.
    pub ended: String,
    /// Limits that collection met, such as a disk nearly full, and what each cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitHit>,
    /// The collector's version.
    pub collector: String,
    /// Items by status.
    pub items: BTreeMap<ItemStatus, u64>,
    /// Items that could not be read from the bundle, and why (a bound, damage).
    pub unreadable: Vec<Unreadable>,
}

/// An entry that could not be read from the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreadable {
    /// The entry.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The verdict, in a word and a sentence. It never says healthy while needs are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The word.
    pub health: Health,
    /// The sentence.
    pub sentence: String,
}

/// The verdict's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// At least one finding of severity error or critical.
    Sick,
    /// Findings below that.
    Hazards,
    /// No finding, and every rule that applies could decide.
    Healthy,
    /// No finding of weight, but evidence is missing.
    Incomplete,
    /// No rule could decide anything.
    Unknown,
}

/// A root cause: a finding, and those that fold under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The rule's id.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Where.
    pub scope: Subject,
    /// What is wrong.
    pub message: String,
    /// The findings that it explains, as `rule scope`.
    pub explains: Vec<String>,
}

/// A rule that looked and found nothing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Passed {
    /// The rule's id.
    pub rule: String,
    /// Its row.
    pub row: String,
    /// Its title.
    pub title: String,
    /// How many subjects passed.
    pub subjects: u64,
    /// What the pass explains, by subject, where it explains anything (at most 20).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<String, String>,
}

/// A rule that has nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotApplicable {
    /// The rule's id.
    pub rule: String,
    /// Its row.
    pub row: String,
    /// Its title.
    pub title: String,
    /// To how many subjects it does not apply; 0 where there is no subject at all.
    pub subjects: u64,
    /// Why.
    pub reason: String,
}

/// A rule that could not decide for some subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotChecked {
    /// The rule's id.
    pub rule: String,
    /// Its row.
    pub row: String,
    /// Its title.
    pub title: String,
    /// For how many subjects.
    pub subjects: u64,
    /// Some of them (at most 20).
    pub examples: Vec<String>,
    /// What is missing, and why.
    pub missing: Vec<Missing>,
}

/// A rule that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleError {
    /// The rule's id.
    pub rule: String,
    /// Where.
    pub scope: Subject,
    /// What failed.
    pub message: String,
}

/// Address counts of one node, from the several books that keep them. Absent numbers were not collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeAddresses {
    /// The node's name.
    pub node: String,
    /// `spec.requestedIPCount` of its NodeNetworkConfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nnc_requested: Option<u64>,
    /// `status.assignedIPCount` of its NodeNetworkConfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nnc_assigned: Option<u64>,
    /// Which store the next two numbers come from: `host-local`, `azure-vnet-ipam`, `azure-endpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Addresses that the store says are in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_used: Option<u64>,
    /// Addresses that the store can give in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_total: Option<u64>,
    /// Pods on the node that hold an address of the pod network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_pods: Option<u64>,
    /// Addresses in the store that no running pod holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaked: Option<u64>,
}

//! What `dossier path` says: the contract that `schemas/path.schema.json` describes.

use schemars::JsonSchema;
use serde::Serialize;

/// What becomes of a packet on its whole way, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PathAnswer {
    /// What was asked.
    pub question: Question,
    /// What becomes of the packet on its own way.
    pub verdict: Verdict,
    /// For `reject`: the kind of the refusal, as iptables names it.
    pub reject: Option<String>,
    /// What the client sees, the way of the answer included.
    pub client_sees: Sees,
    /// The same in a sentence.
    pub detail: String,
    /// The line that decides; for a packet that passes, the last line that accepted it.
    pub deciding: Option<Deciding>,
    /// Where it arrives, after NAT: one, or a list where chance chooses; null where it arrives nowhere.
    pub delivered: Option<Delivered>,
    /// What the answer depends on, each in words.
    pub unknowns: Vec<String>,
    /// What a packet that passes went over and the bundle does not hold: networks between nodes, each in words.
    pub takes_for_granted: Vec<String>,
    /// The smallest change that lets the packet and its answer pass.
    pub fix: Option<Fix>,
    /// Every step, of the packet's way and then of its answer's.
    pub steps: Vec<Step>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Question {
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// `tcp`, `udp`, `sctp`, `icmp`.
    pub protocol: String,
    /// The one node that was walked; null for the whole way.
    pub via: Option<String>,
    /// The interface by which the packet enters it; null for the node's own packets and for the whole way.
    #[serde(rename = "in")]
    pub interface: Option<String>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passes, whatever the unknowns are.
    Accept,
    /// It is dropped without a word.
    Drop,
    /// It is refused with an answer.
    Reject,
    /// That depends on what is not known, or on chance.
    Depends,
}

/// What a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sees {
    /// The answer arrives.
    Connected,
    /// Nothing arrives.
    Timeout,
    /// A RST or a port unreachable.
    Refused,
    /// Another ICMP error, or an error at once on the host itself.
    Unreachable,
    /// That depends on what is not known, or on chance.
    Depends,
}

/// The line that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Deciding {
    /// The entry in the bundle.
    pub file: String,
    /// The line in it, from 1.
    pub line: u32,
    /// The text of the line; for JSON, of the object.
    pub text: String,
    /// Whose way it ends, or lets pass.
    pub direction: Direction,
    /// The node it stands on.
    pub node: Option<String>,
    /// JSON pointer (RFC 6901) of the object, where the file is JSON.
    pub pointer: Option<String>,
    /// How many packets it counted, where the dump has counters.
    pub packets: Option<u64>,
    /// The ACCEPT further down that never gets its turn.
    pub shadows: Option<Line>,
    /// Where the line is a policy's: the rule on the node that carries it out and stopped the packet.
    pub enforced_by: Option<Line>,
}

/// A line of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// The entry in the bundle.
    pub file: String,
    /// The line in it, from 1.
    pub line: u32,
    /// Its text.
    pub text: String,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The packet's own.
    Forward,
    /// Its answer's.
    Reply,
}

/// Where a packet arrives.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Delivered {
    /// One destination.
    One(Delivery),
    /// Several, among which chance chooses.
    Several(Vec<Delivery>),
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Delivery {
    /// The destination after NAT, with its port.
    pub to: String,
    /// The source that the receiver sees; with its port where the question gave one.
    pub from_seen: String,
    /// Who it is, where the bundle says so: `pod/NS/NAME`, `node/NAME`.
    pub who: Option<String>,
    /// The interface by which it leaves the last node that was walked; null for the node's own sockets.
    pub interface: Option<String>,
    /// How likely it is, where chance chooses; 1 otherwise.
    pub probability: f64,
}

/// A remedy: all its changes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fix {
    /// What is to be changed, in order.
    pub changes: Vec<Change>,
    /// Whether walking the whole way again with the changes showed that the client is then connected.
    pub verified: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Where it is made: `node/NAME`, `cluster`, or `cloud`.
    pub at: String,
    /// Who manages what is changed: `ufw`, `firewalld`, `docker`, `kube-proxy`, `network-policy`, `security-group`, `unknown` …
    pub owner: String,
    /// The command or the edit, in the owner's language.
    pub command: String,
    /// The line that the change answers.
    pub answers: Option<Line>,
}

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// Whose way.
    pub direction: Direction,
    /// The node, or what else decides: `the overlay`, `NetworkPolicy`.
    pub at: String,
    /// The packet as it entered there: `10.0.0.9 to 10.0.0.4:10250, tcp`.
    pub packet: String,
    /// The hook, for rules and policies.
    pub hook: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The chain.
    pub chain: Option<String>,
    /// The entry in the bundle.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The text of the line.
    pub text: Option<String>,
    /// What it did to the packet.
    pub effect: String,
    /// The tests that held, in the rule's words.
    pub because: Vec<String>,
}

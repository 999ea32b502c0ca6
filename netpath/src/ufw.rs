//! ufw: what `ufw status` claims, and what its rule files hold.
//!
//! The kernel's rules are the truth; a status that disagrees with them is a finding of its own. The files' own
//! iptables lines are read by [`crate::iptables::parse`].

use std::sync::Arc;

use crate::source::{Cited, Origin, numbered_lines};

/// What `ufw status [verbose]` printed.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether it says that ufw is active; `None` when it could not tell (not root, lock held).
    pub active: Option<bool>,
    /// The default for incoming, outgoing and routed packets, of the verbose form.
    pub defaults: Option<Defaults>,
    /// The rows, in order of evaluation.
    pub rows: Vec<Row>,
}

/// The words of `Default: deny (incoming), allow (outgoing), disabled (routed)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For packets to the node.
    pub incoming: Box<str>,
    /// For the node's own.
    pub outgoing: Box<str>,
    /// For those that pass through; `disabled` still means a policy of DROP unless `/etc/default/ufw` says otherwise.
    pub routed: Box<str>,
}

/// One row of the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The `To` column: `10250/tcp`, `6443/tcp on eth0`, `Nginx Full`.
    pub to: Box<str>,
    /// `ALLOW`, `DENY`, `REJECT`, `LIMIT`.
    pub action: Box<str>,
    /// `IN`, `OUT` or `FWD`; the short form leaves `IN` out.
    pub direction: Box<str>,
    /// The `From` column.
    pub from: Box<str>,
    /// Whether the row is of IPv6.
    pub v6: bool,
    /// What stands behind `#`.
    pub comment: Option<Box<str>>,
    /// Where it was read.
    pub cited: Cited,
}

/// Reads `ufw status`, `ufw status verbose` or `ufw status numbered`.
pub fn parse_status(file: &str, bytes: &[u8]) -> Status {
    let file: Arc<str> = Arc::from(file);
    let mut status = Status::default();
    for (number, line) in numbered_lines(&String::from_utf8_lossy(bytes)) {
        if let Some(word) = line.strip_prefix("Status: ") {
            status.active = match word.trim() {
                "active" => Some(true),
                "inactive" => Some(false),
                _ => None,
            };
        } else if let Some(words) = line.strip_prefix("Default: ") {
            status.defaults = defaults(words);
        } else if let Some(row) = row(line, Origin::line(&file, number)) {
            status.rows.push(row);
        }
    }
    status
}

fn defaults(words: &str) -> Option<Defaults> {
    let of = |place: &str| {
        let part = words.split(',').find(|part| part.contains(place))?;
        part.split_whitespace().next().map(Box::from)
    };
    Some(Defaults { incoming: of("(incoming)")?, outgoing: of("(outgoing)")?, routed: of("(routed)")? })
}

/// Columns are separated by two blanks or more, because a column may hold single ones.
fn row(line: &str, origin: Origin) -> Option<Row> {
    let text = match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?.1,
        None => line,
    };
    let (text, comment) = match text.split_once(" # ") {
        Some((text, comment)) => (text, Some(comment.trim().into())),
        None => (text, None),
    };
    let columns: Vec<&str> = text.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let [to, action, from, ..] = columns.as_slice() else { return None };
    let (verb, direction) = action.split_once(' ').unwrap_or((action, "IN"));
    matches!(verb, "ALLOW" | "DENY" | "REJECT" | "LIMIT").then(|| Row {
        to: (*to).into(),
        action: verb.into(),
        direction: direction.into(),
        from: from.trim_end_matches("(out)").trim().into(),
        v6: to.contains("(v6)") || from.contains("(v6)"),
        comment,
        cited: Cited { origin, text: line.to_owned() },
    })
}

/// One `### tuple ###` line of `user.rules`: the command behind the iptables lines that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// `allow`, `deny`, `reject`, `limit`.
    pub action: Box<str>,
    /// Whether it is of `ufw route`.
    pub routed: bool,
    /// `tcp`, `udp` or `any`.
    pub protocol: Box<str>,
    /// Destination port or ports; `any` without.
    pub destination_port: Box<str>,
    /// Destination network.
    pub destination: Box<str>,
    /// Source port or ports.
    pub source_port: Box<str>,
    /// Source network.
    pub source: Box<str>,
    /// `in`, `out`, `in_eth0`, `in_eth0!out_eth1`.
    pub direction: Box<str>,
    /// The comment, which ufw writes in hexadecimal.
    pub comment: Option<Box<str>>,
    /// Where it was read.
    pub cited: Cited,
}

/// Reads the tuples of `user.rules` or `user6.rules`.
pub fn parse_tuples(file: &str, bytes: &[u8]) -> Vec<Tuple> {
    let file: Arc<str> = Arc::from(file);
    numbered_lines(&String::from_utf8_lossy(bytes))
        .filter_map(|(number, line)| tuple(line, Origin::line(&file, number)))
        .collect()
}

fn tuple(line: &str, origin: Origin) -> Option<Tuple> {
    let words: Vec<&str> = line.strip_prefix("### tuple ### ")?.split_ascii_whitespace().collect();
    let [verb, protocol, destination_port, destination, source_port, source, rest @ ..] = words.as_slice() else {
        return None;
    };
    let (routed, action) = verb.strip_prefix("route:").map_or((false, *verb), |action| (true, action));
    let comment = rest.iter().find_map(|word| word.strip_prefix("comment=")).and_then(from_hex);
    Some(Tuple {
        action: action.into(),
        routed,
        protocol: (*protocol).into(),
        destination_port: (*destination_port).into(),
        destination: (*destination).into(),
        source_port: (*source_port).into(),
        source: (*source).into(),
        // Application names may stand between the source and the direction.
        direction: rest.iter().rfind(|word| !word.starts_with("comment=")).copied().unwrap_or("in").into(),
        comment,
        cited: Cited { origin, text: line.to_owned() },
    })
}

fn from_hex(text: &str) -> Option<Box<str>> {
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    Some(String::from_utf8_lossy(&bytes?).into())
}

//! Which firewalls a node has, in outline: enough to say who else writes rules. The rules themselves are netpath's.

use minijinja::Value;

use super::folder::Folder;
use super::{lines, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// A firewall program: whether it is on, and the line that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Whether it is on.
    pub active: bool,
    /// What says so.
    pub citation: Citation,
}

/// ufw, by its status, else by `ENABLED=` of /etc/ufw/ufw.conf, which says what happens at boot.
pub fn ufw(folder: &Folder) -> Option<Program> {
    let status = folder.entry("node.ufw.status").and_then(|entry| {
        let text = lines::text(&entry.bytes);
        let line = lines::lines(&text).find(|line| line.text.starts_with("Status: "))?;
        let citation = Citation::line(&entry.path, line.number, line.text);
        Some(Program { active: line.text.trim_end() == "Status: active", citation })
    });
    status.or_else(|| enabled(folder))
}

/// `ENABLED=` of /etc/ufw/ufw.conf.
fn enabled(folder: &Folder) -> Option<Program> {
    let files = folder.entries("node.ufw.files");
    let conf = files.iter().find(|entry| entry.host_path.ends_with("/ufw.conf"))?;
    let text = lines::text(&conf.bytes);
    let line = lines::lines(&text).find(|line| line.text.starts_with("ENABLED="))?;
    let citation = Citation::line(&conf.path, line.number, line.text);
    Some(Program { active: line.text.trim_end().eq_ignore_ascii_case("ENABLED=yes"), citation })
}

/// Whether ufw starts at boot: by its configuration, else by whether it is on now.
pub fn ufw_starts(folder: &Folder) -> bool {
    enabled(folder).or_else(|| ufw(folder)).is_some_and(|program| program.active)
}

/// firewalld, by `firewall-cmd --state`.
pub fn firewalld(folder: &Folder) -> Option<Program> {
    let entry = folder.entry("node.firewalld.state")?;
    let text = lines::text(&entry.bytes);
    let line = lines::lines(&text).find(|line| !line.text.trim().is_empty())?;
    let citation = Citation::line(&entry.path, line.number, line.text);
    Some(Program { active: line.text.trim() == "running", citation })
}

/// The fact, as expressions see it.
pub fn value(folder: &Folder) -> Value {
    let program = |found: Option<Program>| {
        opt(found.map(|program| Record::cited(program.citation).with("active", program.active).into_value()))
    };
    let dumped = |id: &str| folder.records(id).iter().any(|record| record.path.is_some());
    let backends = ["nft-v4", "nft-v6", "legacy-v4", "legacy-v6", "plain-v4", "plain-v6"];
    let found = backends.into_iter().filter(|backend| dumped(&format!("node.iptables.{backend}")));
    Record::derived()
        .with("ufw", program(ufw(folder)))
        .with("firewalld", program(firewalld(folder)))
        .with("iptables", found.collect::<Vec<_>>())
        .into_value()
}

/// The fields of a firewall program.
pub static PROGRAM: RecordShape = RecordShape {
    name: "firewall program",
    doc: "ufw or firewalld.",
    fields: &[Field { name: "active", shape: Shape::Scalar, doc: "Whether it is on." }],
};

/// The fields of a node's firewalls.
pub static FIREWALL: RecordShape = RecordShape {
    name: "firewall",
    doc: "Which firewalls a node has.",
    fields: &[
        Field {
            name: "ufw",
            shape: Shape::Record(&PROGRAM),
            doc: "ufw; undefined where it is not installed or unknown.",
        },
        Field {
            name: "firewalld",
            shape: Shape::Record(&PROGRAM),
            doc: "firewalld; undefined where it is not installed or unknown.",
        },
        Field {
            name: "iptables",
            shape: Shape::List(&Shape::Scalar),
            doc: "Rulesets that were dumped: nft-v4, nft-v6, legacy-v4, legacy-v6, plain-v4, plain-v6.",
        },
    ],
};

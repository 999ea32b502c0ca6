//! What a node runs on: its distribution, its kernel modules, its services.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;

use super::lines;
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// Reads /etc/os-release (os-release(5)): `NAME=value`, the value perhaps in quotes.
pub fn parse_os_release(path: &Arc<str>, bytes: &[u8]) -> Value {
    let text = lines::text(bytes);
    let pairs: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\''])))
        .collect();
    let field = |name: &str| pairs.get(name).copied().unwrap_or_default();
    Record::cited(Citation::whole(path, field("PRETTY_NAME")))
        .with("id", field("ID"))
        .with("version", field("VERSION_ID"))
        .with("name", field("PRETTY_NAME"))
        .into_value()
}

/// Reads /proc/modules: the names of loaded modules, each with its line.
pub fn parse_modules(path: &Arc<str>, bytes: &[u8]) -> BTreeMap<String, Citation> {
    let text = lines::text(bytes);
    lines::lines(&text)
        .filter_map(|line| {
            let name = line.text.split_whitespace().next()?;
            Some((name.to_owned(), Citation::line(path, line.number, line.text)))
        })
        .collect()
}

/// A service of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `failed` …
    pub active: String,
    /// `running`, `exited`, `dead` …
    pub sub: String,
    /// Its line.
    pub citation: Citation,
}

/// Reads `systemctl list-units --type=service --all`: name, load, active, sub, description. A mark before the name
/// (`●`, `*`) stands for a unit in trouble. The name is kept without `.service`.
pub fn parse_units(path: &Arc<str>, bytes: &[u8]) -> BTreeMap<String, Unit> {
    let text = lines::text(bytes);
    let mut units = BTreeMap::new();
    for line in lines::lines(&text) {
        let mut words = line.text.trim_start_matches(['●', '○', '×', '*', ' ']).split_whitespace();
        let (Some(name), Some(load), Some(active), Some(sub)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Some(name) = name.strip_suffix(".service") else { continue };
        let citation = Citation::line(path, line.number, line.text);
        let unit = Unit { load: load.to_owned(), active: active.to_owned(), sub: sub.to_owned(), citation };
        units.insert(name.to_owned(), unit);
    }
    units
}

/// The fact `name -> unit`.
pub fn units_value(units: &BTreeMap<String, Unit>) -> Value {
    let fact = |unit: &Unit| {
        Record::cited(unit.citation.clone())
            .with("load", unit.load.as_str())
            .with("active", unit.active.as_str())
            .with("sub", unit.sub.as_str())
            .into_value()
    };
    units.iter().map(|(name, unit)| (name.clone(), fact(unit))).collect::<BTreeMap<_, _>>().into()
}

/// The fact `name -> line` of the loaded modules.
pub fn modules_value(modules: &BTreeMap<String, Citation>) -> Value {
    modules.iter().map(|(name, line)| (name.clone(), super::cited_line(line))).collect::<BTreeMap<_, _>>().into()
}

/// The fields of the distribution.
pub static OS: RecordShape = RecordShape {
    name: "os",
    doc: "The node's distribution, of /etc/os-release.",
    fields: &[
        Field { name: "id", shape: Shape::Scalar, doc: "ID: debian, ubuntu, rhel …" },
        Field { name: "version", shape: Shape::Scalar, doc: "VERSION_ID." },
        Field { name: "name", shape: Shape::Scalar, doc: "PRETTY_NAME." },
    ],
};

/// The fields of a unit.
pub static UNIT: RecordShape = RecordShape {
    name: "unit",
    doc: "A service of systemd.",
    fields: &[
        Field { name: "load", shape: Shape::Scalar, doc: "loaded, not-found, masked …" },
        Field { name: "active", shape: Shape::Scalar, doc: "active, inactive, failed …" },
        Field { name: "sub", shape: Shape::Scalar, doc: "running, exited, dead …" },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    #[test]
    fn os_release_of_debian_12() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n";
        let os = parse_os_release(&"o".into(), text.as_bytes());
        assert_eq!(os.get_attr("id").unwrap(), Value::from("debian"));
        assert_eq!(os.get_attr("version").unwrap(), Value::from("12"));
        assert_shape(&os, &Shape::Record(&OS));
    }

    #[test]
    fn modules_are_the_first_words() {
        let text =
            "br_netfilter 32768 0 - Live 0x0000000000000000\nbridge 311296 1 br_netfilter, Live 0x0000000000000000\n";
        let modules = parse_modules(&"m".into(), text.as_bytes());
        assert_eq!(modules.keys().collect::<Vec<_>>(), ["br_netfilter", "bridge"]);
        static MODULES: Shape = Shape::Map(&Shape::Record(&super::super::CITED_LINE));
        assert_shape(&modules_value(&modules), &MODULES);
    }

    #[test]
    fn units_may_have_a_mark() {
        let text = "  containerd.service loaded    active   running containerd container runtime\n\
            ● kubelet.service    loaded    failed   failed  kubelet: The Kubernetes Node Agent\n\
            ○ ufw.service        not-found inactive dead    ufw.service\n\nLOAD = Reflects…\n";
        let units = parse_units(&"u".into(), text.as_bytes());
        assert_eq!(units.keys().collect::<Vec<_>>(), ["containerd", "kubelet", "ufw"]);
        assert_eq!(units["kubelet"].active, "failed");
        static UNITS: Shape = Shape::Map(&Shape::Record(&UNIT));
        assert_shape(&units_value(&units), &UNITS);
    }
}

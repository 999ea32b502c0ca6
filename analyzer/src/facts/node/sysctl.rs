//! The live values of the kernel's network settings: one entry that holds the whole of `/proc/sys/net`.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use super::{lines, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The live sysctls of a node, by name as `sysctl` prints it (`net.ipv4.conf.eth0/100.forwarding`: a dot within a
/// path component is written as a slash).
#[derive(Debug)]
pub struct Sysctls {
    path: Arc<str>,
    values: BTreeMap<String, Sysctl>,
    /// Keys that the kernel did not show, and lines that are no assignment.
    pub unreadable: Vec<Citation>,
}

/// One live value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// The value, as the kernel prints it; tabs within stay.
    pub value: String,
    /// Its line.
    pub line: u64,
}

/// Reads lines `key = value`, as `sysctl -a` prints them and the collector writes them; what could not be read is a
/// line `# forbidden: NAME`.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Sysctls {
    let text = lines::text(bytes);
    let mut sysctls = Sysctls { path: path.clone(), values: BTreeMap::new(), unreadable: Vec::new() };
    for line in lines::lines(&text) {
        if line.text.trim().is_empty() {
            continue;
        }
        match line.text.split_once('=').filter(|_| !line.text.starts_with('#')) {
            Some((key, value)) => {
                let value = Sysctl { value: value.trim().to_owned(), line: line.number };
                sysctls.values.insert(key.trim().to_owned(), value);
            }
            None => sysctls.unreadable.push(Citation::line(path, line.number, line.text)),
        }
    }
    sysctls
}

impl Sysctls {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Sysctl> {
        self.values.get(key)
    }

    /// The value of a key, where it is a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.value.parse().ok()
    }

    /// All keys with their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sysctl)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The line of a key.
    pub fn citation(&self, key: &str) -> Option<Citation> {
        let sysctl = self.get(key)?;
        Some(Citation::line(&self.path, sysctl.line, &format!("{key} = {}", sysctl.value)))
    }

    /// The fact of one key.
    pub fn fact(&self, key: &str) -> Option<Value> {
        let sysctl = self.get(key)?;
        let number = sysctl.value.parse::<i64>().ok();
        Some(
            Record::cited(self.citation(key)?)
                .with("key", key)
                .with("value", sysctl.value.as_str())
                .with("number", opt(number))
                .into_value(),
        )
    }

    /// The interfaces that have a setting below `net.<family>.conf`, without `all` and `default`.
    pub fn interfaces(&self, family: &str, setting: &str) -> Vec<String> {
        let prefix = format!("net.{family}.conf.");
        let suffix = format!(".{setting}");
        self.values
            .range(prefix.clone()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(&prefix))
            .filter_map(|key| key.strip_prefix(&prefix)?.strip_suffix(&suffix))
            .filter(|interface| !interface.contains('.') && !matches!(*interface, "all" | "default"))
            .map(|interface| interface.replace('/', "."))
            .collect()
    }
}

/// The map `key -> sysctl` in an expression; a fact is made when it is asked for, because there are thousands of keys
/// on a node with many interfaces.
#[derive(Debug)]
pub struct SysctlMap(pub Arc<Sysctls>);

impl Object for SysctlMap {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.fact(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.values.keys().map(|key| Value::from(key.as_str())).collect())
    }
}

/// The fields of a live sysctl.
pub static SYSCTL: RecordShape = RecordShape {
    name: "sysctl",
    doc: "A live value below /proc/sys/net.",
    fields: &[
        Field { name: "key", shape: Shape::Scalar, doc: "Its name, as sysctl(8) prints it." },
        Field { name: "value", shape: Shape::Scalar, doc: "The value, as text." },
        Field {
            name: "number",
            shape: Shape::Scalar,
            doc: "The value, where it is one whole number; otherwise undefined.",
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    /// Lines of `sysctl -a` of a Debian 12 kernel, with a VLAN interface.
    const REAL: &str = "net.ipv4.conf.all.forwarding = 1\n\
        net.ipv4.conf.default.forwarding = 0\n\
        net.ipv4.conf.eth0.forwarding = 1\n\
        net.ipv4.conf.eth0/100.forwarding = 0\n\
        net.ipv4.ip_forward = 1\n\
        net.ipv4.ip_local_port_range = 32768\t60999\n\
        # forbidden: net.core.bpf_jit_harden\n";

    #[test]
    fn values_are_text_and_numbers_where_they_are() {
        let sysctls = parse(&"s".into(), REAL.as_bytes());
        assert_eq!(sysctls.number("net.ipv4.ip_forward"), Some(1));
        assert_eq!(sysctls.get("net.ipv4.ip_local_port_range").unwrap().value, "32768\t60999");
        assert_eq!(sysctls.number("net.ipv4.ip_local_port_range"), None);
        assert_eq!(sysctls.citation("net.ipv4.ip_forward").unwrap().line, Some(5));
        assert_eq!(sysctls.unreadable.len(), 1);
        assert_shape(&sysctls.fact("net.ipv4.ip_forward").unwrap(), &Shape::Record(&SYSCTL));
    }

    #[test]
    fn interfaces_leave_out_all_and_default_and_keep_their_dots() {
        let sysctls = parse(&"s".into(), REAL.as_bytes());
        assert_eq!(sysctls.interfaces("ipv4", "forwarding"), ["eth0", "eth0.100"]);
    }
}

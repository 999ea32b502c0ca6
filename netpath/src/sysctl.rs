//! Kernel settings, as `sysctl -a` prints them or as files under `/proc/sys` hold them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::source::{Cited, Origin, numbered_lines};

/// Settings by their dotted name.
#[derive(Clone, Debug, Default)]
pub struct Sysctls {
    values: HashMap<Box<str>, (Box<str>, Cited)>,
}

impl Sysctls {
    /// Reads lines `net.ipv4.ip_forward = 1`, also `/proc/sys/net/ipv4/ip_forward:1` as grep prints a tree.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let file: Arc<str> = Arc::from(file);
        let mut sysctls = Self::default();
        for (number, line) in numbered_lines(&String::from_utf8_lossy(bytes)) {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            let Some((name, value)) = split(line) else { continue };
            let cited = Cited { origin: Origin::line(&file, number), text: line.to_owned() };
            sysctls.values.insert(name, (value.trim().into(), cited));
        }
        sysctls
    }

    /// Sets one value, as a fix would.
    pub fn set(&mut self, name: &str, value: &str, cited: Cited) {
        self.values.insert(name.into(), (value.into(), cited));
    }

    /// Takes over what another source says.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
    }

    /// A setting's number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.values.get(name)?.0.split_ascii_whitespace().next()?.parse().ok()
    }

    /// A setting's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| &**value)
    }

    /// The line that holds a setting.
    pub fn cite(&self, name: &str) -> Option<&Cited> {
        self.values.get(name).map(|(_, cited)| cited)
    }

    /// Whether nothing at all is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn split(line: &str) -> Option<(Box<str>, &str)> {
    if let Some(path) = line.strip_prefix("/proc/sys/") {
        let (path, value) = path.split_once([':', '='])?;
        return Some((dotted(path.trim()), value));
    }
    let (name, value) = line.split_once('=').or_else(|| line.split_once(':'))?;
    let name = name.trim();
    Some((if name.contains('/') { slashed(name) } else { name.into() }, value))
}

/// `net/ipv4/conf/eth0.100/forwarding` keeps the dot of the interface as a slash, as sysctl prints it.
fn dotted(path: &str) -> Box<str> {
    path.chars()
        .map(|c| {
            if c == '/' {
                '.'
            } else if c == '.' {
                '/'
            } else {
                c
            }
        })
        .collect::<String>()
        .into()
}

/// A name that has a slash as its first separator is written in the path's way; otherwise slashes are dots of names.
fn slashed(name: &str) -> Box<str> {
    match (name.find('/'), name.find('.')) {
        (Some(slash), Some(dot)) if slash < dot => dotted(name),
        (Some(_), None) => dotted(name),
        _ => name.into(),
    }
}

/// The name of an interface's setting: dots of the interface's name become slashes.
pub fn interface_setting(family: &str, interface: &str, setting: &str) -> String {
    format!("net.{family}.conf.{}.{setting}", interface.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_interface_with_a_dot() {
        let sysctls = Sysctls::parse(
            "s",
            b"net.ipv4.conf.eth0/100.rp_filter = 1\n/proc/sys/net/ipv4/conf/eth0.200/rp_filter:2\nnet.ipv4.ip_forward=0\n",
        );
        assert_eq!(sysctls.number(&interface_setting("ipv4", "eth0.100", "rp_filter")), Some(1));
        assert_eq!(sysctls.number(&interface_setting("ipv4", "eth0.200", "rp_filter")), Some(2));
        assert_eq!(sysctls.number("net.ipv4.ip_forward"), Some(0));
        assert_eq!(sysctls.cite("net.ipv4.ip_forward").map(|cited| cited.origin.line), Some(3));
    }
}

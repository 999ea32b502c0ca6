//! The sysctl.d chain, computed offline as systemd-sysctl applies it at boot.
//!
//! Order (sysctl.d(5), checked against systemd-sysctl 252): the files of all folders are merged by name, the first
//! folder that has the name wins, and a link to /dev/null masks it; what remains is read in the order of names. A later
//! assignment of a key replaces an earlier one and moves to the end, unless it repeats its value. An explicit key beats
//! every glob, wherever it stands; `-key` without a value takes the key out of globs. /etc/sysctl.conf is no part of the
//! chain unless a link in it leads there; procps' `sysctl --system` reads it in addition, last.
//!
//! What `sysctl --system` prints is no evidence for any of this: procps 4 prints all file names first, all values later.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use super::lines;
use crate::citation::Citation;

/// The folders of the chain; the first that has a file's name wins.
pub const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// The file that systemd-sysctl does not read by itself.
pub const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// The file that ufw writes with `sysctl -p` when it starts, after systemd-sysctl (/lib/ufw/ufw-init-functions).
pub const UFW: &str = "/etc/ufw/sysctl.conf";

/// Assignments that are read of one file. A real chain has some dozens in all; the bound keeps a hostile bundle from
/// costing its square.
const ASSIGNMENTS: usize = 2_000;

/// A file as it was collected.
#[derive(Debug, Clone)]
pub struct ConfFile {
    /// Its path on the host.
    pub host_path: String,
    /// Where it leads, where it is a symbolic link.
    pub link: Option<String>,
    /// The entry in the bundle; none where there was nothing to keep (an empty file, a link to /dev/null).
    pub path: Option<Arc<str>>,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What becomes of a file at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is read.
    Read,
    /// A file of the same name in an earlier folder replaces it.
    Replaced(String),
    /// It is a link to /dev/null, which masks files of its name.
    Mask,
    /// It is /etc/sysctl.conf, and the chain reads it through this link.
    Linked(String),
    /// It is ufw's, which writes it when it starts, after the others.
    Ufw,
    /// It is read only when somebody runs `sysctl --system` or `sysctl -p`.
    NotAtBoot,
    /// Its name does not end in `.conf`, so nobody reads it.
    NotConf,
}

/// An assignment in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The key or glob, with slashes: `net/ipv4/ip_forward`.
    pub key: String,
    /// The value; none where the line only takes the key out of globs.
    pub value: Option<String>,
    /// The file on the host.
    pub file: String,
    /// The line.
    pub citation: Citation,
}

impl Assignment {
    /// Whether the key is a glob.
    pub fn is_glob(&self) -> bool {
        self.key.contains(['*', '?', '['])
    }
}

/// The chain of one node.
#[derive(Debug)]
pub struct SysctlFiles {
    /// Every file, with what becomes of it, in the order of reading where it is read.
    pub files: Vec<(ConfFile, Standing)>,
    /// What systemd-sysctl has in hand after reading all files, in the order in which it writes.
    boot: Vec<Assignment>,
    /// What ufw writes after that, where it starts at boot.
    ufw: Vec<Assignment>,
    /// The same after procps' `sysctl --system`: every assignment in order, with /etc/sysctl.conf last.
    procps: Vec<Assignment>,
    /// Lines that are no assignment.
    pub unreadable: Vec<Citation>,
    /// Whether a file has more lines than are read.
    pub cut: bool,
}

/// Computes the chain of the files of a node, on which ufw starts at boot or does not.
pub fn chain(files: Vec<ConfFile>, ufw_starts: bool) -> SysctlFiles {
    let mut chain = SysctlFiles {
        files: Vec::new(),
        boot: Vec::new(),
        ufw: Vec::new(),
        procps: Vec::new(),
        unreadable: Vec::new(),
        cut: false,
    };
    let (winners, mut rest) = merge(files);
    for (file, standing) in rest.iter_mut().filter(|(file, _)| ufw_starts && file.host_path == UFW) {
        chain.ufw = chain.assignments(file);
        *standing = Standing::Ufw;
    }
    for file in winners {
        let standing = if is_mask(&file) { Standing::Mask } else { Standing::Read };
        if standing == Standing::Read {
            chain.read(&file);
        }
        chain.files.push((file, standing));
    }
    let link = chain.files.iter().find(|(file, _)| leads_to_sysctl_conf(file)).map(|(file, _)| file.host_path.clone());
    for (file, standing) in rest.iter_mut().filter(|(file, _)| file.host_path == SYSCTL_CONF) {
        let assignments = chain.assignments(file);
        chain.procps.extend(assignments);
        if let Some(link) = &link {
            *standing = Standing::Linked(link.clone());
        }
    }
    chain.files.extend(rest);
    chain
}

/// Merges the folders by file name: the files that are read, in the order of their names, and the others with why not.
fn merge(mut files: Vec<ConfFile>) -> (Vec<ConfFile>, Vec<(ConfFile, Standing)>) {
    // In the order of precedence the first file of a name is the one that counts.
    files.sort_by_key(|file| place(&file.host_path).map(|(folder, _)| folder));
    let mut rest = Vec::new();
    let mut winners: BTreeMap<String, ConfFile> = BTreeMap::new();
    for file in files {
        let standing = match place(&file.host_path) {
            None => Standing::NotAtBoot,
            Some((_, name)) if !name.ends_with(".conf") => Standing::NotConf,
            Some((_, name)) => match winners.get(name) {
                Some(winner) => Standing::Replaced(winner.host_path.clone()),
                None => {
                    winners.insert(name.to_owned(), file);
                    continue;
                }
            },
        };
        rest.push((file, standing));
    }
    (winners.into_values().collect(), rest)
}

/// The folder's rank and the file's name, for a file of the chain.
fn place(host_path: &str) -> Option<(usize, &str)> {
    let (folder, name) = host_path.rsplit_once('/')?;
    Some((FOLDERS.iter().position(|known| *known == folder)?, name))
}

fn is_mask(file: &ConfFile) -> bool {
    file.link.as_deref().is_some_and(|target| target == "/dev/null" || target.ends_with("/dev/null"))
}

fn leads_to_sysctl_conf(file: &ConfFile) -> bool {
    file.link.as_deref().is_some_and(|target| target == SYSCTL_CONF || target == "../sysctl.conf")
}

impl SysctlFiles {
    fn read(&mut self, file: &ConfFile) {
        for new in self.assignments(file) {
            self.procps.push(new.clone());
            let Some(index) = self.boot.iter().position(|known| known.key == new.key) else {
                self.boot.push(new);
                continue;
            };
            if self.boot.get(index).is_some_and(|known| known.value == new.value) {
                continue;
            }
            self.boot.remove(index);
            self.boot.push(new);
        }
    }

    fn assignments(&mut self, file: &ConfFile) -> Vec<Assignment> {
        let Some(path) = &file.path else { return Vec::new() };
        let text = lines::text(&file.bytes);
        let mut found = Vec::new();
        for line in lines::lines(&text) {
            let trimmed = line.text.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            let citation = Citation::line(path, line.number, line.text);
            if found.len() == ASSIGNMENTS || self.unreadable.len() == ASSIGNMENTS {
                self.cut = true;
                break;
            }
            match assignment(trimmed) {
                Some((key, value)) => {
                    found.push(Assignment { key, value, file: file.host_path.clone(), citation });
                }
                None => self.unreadable.push(citation),
            }
        }
        found
    }

    /// The assignment that decides a key at boot. Keys that the kernel keeps in one variable decide each other:
    /// `net.ipv4.ip_forward` is `net.ipv4.conf.all.forwarding` (net/ipv4/devinet.c).
    pub fn at_boot(&self, key: &str) -> Option<&Assignment> {
        last_write(&self.ufw, key).or_else(|| last_write(&self.boot, key))
    }

    /// The assignment that decides a key when somebody runs procps' `sysctl --system`, which reads /etc/sysctl.conf
    /// too. procps 4 treats globs as systemd does.
    pub fn by_procps(&self, key: &str) -> Option<&Assignment> {
        last_write(&self.procps, key)
    }

    /// All assignments that would set a key, in the order of reading, with those that others replace.
    pub fn assignments_of(&self, key: &str) -> Vec<&Assignment> {
        let names: Vec<String> = aliases(key).collect();
        let all = self.procps.iter().chain(&self.ufw);
        all.filter(|a| a.value.is_some()).filter(|a| names.iter().any(|n| applies(a, n))).collect()
    }
}

/// The last of these assignments that writes a key, under any of its names.
fn last_write<'a>(assignments: &'a [Assignment], key: &str) -> Option<&'a Assignment> {
    let names: Vec<String> = aliases(key).collect();
    let explicit = |name: &String| assignments.iter().any(|a| a.key == *name);
    let (named, open): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| explicit(name));
    assignments
        .iter()
        .rev()
        .find(|a| a.value.is_some() && (named.contains(&&a.key) || open.iter().any(|name| matches_glob(a, name))))
}

/// Whether an assignment writes a key: the same key, or a glob that matches it.
fn applies(assignment: &Assignment, name: &str) -> bool {
    assignment.value.is_some() && (assignment.key == name || matches_glob(assignment, name))
}

fn matches_glob(assignment: &Assignment, name: &str) -> bool {
    assignment.is_glob() && glob(&assignment.key).is_some_and(|re| re.is_match(name))
}

/// The names under which the kernel keeps the same variable, with slashes.
fn aliases(key: &str) -> impl Iterator<Item = String> {
    const FORWARDING: [&str; 2] = ["net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"];
    let name = normalize(key);
    let all = if FORWARDING.contains(&name.as_str()) { FORWARDING.map(str::to_owned).to_vec() } else { vec![name] };
    all.into_iter()
}

/// A line's key and value. `-key = value` ignores errors of writing; `-key` alone takes the key out of globs; anything
/// else without `=` is no assignment.
fn assignment(line: &str) -> Option<(String, Option<String>)> {
    let bare = line.strip_prefix('-');
    match line.split_once('=') {
        Some((key, value)) => {
            let key = key.strip_prefix('-').unwrap_or(key);
            Some((normalize(key.trim()), Some(value.trim().to_owned())))
        }
        None => bare.map(|key| (normalize(key.trim()), None)),
    }
}

/// A key with slashes between its parts. Whichever separator comes first is the separator; the other one is part of a
/// name: `net.ipv4.conf.eth0/100.forwarding` is interface `eth0.100`.
pub fn normalize(key: &str) -> String {
    match key.find(['.', '/']).and_then(|at| key.as_bytes().get(at)) {
        Some(b'.') => key.chars().map(swap_separator).collect(),
        _ => key.to_owned(),
    }
}

fn swap_separator(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

/// A glob(7) as a regular expression: `*` and `?` stop at a slash.
fn glob(pattern: &str) -> Option<Regex> {
    let mut re = String::from("^");
    let mut in_class = false;
    for c in pattern.chars() {
        match c {
            '*' if !in_class => re.push_str("[^/]*"),
            '?' if !in_class => re.push_str("[^/]"),
            '[' if !in_class => {
                in_class = true;
                re.push('[');
            }
            ']' if in_class => {
                in_class = false;
                re.push(']');
            }
            '!' if in_class && re.ends_with('[') => re.push('^'),
            '-' if in_class => re.push('-'),
            other => re.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    re.push('$');
    Regex::new(&re).ok()
}

#[cfg(test)]
#[path = "sysctl_files_tests.rs"]
mod tests;

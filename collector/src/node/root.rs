//! The host's file system, seen from `/` or from where it is mounted: links followed by hand, below the same root and
//! to known places only, and nothing but regular files opened.
//!
//! Opening a device or a FIFO can block or change something, and a link can lead to a secret; so every path component
//! is looked at before it is followed, and what is opened is looked at again.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;

/// Links that are followed in one path before it is called a loop; the kernel's own limit (`MAXSYMLINKS`).
const LINKS_AT_MOST: usize = 40;

/// Where a link may lead. `/nix/store` is where NixOS keeps what /etc names.
const MAY_LEAD_TO: &[&str] = &[
    "/etc/",
    "/run/",
    "/var/run/",
    "/usr/",
    "/lib/",
    "/opt/",
    "/proc/",
    "/sys/",
    "/nix/store/",
    "/var/lib/cni/",
    "/var/lib/kubelet/",
    "/var/lib/rancher/",
    "/var/lib/calico/",
    "/var/lib/azure-network/",
    "/var/log/",
];

/// What is never read, by whatever name it is reached: password hashes, host keys, mounted secrets, other processes.
const NEVER: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssh/",
    "/etc/ssl/private/",
    "/etc/krb5",
    "/run/secrets/",
    "/run/credentials/",
    "/var/lib/kubelet/pods/",
    "/usr/share/keyrings/",
];

/// The host's root directory, as the collector sees it.
#[derive(Debug, Clone)]
pub struct HostRoot {
    dir: PathBuf,
}

/// Where a path led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links, as seen from the host's root.
    pub path: PathBuf,
    /// Where the link at the path itself says it leads, where it is one.
    pub link_target: Option<String>,
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file, at its beginning.
    pub file: File,
    /// Its size as the system tells it; 0 for files of procfs.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<jiff::Timestamp>,
    /// Where the link at the path itself says it leads, where it is one.
    pub link_target: Option<String>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The system said no.
    #[error("{path}: {source}")]
    System {
        /// The path that was asked for.
        path: String,
        /// What the system said.
        source: io::Error,
        /// Where the link at the path leads, where it is one.
        link_target: Option<String>,
    },
    /// A link leads where the collector does not go.
    #[error("{path} is a link that leads to {target}, which is not read")]
    Elsewhere {
        /// The path that was asked for.
        path: String,
        /// Where it leads in the end.
        target: String,
    },
    /// Links that never end.
    #[error("{path}: more than {LINKS_AT_MOST} links")]
    Loop {
        /// The path that was asked for.
        path: String,
    },
    /// Neither a regular file nor a file of procfs or sysfs.
    #[error("{path} is {kind}, not a regular file, and was not opened")]
    Special {
        /// The path that was asked for.
        path: String,
        /// What it is.
        kind: &'static str,
    },
}

impl Refusal {
    /// How the manifest tells it.
    pub fn end(&self) -> ItemEnd {
        let status = match self {
            Refusal::System { source, .. } => status_of(source),
            Refusal::Elsewhere { .. } | Refusal::Special { .. } => ItemStatus::Unsupported,
            Refusal::Loop { .. } => ItemStatus::Error,
        };
        let mut end = ItemEnd::because(status, self.to_string());
        match self {
            Refusal::System { link_target, .. } => end.link_target.clone_from(link_target),
            Refusal::Elsewhere { target, .. } => end.link_target = Some(target.clone()),
            Refusal::Loop { .. } | Refusal::Special { .. } => {}
        }
        end
    }
}

/// What an error of the file system means for an item.
pub fn status_of(error: &io::Error) -> ItemStatus {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ItemStatus::Absent,
        io::ErrorKind::PermissionDenied => ItemStatus::Forbidden,
        _ => ItemStatus::Error,
    }
}

impl HostRoot {
    /// The host whose `/` lies at `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> HostRoot {
        HostRoot { dir: dir.into() }
    }

    /// Where the root lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether commands run on this root without changing theirs.
    pub fn is_own(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// Where a path of the host lies for the collector. Links in it are not looked at.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.dir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Follows the links of a path below this root.
    pub fn resolve(&self, path: &str) -> Result<Resolved, Refusal> {
        let system = |source, link_target: &Option<String>| Refusal::System {
            path: path.to_owned(),
            source,
            link_target: link_target.clone(),
        };
        let mut rest: VecDeque<String> = components(path).collect();
        let mut real = PathBuf::from("/");
        let mut link_target = None;
        let mut links = 0;
        while let Some(component) = rest.pop_front() {
            if component == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&component);
            let meta = fs::symlink_metadata(self.at(&next)).map_err(|source| system(source, &link_target))?;
            if !meta.is_symlink() {
                real = next;
                continue;
            }
            links += 1;
            if links > LINKS_AT_MOST {
                return Err(Refusal::Loop { path: path.to_owned() });
            }
            let target = fs::read_link(self.at(&next)).map_err(|source| system(source, &link_target))?;
            let target = target.to_string_lossy().into_owned();
            if rest.is_empty() && link_target.is_none() {
                link_target = Some(target.clone());
            }
            if target.starts_with('/') {
                real = PathBuf::from("/");
            }
            for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(component);
            }
        }
        let shown = real.to_string_lossy();
        let led_away = links > 0 && !MAY_LEAD_TO.iter().any(|place| shown.starts_with(place));
        if led_away || NEVER.iter().any(|secret| shown.starts_with(secret)) {
            return Err(Refusal::Elsewhere { path: path.to_owned(), target: shown.into_owned() });
        }
        Ok(Resolved { path: real, link_target })
    }

    /// Opens a regular file for reading, following links below this root.
    pub fn open(&self, path: &str) -> Result<Opened, Refusal> {
        let resolved = self.resolve(path)?;
        let link_target = resolved.link_target.clone();
        let system = |source| Refusal::System { path: path.to_owned(), source, link_target: link_target.clone() };
        let at = self.at(&resolved.path);
        // Looked at before it is opened, because opening a device may already do something; and after, because it may
        // have been exchanged in between.
        regular(path, &fs::symlink_metadata(&at).map_err(system)?)?;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&at).map_err(system)?;
        let meta = file.metadata().map_err(system)?;
        regular(path, &meta)?;
        let modified = meta.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
        Ok(Opened { file, size: meta.len(), modified, link_target: resolved.link_target })
    }

    /// Reads a small text whole, up to `limit` bytes; what is not UTF-8 in it is replaced.
    pub fn read(&self, path: &str, limit: u64) -> Result<String, Refusal> {
        use std::io::Read;
        let opened = self.open(path)?;
        let mut bytes = Vec::new();
        opened.file.take(limit).read_to_end(&mut bytes).map_err(|source| Refusal::System {
            path: path.to_owned(),
            source,
            link_target: opened.link_target.clone(),
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The names in a folder, sorted.
    pub fn names(&self, path: &str) -> Result<Vec<String>, Refusal> {
        let resolved = self.resolve(path)?;
        let system =
            |source| Refusal::System { path: path.to_owned(), source, link_target: resolved.link_target.clone() };
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at(&resolved.path)).map_err(system)? {
            names.push(entry.map_err(system)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Whether something is there, whatever it is.
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|resolved| self.at(resolved.path).symlink_metadata().is_ok())
    }
}

fn components(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').filter(|component| !component.is_empty() && *component != ".").map(str::to_owned)
}

fn regular(path: &str, meta: &fs::Metadata) -> Result<(), Refusal> {
    use std::os::unix::fs::FileTypeExt;
    let kind = meta.file_type();
    let name = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a link",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(Refusal::Special { path: path.to_owned(), kind: name })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    /// A host's root with /etc and /run, made in a folder of its own.
    fn host() -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc", "run/systemd/resolve", "root"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let root = HostRoot::new(dir.path());
        (dir, root)
    }

    #[test]
    fn a_link_is_recorded_and_followed_below_the_same_root() {
        let (dir, root) = host();
        fs::write(dir.path().join("run/systemd/resolve/stub-resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
        for target in ["/run/systemd/resolve/stub-resolv.conf", "../run/systemd/resolve/stub-resolv.conf"] {
            let link = dir.path().join("etc/resolv.conf");
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            let opened = root.open("/etc/resolv.conf").unwrap();
            assert_eq!(opened.link_target.as_deref(), Some(target));
            assert_eq!(root.read("/etc/resolv.conf", 100).unwrap(), "nameserver 127.0.0.53\n");
        }
    }

    #[test]
    fn dots_do_not_climb_out_of_the_root() {
        let (dir, root) = host();
        fs::write(dir.path().join("etc/hosts"), "inside").unwrap();
        symlink("../../../../../../../etc/hosts", dir.path().join("etc/gai.conf")).unwrap();
        assert_eq!(root.read("/etc/gai.conf", 100).unwrap(), "inside");
    }

    #[test]
    fn a_link_to_a_secret_or_an_unknown_place_is_refused_and_told() {
        let (dir, root) = host();
        fs::write(dir.path().join("etc/shadow"), "secret").unwrap();
        fs::write(dir.path().join("root/key"), "secret").unwrap();
        for (target, shown) in [("shadow", "/etc/shadow"), ("/root/key", "/root/key")] {
            let link = dir.path().join("etc/hosts");
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            let end = root.open("/etc/hosts").unwrap_err().end();
            assert_eq!(end.status, ItemStatus::Unsupported);
            assert_eq!(end.link_target.as_deref(), Some(shown));
        }
    }

    #[test]
    fn a_dangling_link_is_absent_and_its_target_is_told() {
        let (dir, root) = host();
        symlink("/run/nothing", dir.path().join("etc/resolv.conf")).unwrap();
        let end = root.open("/etc/resolv.conf").unwrap_err().end();
        assert_eq!(end.status, ItemStatus::Absent);
        assert_eq!(end.link_target.as_deref(), Some("/run/nothing"));
    }

    #[test]
    fn a_loop_ends() {
        let (dir, root) = host();
        symlink("b", dir.path().join("etc/a")).unwrap();
        symlink("a", dir.path().join("etc/b")).unwrap();
        assert!(matches!(root.open("/etc/a").unwrap_err(), Refusal::Loop { .. }));
    }

    #[test]
    fn special_files_are_not_opened() {
        let (dir, root) = host();
        let fifo = dir.path().join("etc/hosts");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("etc/socket")).unwrap();
        for (path, kind) in [("/etc/hosts", "a FIFO"), ("/etc/socket", "a socket"), ("/etc", "a folder")] {
            assert!(root.open(path).unwrap_err().to_string().contains(kind), "{path}");
        }
    }

    #[test]
    fn below_a_file_nothing_exists() {
        let (dir, root) = host();
        fs::write(dir.path().join("etc/ufw"), "").unwrap();
        assert_eq!(root.open("/etc/ufw/ufw.conf").unwrap_err().end().status, ItemStatus::Absent);
    }
}

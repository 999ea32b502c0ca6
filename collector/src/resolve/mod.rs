//! Names become addresses without the C library.
//!
//! The collector is one static program, which must run in a pod that holds nothing else, and glibc's own resolver, linked
//! statically, still loads the name service modules of the system that it runs on: where they are missing, or of another
//! version, it finds nothing or crashes. So `/etc/hosts` and `/etc/resolv.conf` are read here, and DNS servers are asked, as
//! hosts(5) and resolv.conf(5) say. Both files are read anew for each name: they may be what is mended meanwhile.

mod hosts;
mod question;
mod settings;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use self::question::{Kind, Trouble};
use self::settings::Settings;

/// The port of DNS servers (RFC 1035).
const PORT: u16 = 53;
/// How long a name may take in all: less than a connection may, so that it is said which server was silent.
const TIME: Duration = Duration::from_secs(8);
/// How long the second of the two kinds of addresses is waited for when the first is there. Some servers never answer
/// questions for IPv6 addresses.
const OTHER_KIND: Duration = Duration::from_millis(500);
/// How many aliases are followed, one behind the other, where a server does not follow them itself.
const ALIASES: usize = 8;

/// Finds the addresses of names. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Resolver {
    files: Arc<Files>,
}

#[derive(Debug)]
struct Files {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    port: u16,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Those who were asked say that it has none.
    #[error("{name} has no address: {hosts} does not have it, and {servers} {} it", if *.many {"do not know"} else {"does not know"})]
    Unknown {
        /// The name.
        name: String,
        /// The file that was looked into.
        hosts: String,
        /// Who was asked.
        servers: String,
        /// Whether these are several.
        many: bool,
    },
    /// Nobody answered, or only with a failure of their own.
    #[error("{name} cannot be resolved: {troubles}")]
    Silent {
        /// The name.
        name: String,
        /// What each server did.
        troubles: String,
    },
}

impl Resolver {
    /// A resolver by this system's files.
    pub fn of_system() -> Resolver {
        Resolver::of_files(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"), PORT)
    }

    fn of_files(hosts: &Path, resolv_conf: &Path, port: u16) -> Resolver {
        Resolver { files: Arc::new(Files { hosts: hosts.to_owned(), resolv_conf: resolv_conf.to_owned(), port }) }
    }

    /// The addresses of a name, at least one; IPv4 first, as the many clusters that have no other are reached at once so.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let hosts = std::fs::read(&self.files.hosts).unwrap_or_default();
        let found = hosts::addresses(&hosts, name);
        if !found.is_empty() {
            return Ok(found);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        // Without the file the server of this machine is asked.
        let text = std::fs::read(&self.files.resolv_conf).unwrap_or_default();
        let settings = Settings::parse(&text, self.files.port, &settings::own_domain());
        self.ask(&settings, name).await
    }

    /// Asks for each name that may be meant until one has an address.
    async fn ask(&self, settings: &Settings, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let asking = Asking { settings, until: Instant::now() + TIME };
        let mut troubles = None;
        for candidate in settings.candidates(name) {
            match asking.both_kinds(&candidate).await {
                Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
                Ok(_) => {}
                Err(found) => {
                    let silent = found.all_silent();
                    troubles.get_or_insert(found);
                    // Who did not answer for one name will not for the next.
                    if silent {
                        break;
                    }
                }
            }
        }
        let name = name.to_owned();
        Err(match troubles {
            Some(troubles) => Unresolved::Silent { name, troubles: troubles.to_string() },
            None => Unresolved::Unknown {
                name,
                hosts: self.files.hosts.display().to_string(),
                many: settings.servers.len() > 1,
                servers: settings.servers.iter().map(|server| server.ip().to_string()).collect::<Vec<_>>().join(", "),
            },
        })
    }
}

/// For connections of hyper, which sets the port itself.
impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

/// Names that mean this machine whatever a server says (RFC 6761, 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// What was tried in vain, server by server.
#[derive(Debug, Default)]
struct Troubles(Vec<(SocketAddr, Trouble)>);

impl Troubles {
    fn push(&mut self, server: SocketAddr, trouble: Trouble) {
        if !self.0.contains(&(server, trouble.clone())) {
            self.0.push((server, trouble));
        }
    }

    fn all_silent(&self) -> bool {
        self.0.iter().all(|(_, trouble)| matches!(trouble, Trouble::Silent | Trouble::Connection(_)))
    }
}

impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there was no time left to ask for it");
        }
        for (place, (server, trouble)) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}the DNS server {server} {trouble}")?;
        }
        Ok(())
    }
}

/// The questions of one name.
struct Asking<'a> {
    settings: &'a Settings,
    until: Instant,
}

impl Asking<'_> {
    /// Asks for addresses of both kinds at once. An error means that whether there are any is not known.
    async fn both_kinds(&self, name: &str) -> Result<Vec<IpAddr>, Troubles> {
        if self.settings.no_aaaa {
            return self.one_kind(name, Kind::V4).await;
        }
        let (mut v4, mut v6) = (pin!(self.one_kind(name, Kind::V4)), pin!(self.one_kind(name, Kind::V6)));
        let (first, other) = tokio::select! {
            first = &mut v4 => (first, v6),
            first = &mut v6 => (first, v4),
        };
        let second = match &first {
            Ok(addresses) if !addresses.is_empty() => timeout(OTHER_KIND, other).await.unwrap_or(Ok(Vec::new())),
            _ => other.await,
        };
        let mut addresses = Vec::new();
        let mut unknown = None;
        for kind in [first, second] {
            match kind {
                Ok(found) => addresses.extend(found),
                Err(troubles) => unknown = unknown.or(Some(troubles)),
            }
        }
        // Stable: servers turn their addresses round to spread the load.
        addresses.sort_by_key(IpAddr::is_ipv6);
        match unknown {
            Some(troubles) if addresses.is_empty() => Err(troubles),
            _ => Ok(addresses),
        }
    }

    /// Asks for addresses of one kind, following aliases; none where the name has none.
    async fn one_kind(&self, name: &str, kind: Kind) -> Result<Vec<IpAddr>, Troubles> {
        let mut name = name.to_owned();
        for _ in 0..ALIASES {
            let reply = self.ask_servers(&name, kind).await?;
            match reply.alias {
                Some(alias) if reply.addresses.is_empty() => name = alias,
                _ => return Ok(reply.addresses),
            }
        }
        Ok(Vec::new())
    }

    /// Asks one server after the other until one answers.
    async fn ask_servers(&self, name: &str, kind: Kind) -> Result<question::Reply, Troubles> {
        let mut troubles = Troubles::default();
        for _ in 0..self.settings.attempts {
            for &server in &self.settings.servers {
                let until = (Instant::now() + self.settings.timeout).min(self.until);
                if until <= Instant::now() {
                    return Err(troubles);
                }
                let asked = timeout_at(until, question::ask(server, name, kind, self.settings.use_tcp)).await;
                match asked.unwrap_or(Err(Trouble::Silent)) {
                    Ok(reply) => return Ok(reply),
                    Err(trouble) => troubles.push(server, trouble),
                }
            }
        }
        Err(troubles)
    }
}

#[cfg(test)]
mod tests;

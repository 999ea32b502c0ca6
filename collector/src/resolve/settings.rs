//! `/etc/resolv.conf`: who is asked, for which names, and for how long (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use resolv_conf::{Config, ScopedIp};

/// Servers that are asked, of those that the file names.
const SERVERS: usize = 3;
/// The longest that one server is waited for before the next is asked. The usual five seconds would use up the time of the
/// connection where the first two of three servers are silent.
const LONGEST: Duration = Duration::from_secs(2);
/// The most rounds.
const ROUNDS: u32 = 5;

/// What the file says, as far as it is followed. `rotate` is not: which server answered is to be the same in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which they are asked, at least one.
    pub servers: Vec<SocketAddr>,
    /// How often all of them are asked.
    pub attempts: u32,
    /// How long each is waited for.
    pub timeout: Duration,
    /// Whether TCP is used from the beginning.
    pub use_tcp: bool,
    /// Whether IPv6 addresses are not asked for.
    pub no_aaaa: bool,
    search: Vec<String>,
    ndots: usize,
}

impl Settings {
    /// Reads the file's text. Lines that make no sense are passed over. `own_domain` is searched where the file does not say
    /// what is.
    pub fn parse(text: &[u8], port: u16, own_domain: &str) -> Settings {
        let (config, _) = Config::parse_with_errors(text);
        let mut servers: Vec<SocketAddr> =
            config.nameservers.iter().filter_map(|server| address(server, port)).take(SERVERS).collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        let named = config.get_search().is_some() || config.get_domain().is_some();
        let search = match named {
            true => config.get_last_search_or_domain().map(|domain| trimmed(domain).to_owned()).collect(),
            false => vec![own_domain.to_owned()],
        };
        Settings {
            servers,
            attempts: config.attempts.clamp(1, ROUNDS),
            timeout: Duration::from_secs(config.timeout.max(1).into()).min(LONGEST),
            use_tcp: config.use_vc,
            no_aaaa: config.no_aaaa,
            search: search.into_iter().filter(|domain: &String| !domain.is_empty()).collect(),
            ndots: usize::try_from(config.ndots.min(15)).unwrap_or(1),
        }
    }

    /// The full names that a name may mean, in the order in which they are tried.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut candidates: Vec<String> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.bytes().filter(|&byte| byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(place, name.to_owned());
        candidates
    }
}

fn address(server: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match server {
        ScopedIp::V4(address) => Some(SocketAddr::new(IpAddr::V4(*address), port)),
        ScopedIp::V6(address, None) => Some(SocketAddr::new(IpAddr::V6(*address), port)),
        ScopedIp::V6(address, Some(zone)) => in_zone(*address, zone, port),
    }
}

/// A link-local address needs the number of the interface (RFC 4007).
fn in_zone(address: Ipv6Addr, zone: &str, port: u16) -> Option<SocketAddr> {
    let number = zone.parse().ok().or_else(|| {
        if zone.contains('/') {
            return None;
        }
        let text = std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?;
        text.trim().parse().ok()
    })?;
    Some(SocketAddrV6::new(address, port, 0, number).into())
}

/// What follows the first dot of this machine's name, or nothing.
pub fn own_domain() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    name.split_once('.').map(|(_, domain)| trimmed(domain).to_owned()).unwrap_or_default()
}

fn trimmed(domain: &str) -> &str {
    domain.trim_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse(text.as_bytes(), 53, "own.example")
    }

    #[test]
    fn a_name_with_few_dots_is_searched_first() {
        // The file of a pod, as the kubelet writes it.
        let pod = settings(
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        let searched = ["api.shop.svc.cluster.local", "api.svc.cluster.local", "api.cluster.local", "api"];
        assert_eq!(pod.candidates("api"), searched);
        assert_eq!(pod.candidates("api."), ["api"]);
        let host = settings("nameserver 10.0.0.2\nsearch corp.example.\n");
        assert_eq!(host.candidates("api.example.com"), ["api.example.com", "api.example.com.corp.example"]);
        assert_eq!(host.candidates("api"), ["api.corp.example", "api"]);
    }

    #[test]
    fn the_last_of_domain_and_search_counts_and_without_them_the_own_domain() {
        assert_eq!(settings("search a b\ndomain c\n").candidates("x"), ["x.c", "x"]);
        assert_eq!(settings("").candidates("x"), ["x.own.example", "x"]);
        assert_eq!(settings("search .\n").candidates("x"), ["x"]);
    }

    #[test]
    fn a_file_that_is_not_there_means_this_machine() {
        let none = settings("");
        assert_eq!(none.servers, ["127.0.0.1:53".parse().unwrap_or_else(|_| panic!("an address"))]);
        assert_eq!((none.attempts, none.timeout, none.use_tcp), (2, LONGEST, false));
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let text = "nameserver nonsense\nnameserver 10.0.0.1 # the first\nfoo bar\nnameserver fd00::53\noptions timeout:1 \
            attempts:9 use-vc no-aaaa what\nnameserver 10.0.0.3\nnameserver 10.0.0.4\nnameserver fe80::1%1\n";
        let read = settings(text);
        let servers: Vec<String> = read.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fd00::53]:53", "10.0.0.3:53"]);
        assert_eq!((read.attempts, read.timeout), (ROUNDS, Duration::from_secs(1)));
        assert!(read.use_tcp && read.no_aaaa);
        let link_local = settings("nameserver fe80::1%7\n").servers;
        assert_eq!(link_local.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[fe80::1%7]:53"]);
    }
}

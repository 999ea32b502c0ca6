//! Which proxy stands before a cluster: what kubectl finds, so that whoever can use kubectl can use the collector.
//!
//! kubectl leaves it to Go (golang.org/x/net/http/httpproxy, and client-go's transport, which knows networks in `NO_PROXY`). kube
//! looks up the proxy itself in `NO_PROXY` instead of the server, and fails where an entry of it is empty.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use ipnet::IpNet;

use super::connection::{host, is_loopback};

/// Why there is no telling which proxy to use.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} names no proxy that can be used: it wants [http|https|socks5://]HOST[:PORT]; set it right, or unset it"
)]
pub struct ProxyError {
    place: &'static str,
}

/// What the environment says of proxies. Capitals win over small letters.
#[derive(Debug, Default)]
pub struct Environment {
    /// `HTTP_PROXY`, for servers without TLS.
    http: Option<String>,
    /// `HTTPS_PROXY`.
    https: Option<String>,
    /// `NO_PROXY`, which names what is reached without.
    without: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Environment {
        let variable =
            |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        Environment {
            http: variable(["HTTP_PROXY", "http_proxy"]),
            https: variable(["HTTPS_PROXY", "https_proxy"]),
            without: variable(["NO_PROXY", "no_proxy"]),
        }
    }
}

/// The proxy before `server`: the one that its kubeconfig names, else the environment's, unless that excepts the server.
pub fn before(server: &Uri, named: Option<&str>, environment: &Environment) -> Result<Option<Uri>, ProxyError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return url(named).map(Some).ok_or(ProxyError { place: "the kubeconfig's proxy-url" });
    }
    let (place, of_scheme) = match server.scheme_str() {
        Some("http") => ("HTTP_PROXY", &environment.http),
        _ => ("HTTPS_PROXY", &environment.https),
    };
    let Some(text) = of_scheme else { return Ok(None) };
    if is_excepted(server, environment.without.as_deref().unwrap_or_default()) {
        return Ok(None);
    }
    url(text).map(Some).ok_or(ProxyError { place })
}

/// A proxy's URL; where it has no scheme, it is one for HTTP. One for SOCKS gets its port, which HTTP clients do not know.
fn url(text: &str) -> Option<Uri> {
    let text = text.trim();
    let uri: Uri = match text.contains("://") {
        true => text.parse().ok()?,
        false => format!("http://{text}").parse().ok()?,
    };
    let authority = uri.authority()?.as_str();
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let host = uri.host().filter(|host| !host.is_empty())?;
    let behind_host = authority.rsplit('@').next()?.strip_prefix(host)?;
    if uri.port().is_none() && !matches!(behind_host, "" | ":") {
        return None;
    }
    let (scheme, port) = match scheme.as_str() {
        "http" | "https" => (scheme.as_str(), ""),
        // The name goes to the proxy either way.
        "socks5" | "socks5h" if uri.port().is_none() => ("socks5", ":1080"),
        "socks5" | "socks5h" => ("socks5", ""),
        _ => return None,
    };
    let authority = authority.trim_end_matches(':');
    Uri::builder().scheme(scheme).authority(format!("{authority}{port}")).path_and_query("/").build().ok()
}

/// Whether a server is reached without the environment's proxy. The machine itself always is.
fn is_excepted(server: &Uri, without: &str) -> bool {
    if is_loopback(server) {
        return true;
    }
    let host = host(server).to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let by_scheme = if server.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let port = server.port_u16().unwrap_or(by_scheme);
    without.split(',').any(|entry| matches(&entry.trim().to_ascii_lowercase(), &host, address, port))
}

/// Whether an entry of `NO_PROXY` means a server: `*`, a network, an address or a name with or without port. A name means
/// those below it too, and only those where it begins with a dot.
fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, of_port) = with_port(entry);
    if name.is_empty() || of_port.is_some_and(|of_port| of_port != port.to_string()) {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address == Some(named);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|below| below.ends_with('.')),
    }
}

/// A host and its port, if it has one; an IPv6 address has one only behind brackets.
fn with_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, Some(port)),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn chosen(server: &str, named: &str, https: &str, without: &str) -> Option<String> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let environment = Environment { http: text("http://plain:1"), https: text(https), without: text(without) };
        let proxy = before(&server.parse().unwrap(), Some(named), &environment).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn a_server_is_excepted_as_go_does_it() {
        let direct = |server: &str, without: &str| chosen(server, "", "http://p:3128", without).is_none();
        for (server, without) in [
            ("https://127.0.0.1:6443", ""),
            ("https://localhost:6443", "x"),
            ("https://[::1]:6443", ""),
            ("https://api.example.org:6443", "*"),
            ("https://api.example.org:6443", "example.org"),
            ("https://api.example.org:6443", " .EXAMPLE.org , x"),
            ("https://api.example.org:6443", "*.example.org"),
            ("https://api.example.org:6443", "a,,example.org:6443,"),
            ("https://api.example.org", "api.example.org:443"),
            ("https://10.20.0.5:6443", "10.20.0.5"),
            ("https://10.20.0.5:6443", "10.20.0.5:6443"),
            ("https://10.20.0.5:6443", "192.168.0.0/16,10.0.0.0/8"),
            ("https://[fd00::5]:6443", "fd00::/8"),
            ("https://[fd00::5]:6443", "[fd00::5]:6443"),
            ("https://[fd00::5]:6443", "fd00::5"),
        ] {
            assert!(direct(server, without), "{server} {without}");
        }
        for (server, without) in [
            ("https://api.example.org:6443", ""),
            ("https://api.example.org:6443", ",, ,"),
            ("https://api.example.org:6443", "ample.org"),
            ("https://api.example.org:6443", ".api.example.org"),
            ("https://api.example.org:6443", "api.example.org:443"),
            ("https://10.20.0.5:6443", "10.20.0.0/24:6443,10.20.0.50,10.20.0"),
            ("https://10.20.0.5:6443", "10.21.0.0/16"),
            // The proxy's own name there says nothing of the server.
            ("https://10.20.0.5:6443", "p,p:3128"),
        ] {
            assert!(!direct(server, without), "{server} {without}");
        }
    }

    #[test]
    fn a_proxy_of_the_kubeconfig_is_always_used() {
        assert_eq!(chosen("https://10.0.0.1", "socks5://s", "", "*").unwrap(), "socks5://s:1080/");
        assert_eq!(
            chosen("https://127.0.0.1", "https://me:pw@s:8443", "http://p", "*").unwrap(),
            "https://me:pw@s:8443/"
        );
    }

    #[test]
    fn the_scheme_of_the_server_decides_and_that_of_the_proxy_may_be_missing() {
        assert_eq!(chosen("http://10.0.0.1:8080", "", "http://p:3128", "").unwrap(), "http://plain:1/");
        assert_eq!(chosen("https://10.0.0.1", "", "p.example:3128", "").unwrap(), "http://p.example:3128/");
        assert_eq!(chosen("https://10.0.0.1", "", "10.0.0.9", "").unwrap(), "http://10.0.0.9/");
        assert_eq!(chosen("https://10.0.0.1", "", "SOCKS5H://p:9", "").unwrap(), "socks5://p:9/");
        assert_eq!(chosen("https://10.0.0.1", "", "", ""), None);
    }

    #[test]
    fn what_is_no_proxy_is_said_without_its_password() {
        for wrong in ["ftp://me:hush@p", "http://", "http://me:hush@p:port", "http://me:hush @p"] {
            let environment = Environment { https: Some(wrong.to_owned()), ..Environment::default() };
            let error = before(&"https://10.0.0.1".parse().unwrap(), None, &environment).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY names no proxy") && !error.contains("hush"), "{error}");
        }
    }
}

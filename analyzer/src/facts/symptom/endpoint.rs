//! The ends of a way as people write them: `pod/NS/NAME:PORT`, `service/NS/NAME:PORT`, `node/NAME:PORT`, `IP:PORT`,
//! `[IPv6]:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One end, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Who it is.
    pub who: Who,
    /// The port, where one was given.
    pub port: Option<Port>,
}

/// Who an end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A pod by namespace and name.
    Pod(String, String),
    /// A Service by namespace and name.
    Service(String, String),
    /// A node by name.
    Node(String),
    /// An address.
    Address(IpAddr),
}

/// A port by number, or by the name that a Service or a container gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Its number.
    Number(u16),
    /// Its name.
    Name(String),
}

/// Why an end could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an end of a way: {problem}; write pod/NAMESPACE/NAME:PORT, service/NAMESPACE/NAME:PORT, node/NAME:PORT, IP:PORT or [IPv6]:PORT"
)]
pub struct EndpointError {
    text: String,
    problem: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        parse(text).map_err(|problem| EndpointError { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Endpoint, String> {
    let Some((kind, rest)) = text.split_once('/') else { return parse_address(text) };
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) => (name, Some(parse_port(port)?)),
        None => (rest, None),
    };
    let who = match (kind, name.split('/').collect::<Vec<_>>().as_slice()) {
        ("pod" | "pods" | "po", [namespace, name]) if !namespace.is_empty() && !name.is_empty() => {
            Who::Pod((*namespace).to_owned(), (*name).to_owned())
        }
        ("service" | "services" | "svc", [namespace, name]) if !namespace.is_empty() && !name.is_empty() => {
            Who::Service((*namespace).to_owned(), (*name).to_owned())
        }
        ("node" | "nodes" | "no", [name]) if !name.is_empty() => Who::Node((*name).to_owned()),
        ("pod" | "pods" | "po" | "service" | "services" | "svc", _) => {
            return Err(format!("a {kind} is named by its namespace and its name"));
        }
        ("node" | "nodes" | "no", _) => return Err("a node is named by its name alone".to_owned()),
        _ => return Err(format!("there is nothing of the kind `{kind}`")),
    };
    Ok(Endpoint { who, port })
}

/// An IPv6 address with a port stands in brackets; without one the brackets are free.
fn parse_address(text: &str) -> Result<Endpoint, String> {
    let whole = text.parse().ok().map(|address| (address, None));
    let parts = || {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(host).parse().ok()?;
        (bare.is_some() == address.is_ipv6()).then_some((address, Some(port)))
    };
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        Some((IpAddr::V6(inner.parse().ok()?), None))
    };
    let (address, port) = whole.or_else(bracketed).or_else(parts).ok_or("it is no address and names no kind")?;
    let port = port.map(parse_number).transpose()?;
    Ok(Endpoint { who: Who::Address(address), port: port.map(Port::Number) })
}

fn parse_port(text: &str) -> Result<Port, String> {
    if text.is_empty() {
        return Err("the port is missing behind the colon".to_owned());
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => parse_number(text).map(Port::Number),
        false => Ok(Port::Name(text.to_owned())),
    }
}

fn parse_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no port; ports are 1 to 65535")),
        Ok(number) => Ok(number),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.who, &self.port) {
            (Who::Address(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (who, Some(port)) => write!(f, "{who}:{port}"),
            (who, None) => write!(f, "{who}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Pod(namespace, name) => write!(f, "pod/{namespace}/{name}"),
            Who::Service(namespace, name) => write!(f, "service/{namespace}/{name}"),
            Who::Node(name) => write!(f, "node/{name}"),
            Who::Address(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Number(number) => write!(f, "{number}"),
            Port::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_it_is_written() {
        for text in [
            "pod/shop/web-0:8080",
            "pod/shop/web-0",
            "service/kube-system/kube-dns:53",
            "service/kube-system/kube-dns:dns-tcp",
            "node/worker-1:10250",
            "node/worker-1.example.org",
            "10.0.0.4:80",
            "10.0.0.4",
            "[fd00::4]:80",
            "fd00::4",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("[fd00::4]".parse::<Endpoint>().unwrap().to_string(), "fd00::4");
    }

    #[test]
    fn what_is_no_end_says_why() {
        for (text, word) in [
            ("10.0.0.4:0", "1 to 65535"),
            ("10.0.0.4:70000", "1 to 65535"),
            ("10.0.0.4:http", "no port"),
            ("10.0.0", "no address"),
            ("[10.0.0.4]:80", "no address"),
            ("", "no address"),
            ("pod/web:80", "namespace"),
            ("node/a/b", "name alone"),
            ("node/", "name alone"),
            ("deployment/shop/web", "kind `deployment`"),
            ("node/a:", "missing"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("write pod/"), "{text}: {error}");
        }
    }
}

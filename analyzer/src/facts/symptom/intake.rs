//! The ends of a way as people write them into a form: besides what `dossier path` takes, a bare name, `namespace/name`,
//! a URL, the DNS name of a Service, a workload that has one pod. What may be several things, or nothing in the bundle, is
//! said and never guessed.

use std::collections::BTreeSet;

use super::endpoint::{Endpoint, Port, Who};
use crate::facts::Facts;
use crate::facts::pod::Pod;
use crate::facts::service::Service;

/// `443`, `443/TCP`, `UDP 53`: the number and the protocol, as far as each is said.
pub fn port_field(text: &str) -> (Option<u16>, Option<&'static str>) {
    let words: Vec<String> = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase).collect();
    let is = |name: &str| words.iter().any(|word| word == name);
    let mut named = ["TCP", "UDP", "SCTP"].into_iter().filter(|name| is(&name.to_ascii_lowercase()));
    let mut numbers = words.iter().filter_map(|word| word.parse().ok()).filter(|number| *number > 0);
    // Of two ports or two protocols nobody knows which is meant.
    let only = (numbers.next(), numbers.next());
    let number = if only.1.is_none() { only.0 } else { None };
    let only = (named.next(), named.next());
    (number, if only.1.is_none() { only.0 } else { None })
}

/// The port of a Service that has but one.
pub fn only_port(who: &Who, facts: &Facts) -> Option<Port> {
    let Who::Service(namespace, name) = who else { return None };
    match facts.services().named(namespace, name)?.1.ports.as_slice() {
        [only] => Some(Port::Number(only.number)),
        _ => None,
    }
}

/// Reads one end.
///
/// # Errors
/// Where it is not written as an end, or names nothing in the bundle, or several things: what, and what to do.
pub fn end(text: &str, facts: &Facts) -> Result<Endpoint, String> {
    let (text, default) = without_scheme(text.trim());
    let mut found = match text.parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => named(text, facts).unwrap_or_else(|| Err(error.to_string()))?,
    };
    found.port = found.port.or(default.map(Port::Number));
    Ok(found)
}

/// A URL's host and port, and the port of its scheme.
fn without_scheme(text: &str) -> (&str, Option<u16>) {
    let Some((scheme, rest)) = text.split_once("://") else { return (text, None) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(443),
        "http" | "ws" => Some(80),
        _ => None,
    };
    (host, port)
}

/// Finds a name in the bundle. None where it is not written as a name at all.
fn named(text: &str, facts: &Facts) -> Option<Result<Endpoint, String>> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b))
            && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let port = match port.map(|port| (port, port.parse::<u16>())) {
        None => None,
        Some((_, Ok(number))) if number > 0 => Some(Port::Number(number)),
        Some((word, _)) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => Some(Port::Name(word.to_owned())),
        Some(_) => return None,
    };
    if !is_name(name) {
        return None;
    }
    let found: Vec<Who> = candidates(name, facts);
    Some(match found.as_slice() {
        [who] => Ok(Endpoint { who: who.clone(), port }),
        [] => Err(format!(
            "nothing in the bundle is called `{name}`: no pod, Service, workload or node; if it is outside the cluster, give its address"
        )),
        several => {
            let names: BTreeSet<String> = several.iter().take(8).map(Who::to_string).collect();
            let names: Vec<String> = names.into_iter().collect();
            Err(format!("`{name}` may be {}: say which", names.join(" or ")))
        }
    })
}

/// Everything in the bundle that a name may mean.
fn candidates(name: &str, facts: &Facts) -> Vec<Who> {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["pod" | "pods" | "po", name] => pods(None, name, facts),
        ["service" | "services" | "svc", name] => services(None, name, facts),
        [kind, name] if let Some(kind) = workload_kind(kind) => of_workload(Some(kind), None, name, facts),
        [kind, namespace, name] if let Some(kind) = workload_kind(kind) => {
            of_workload(Some(kind), Some(namespace), name, facts)
        }
        [namespace, name] => {
            let mut all = pods(Some(namespace), name, facts);
            all.extend(services(Some(namespace), name, facts));
            if all.is_empty() { of_workload(None, Some(namespace), name, facts) } else { all }
        }
        [name] => {
            let nodes = facts.node_names().iter().filter(|known| known.as_ref() == *name);
            let mut all: Vec<Who> = nodes.map(|node| Who::Node(node.to_string())).collect();
            all.extend(pods(None, name, facts));
            all.extend(services(None, name, facts));
            all.extend(by_dns(name, facts));
            if all.is_empty() { of_workload(None, None, name, facts) } else { all }
        }
        _ => Vec::new(),
    }
}

/// `name.ns`, `name.ns.svc`, `name.ns.svc.cluster.local`, and `pod.name.ns.svc…` of a headless Service.
fn by_dns(name: &str, facts: &Facts) -> Vec<Who> {
    match name.trim_end_matches('.').split('.').collect::<Vec<_>>().as_slice() {
        [name, namespace] | [name, namespace, "svc", ..] => services(Some(namespace), name, facts),
        [pod, _, namespace, "svc", ..] => pods(Some(namespace), pod, facts),
        _ => Vec::new(),
    }
}

fn pods(namespace: Option<&str>, name: &str, facts: &Facts) -> Vec<Who> {
    let is = |pod: &&Pod| *pod.name == *name && namespace.is_none_or(|own| *pod.namespace == *own);
    let found = facts.pods().all().iter().filter(is);
    found.map(|pod| Who::Pod(pod.namespace.to_string(), pod.name.to_string())).collect()
}

/// The kind of a workload, by the words that kubectl takes for it.
fn workload_kind(word: &str) -> Option<&'static str> {
    Some(match word {
        "deployment" | "deployments" | "deploy" => "Deployment",
        "daemonset" | "daemonsets" | "ds" => "DaemonSet",
        "statefulset" | "statefulsets" | "sts" => "StatefulSet",
        "replicaset" | "replicasets" | "rs" => "ReplicaSet",
        _ => return None,
    })
}

/// The pods of the workloads of a name. Those that have an address, where any has.
fn of_workload(kind: Option<&str>, namespace: Option<&str>, name: &str, facts: &Facts) -> Vec<Who> {
    let workloads = facts.workloads();
    let is_of = |pod: &&Pod| {
        let place = workloads.of_pod(pod);
        place.and_then(|place| workloads.get(place)).is_some_and(|workload| {
            *workload.name == *name
                && kind.is_none_or(|kind| workload.kind == kind)
                && namespace.is_none_or(|namespace| *workload.namespace == *namespace)
        })
    };
    let all: Vec<&Pod> = facts.pods().all().iter().filter(is_of).collect();
    let addressed: Vec<&Pod> = all.iter().copied().filter(|pod| pod.addresses().next().is_some()).collect();
    let chosen = if addressed.is_empty() { all } else { addressed };
    chosen.into_iter().map(|pod| Who::Pod(pod.namespace.to_string(), pod.name.to_string())).collect()
}

fn services(namespace: Option<&str>, name: &str, facts: &Facts) -> Vec<Who> {
    let is = |service: &&Service| *service.name == *name && namespace.is_none_or(|own| *service.namespace == *own);
    let found = (0u32..).map_while(|place| facts.services().get(place)).filter(is);
    found.map(|service| Who::Service(service.namespace.to_string(), service.name.to_string())).collect()
}

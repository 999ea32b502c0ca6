//! What stands on a node and belongs to no Service of the API.

use std::collections::HashSet;

use crate::protocol;
use crate::service::chain_name::ChainNames;
use crate::service::programmed::{Key, Programmed};
use crate::service::{ExpectedPort, Leftover, Mode};

/// Frontends and chains of no Service, sorted by what they are. Chains of single endpoints are not among them: those that
/// matter are found from the chain that leads to them.
pub(super) fn find(programmed: &Programmed<'_>, ports: &[ExpectedPort], mode: Mode) -> Vec<Leftover> {
    let known: HashSet<Key> = ports.iter().flat_map(|port| &port.frontends).map(|frontend| frontend.key()).collect();
    let mut frontends: Vec<_> = programmed.leads.iter().filter(|(key, _)| !known.contains(key)).collect();
    frontends.sort_by_key(|(key, _)| **key);
    let frontends = frontends.into_iter().filter_map(|(key, leads)| {
        let lead = leads.first()?;
        let (service, cited) = (lead.line.service(), lead.line.cite());
        Some(Leftover { what: text(key), service, reachable: true, cited })
    });
    let suffixes: HashSet<String> = ports.iter().map(|port| ChainNames::new(mode, &port.name).suffix).collect();
    let reachable = programmed.reachable();
    let strange = programmed.chains.iter().filter(|(name, _)| suffix(name).is_some_and(|end| !suffixes.contains(end)));
    let chains = strange.map(|(name, view)| Leftover {
        what: (*name).to_owned(),
        service: view.jumps.iter().find_map(|(_, line)| line.service()),
        reachable: reachable.contains(name),
        cited: view.line.cite(),
    });
    frontends.chain(chains).collect()
}

/// What tells the chains of one port from those of another; `None` for the chain of an endpoint.
fn suffix(chain: &str) -> Option<&str> {
    let prefixes = [
        "KUBE-SVC-",
        "KUBE-SVL-",
        "KUBE-EXT-",
        "KUBE-FW-",
        "KUBE-XLB-",
        "service-",
        "local-",
        "external-",
        "firewall-",
    ];
    prefixes.iter().find_map(|prefix| chain.strip_prefix(prefix))
}

fn text((address, protocol, port): &Key) -> String {
    let protocol = protocol::name(*protocol);
    match address {
        Some(address) => format!("{}/{protocol}", std::net::SocketAddr::new(*address, *port)),
        None => format!("node port {port}/{protocol}"),
    }
}

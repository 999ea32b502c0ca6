//! What was tried while the bundle was gathered, where it speaks against what the walk says.
//!
//! The collector has the API server ask every kubelet. Where that was lost and yet every rule in the bundle lets the
//! packet pass, something stops it that the bundle does not hold: a provider's rule, a router, a broken tunnel.

use netpath::answer::ClientSees;
use netpath::packet::Packet;
use netpath::protocol;
use netpath::source::Cited;
use netpath::walk::Verdict;

use super::flight::{Flight, Trail};
use super::world::World;
use crate::citation::Citation;

/// The kubelet's port (`KubeletConfiguration.port`), unless a node says another.
const KUBELET: u16 = 10_250;

/// Where the API server's own requests to this kubelet were lost: how, in a word, and the requests.
fn lost(world: &World<'_>, sent: &Packet, node: &str) -> Option<(String, Citation)> {
    (is_request_to_kubelet(world, sent) && world.is_as_found())
        .then(|| world.facts().node_files(node)?.selftest_lost())
        .flatten()
}

/// Whether the API server's own request to this kubelet was answered: then the network between carries such packets.
pub fn passes(world: &World<'_>, sent: &Packet, node: &str) -> bool {
    is_request_to_kubelet(world, sent)
        && world.facts().node_files(node).is_some_and(|files| files.selftest_answered() == Some(true))
}

fn is_request_to_kubelet(world: &World<'_>, sent: &Packet) -> bool {
    let to_kubelet = sent.protocol == protocol::TCP && sent.destination_port() == Some(KUBELET);
    to_kubelet && world.api_servers().iter().any(|(address, _)| *address == sent.source)
}

/// The course on which a packet that arrives by all that is known is lost all the same, as those requests were. The trail
/// then depends on it.
pub fn lost_on_the_way(world: &World<'_>, sent: &Packet, node: &str, trail: &mut Trail) -> Option<Flight> {
    let (word, tries) = lost(world, sent, node)?;
    trail.assumptions.push(format!(
        "what stops packets between the API server and node {node}: its own requests to the kubelet came to `{word}`, \
         though no rule in the bundle stops them"
    ));
    let (verdict, sees) = match &*word {
        "refused" => (Verdict::Accept, ClientSees::Refused),
        "no-route" => (Verdict::Drop, ClientSees::Unreachable),
        _ => (Verdict::Drop, ClientSees::Timeout),
    };
    let why = format!("no rule in the bundle stops the packet, but the API server's own request came to `{word}`");
    let cited = Some((Cited::from(&tries), super::answer::Direction::Forward));
    Some(Flight { cited, ..Flight::ended(trail.clone(), verdict, sees, why) })
}

//! Connection tracking of the walking packet.

use crate::conntrack::{Connection, CtState, Tuple, state_without_connection};
use crate::walk::walker::Walker;

impl Walker<'_> {
    /// Looks the packet up among the known connections, or begins one (nf_conntrack_in).
    pub(super) fn track(&mut self) {
        // Loopback packets and answers that were attached to a connection come here a second time.
        if std::mem::replace(&mut self.tracked, true) {
            return;
        }
        if let Some(about) = self.skb.packet.about {
            return self.track_error(&about);
        }
        self.past_exemption = false;
        let tuple = Tuple::of(&self.skb.packet);
        for known in self.known {
            if matches(&known.original, &tuple) {
                let state = if known.seen_reply { CtState::Established } else { CtState::New };
                return self.attach(known.clone(), state, false);
            }
            if matches(&known.reply, &tuple) {
                let connection = Connection { seen_reply: true, ..known.clone() };
                return self.attach(connection, CtState::Established, true);
            }
        }
        let loose = self.node.sysctls.number("net.netfilter.nf_conntrack_tcp_loose") != Some(0);
        let state = state_without_connection(&self.skb.packet, loose);
        self.attach(Connection::begun_by(&self.skb.packet), state, false);
    }

    /// An error belongs to the connection of what it is about, if there is one, and goes the other way
    /// (nf_conntrack_inet_error). It must be addressed to the end that sent what it is about.
    fn track_error(&mut self, about: &Tuple) {
        let (answering, to) = (about.inverted(), self.skb.packet.destination);
        for known in self.known {
            for (tuple, reply) in [(&known.reply, true), (&known.original, false)] {
                if matches(tuple, &answering) && tuple.destination == to {
                    return self.attach(known.clone(), CtState::Related, reply);
                }
            }
        }
        self.attach(Connection::begun_by(&self.skb.packet), CtState::Invalid, false);
    }

    fn attach(&mut self, connection: Connection, state: CtState, reply: bool) {
        self.skb.connection = connection;
        self.skb.state = state;
        self.skb.reply = reply;
    }

    /// Exempts the packet from tracking (NOTRACK); a packet that is tracked already stays so.
    pub(super) fn exempt(&mut self) {
        if !self.past_exemption && !std::mem::replace(&mut self.tracked, true) {
            self.skb.state = CtState::Untracked;
        }
    }

    /// Whether the packet has a connection.
    pub(super) fn has_connection(&self) -> bool {
        self.tracked && !matches!(self.skb.state, CtState::Invalid | CtState::Untracked)
    }
}

/// Whether a packet's tuple is the connection's; a port that NAT drew freely is any.
fn matches(known: &Tuple, packet: &Tuple) -> bool {
    let port = |known: Option<u16>, given: Option<u16>| known.is_none() || known == given;
    known.source == packet.source
        && known.destination == packet.destination
        && known.protocol == packet.protocol
        && known.icmp == packet.icmp
        && port(known.source_port, packet.source_port)
        && port(known.destination_port, packet.destination_port)
}

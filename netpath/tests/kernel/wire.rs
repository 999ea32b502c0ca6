//! Raw sockets in one namespace: one that sends whole IP packets, and some that receive what arrives there.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};

use netpath::address::Family;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType};

/// What a wire listens to.
pub enum Ears {
    /// Everything of the family that comes in by any interface, before the namespace's own hooks.
    Link,
    /// What a namespace's own stack gets, after its INPUT: of these protocols and, for IPv6, at these addresses (a raw IPv6
    /// socket is not given the header, so that only the address it is bound to tells the destination).
    Stack { protocols: Vec<u8>, addresses: Vec<IpAddr> },
}

struct Ear {
    fd: OwnedFd,
    /// Protocol and bound address, where the header is not received.
    headless: Option<(u8, IpAddr)>,
}

/// Something that was received.
pub enum Heard<'a> {
    /// A whole IP packet.
    Whole(&'a [u8]),
    /// What followed the IPv6 header of a packet of this protocol, source and destination.
    Inside(u8, IpAddr, IpAddr, &'a [u8]),
}

pub struct Wire {
    send: OwnedFd,
    ears: Vec<Ear>,
}

/// Who owns the sending socket, see the `owner` match.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

fn socket(domain: AddressFamily, kind: SocketType, protocol: u32) -> OwnedFd {
    let protocol = Protocol::from_raw(NonZeroU32::new(protocol).unwrap());
    let fd = rustix::net::socket(domain, kind, Some(protocol)).unwrap();
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&fd, 64 << 20);
    fd
}

/// Runs something in a thread that enters a namespace and ends.
pub fn inside<T: Send + 'static>(ns: &str, what: impl FnOnce() -> T + Send + 'static) -> T {
    let path = format!("/run/netns/{ns}");
    let enter = move || {
        let namespace = std::fs::File::open(path).unwrap();
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).unwrap();
        what()
    };
    std::thread::spawn(enter).join().unwrap()
}

impl Wire {
    pub fn open(ns: &str, family: Family, ears: Ears) -> Self {
        inside(ns, move || {
            let ears = match ears {
                Ears::Link => vec![Ear { fd: link_socket(family), headless: None }],
                Ears::Stack { protocols, addresses } => stack_sockets(family, &protocols, &addresses),
            };
            Self { send: sending_socket(family), ears }
        })
    }

    /// A wire that only sends, for a user and a group of its own.
    pub fn owned(ns: &str, family: Family, ids: Ids) -> Self {
        inside(ns, move || {
            use rustix::thread::{CapabilitiesSecureBits, Gid, Uid};
            // Without this the change of the user would take the right to open raw sockets.
            rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP).unwrap();
            let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            Self { send: sending_socket(family), ears: Vec::new() }
        })
    }

    pub fn send(&self, packet: &[u8], destination: IpAddr) -> bool {
        rustix::net::sendto(&self.send, packet, SendFlags::DONTWAIT, &SocketAddr::new(destination, 0)).is_ok()
    }

    /// Everything that arrived since the last call.
    pub fn drain(&self, mut heard: impl FnMut(Heard<'_>)) {
        let mut buffer = [0u8; 2048];
        for ear in &self.ears {
            let flags = RecvFlags::DONTWAIT;
            match ear.headless {
                None => {
                    while let Ok((_, length)) = rustix::net::recv(&ear.fd, &mut buffer[..], flags) {
                        heard(Heard::Whole(&buffer[..length.min(buffer.len())]));
                    }
                }
                Some((protocol, bound)) => {
                    while let Ok((_, length, from)) = rustix::net::recvfrom(&ear.fd, &mut buffer[..], flags) {
                        let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                        let Some(from) = from else { continue };
                        heard(Heard::Inside(protocol, from.ip(), bound, &buffer[..length.min(buffer.len())]));
                    }
                }
            }
        }
    }
}

fn sending_socket(family: Family) -> OwnedFd {
    let domain = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let send = socket(domain, SocketType::RAW, 255);
    rustix::net::sockopt::set_socket_broadcast(&send, true).unwrap();
    send
}

/// A packet socket that is given IP packets without their frame's header.
fn link_socket(family: Family) -> OwnedFd {
    let ethertype: u16 = if family == Family::V4 { 0x0800 } else { 0x86dd };
    socket(AddressFamily::PACKET, SocketType::DGRAM, u32::from(ethertype.to_be()))
}

fn stack_sockets(family: Family, protocols: &[u8], addresses: &[IpAddr]) -> Vec<Ear> {
    let mut ears = Vec::new();
    for protocol in protocols {
        if family == Family::V4 {
            ears.push(Ear { fd: socket(AddressFamily::INET, SocketType::RAW, u32::from(*protocol)), headless: None });
            continue;
        }
        for address in addresses {
            let fd = socket(AddressFamily::INET6, SocketType::RAW, u32::from(*protocol));
            rustix::net::bind(&fd, &SocketAddr::new(*address, 0)).unwrap();
            ears.push(Ear { fd, headless: Some((*protocol, *address)) });
        }
    }
    ears
}

//! Real connections: clients and servers that are ordinary sockets, and what both of them saw.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::frames::Side;
use crate::lab::Lab;
use crate::wire::inside;

/// One connection that is tried: a TCP connection, or a datagram that is to be answered.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub number: u16,
    pub tcp: bool,
    pub from: Side,
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `connect` succeeded, or the datagram was answered.
    Connected,
    /// An error, at once or later.
    Failed(Errno),
    /// Nothing, for as long as it was waited.
    Nothing,
}

/// What a server saw of a connection that it accepted, or of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    pub side: Side,
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// What was seen of one attempt.
#[derive(Clone, Debug)]
pub struct Observed {
    pub client: Client,
    pub served: Vec<Served>,
}

/// How long is waited for what is expected; a busy machine may need it, and nothing else does.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited for what is not expected.
const GRACE: Duration = Duration::from_millis(250);

fn socket(of: SocketAddr, kind: SocketType) -> OwnedFd {
    let domain = if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = rustix::net::socket_with(domain, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_socket_reuseaddr(&fd, true).unwrap();
    fd
}

fn bound(to: SocketAddr, kind: SocketType) -> OwnedFd {
    let fd = socket(to, kind);
    if !to.is_ipv4() {
        sockopt::set_ipv6_v6only(&fd, true).unwrap();
    }
    rustix::net::bind(&fd, &to).unwrap_or_else(|why| panic!("{to}: {why}"));
    fd
}

fn address(from: Option<rustix::net::SocketAddrAny>) -> Option<SocketAddr> {
    from.and_then(|from| SocketAddr::try_from(from).ok())
}

/// The name of a side's namespace.
pub fn host(side: Side) -> &'static str {
    match side {
        Side::S => "s",
        Side::D => "d",
        Side::Node => "r",
    }
}

/// Sockets that serve every given port at every given address of their sides.
pub struct Servers {
    listeners: Vec<(Side, OwnedFd)>,
    datagrams: Vec<(Side, SocketAddr, OwnedFd)>,
}

impl Servers {
    pub fn open(lab: &Lab, addresses: &[(Side, Vec<IpAddr>)], ports: &[u16]) -> Self {
        let mut servers = Self { listeners: Vec::new(), datagrams: Vec::new() };
        for (side, addresses) in addresses {
            let each = |address: &IpAddr| ports.iter().map(|port| SocketAddr::new(*address, *port)).collect::<Vec<_>>();
            let all: Vec<SocketAddr> = addresses.iter().flat_map(each).collect();
            let open = move || {
                let listen = |at: &SocketAddr| {
                    let fd = bound(*at, SocketType::STREAM);
                    rustix::net::listen(&fd, 1024).unwrap();
                    fd
                };
                let streams: Vec<OwnedFd> = all.iter().map(listen).collect();
                let datagrams: Vec<_> = all.iter().map(|at| (*at, bound(*at, SocketType::DGRAM))).collect();
                (streams, datagrams)
            };
            let (streams, datagrams) = inside(&lab.ns(host(*side)), open);
            servers.listeners.extend(streams.into_iter().map(|fd| (*side, fd)));
            servers.datagrams.extend(datagrams.into_iter().map(|(at, fd)| (*side, at, fd)));
        }
        servers
    }
}

/// A connection that a server accepted and that has not told its number yet.
struct Accepted {
    served: Served,
    fd: OwnedFd,
}

/// A client on its way.
struct Trying {
    number: u16,
    tcp: bool,
    fd: OwnedFd,
}

/// A batch of attempts in progress.
struct Batch<'a> {
    servers: &'a Servers,
    trying: Vec<Trying>,
    accepted: Vec<Accepted>,
    /// Connected clients, which stay so until the end.
    connected: Vec<OwnedFd>,
    seen: HashMap<u16, Observed>,
}

/// Tries the connections side by side. `awaited` are those whose client should see something, and those that a server
/// should.
pub fn attempt(
    lab: &Lab,
    servers: &Servers,
    attempts: &[Attempt],
    awaited: (&HashSet<u16>, &HashSet<u16>),
) -> HashMap<u16, Observed> {
    let nothing = |attempt: &Attempt| (attempt.number, Observed { client: Client::Nothing, served: Vec::new() });
    let seen = attempts.iter().map(nothing).collect();
    let mut batch = Batch { servers, trying: Vec::new(), accepted: Vec::new(), connected: Vec::new(), seen };
    for side in [Side::S, Side::D, Side::Node] {
        let own: Vec<Attempt> = attempts.iter().filter(|attempt| attempt.from == side).cloned().collect();
        // A socket belongs to the namespace that it was made in, whoever uses it.
        let open = move || own.into_iter().map(|attempt| (client_socket(&attempt), attempt)).collect::<Vec<_>>();
        inside(&lab.ns(host(side)), open).into_iter().for_each(|(fd, attempt)| batch.begin(fd, &attempt));
    }
    let (began, mut last) = (Instant::now(), Instant::now());
    loop {
        if batch.step() {
            last = Instant::now();
        }
        let lacking = batch.lacks(awaited);
        if (!lacking && last.elapsed() > GRACE) || began.elapsed() > PATIENCE {
            break;
        }
    }
    batch.seen
}

fn client_socket(attempt: &Attempt) -> OwnedFd {
    let fd = bound(attempt.source, if attempt.tcp { SocketType::STREAM } else { SocketType::DGRAM });
    if attempt.tcp {
        // Closed with a RST, so that nothing of it is left for the next batch.
        sockopt::set_socket_linger(&fd, Some(Duration::ZERO)).unwrap();
    }
    fd
}

impl Batch<'_> {
    fn begin(&mut self, fd: OwnedFd, attempt: &Attempt) {
        let begun = rustix::net::connect(&fd, &attempt.destination).and_then(|()| match attempt.tcp {
            true => Ok(()),
            false => rustix::net::send(&fd, &attempt.number.to_be_bytes(), SendFlags::NOSIGNAL).map(|_| ()),
        });
        let trying = Trying { number: attempt.number, tcp: attempt.tcp, fd };
        match begun {
            Ok(()) | Err(Errno::INPROGRESS) => self.trying.push(trying),
            Err(why) => self.saw(trying.number, Client::Failed(why)),
        }
    }

    fn saw(&mut self, number: u16, client: Client) {
        if let Some(seen) = self.seen.get_mut(&number) {
            seen.client = client;
        }
    }

    /// Whether something expected has not happened yet.
    fn lacks(&self, (clients, servers): (&HashSet<u16>, &HashSet<u16>)) -> bool {
        self.seen.iter().any(|(number, seen)| {
            (seen.client == Client::Nothing && clients.contains(number))
                || (seen.served.is_empty() && servers.contains(number))
        })
    }

    /// Waits a moment for any of the sockets and takes what happened; tells whether something did.
    fn step(&mut self) -> bool {
        let ready = self.ready();
        let count = ready.iter().filter(|ready| **ready).count();
        let (listeners, rest) = ready.split_at(self.servers.listeners.len());
        let (datagrams, rest) = rest.split_at(self.servers.datagrams.len());
        let (accepted, trying) = rest.split_at(self.accepted.len());
        self.read_numbers(accepted);
        self.finish(trying);
        for ((side, fd), _) in self.servers.listeners.iter().zip(listeners).filter(|(_, ready)| **ready) {
            self.accept(*side, fd);
        }
        for ((side, at, fd), _) in self.servers.datagrams.iter().zip(datagrams).filter(|(_, ready)| **ready) {
            self.receive(*side, *at, fd);
        }
        count > 0
    }

    /// Which of the sockets have something: listeners, datagram servers, accepted connections and clients, in this order.
    fn ready(&self) -> Vec<bool> {
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(self.servers.listeners.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.servers.datagrams.iter().map(|(_, _, fd)| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.accepted.iter().map(|accepted| PollFd::new(&accepted.fd, PollFlags::IN)));
        let wanted = |trying: &Trying| if trying.tcp { PollFlags::OUT } else { PollFlags::IN };
        fds.extend(self.trying.iter().map(|trying| PollFd::new(&trying.fd, wanted(trying))));
        let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let _ = poll(&mut fds, Some(&wait));
        fds.iter().map(|fd| !fd.revents().is_empty()).collect()
    }

    fn accept(&mut self, side: Side, listener: &OwnedFd) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok((fd, peer)) = rustix::net::acceptfrom_with(listener, flags) {
            let local = rustix::net::getsockname(&fd).ok().and_then(|name| address(Some(name)));
            if let (Some(peer), Some(local)) = (address(peer), local) {
                let _ = sockopt::set_socket_linger(&fd, Some(Duration::ZERO));
                self.accepted.push(Accepted { served: Served { side, peer, local }, fd });
            }
        }
    }

    fn receive(&mut self, side: Side, local: SocketAddr, fd: &OwnedFd) {
        let mut buffer = [0; 16];
        while let Ok((length, _, peer)) = rustix::net::recvfrom(fd, &mut buffer[..], RecvFlags::DONTWAIT) {
            let (Some(peer), Ok(number)) = (address(peer), <[u8; 2]>::try_from(&buffer[..length])) else { continue };
            self.served(u16::from_be_bytes(number), Served { side, peer, local });
            let _ = rustix::net::sendto(fd, &number, SendFlags::NOSIGNAL, &peer);
        }
    }

    fn served(&mut self, number: u16, served: Served) {
        if let Some(seen) = self.seen.get_mut(&number) {
            seen.served.push(served);
        }
    }

    fn read_numbers(&mut self, ready: &[bool]) {
        let mut at = ready.iter();
        let (told, silent) = std::mem::take(&mut self.accepted).into_iter().partition(|_| at.next() == Some(&true));
        self.accepted = silent;
        let told: Vec<Accepted> = told;
        for accepted in told {
            let mut number = [0; 2];
            if let Ok((2, _)) = rustix::net::recv(&accepted.fd, &mut number[..], RecvFlags::DONTWAIT) {
                self.served(u16::from_be_bytes(number), accepted.served);
                self.connected.push(accepted.fd);
            }
        }
    }

    /// Clients that something happened to.
    fn finish(&mut self, ready: &[bool]) {
        let mut at = ready.iter();
        let (done, on): (Vec<Trying>, Vec<Trying>) =
            std::mem::take(&mut self.trying).into_iter().partition(|_| at.next() == Some(&true));
        self.trying = on;
        for trying in done {
            let result = if trying.tcp { connected(&trying) } else { answered(&trying) };
            match result {
                Ok(()) => {
                    self.saw(trying.number, Client::Connected);
                    self.connected.push(trying.fd);
                }
                Err(why) => self.saw(trying.number, Client::Failed(why)),
            }
        }
    }
}

/// How a TCP connection began; a client that is connected tells the server its number.
fn connected(trying: &Trying) -> Result<(), Errno> {
    // Not by the socket's error alone: once connected, it tells of refusals of later segments too, which end nothing.
    if rustix::net::getpeername(&trying.fd).is_err() {
        match sockopt::socket_error(&trying.fd)? {
            // Only who was connected can be reset.
            Ok(()) | Err(Errno::CONNRESET) => {}
            Err(why) => return Err(why),
        }
    }
    let _ = rustix::net::send(&trying.fd, &trying.number.to_be_bytes(), SendFlags::NOSIGNAL);
    Ok(())
}

fn answered(trying: &Trying) -> Result<(), Errno> {
    rustix::net::recv(&trying.fd, &mut [0; 16][..], RecvFlags::DONTWAIT).map(|_| ())
}

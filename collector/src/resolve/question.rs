//! One question to one DNS server (RFC 1035): over UDP, and over TCP where the answer does not fit.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE, header_buffer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// More than any server sends over UDP to whoever did not ask for more than 512 bytes.
const LONGEST_DATAGRAM: usize = 4096;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses (A).
    V4,
    /// IPv6 addresses (AAAA).
    V6,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The addresses; none where there is no such name, or it has none of the kind.
    pub addresses: Vec<IpAddr>,
    /// The last name that it is an alias of, where it is one.
    pub alias: Option<String>,
}

/// Why a server told nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing came in time.
    #[error("does not answer")]
    Silent,
    /// It cannot be reached.
    #[error("cannot be reached: {0}")]
    Connection(String),
    /// It answered with a failure.
    #[error("answers {0}")]
    Failed(String),
    /// It answered what cannot be read.
    #[error("gives an answer that cannot be read")]
    Malformed,
    /// The name cannot be asked for.
    #[error("was not asked: it is no name of DNS")]
    NoName,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Connection(error.to_string())
    }
}

/// Asks. Whoever calls bounds the time.
pub async fn ask(server: SocketAddr, name: &str, kind: Kind, use_tcp: bool) -> Result<Reply, Trouble> {
    // A number that nobody can guess, who does not see the question; each state is keyed by the system's random numbers.
    let id = (RandomState::new().hash_one(name) & 0xffff) as u16;
    let question = written(id, name, kind)?;
    if !use_tcp {
        let answer = over_udp(server, &question, id, name).await?;
        let truncated = header_buffer::has_flags(&answer, PacketFlag::TRUNCATION).unwrap_or(false);
        if !truncated {
            return read(&answer, id, name, kind).ok_or(Trouble::Malformed)?;
        }
    }
    let answer = over_tcp(server, &question).await?;
    read(&answer, id, name, kind).ok_or(Trouble::Malformed)?
}

fn written(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, Trouble> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    // The crate passes over empty labels, and would ask for another name.
    if name.split('.').any(str::is_empty) {
        return Err(Trouble::NoName);
    }
    let name = Name::new(name).map_err(|_| Trouble::NoName)?;
    let kind = match kind {
        Kind::V4 => TYPE::A,
        Kind::V6 => TYPE::AAAA,
    };
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(|_| Trouble::NoName)
}

async fn over_udp(server: SocketAddr, question: &[u8], id: u16, name: &str) -> Result<Vec<u8>, Trouble> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From here on only the server's datagrams come in, and its refusal.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut room = vec![0; LONGEST_DATAGRAM];
    loop {
        let length = socket.recv(&mut room).await?;
        let datagram = room.get(..length).unwrap_or_default();
        // An answer to another question is passed over: the right one may still come.
        if header_buffer::id(datagram) == Ok(id) && is_about(datagram, name) {
            return Ok(datagram.to_vec());
        }
    }
}

/// Whether it is an answer whose question, if it can be read, is ours. What is truncated may end anywhere.
fn is_about(datagram: &[u8], name: &str) -> bool {
    let is_response = header_buffer::has_flags(datagram, PacketFlag::RESPONSE).unwrap_or(false);
    is_response && Packet::parse(datagram).map_or(true, |packet| asks_for(&packet, name))
}

fn asks_for(packet: &Packet<'_>, name: &str) -> bool {
    packet.questions.iter().all(|question| question.qname.to_string().eq_ignore_ascii_case(name))
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| Trouble::NoName)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Reads an answer; nothing where it is none to this question.
fn read(answer: &[u8], id: u16, name: &str, kind: Kind) -> Option<Result<Reply, Trouble>> {
    let packet = Packet::parse(answer).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !asks_for(&packet, name) {
        return None;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        failed => return Some(Err(Trouble::Failed(format!("{failed:?}")))),
    }
    let mut aliases = HashMap::new();
    let mut records = Vec::new();
    for record in &packet.answers {
        let owner = record.name.to_string().to_ascii_lowercase();
        match (&record.rdata, kind) {
            (RData::A(a), Kind::V4) => records.push((owner, IpAddr::V4(Ipv4Addr::from_bits(a.address)))),
            (RData::AAAA(aaaa), Kind::V6) => records.push((owner, IpAddr::V6(Ipv6Addr::from_bits(aaaa.address)))),
            (RData::CNAME(target), _) => drop(aliases.insert(owner, target.0.to_string().to_ascii_lowercase())),
            _ => {}
        }
    }
    // Each alias is followed once, so that a circle ends.
    let mut last = name.to_ascii_lowercase();
    let mut alias = None;
    while let Some(target) = aliases.remove(&last) {
        last.clone_from(&target);
        alias = Some(target);
    }
    let addresses = records.into_iter().filter(|(owner, _)| *owner == last).map(|(_, address)| address).collect();
    // Where the name that it leads to does not exist, asking for it again would say the same.
    let alias = alias.filter(|_| packet.rcode() == RCODE::NoError);
    Some(Ok(Reply { addresses, alias }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA, CNAME};

    fn answer(name: &str, records: Vec<(&'static str, RData<'static>)>) -> Vec<u8> {
        let asked = written(7, name, Kind::V4).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        for (owner, data) in records {
            packet.answers.push(ResourceRecord::new(Name::new_unchecked(owner), CLASS::IN, 60, data));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn a(text: &str) -> RData<'static> {
        RData::A(A { address: text.parse::<Ipv4Addr>().unwrap().to_bits() })
    }

    fn cname(target: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new_unchecked(target)))
    }

    #[test]
    fn aliases_are_followed_to_the_addresses_and_strangers_are_not_taken() {
        let records = vec![
            ("API.example.com", cname("lb.example.net")),
            ("lb.example.net", cname("LB-1.example.net")),
            ("lb-1.example.net", a("10.0.0.1")),
            ("evil.example", a("6.6.6.6")),
            ("lb-1.example.net", a("10.0.0.2")),
            ("lb-1.example.net", RData::AAAA(AAAA { address: 1 })),
        ];
        let reply = read(&answer("api.example.com", records), 7, "api.example.com", Kind::V4).unwrap().unwrap();
        assert_eq!(reply.addresses, ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(reply.alias.as_deref(), Some("lb-1.example.net"));
    }

    #[test]
    fn a_circle_of_aliases_ends() {
        let records = vec![("a.example", cname("b.example")), ("b.example", cname("a.example"))];
        let reply = read(&answer("a.example", records), 7, "a.example", Kind::V4).unwrap().unwrap();
        assert!(reply.addresses.is_empty() && reply.alias.as_deref() == Some("a.example"));
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let text = answer("a.example", vec![("a.example", a("10.0.0.1"))]);
        assert!(read(&text, 8, "a.example", Kind::V4).is_none());
        assert!(read(&text, 7, "b.example", Kind::V4).is_none());
        assert!(read(&written(7, "a.example", Kind::V4).unwrap(), 7, "a.example", Kind::V4).is_none(), "a question");
        for end in 0..text.len() {
            assert!(read(&text[..end], 7, "a.example", Kind::V4).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for name in ["a..b", &"x".repeat(64), &"abc.".repeat(70)] {
            assert_eq!(written(1, name, Kind::V4), Err(Trouble::NoName), "{name}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_changed_on_the_way_is_read_or_refused(changes in proptest::collection::vec((0usize..200, proptest::prelude::any::<u8>()), 1..6), end in 0usize..200) {
            let records = vec![("a.example", cname("b.example")), ("b.example", a("10.0.0.1"))];
            let mut text = answer("a.example", records);
            for (at, byte) in changes {
                let at = at % text.len();
                text[at] = byte;
            }
            text.truncate(end.max(1));
            let _ = is_about(&text, "a.example");
            let _ = read(&text, 7, "a.example", Kind::V4);
        }
    }
}

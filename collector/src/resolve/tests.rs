//! The whole way of a name, with real DNS servers on the loopback interface that behave as it is wanted.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name as DnsName, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

/// What a server does with questions over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It answers.
    Sound,
    /// It says nothing.
    Silent,
    /// It says that the answer is longer than fits.
    Truncates,
    /// It answers SERVFAIL.
    Fails,
    /// It answers for IPv4 addresses alone, and is silent where IPv6 ones are asked for.
    KnowsNoV6,
    /// Before the answer it sends one with another number, and rubbish.
    Noisy,
}

/// A zone: owner, and address or, where it is none, the name that it is an alias of.
type Zone = &'static [(&'static str, &'static str)];

const ZONE: Zone = &[
    ("api.example.com", "10.0.0.1"),
    ("api.example.com", "10.0.0.2"),
    ("api.example.com", "fd00::1"),
    ("six.example.com", "fd00::6"),
    ("www.example.com", "lb.example.net"),
    ("lb.example.net", "10.0.0.3"),
    ("web.corp.example", "10.0.0.4"),
];

struct Server {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Servers at 127.0.0.1, 127.0.0.2, … on one port, and a resolver whose file names them.
struct Site {
    folder: TempDir,
    port: u16,
    servers: Vec<Server>,
}

impl Site {
    async fn new(manners: &[Manner]) -> Site {
        loop {
            // The port must be free at all addresses, for UDP and TCP.
            let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let port = first.local_addr().unwrap().port();
            drop(first);
            let mut bound = Vec::new();
            for number in 1..=manners.len() {
                let address = (Ipv4Addr::new(127, 0, 0, u8::try_from(number).unwrap()), port);
                let (udp, tcp) = (UdpSocket::bind(address).await, TcpListener::bind(address).await);
                bound.extend(udp.ok().zip(tcp.ok()));
            }
            if bound.len() == manners.len() {
                let serve = |((udp, tcp), manner): ((UdpSocket, TcpListener), &Manner)| serve(udp, tcp, *manner);
                let servers = bound.into_iter().zip(manners).map(serve).collect();
                return Site { folder: TempDir::new().unwrap(), port, servers };
            }
        }
    }

    fn resolver(&self, more: &str) -> Resolver {
        let (hosts, conf) = (self.folder.path().join("hosts"), self.folder.path().join("resolv.conf"));
        fs::write(&hosts, "10.9.9.9 in-hosts\n").unwrap();
        let servers = (1..=self.servers.len()).map(|number| format!("nameserver 127.0.0.{number}\n"));
        fs::write(&conf, servers.collect::<String>() + "search corp.example\n" + more).unwrap();
        Resolver::of_files(&hosts, &conf, self.port)
    }

    async fn addresses(&self, name: &str) -> Vec<String> {
        let found = self.resolver("options timeout:1\n").addresses(name).await;
        found.unwrap_or_else(|e| panic!("{e}")).iter().map(ToString::to_string).collect()
    }
}

fn serve(udp: UdpSocket, tcp: TcpListener, manner: Manner) -> Server {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let udp_seen = seen.clone();
    tokio::spawn(async move {
        let mut room = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut room).await.unwrap();
            let question = &room[..length];
            udp_seen.lock().unwrap().push(format!("udp {}", asked(question)));
            for datagram in datagrams(question, manner) {
                udp.send_to(&datagram, from).await.unwrap();
            }
        }
    });
    let tcp_seen = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut question = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut question).await.unwrap();
            tcp_seen.lock().unwrap().push(format!("tcp {}", asked(&question)));
            let answer = answer(&question);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            // In two pieces, as it may come.
            stream.write_all(&answer[..5]).await.unwrap();
            stream.flush().await.unwrap();
            stream.write_all(&answer[5..]).await.unwrap();
        }
    });
    Server { seen }
}

fn asked(question: &[u8]) -> String {
    let packet = Packet::parse(question).unwrap();
    assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
    let question = &packet.questions[0];
    format!("{} {}", question.qname, if question.qtype == QTYPE::TYPE(TYPE::A) { "A" } else { "AAAA" })
}

fn datagrams(question: &[u8], manner: Manner) -> Vec<Vec<u8>> {
    let is_v6 = asked(question).ends_with("AAAA");
    let sound = answer(question);
    match manner {
        Manner::Silent => Vec::new(),
        Manner::KnowsNoV6 if is_v6 => Vec::new(),
        Manner::Sound | Manner::KnowsNoV6 => vec![sound],
        Manner::Truncates => {
            let mut packet = Packet::parse(question).unwrap().into_reply();
            packet.set_flags(PacketFlag::TRUNCATION);
            let mut cut = packet.build_bytes_vec().unwrap();
            // It says that there are answers, and ends before them.
            cut[7] = 9;
            vec![cut]
        }
        Manner::Fails => {
            let mut packet = Packet::parse(question).unwrap().into_reply();
            *packet.rcode_mut() = RCODE::ServerFailure;
            vec![packet.build_bytes_vec().unwrap()]
        }
        Manner::Noisy => {
            let mut other = sound.clone();
            other[0] ^= 0xff;
            vec![other, b"rubbish".to_vec(), Vec::new(), sound]
        }
    }
}

fn answer(question: &[u8]) -> Vec<u8> {
    let packet = Packet::parse(question).unwrap();
    let name = packet.questions[0].qname.to_string();
    let is_v6 = asked(question).ends_with("AAAA");
    let mut reply = packet.into_reply();
    let exists = ZONE.iter().any(|(owner, _)| *owner == name);
    if !exists {
        *reply.rcode_mut() = RCODE::NameError;
    }
    for (owner, value) in ZONE.iter().filter(|(owner, _)| *owner == name) {
        let data = match value.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) if !is_v6 => RData::A(A { address: v4.to_bits() }),
            Ok(IpAddr::V6(v6)) if is_v6 => RData::AAAA(AAAA { address: v6.to_bits() }),
            Ok(_) => continue,
            Err(_) => RData::CNAME(CNAME(DnsName::new_unchecked(value))),
        };
        reply.answers.push(ResourceRecord::new(DnsName::new_unchecked(owner), CLASS::IN, 60, data));
    }
    reply.build_bytes_vec_compressed().unwrap()
}

#[tokio::test]
async fn a_name_has_all_its_addresses_of_both_kinds() {
    let site = Site::new(&[Manner::Sound]).await;
    assert_eq!(site.addresses("api.example.com").await, ["10.0.0.1", "10.0.0.2", "fd00::1"]);
    assert_eq!(site.addresses("api.example.com.").await, ["10.0.0.1", "10.0.0.2", "fd00::1"]);
    assert_eq!(site.addresses("six.example.com").await, ["fd00::6"]);
}

#[tokio::test]
async fn what_needs_no_server_asks_none() {
    let site = Site::new(&[Manner::Sound]).await;
    assert_eq!(site.addresses("IN-HOSTS").await, ["10.9.9.9"]);
    assert_eq!(site.addresses("localhost").await, ["127.0.0.1", "::1"]);
    assert_eq!(site.addresses("kind.localhost").await, ["127.0.0.1", "::1"]);
    assert_eq!(site.addresses("10.1.2.3").await, ["10.1.2.3"]);
    assert_eq!(site.addresses("fd00::9").await, ["fd00::9"]);
    assert_eq!(site.servers[0].asked(), [""; 0]);
}

#[tokio::test]
async fn search_domains_are_tried_in_their_order() {
    let site = Site::new(&[Manner::Sound]).await;
    assert_eq!(site.addresses("web").await, ["10.0.0.4"]);
    let mut asked = site.servers[0].asked();
    asked.sort();
    assert_eq!(asked, ["udp web.corp.example A", "udp web.corp.example AAAA"]);
}

#[tokio::test]
async fn an_alias_that_the_server_does_not_follow_is_followed() {
    let site = Site::new(&[Manner::Sound]).await;
    assert_eq!(site.addresses("www.example.com").await, ["10.0.0.3"]);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    let site = Site::new(&[Manner::Truncates]).await;
    assert_eq!(site.addresses("api.example.com").await, ["10.0.0.1", "10.0.0.2", "fd00::1"]);
    assert!(site.servers[0].asked().contains(&"tcp api.example.com A".to_owned()));
    let site = Site::new(&[Manner::Silent]).await;
    let found = site.resolver("options use-vc\n").addresses("six.example.com").await;
    assert_eq!(found, Ok(vec!["fd00::6".parse().unwrap()]));
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_is_silent_or_fails_or_is_not_there() {
    for first in [Manner::Silent, Manner::Fails] {
        let site = Site::new(&[first, Manner::Sound]).await;
        assert_eq!(site.addresses("six.example.com").await, ["fd00::6"], "{first:?}");
        assert!(!site.servers[1].asked().is_empty());
    }
    let site = Site::new(&[Manner::Sound]).await;
    let conf = site.folder.path().join("resolv.conf");
    // Nobody listens at the first address, so that the kernel refuses at once.
    site.resolver("");
    fs::write(&conf, "nameserver 127.0.0.77\nnameserver 127.0.0.1\n").unwrap();
    let resolver = Resolver::of_files(Path::new("/nonexistent"), &conf, site.port);
    assert_eq!(resolver.addresses("six.example.com").await, Ok(vec!["fd00::6".parse().unwrap()]));
}

#[tokio::test]
async fn a_server_that_is_silent_about_one_kind_holds_nobody_up() {
    let site = Site::new(&[Manner::KnowsNoV6]).await;
    let began = std::time::Instant::now();
    assert_eq!(site.addresses("api.example.com").await, ["10.0.0.1", "10.0.0.2"]);
    assert!(site.servers[0].asked().contains(&"udp api.example.com AAAA".to_owned()));
    // Without the bound it would be two rounds of a second each.
    assert!(began.elapsed() < TIME, "{:?}", began.elapsed());
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() {
    let site = Site::new(&[Manner::Noisy]).await;
    assert_eq!(site.addresses("api.example.com").await, ["10.0.0.1", "10.0.0.2", "fd00::1"]);
}

#[tokio::test]
async fn without_the_file_the_server_of_this_machine_is_asked() {
    let site = Site::new(&[Manner::Sound]).await;
    let none = Path::new("/nonexistent");
    let resolver = Resolver::of_files(none, none, site.port);
    assert_eq!(resolver.addresses("six.example.com").await, Ok(vec!["fd00::6".parse().unwrap()]));
}

#[tokio::test]
async fn why_a_name_has_no_address_is_said() {
    let site = Site::new(&[Manner::Sound, Manner::Sound]).await;
    let unknown = site.resolver("").addresses("nobody.example.com").await.unwrap_err().to_string();
    let hosts = site.folder.path().join("hosts").display().to_string();
    assert_eq!(
        unknown,
        format!("nobody.example.com has no address: {hosts} does not have it, and 127.0.0.1, 127.0.0.2 do not know it")
    );
    let mut asked = site.servers[0].asked();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 4, "both kinds, as it is and with the search domain: {asked:?}");

    let site = Site::new(&[Manner::Silent, Manner::Fails]).await;
    let silent = site.resolver("options timeout:1 attempts:1\n").addresses("api.example.com").await;
    let port = site.port;
    assert_eq!(
        silent.unwrap_err().to_string(),
        format!(
            "api.example.com cannot be resolved: the DNS server 127.0.0.1:{port} does not answer, the DNS server \
             127.0.0.2:{port} answers ServerFailure"
        )
    );
}

//! Virtual servers of IPVS: `ipvsadm -Ln`, `ipvsadm-save -n`, and /proc/net/ip_vs.
//!
//! The forms are those of ipvsadm.c and of the kernel's `ip_vs_info_seq_show` (net/netfilter/ipvs/ip_vs_ctl.c).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::protocol;
use crate::source::{Cited, Origin, numbered_lines};

/// All virtual servers of a node.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// Those that are reached by an address.
    pub servers: Vec<VirtualServer>,
    /// Lines that could not be read, or that belong to servers reached by a mark.
    pub unread: Vec<Cited>,
}

/// An address whose packets IPVS distributes.
#[derive(Clone, Debug)]
pub struct VirtualServer {
    /// Its address and port.
    pub address: SocketAddr,
    /// The number of its protocol.
    pub protocol: u8,
    /// How it distributes: `rr`, `wrr`, `mh`, …
    pub scheduler: Box<str>,
    /// For how many seconds a client stays with one server.
    pub persistent: Option<u32>,
    /// Where it sends packets.
    pub reals: Vec<RealServer>,
    /// Where it was read.
    pub cited: Cited,
}

/// A server that packets are sent to.
#[derive(Clone, Debug)]
pub struct RealServer {
    /// Its address and port.
    pub address: SocketAddr,
    /// Its share; at 0 it gets no new connections.
    pub weight: u32,
    /// Where it was read.
    pub cited: Cited,
}

/// What the lines after this one belong to.
enum Last {
    Nothing,
    Server,
    /// A server that is not read: its lines are not either.
    Unread,
}

/// Reads any of the three forms.
pub fn parse(file: &str, bytes: &[u8]) -> Servers {
    let file: Arc<str> = Arc::from(file);
    let text = String::from_utf8_lossy(bytes);
    let mut servers = Servers::default();
    let mut last = Last::Nothing;
    for (number, line) in numbered_lines(&text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let cited = || Cited { origin: Origin::line(&file, number), text: line.trim().to_owned() };
        let read = match words.as_slice() {
            []
            | ["IP", "Virtual", "Server", ..]
            | ["Prot", "LocalAddress:Port", ..]
            | ["->", "RemoteAddress:Port", ..] => Some(()),
            ["-A", options @ ..] => saved_server(options, cited()).map(|server| servers.servers.push(server)),
            ["-a", options @ ..] => saved_real(&mut servers, options, cited()),
            ["->", address, _, weight, ..] => match last {
                Last::Server => real(&mut servers, address, weight, cited()),
                Last::Unread | Last::Nothing => None,
            },
            [word, address, scheduler, flags @ ..] => {
                let server = listed_server(word, address, scheduler, flags, cited());
                last = if server.is_some() { Last::Server } else { Last::Unread };
                server.map(|server| servers.servers.push(server))
            }
            _ => None,
        };
        if read.is_none() {
            servers.unread.push(cited());
        }
    }
    servers
}

/// `TCP  10.96.0.1:443 rr persistent 10800`.
fn listed_server(word: &str, address: &str, scheduler: &str, flags: &[&str], cited: Cited) -> Option<VirtualServer> {
    let protocol = match word {
        "TCP" => protocol::TCP,
        "UDP" => protocol::UDP,
        "SCTP" => protocol::SCTP,
        _ => return None,
    };
    let persistent = flags.iter().position(|flag| *flag == "persistent").and_then(|at| flags.get(at + 1));
    Some(VirtualServer {
        address: endpoint(address)?,
        protocol,
        scheduler: scheduler.into(),
        persistent: persistent.and_then(|seconds| seconds.parse().ok()),
        reals: Vec::new(),
        cited,
    })
}

fn real(servers: &mut Servers, address: &str, weight: &str, cited: Cited) -> Option<()> {
    let real = RealServer { address: endpoint(address)?, weight: weight.parse().ok()?, cited };
    servers.servers.last_mut()?.reals.push(real);
    Some(())
}

/// The value after one of an option's spellings.
fn value<'w>(options: &[&'w str], names: &[&str]) -> Option<&'w str> {
    let at = options.iter().position(|word| names.contains(word))?;
    options.get(at + 1).copied()
}

/// The address of `-t`, `-u` or `--sctp-service`.
fn service(options: &[&str]) -> Option<(u8, SocketAddr)> {
    let kinds: [(u8, &[&str]); 3] = [
        (protocol::TCP, &["-t", "--tcp-service"]),
        (protocol::UDP, &["-u", "--udp-service"]),
        (protocol::SCTP, &["--sctp-service"]),
    ];
    kinds.iter().find_map(|(number, names)| Some((*number, endpoint(value(options, names)?)?)))
}

/// `-A -t 10.96.0.1:443 -s rr -p 10800`.
fn saved_server(options: &[&str], cited: Cited) -> Option<VirtualServer> {
    let (protocol, address) = service(options)?;
    Some(VirtualServer {
        address,
        protocol,
        scheduler: value(options, &["-s", "--scheduler"]).unwrap_or("wlc").into(),
        persistent: value(options, &["-p", "--persistent"]).and_then(|seconds| seconds.parse().ok()),
        reals: Vec::new(),
        cited,
    })
}

/// `-a -t 10.96.0.1:443 -r 10.0.0.1:6443 -m -w 1`. They follow their server.
fn saved_real(servers: &mut Servers, options: &[&str], cited: Cited) -> Option<()> {
    let key = service(options)?;
    let address = endpoint(value(options, &["-r", "--real-server"])?)?;
    let weight = value(options, &["-w", "--weight"]).unwrap_or("1").parse().ok()?;
    let of = |server: &&mut VirtualServer| (server.protocol, server.address) == key;
    servers.servers.last_mut().filter(of)?.reals.push(RealServer { address, weight, cited });
    Some(())
}

/// `10.96.0.1:443`, `[fd00::1]:443`, and the kernel's hexadecimal `0A600001:01BB` and `[fd00:…]:01BB`.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    // The kernel writes ports with four hexadecimal digits and IPv6 addresses in full; ipvsadm does neither.
    let (address, hexadecimal): (IpAddr, bool) = match address.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
        Some(inner) => (inner.parse().ok()?, inner.len() == 39 && port.len() == 4 && is_upper_hex(port)),
        None if address.len() == 8 && is_upper_hex(address) => {
            (Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?).into(), true)
        }
        None => (address.parse().ok()?, false),
    };
    let port = if hexadecimal { u16::from_str_radix(port, 16).ok()? } else { port.parse().ok()? };
    Some(SocketAddr::new(address, port))
}

fn is_upper_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// As ipvsadm 1.2.1 prints it, with an IPv6 server and one reached by a mark added from ipvsadm.c.
    const LISTED: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.254.0.1:443 rr persistent 10800
  -> 172.16.16.81:6443            Masq    1      0          0
TCP  10.254.0.2:53 rr
  -> 172.30.9.2:53                Masq    0      2          1
UDP  10.254.0.2:53 rr
FWM  5 wlc
  -> 172.30.9.9:0                 Masq    1      0          0
TCP  [fd00:96::a]:53 rr
  -> [fd00:244::2]:53             Masq    1      0          0
";

    fn outline(servers: &Servers) -> Vec<String> {
        let real = |real: &RealServer| format!("{}*{}", real.address, real.weight);
        let all = |server: &VirtualServer| server.reals.iter().map(real).collect::<Vec<_>>().join(" ");
        let one = |server: &VirtualServer| {
            let Cited { origin, .. } = &server.cited;
            format!("{} {} {:?} {}: {}", server.protocol, server.address, server.persistent, origin.line, all(server))
        };
        servers.servers.iter().map(one).collect()
    }

    #[test]
    fn a_listing() {
        let servers = parse("ipvs", LISTED.as_bytes());
        let wanted = [
            "6 10.254.0.1:443 Some(10800) 4: 172.16.16.81:6443*1",
            "6 10.254.0.2:53 None 6: 172.30.9.2:53*0",
            "17 10.254.0.2:53 None 8: ",
            "6 [fd00:96::a]:53 None 11: [fd00:244::2]:53*1",
        ];
        assert_eq!(outline(&servers), wanted);
        // The server by mark and its real server.
        assert_eq!(servers.unread.iter().map(|cited| cited.origin.line).collect::<Vec<_>>(), [9, 10]);
    }

    #[test]
    fn the_kernel_s_file_and_the_saved_form_say_the_same() {
        let proc = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
            -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  0AFE0001:01BB rr persistent 10800 FFFFFFFF\n  \
            -> AC101051:192B      Masq    1      0          0         \nUDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 rr \n";
        let saved = "-A -t 10.254.0.1:443 -s rr -p 10800\n-a -t 10.254.0.1:443 -r 172.16.16.81:6443 -m -w 1\n\
            -A -u [fd00:96::a]:53 -s rr\n";
        let (proc, saved) = (parse("proc", proc.as_bytes()), parse("saved", saved.as_bytes()));
        assert!(proc.unread.is_empty() && saved.unread.is_empty(), "{:?} {:?}", proc.unread, saved.unread);
        assert_eq!(outline(&proc)[0].replace(" 4:", " 1:"), outline(&saved)[0]);
        assert_eq!(outline(&proc)[1].replace(" 6:", " 3:"), outline(&saved)[1]);
    }
}

//! What rules name and packets are drawn from: addresses, ports and the content of sets.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netpath::address::Family;

use crate::random::Random;

/// Addresses and ports that rules name and packets are drawn from.
pub struct Pool {
    pub family: Family,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<u16>,
}

/// `F` stands for the family's option, `M` for a mask.
const SETS: &str = "create ips hash:ip F\ncreate nets hash:net F\ncreate ipport hash:ip,port F\ncreate netport hash:net,port F\n\
    create ports bitmap:port range 0-65535\ncreate both list:set\ncreate pair hash:ip,port,ip F\ncreate netiface hash:net,iface F\n\
    create triple hash:ip,port,net F\ncreate masked hash:ip F netmask M\n";

const FIXED_V4: [&str; 11] = [
    "10.10.0.1",
    "10.10.0.5",
    "10.20.0.1",
    "10.20.0.2",
    "10.20.0.9",
    "10.10.0.2",
    "10.10.0.7",
    "10.10.0.255",
    "10.20.0.255",
    "127.0.0.1",
    "224.0.0.1",
];

const FIXED_V6: [&str; 11] = [
    "fd00:10::1",
    "fd00:10::5",
    "fd00:20::1",
    "fd00:20::2",
    "fd00:20::9",
    "fd00:10::2",
    "fd00:10::7",
    "fd00:10::",
    "fd00:20::",
    "::1",
    "ff02::1",
];

const BASES_V4: [u32; 4] = [0x0a0a_0000, 0x0a14_0000, 0xc0a8_0000, 0xac10_0000];
const BASES_V6: [[u16; 2]; 4] = [[0xfd00, 0x10], [0xfd00, 0x20], [0x2001, 0xdb8], [0xfdaa, 1]];

impl Pool {
    pub fn new(random: &mut Random, family: Family) -> Self {
        let fixed = if family == Family::V4 { FIXED_V4 } else { FIXED_V6 };
        let mut addresses: Vec<IpAddr> = fixed.iter().map(|text| text.parse().unwrap()).collect();
        for _ in 0..8 {
            let bits = random.next() as u16;
            addresses.push(match family {
                Family::V4 => Ipv4Addr::from_bits(random.pick(&BASES_V4) | u32::from(bits)).into(),
                Family::V6 => {
                    let [a, b] = *random.pick(&BASES_V6);
                    Ipv6Addr::new(a, b, 0, random.next() as u16 & 3, 0, 0, 0, bits).into()
                }
            });
        }
        let mut ports = vec![22, 53, 80, 443, 10250, 30000, 32767, 1, 65535];
        ports.extend((0..6).map(|_| random.next() as u16 | 1));
        Self { family, addresses, ports }
    }

    /// A pool of given values.
    pub fn named(addresses: &[&str], ports: &[u16]) -> Self {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Self { family: Family::of(addresses[0]), addresses, ports: ports.to_vec() }
    }

    pub fn is_v4(&self) -> bool {
        self.family == Family::V4
    }

    pub fn address(&self, random: &mut Random) -> IpAddr {
        *random.pick(&self.addresses)
    }

    pub fn port(&self, random: &mut Random) -> u16 {
        *random.pick(&self.ports)
    }

    /// An address at or beside one that rules name.
    pub fn near(&self, random: &mut Random) -> IpAddr {
        let change = |random: &mut Random, bits: u128| match random.below(6) {
            0 => bits.wrapping_add(1),
            1 => bits.wrapping_sub(1),
            2 => bits ^ (1 << random.below(16)),
            _ => bits,
        };
        match self.address(random) {
            IpAddr::V4(addr) => Ipv4Addr::from_bits(change(random, addr.to_bits().into()) as u32).into(),
            IpAddr::V6(addr) => Ipv6Addr::from_bits(change(random, addr.to_bits())).into(),
        }
    }

    /// Any address at all.
    pub fn any(&self, random: &mut Random) -> IpAddr {
        match self.family {
            Family::V4 => Ipv4Addr::from_bits(random.next() as u32).into(),
            // Global unicast, unique local and the rest of the unassigned middle.
            Family::V6 => {
                let bits = u128::from(random.next()) << 64 | u128::from(random.next());
                Ipv6Addr::from_bits(bits & (u128::MAX >> 3) | 1 << 125).into()
            }
        }
    }

    pub fn near_port(&self, random: &mut Random) -> u16 {
        let port = self.port(random);
        match random.below(6) {
            0 => port.wrapping_add(1),
            1 => port.wrapping_sub(1),
            _ => port,
        }
    }

    /// A prefix length; the longest often.
    pub fn length(&self, random: &mut Random) -> usize {
        let bits = usize::from(self.family.bits());
        if random.chance(40) { bits } else { 1 + random.below(bits) }
    }

    /// Content for the sets that rules name, in `ipset restore`'s language.
    pub fn sets(&self, random: &mut Random) -> String {
        let (family, mask) = if self.is_v4() { ("family inet", "24") } else { ("family inet6", "64") };
        let mut text = SETS.replace('F', family).replace('M', mask);
        for _ in 0..6 {
            let (a, b) = (self.address(random), self.address(random));
            let (length, port) = (8 + random.below(usize::from(self.family.bits()) - 7), self.port(random));
            let protocol = random.pick(&["tcp", "udp", "sctp"]);
            // A masked address of zeros cannot be stored.
            let masked = if b.is_loopback() { a } else { b };
            let masked = if masked.is_loopback() { self.addresses[0] } else { masked };
            let nomatch = if random.chance(30) { " nomatch" } else { "" };
            let _ = write!(
                text,
                "add ips {a} -exist\nadd nets {b}/{length}{nomatch} -exist\n\
                add ipport {a},{protocol}:{port} -exist\nadd netport {b}/{length},{protocol}:{port}{nomatch} -exist\n\
                add ports {port} -exist\nadd pair {a},{protocol}:{port},{b} -exist\nadd netiface {a}/{length},eth0 -exist\n\
                add triple {a},{protocol}:{port},{b}/{length} -exist\nadd masked {masked} -exist\n",
            );
        }
        text.push_str(if self.is_v4() {
            "add ipport 10.10.0.1,icmp:8/0 -exist\ncreate range bitmap:ip range 10.10.0.0-10.10.255.255\nadd range 10.10.0.7\n"
        } else {
            "add ipport fd00:10::1,icmpv6:128/0 -exist\n"
        });
        text.push_str("add both ips\nadd both nets\n");
        text
    }
}

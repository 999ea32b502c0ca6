//! Modules that compare one field of the IP header or of the frame: length, ttl, hl, tos, dscp, pkttype.

use std::fmt;

use crate::address::Family;
use crate::iptables::Opt;
use crate::matches::bang;
use crate::matches::mark::parse_u32;
use crate::packet::PacketKind;
use crate::port::PortRange;
use crate::unknown::{Truth, Unknown};
use crate::walk::Context;

/// The test of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpField {
    /// Whether the test is inverted.
    pub negated: bool,
    /// The field and what it is compared with.
    pub test: FieldTest,
}

/// A field and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// `length`: bytes of the IP packet, header included (for IPv6, payload plus 40).
    Length(PortRange),
    /// `ttl --ttl-eq` and `hl --hl-eq`.
    TtlEqual(Ttl, u8),
    /// `--ttl-lt`.
    TtlBelow(Ttl, u8),
    /// `--ttl-gt`.
    TtlAbove(Ttl, u8),
    /// `tos`: value and mask.
    Tos(u8, u8),
    /// `dscp`: the upper six bits.
    Dscp(u8),
    /// `pkttype`.
    PacketType(PacketKind),
}

/// The IPv4 or the IPv6 module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// `-m ttl`.
    Ttl,
    /// `-m hl`.
    HopLimit,
}

/// DSCP class names (RFC 2474, 2597, 3246).
const CLASSES: &[(&str, u8)] = &[
    ("CS0", 0),
    ("CS1", 8),
    ("CS2", 16),
    ("CS3", 24),
    ("CS4", 32),
    ("CS5", 40),
    ("CS6", 48),
    ("CS7", 56),
    ("BE", 0),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("EF", 46),
];

/// TOS names (RFC 1349), which iptables takes and does not print.
const TOS_NAMES: &[(&str, u8)] = &[
    ("Minimize-Delay", 0x10),
    ("Maximize-Throughput", 0x08),
    ("Maximize-Reliability", 0x04),
    ("Minimize-Cost", 0x02),
    ("Normal-Service", 0x00),
];

impl IpField {
    pub(super) fn read(module: &str, options: &[Opt<'_>]) -> Option<Self> {
        let [option] = options else { return None };
        let value = option.value()?;
        let mut negated = option.negated;
        let ttl = if module == "hl" { Ttl::HopLimit } else { Ttl::Ttl };
        let test = match option.name {
            "--length" => FieldTest::Length(PortRange::parse(value, ':')?),
            "--ttl-eq" | "--hl-eq" | "--ttl" | "--hl" => FieldTest::TtlEqual(ttl, value.parse().ok()?),
            "--ttl-lt" | "--hl-lt" => FieldTest::TtlBelow(ttl, value.parse().ok()?),
            "--ttl-gt" | "--hl-gt" => FieldTest::TtlAbove(ttl, value.parse().ok()?),
            "--tos" => parse_tos(value)?,
            "--dscp" => FieldTest::Dscp(u8::try_from(parse_u32(value)?).ok()?),
            "--dscp-class" => FieldTest::Dscp(CLASSES.iter().find(|(name, _)| *name == value)?.1),
            "--pkt-type" => FieldTest::PacketType(parse_kind(value)?),
            _ => return None,
        };
        // Only equality can be inverted; the kernel's module has no inverted `less than`.
        if matches!(test, FieldTest::TtlBelow(..) | FieldTest::TtlAbove(..)) && std::mem::take(&mut negated) {
            return None;
        }
        Some(Self { negated, test })
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Truth {
        let packet = &context.skb.packet;
        let plain = match self.test {
            FieldTest::Length(range) => known("length", packet.length, |length| range.contains(length)),
            FieldTest::TtlEqual(module, value) => {
                ttl_of_family(module, packet.family()).and(known("TTL", packet.ttl, |ttl| ttl == value))
            }
            FieldTest::TtlBelow(module, value) => {
                ttl_of_family(module, packet.family()).and(known("TTL", packet.ttl, |ttl| ttl < value))
            }
            FieldTest::TtlAbove(module, value) => {
                ttl_of_family(module, packet.family()).and(known("TTL", packet.ttl, |ttl| ttl > value))
            }
            FieldTest::Tos(value, mask) => known("TOS byte", packet.tos, |tos| tos & mask == value),
            FieldTest::Dscp(value) => known("DSCP", packet.tos, |tos| tos >> 2 == value),
            FieldTest::PacketType(kind) => known("frame's kind", packet.kind, |given| given == kind),
        };
        match plain {
            Truth::Unknown(unknown) => Truth::Unknown(Unknown { key: format!("{unknown} {:?}", self.test), ..unknown }),
            truth => truth,
        }
        .negated_if(self.negated)
    }
}

fn ttl_of_family(module: Ttl, family: Family) -> Truth {
    ((module == Ttl::Ttl) == (family == Family::V4)).into()
}

/// The truth about a field that the packet may not have been given.
fn known<T: Copy>(field: &str, value: Option<T>, test: impl FnOnce(T) -> bool) -> Truth {
    match value {
        Some(value) => test(value).into(),
        None => Truth::Unknown(Unknown::deterministic(field, format!("the packet's {field}"))),
    }
}

fn parse_tos(text: &str) -> Option<FieldTest> {
    if let Some((_, value)) = TOS_NAMES.iter().find(|(name, _)| *name == text) {
        return Some(FieldTest::Tos(*value, 0x3f));
    }
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xff"));
    Some(FieldTest::Tos(u8::try_from(parse_u32(value)?).ok()?, u8::try_from(parse_u32(mask)?).ok()?))
}

fn parse_kind(text: &str) -> Option<PacketKind> {
    match text {
        "unicast" | "host" => Some(PacketKind::Unicast),
        "broadcast" => Some(PacketKind::Broadcast),
        "multicast" => Some(PacketKind::Multicast),
        _ => None,
    }
}

impl fmt::Display for IpField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = bang(self.negated);
        let ttl = |module: Ttl| if module == Ttl::Ttl { "ttl" } else { "hl" };
        match self.test {
            FieldTest::Length(range) => write!(f, "-m length {not}--length {range}"),
            FieldTest::TtlEqual(m, value) => write!(f, "-m {0} {not}--{0}-eq {value}", ttl(m)),
            FieldTest::TtlBelow(m, value) => write!(f, "-m {0} --{0}-lt {value}", ttl(m)),
            FieldTest::TtlAbove(m, value) => write!(f, "-m {0} --{0}-gt {value}", ttl(m)),
            FieldTest::Tos(value, mask) => write!(f, "-m tos {not}--tos {value:#04x}/{mask:#04x}"),
            FieldTest::Dscp(value) => write!(f, "-m dscp {not}--dscp {value:#04x}"),
            FieldTest::PacketType(kind) => {
                let name = match kind {
                    PacketKind::Unicast => "unicast",
                    PacketKind::Broadcast => "broadcast",
                    PacketKind::Multicast => "multicast",
                };
                write!(f, "-m pkttype {not}--pkt-type {name}")
            }
        }
    }
}

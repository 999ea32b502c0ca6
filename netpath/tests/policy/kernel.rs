//! The engine against the kernel: policies carried out by iptables and ipsets, and every flow sent as a packet.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use netpath::address::Family;
use netpath::answer::Decision;
use netpath::packet::{Packet, PacketKind};
use netpath::policy::{Enforcement, Flow, Plugin, Policies, Side};
use netpath::protocol;
use serde_json::{Value, json};

use super::compile::{Compiled, compile};
use super::frames::{self, Probe, Received, complete};
use super::generate::{self, PORTS};
use super::lab::{self, Lab};
use super::naive::End;
use super::property::{endpoint, loaded};
use super::random::Random;
use super::wire::{Ears, Wire};

/// A flow by the places of its ends.
#[derive(Clone, Copy, Debug)]
struct Sent {
    from: usize,
    to: usize,
    protocol: u8,
    port: u16,
}

/// A router between those who speak, and what arrives behind it.
struct Router {
    lab: Lab,
    before: Wire,
    behind: Wire,
}

impl Router {
    fn new() -> Self {
        let lab = Lab::new("policy");
        let before = Wire::open(&lab.ns("s"), Family::V4, Ears::Link);
        let behind = Wire::open(&lab.ns("d"), Family::V4, Ears::Link);
        Self { lab, before, behind }
    }

    fn load(&self, compiled: &Compiled) {
        let empty = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
        self.lab.feed_r(&["iptables-nft-restore"], empty).unwrap();
        // Rules that are gone let go of their sets a moment later.
        let gone = (0..100).any(|_| {
            let gone = self.lab.in_r("ipset destroy").is_ok();
            std::thread::sleep(std::time::Duration::from_millis(if gone { 0 } else { 20 }));
            gone
        });
        assert!(gone, "the sets of the last cluster stay");
        self.lab.feed_r(&["ipset", "restore"], &compiled.sets).unwrap_or_else(|why| panic!("{why}\n{}", compiled.sets));
        self.lab
            .feed_r(&["iptables-nft-restore"], &compiled.rules)
            .unwrap_or_else(|why| panic!("{why}\n{}", compiled.rules));
    }

    /// Sends the flows; tells which arrive, by their places in the list.
    fn send(&self, ends: &[End], flows: &[Sent]) -> HashSet<usize> {
        let mut arrived = HashSet::new();
        let address = |at: usize| IpAddr::from(Ipv4Addr::from(ends[at].address));
        for (at, flow) in flows.iter().enumerate() {
            let (source, destination) = ((address(flow.from), 20_000 + at as u16), (address(flow.to), flow.port));
            let mut packet = match flow.protocol {
                protocol::TCP => Packet::tcp_syn(source, destination),
                protocol::UDP => Packet::udp(source, destination),
                _ => Packet::sctp_init(source, destination),
            };
            complete(&mut packet, 64, 0, 0);
            packet.kind = Some(PacketKind::Unicast);
            let bytes = frames::bytes(&Probe::new(packet, frames::Side::S), at as u16 + 1);
            assert!(self.before.send(&bytes, destination.0));
            if at % 256 == 255 {
                self.hear(&mut arrived);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
        self.hear(&mut arrived);
        arrived
    }

    fn hear(&self, arrived: &mut HashSet<usize>) {
        self.behind.drain(|heard| {
            if let Some(Received::Packet { case, .. }) = frames::read(&heard) {
                arrived.insert(usize::from(case) - 1);
            }
        });
    }
}

fn flows(random: &mut Random, ends: &[End], count: usize) -> Vec<Sent> {
    let one = |_| loop {
        let (from, to) = (random.below(ends.len()), random.below(ends.len()));
        if ends[from].address != ends[to].address {
            let protocol = *random.pick(&[protocol::TCP, protocol::UDP, protocol::SCTP]);
            break Sent { from, to, protocol, port: *random.pick(&PORTS) };
        }
    };
    (0..count).map(one).collect()
}

/// What the engine says of both sides together; `None` where one depends and the other lets the flow pass.
fn passes(engine: &Policies, ends: &[End], sent: &Sent) -> Option<bool> {
    let flow = Flow {
        source: endpoint(&ends[sent.from]),
        destination: endpoint(&ends[sent.to]),
        service: None,
        protocol: sent.protocol,
        port: Some(sent.port),
    };
    let enforcement = Enforcement::Yes { plugin: Plugin::OvnKubernetes, cited: None };
    let verdicts = [Side::Egress, Side::Ingress].map(|side| engine.judge(&enforcement, &flow, side).verdict);
    if verdicts.contains(&Decision::Drop) {
        return Some(false);
    }
    verdicts.iter().all(|verdict| *verdict == Decision::Accept).then_some(true)
}

fn compare(
    router: &Router,
    random: &mut Random,
    carried_out: impl Fn(&[Value]) -> Vec<Value>,
) -> (usize, usize, usize) {
    let ends = generate::ends(random);
    let policies = generate::network_policies(random);
    router.load(&compile(&ends, &carried_out(&policies)));
    let flows = flows(random, &ends, 2_000);
    let arrived = router.send(&ends, &flows);
    let engine = loaded(&policies, &[]);
    let (mut compared, mut dropped, mut differences) = (0, 0, 0);
    for (at, sent) in flows.iter().enumerate() {
        let Some(expected) = passes(&engine, &ends, sent) else { continue };
        compared += 1;
        dropped += usize::from(!expected);
        if arrived.contains(&at) != expected {
            differences += 1;
            if differences == 1 {
                let (from, to) = (&ends[sent.from], &ends[sent.to]);
                println!("expected {expected}: {from:?} -> {to:?} {sent:?}\n{policies:#?}");
            }
        }
    }
    (compared, dropped, differences)
}

#[test]
fn policies_carried_out_by_the_kernel_agree_with_the_engine() {
    if lab::must_skip() {
        return;
    }
    let (router, seed) = (Router::new(), 20_261_129);
    let mut random = Random::new(seed);
    let (mut compared, mut dropped) = (0, 0);
    for cluster in 0..25 {
        let (own, own_dropped, differences) = compare(&router, &mut random, <[Value]>::to_vec);
        assert_eq!(differences, 0, "of {own} flows of the cluster {cluster} of seed {seed}");
        (compared, dropped) = (compared + own, dropped + own_dropped);
    }
    println!("kernel: seed {seed}, 25 clusters, {compared} flows compared, {dropped} of them dropped, 0 differences");
    assert!(compared > 30_000 && dropped > 5_000 && compared - dropped > 5_000, "{compared} {dropped}");
}

/// The comparison notices that a policy is not carried out.
#[test]
fn a_policy_that_is_not_carried_out_shows() {
    if lab::must_skip() {
        return;
    }
    let router = Router::new();
    let mut random = Random::new(5);
    let deny = json!({"metadata": {"namespace": "x", "name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    let differences: usize = (0..3)
        .map(|_| compare(&router, &mut random, |policies| [policies, std::slice::from_ref(&deny)].concat()).2)
        .sum();
    assert!(differences > 10, "{differences}");
}

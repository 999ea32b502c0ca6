//! The walk against the real kernel, in network namespaces of its own.
//!
//! `DOSSIER_KERNEL_COMPARISONS` sets how many packets are compared (default: few), `DOSSIER_KERNEL_SEED` repeats a run.
#![allow(clippy::unwrap_used, missing_docs)]

mod compare;
mod frames;
mod generate;
mod generate_nat;
mod generate_native;
mod generate_routes;
mod lab;
mod random;

use std::collections::HashSet;

use netpath::iptables::Backend;
use netpath::packet::{Packet, Transport};

use crate::compare::{Bench, Tally};
use crate::generate::Pool;
use crate::lab::Lab;
use crate::random::Random;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed, printed so that a run can be repeated.
fn seed(layer: &str) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = from_environment("DOSSIER_KERNEL_SEED").unwrap_or(now.as_nanos() as u64);
    println!("{layer}: DOSSIER_KERNEL_SEED={seed}");
    seed
}

/// How many packets are compared in all.
fn wanted(default: u64) -> u64 {
    from_environment("DOSSIER_KERNEL_COMPARISONS").unwrap_or(default)
}

/// Packets of different connections: a repeated one would meet the first one's entry in the kernel's table.
fn distinct_packets(random: &mut Random, pool: &Pool, count: usize) -> Vec<Packet> {
    let mut used = HashSet::new();
    let mut packets = Vec::with_capacity(count);
    for _ in 0..count * 4 {
        let packet = generate::packet(random, pool);
        // ICMP's identifier is the case's number and so differs anyway.
        let fresh = packet.protocol == 1 || {
            let (a, b) = packet.ports().unwrap_or_default();
            let key = (packet.protocol, packet.source, packet.destination, a, b);
            let back = (packet.protocol, packet.destination, packet.source, b, a);
            !used.contains(&back) && used.insert(key)
        };
        if fresh {
            packets.push(packet);
        }
        if packets.len() == count {
            break;
        }
    }
    packets
}

fn set_source_port(packet: &mut Packet, port: u16) {
    match &mut packet.transport {
        Transport::Tcp { source, .. } | Transport::Ports { source, .. } => *source = port,
        _ => {}
    }
}

fn finish(layer: &str, tally: &Tally) {
    println!(
        "{layer}: {} comparisons over {} rule sets, {} counters, {} differences",
        tally.comparisons, tally.rulesets, tally.counters, tally.differences
    );
    println!("{layer}: deciding modules {:?}", tally.deciding);
    assert_eq!(tally.differences, 0);
}

const PER_BATCH: usize = 2000;
const BATCHES_PER_LAB: usize = 10;

#[test]
fn filter_rules_decide_as_in_the_kernel() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("filter"));
    let mut tally = Tally::default();
    while tally.comparisons < wanted(20_000) {
        // A lab of its own for each pool: sets that rules have named cannot always be replaced.
        let lab = Lab::new("f");
        let mut bench = Bench::new(&lab);
        let pool = Pool::new(&mut random);
        bench.load_sets(&pool.sets(&mut random));
        for backend in [Backend::Nft, Backend::Legacy].repeat(BATCHES_PER_LAB / 2) {
            let rules = generate::filter_rules(&mut random, &pool, 40);
            let packets = distinct_packets(&mut random, &pool, PER_BATCH);
            bench.batch(&[(backend, &rules)], &packets, &mut tally, |_| {});
        }
        if tally.differences > 0 {
            break;
        }
    }
    finish("filter", &tally);
}

#[test]
fn translations_are_the_kernel_s() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("nat"));
    let lab = Lab::new("n");
    let mut bench = Bench::new(&lab);
    let mut tally = Tally::default();
    while tally.comparisons < wanted(12_000) && tally.differences == 0 {
        for backend in [Backend::Nft, Backend::Legacy] {
            let rules = generate_nat::rules(&mut random);
            let packets: Vec<Packet> = (0..PER_BATCH).map(|case| generate_nat::packet(&mut random, case)).collect();
            bench.batch(&[(backend, &rules)], &packets, &mut tally, |_| {});
        }
    }
    finish("nat", &tally);
}

/// What real firewalld wrote, and a table of kube-proxy's constructs without its translations (which some kernels lack).
const NATIVE: [&str; 2] = [include_str!("../data/firewalld.nft"), include_str!("../data/kube-proxy-shaped.nft")];

#[test]
fn native_tables_decide_as_in_the_kernel() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("native"));
    let lab = Lab::new("t");
    let mut bench = Bench::new(&lab);
    let mut tally = Tally::default();
    while tally.comparisons < wanted(8_000) && tally.differences == 0 {
        for text in NATIVE {
            let pool = Pool::named(
                &[
                    "10.96.0.10",
                    "10.96.0.99",
                    "10.96.0.1",
                    "10.244.3.4",
                    "10.9.0.7",
                    "10.10.0.1",
                    "10.20.0.1",
                    "10.20.0.9",
                ],
                &[22, 53, 80, 6443, 8081, 10250, 30080],
            );
            let mut packets = distinct_packets(&mut random, &pool, PER_BATCH);
            // firewalld redirects a port: with the same source port, two connections would meet there.
            packets.iter_mut().enumerate().for_each(|(case, packet)| set_source_port(packet, 10_000 + case as u16));
            bench.native_batch(text, &packets, &mut tally);
        }
        let pool = Pool::new(&mut random);
        let text = generate_native::rules(&mut random, &pool);
        bench.native_batch(&text, &distinct_packets(&mut random, &pool, PER_BATCH), &mut tally);
    }
    finish("native", &tally);
}

/// A harness that cannot fail proves nothing: one rule turned around in the walk's copy must be noticed.
#[test]
fn a_changed_rule_is_noticed() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("mutation"));
    let lab = Lab::new("m");
    let mut bench = Bench::new(&lab);
    let pool = Pool::new(&mut random);
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 22:443 -j DROP\nCOMMIT\n";
    let packets = distinct_packets(&mut random, &pool, PER_BATCH);
    let mut tally = Tally::default();
    bench.batch(&[(Backend::Nft, rules)], &packets, &mut tally, |_| {});
    assert_eq!(tally.differences, 0);
    bench.batch(&[(Backend::Nft, rules)], &packets, &mut tally, |ruleset| {
        ruleset.tables[0].chains[1].rules[0].target = netpath::targets::Target::Accept;
    });
    assert!(tally.differences > 0, "a DROP taken for an ACCEPT went unnoticed");
}

/// Marks some packets, so that rules by mark have something to decide.
const MARKING: &str = "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
    -A PREROUTING -p udp -j MARK --set-mark 1\nCOMMIT\n";

#[test]
fn routes_lead_where_the_kernel_s_lead() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("routes"));
    let mut tally = Tally::default();
    while tally.comparisons < wanted(10_000) && tally.differences == 0 {
        let lab = Lab::new("o");
        let pool = Pool::new(&mut random);
        let r = lab.ns("r");
        let lines = generate_routes::routes(&mut random, &pool);
        let taken: Vec<&String> = lines.iter().filter(|line| lab.ip(&r, line).is_ok()).collect();
        let settings = generate_routes::settings(&mut random);
        let _ = lab.feed_r(&["sysctl", "-q", "-p", "-"], &settings);
        let mut bench = Bench::new(&lab);
        bench.compares_counters = false;
        let packets = distinct_packets(&mut random, &pool, PER_BATCH);
        let before = tally.differences;
        bench.batch(&[(Backend::Nft, MARKING)], &packets, &mut tally, |_| {});
        if tally.differences > before {
            println!("{taken:#?}\n{settings}");
        }
    }
    finish("routes", &tally);
}

/// Rule sets that ufw 0.36 and firewalld 1.3 (iptables backend) wrote, as iptables-save printed them.
const MANAGED: [&str; 2] = [include_str!("../data/ufw.save"), include_str!("../data/firewalld.save")];

#[test]
fn what_ufw_and_firewalld_write_decides_as_in_the_kernel() {
    if lab::must_skip() {
        return;
    }
    let mut random = Random::new(seed("managed"));
    let lab = Lab::new("w");
    let mut bench = Bench::new(&lab);
    // Their LOG rules are limited, so that how often they count is not known.
    bench.compares_counters = false;
    let mut tally = Tally::default();
    let pool = Pool::named(
        &["10.10.0.1", "10.20.0.1", "10.224.0.5", "10.244.3.4", "10.9.0.7", "10.20.0.9", "10.10.0.255"],
        &[22, 53, 67, 68, 25, 6443, 8081, 10250, 30000, 32767],
    );
    while tally.comparisons < wanted(8_000) && tally.differences == 0 {
        for text in MANAGED {
            for backend in [Backend::Nft, Backend::Legacy] {
                let mut packets = distinct_packets(&mut random, &pool, PER_BATCH);
                packets.iter_mut().enumerate().for_each(|(case, packet)| {
                    // Half of them from ports that no rule names, so that redirected connections stay apart.
                    if case % 2 == 0 || packet.destination_port() == Some(8081) {
                        set_source_port(packet, 10_000 + case as u16);
                    }
                });
                bench.batch(&[(backend, text)], &packets, &mut tally, |_| {});
            }
        }
    }
    finish("managed", &tally);
}

//! The walk against the real kernel, in network namespaces of its own.
//!
//! `DOSSIER_KERNEL_COMPARISONS` sets how many packets are compared (default: few), `DOSSIER_KERNEL_SEED` repeats a run.
#![allow(clippy::unwrap_used, missing_docs)]

mod compare;
mod frames;
mod generate;
mod lab;
mod random;

use std::collections::HashSet;

use netpath::iptables::Backend;
use netpath::packet::Packet;

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

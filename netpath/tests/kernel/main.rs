//! The walk against the real kernel, in network namespaces of its own.
//!
//! `DOSSIER_KERNEL_COMPARISONS` sets how many packets are compared, `DOSSIER_KERNEL_SEED` repeats a run,
//! `DOSSIER_KERNEL_JOB` one job of it.
#![allow(clippy::unwrap_used, missing_docs)]

mod bridged;
mod changes;
mod compare;
mod connect;
mod counters;
mod deciding;
mod expect;
mod frames;
mod generate;
mod generate_decisive;
mod generate_nat;
mod generate_native;
mod generate_packets;
mod generate_routes;
mod generate_sockets;
mod lab;
mod layers;
mod managed;
mod mutations;
mod pool;
mod random;
mod replies;
mod route_get;
mod rule_sets;
mod sockets;
mod tally;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::compare::Recording;
use crate::connect::Connections;
use crate::layers::{CYCLE, Job};
use crate::mutations::{BRIDGE_MUTATIONS, MUTATIONS, NODE_MUTATIONS};
use crate::tally::Tally;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed, printed so that a run can be repeated.
fn seed(what: &str) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = from_environment("DOSSIER_KERNEL_SEED").unwrap_or(now.as_nanos() as u64);
    println!("{what}: DOSSIER_KERNEL_SEED={seed}");
    seed
}

/// How many packets are compared, and over how many rule sets, in every run of the test command.
const COMPARISONS: u64 = 400_000;
const RULESETS: u64 = 200;
/// How many of real sockets.
const CONNECTIONS: u64 = 2_000;

/// Runs jobs side by side until enough was compared, or something differed.
fn run(seed: u64, wanted: u64) -> Tally {
    let only = from_environment("DOSSIER_KERNEL_JOB");
    let (next, all) = (AtomicU64::new(only.unwrap_or(0)), Mutex::new(Tally::default()));
    let began = Instant::now();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let mut job = Job::new(number, seed);
            job.run();
            let mut all = all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            all.add(&job.tally);
            let job_name =
                format!("job {number} {:?} {:?} after {} s", job.layer, job.family, began.elapsed().as_secs());
            job.tally.print(&job_name);
            // Every layer has its turn, and where chance let a module decide too seldom, some more jobs make up for it.
            let seldom = all.comparisons < 3 * wanted && !all.seldom().is_empty();
            let first_cycle = next.load(Ordering::Relaxed) < CYCLE.len() as u64;
            let lacking = wanted >= COMPARISONS && (first_cycle || seldom);
            if (all.comparisons >= wanted && !lacking) || all.differences > 0 || only.is_some() {
                next.fetch_add(1 << 32, Ordering::Relaxed);
            }
            if next.load(Ordering::Relaxed) >= 1 << 32 {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
        let threads: Vec<_> = (0..if only.is_some() { 1 } else { threads }).map(|_| scope.spawn(work)).collect();
        // A job that panicked stops its own thread; the others end by themselves.
        let panicked = threads.into_iter().filter_map(|thread| thread.join().err()).next();
        if let Some(panicked) = panicked {
            std::panic::resume_unwind(panicked);
        }
    });
    all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn packets_fare_as_in_the_kernel() {
    if lab::must_skip() {
        return;
    }
    let wanted = from_environment("DOSSIER_KERNEL_COMPARISONS").unwrap_or(COMPARISONS);
    let tally = run(seed("kernel"), wanted);
    tally.print("kernel");
    let seldom = tally.print_deciding();
    assert_eq!(tally.differences, 0);
    if wanted >= COMPARISONS && from_environment("DOSSIER_KERNEL_JOB").is_none() {
        assert!(tally.comparisons >= COMPARISONS && tally.rulesets >= RULESETS, "{tally:?}");
        assert!(tally.connected() >= CONNECTIONS, "{tally:?}");
        assert!(seldom.is_empty(), "these decided too seldom: {seldom:?}");
    }
}

/// A comparison that cannot fail proves nothing: every named way to be wrong must show.
#[test]
fn every_mutation_of_the_walk_is_noticed() {
    if lab::must_skip() {
        return;
    }
    // The same rule sets in every run: whether one of them can tell a mutation is a matter of chance.
    let seed = from_environment("DOSSIER_KERNEL_SEED").unwrap_or(20_261_121);
    let record = |jobs: &[u64]| -> Vec<Recording> {
        let record = |number: &u64| {
            let mut job = Job::new(*number, seed);
            job.records = true;
            job.run();
            assert_eq!(job.tally.differences, 0, "the walk differs before it is changed");
            job.recordings
        };
        jobs.iter().flat_map(record).collect()
    };
    let (rules, routes, bridge) = (record(&[0, 1, 2, 3, 6]), record(&[4, 26, 48]), record(&[20, 21]));
    let mut unnoticed = Vec::new();
    let all = [(&MUTATIONS[..], &rules), (&NODE_MUTATIONS[..], &routes), (&BRIDGE_MUTATIONS[..], &bridge)];
    for (mutations, recordings) in all {
        for mutation in mutations {
            let differences = mutation.differences(recordings);
            println!("{}: {differences} packets differ", mutation.name);
            if differences == 0 {
                unnoticed.push(mutation.name);
            }
        }
    }
    assert!(unnoticed.is_empty(), "these went unnoticed: {unnoticed:#?}");
}

/// What clients and servers with real sockets see tells the same mistakes, as far as they concern them.
#[test]
fn real_sockets_notice_mutations_too() {
    if lab::must_skip() {
        return;
    }
    // Two jobs are few: with the seed that the run's packets have, no connection of theirs tells one of the mistakes.
    let seed = 20_261_129;
    let connections: Vec<Connections> = [18, 19]
        .into_iter()
        .flat_map(|number| {
            let mut job = Job::new(number, seed);
            job.records = true;
            job.run();
            assert_eq!(job.tally.differences, 0, "the answer differs before it is changed");
            job.connections
        })
        .collect();
    let mut unnoticed = Vec::new();
    for name in mutations::SEEN_BY_SOCKETS {
        let mutation = MUTATIONS.iter().find(|mutation| mutation.name == name).unwrap();
        let differences = mutation.connections(&connections);
        println!("{name}: {differences} connections differ");
        if differences == 0 {
            unnoticed.push(name);
        }
    }
    assert!(unnoticed.is_empty(), "these went unnoticed: {unnoticed:#?}");
}

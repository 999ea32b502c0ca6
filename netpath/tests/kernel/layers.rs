//! The layers of the comparison: each makes rule sets of one kind, and packets that they can tell apart.

use netpath::address::Family;
use netpath::iptables::Backend;

use crate::compare::{Bench, Recording};
use crate::connect::{Connections, SocketBench};
use crate::frames::{Probe, Side};
use crate::generate;
use crate::generate_packets::distinct;
use crate::lab::Lab;
use crate::pool::Pool;
use crate::random::Random;
use crate::tally::Tally;
use crate::{bridged, generate_decisive, generate_nat, generate_native, generate_routes, managed};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Random rules of raw, mangle, filter and security.
    Filter,
    /// Rules of which one module or target decides.
    Decisive,
    /// Translations, in kube-proxy's shape and in others.
    Nat,
    /// Random routes, routing rules and settings.
    Routes,
    /// Native nft tables.
    Native,
    /// What ufw, firewalld and others wrote.
    Managed,
    /// Real connections, and what client and server see of them.
    Sockets,
    /// Random rules of the router's as a bridge.
    Bridged,
}

/// Which layers a run takes, one after the other, again and again.
pub const CYCLE: [(Layer, Family); 22] = [
    (Layer::Filter, Family::V4),
    (Layer::Filter, Family::V6),
    (Layer::Nat, Family::V4),
    (Layer::Nat, Family::V6),
    (Layer::Routes, Family::V4),
    (Layer::Routes, Family::V6),
    (Layer::Decisive, Family::V4),
    (Layer::Decisive, Family::V6),
    (Layer::Native, Family::V4),
    (Layer::Native, Family::V6),
    (Layer::Managed, Family::V4),
    (Layer::Nat, Family::V4),
    (Layer::Nat, Family::V6),
    (Layer::Nat, Family::V4),
    (Layer::Decisive, Family::V6),
    (Layer::Decisive, Family::V4),
    (Layer::Filter, Family::V4),
    (Layer::Filter, Family::V6),
    (Layer::Sockets, Family::V4),
    (Layer::Sockets, Family::V6),
    (Layer::Bridged, Family::V4),
    (Layer::Bridged, Family::V6),
];

/// One job: some batches in a lab of their own. Its number and the run's seed alone decide what it does, so that jobs can
/// run side by side and one of them can be repeated.
pub struct Job {
    pub number: u64,
    pub layer: Layer,
    pub family: Family,
    pub random: Random,
    pub tally: Tally,
    /// Whether what was sent and seen is kept.
    pub records: bool,
    pub recordings: Vec<Recording>,
    pub connections: Vec<Connections>,
}

const PER_BATCH: usize = 1500;
const BATCHES: usize = 8;
const SOCKET_BATCHES: usize = 12;

const EVERYWHERE: [Side; 5] = [Side::S, Side::S, Side::S, Side::D, Side::Node];
const OUTSIDE: [Side; 4] = [Side::S, Side::S, Side::S, Side::D];

impl Job {
    pub fn new(number: u64, seed: u64) -> Self {
        let (layer, family) = CYCLE[(number % CYCLE.len() as u64) as usize];
        // Twice through the mixer, so that no job's sequence is a later part of another's.
        let own = Random::new(seed).next() ^ Random::new(number).next();
        let random = Random::new(Random::new(own).next());
        Self {
            number,
            layer,
            family,
            random,
            tally: Tally::default(),
            records: false,
            recordings: Vec::new(),
            connections: Vec::new(),
        }
    }

    pub fn run(&mut self) {
        // A lab of its own for each pool: sets that rules have named cannot always be replaced.
        let name = format!("j{}", self.number);
        let lab = if self.layer == Layer::Sockets { Lab::talking(&name) } else { Lab::new(&name) };
        match self.layer {
            Layer::Filter => self.filter(&lab),
            Layer::Decisive => self.decisive(&lab),
            Layer::Nat => self.nat(&lab),
            Layer::Routes => self.routes(&lab),
            Layer::Native => self.native(&lab),
            Layer::Managed => self.managed(&lab),
            Layer::Sockets => self.sockets(&lab),
            Layer::Bridged => self.bridged(&lab),
        }
        if self.tally.differences > 0 {
            println!("job {} ({:?}, {:?}) differs", self.number, self.layer, self.family);
        }
    }

    fn bench<'a>(&self, lab: &'a Lab) -> Bench<'a> {
        let mut bench = Bench::new(lab, self.family);
        bench.recordings = self.records.then(Vec::new);
        bench
    }

    fn keep(&mut self, bench: Bench<'_>) {
        self.recordings.extend(bench.recordings.unwrap_or_default());
    }

    fn filter(&mut self, lab: &Lab) {
        let mut bench = self.bench(lab);
        let pool = Pool::new(&mut self.random, self.family);
        bench.load_sets(&pool.sets(&mut self.random));
        bench.asked_share = 8;
        for batch in 0..BATCHES {
            let backend = [Backend::Nft, Backend::Legacy][batch % 2];
            let rules = generate::filter_rules(&mut self.random, &pool, 40);
            let probes = distinct(&mut self.random, &pool, PER_BATCH, &EVERYWHERE);
            bench.batch(&[(backend, &rules)], &probes, &mut self.tally);
            if self.tally.differences > 0 {
                break;
            }
        }
        self.keep(bench);
    }

    fn bridged(&mut self, lab: &Lab) {
        bridged::bridge(lab).unwrap();
        let pool = Pool::new(&mut self.random, self.family);
        for batch in 0..BATCHES {
            let settings = bridged::settings(&mut self.random);
            lab.feed_r(&["sysctl", "-q", "-p", "-"], &settings).unwrap();
            let mut bench = self.bench(lab);
            if batch == 0 {
                bench.load_sets(&pool.sets(&mut self.random));
            } else {
                bench.read_sets();
            }
            let backend = [Backend::Nft, Backend::Legacy][batch % 2];
            let rules = generate::filter_rules(&mut self.random, &pool, 40);
            let rules = bridged::rules(&mut self.random, &rules);
            let probes = distinct(&mut self.random, &pool, PER_BATCH, &OUTSIDE);
            bench.batch(&[(backend, &rules)], &probes, &mut self.tally);
            self.keep(bench);
            if self.tally.differences > 0 {
                println!("{settings}");
                break;
            }
        }
    }

    fn decisive(&mut self, lab: &Lab) {
        let mut bench = self.bench(lab);
        bench.asked_share = 1;
        let pool = Pool::new(&mut self.random, self.family);
        bench.load_sets(&pool.sets(&mut self.random));
        for batch in 0..2 * generate_decisive::COUNT {
            let backend = [Backend::Nft, Backend::Legacy][batch % 2];
            let (rules, kind) = generate_decisive::rules(&mut self.random, &pool, batch / 2);
            let sides = if kind.sent_by_node { &[Side::Node][..] } else { &EVERYWHERE };
            let count = if kind.protocol.is_some() { PER_BATCH * 4 } else { PER_BATCH };
            let mut probes = distinct(&mut self.random, &pool, count, sides);
            probes.retain(|probe| kind.protocol.is_none_or(|wanted| wanted.contains(&probe.packet.protocol)));
            bench.batch(&[(backend, &rules)], &probes, &mut self.tally);
            if self.tally.differences > 0 {
                break;
            }
        }
        self.keep(bench);
    }

    fn nat(&mut self, lab: &Lab) {
        let mut bench = self.bench(lab);
        bench.asked_share = 1;
        for batch in 0..BATCHES {
            let backend = [Backend::Nft, Backend::Legacy][batch % 2];
            let rules = generate_nat::rules(&mut self.random, self.family);
            let packet = |case| generate_nat::packet(&mut self.random, case, self.family);
            let probes: Vec<Probe> = (0..PER_BATCH).map(packet).collect();
            bench.batch(&[(backend, &rules)], &probes, &mut self.tally);
            if self.tally.differences > 0 {
                break;
            }
        }
        self.keep(bench);
    }

    fn routes(&mut self, lab: &Lab) {
        let r = lab.ns("r");
        let pool = Pool::new(&mut self.random, self.family);
        for _ in 0..BATCHES / 2 {
            // Routes are not taken back: a lab may have many.
            let lines = generate_routes::routes(&mut self.random, &pool);
            let taken: Vec<&String> = lines.iter().filter(|line| lab.ip(&r, line).is_ok()).collect();
            let settings = generate_routes::settings(&mut self.random);
            let _ = lab.feed_r(&["sysctl", "-q", "-p", "-"], &settings);
            let mut bench = Bench::anywhere(lab, self.family);
            bench.recordings = self.records.then(Vec::new);
            bench.compares_counters = false;
            bench.follows = false;
            let probes = distinct(&mut self.random, &pool, PER_BATCH, &OUTSIDE);
            bench.batch(&[(Backend::Nft, generate_routes::MARKING)], &probes, &mut self.tally);
            crate::route_get::compare(&bench, &mut self.random, &probes, &mut self.tally);
            self.keep(bench);
            if self.tally.differences > 0 {
                println!("{taken:#?}\n{settings}");
                break;
            }
        }
    }

    fn native(&mut self, lab: &Lab) {
        let mut bench = self.bench(lab);
        // Chains that the walk does not tell about cannot be counted.
        bench.compares_counters = false;
        for text in managed::NATIVE {
            let probes = managed::probes(&mut self.random, self.family, PER_BATCH, text);
            bench.native_batch(text, &probes, &mut self.tally);
        }
        for _ in 0..BATCHES / 2 {
            let pool = Pool::new(&mut self.random, self.family);
            let text = generate_native::rules(&mut self.random, &pool);
            let probes = distinct(&mut self.random, &pool, PER_BATCH, &OUTSIDE);
            bench.native_batch(&text, &probes, &mut self.tally);
            if self.tally.differences > 0 {
                break;
            }
        }
        self.keep(bench);
    }

    fn managed(&mut self, lab: &Lab) {
        for (family, rules) in [(Family::V4, &managed::SAVED_V4[..]), (Family::V6, &managed::SAVED_V6[..])] {
            self.family = family;
            let mut bench = self.bench(lab);
            // Their LOG rules are limited, so that how often they count is not known.
            bench.compares_counters = false;
            for text in rules {
                for backend in [Backend::Nft, Backend::Legacy] {
                    let probes = managed::probes(&mut self.random, family, PER_BATCH, text);
                    bench.batch(&[(backend, text)], &probes, &mut self.tally);
                }
            }
            self.keep(bench);
        }
    }

    fn sockets(&mut self, lab: &Lab) {
        let mut bench = SocketBench::new(lab, self.family);
        bench.kept = self.records.then(Vec::new);
        // What is judged again and again is less.
        for batch in 0..if self.records { SOCKET_BATCHES / 2 } else { SOCKET_BATCHES } {
            bench.batch([Backend::Nft, Backend::Legacy][batch % 2], &mut self.random, &mut self.tally);
            if self.tally.differences > 0 {
                break;
            }
        }
        self.connections.extend(bench.kept.unwrap_or_default());
    }
}

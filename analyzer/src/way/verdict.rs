//! From all courses of a packet to one answer, and the change that turns it, tried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use netpath::address::Family;
use netpath::answer::{self as walked, ClientSees};
use netpath::packet::Packet;
use netpath::source::Cited;
use netpath::walk::{Entry, Verdict as Fate};

use super::answer::{
    Change, Deciding, Delivered, Delivery, Direction, Fix, Line, PathAnswer, Question, Sees, Step, Verdict,
};
use super::flight::{Flight, Leg};
use super::journey::Journey;
use super::question::Asked;
use super::world::World;

/// More changes than this are not a remedy.
const MOST_ROUNDS: usize = 4;

/// Walks everything that was asked and answers.
pub fn answer(world: &World<'_>, asked: &Asked) -> PathAnswer {
    walk(world, asked, true)
}

/// The same without the steps.
pub fn brief(world: &World<'_>, asked: &Asked) -> PathAnswer {
    walk(world, asked, false)
}

fn walk(world: &World<'_>, asked: &Asked, with_steps: bool) -> PathAnswer {
    let flights = flights(world, asked);
    let telling = telling(&flights);
    let family = asked.packets.first().map_or(Family::V4, |departure| departure.packet.family());
    let (verdict, reject) = verdict(&flights, family);
    let sees = sees(&flights);
    let mut answer = PathAnswer {
        question: question(asked),
        verdict,
        reject,
        client_sees: sees,
        detail: detail(&flights, telling, sees),
        deciding: telling.and_then(|flight| deciding(world, flight)),
        delivered: delivered(&flights, asked),
        unknowns: unknowns(&flights, verdict, sees),
        takes_for_granted: taken_for_granted(&flights),
        fix: None,
        steps: telling.filter(|_| with_steps).map(|flight| steps(world, flight)).unwrap_or_default(),
    };
    if sees != Sees::Connected {
        answer.fix = fix(world, asked, flights);
    }
    answer
}

fn flights(world: &World<'_>, asked: &Asked) -> Vec<Flight> {
    let share = 1.0 / asked.packets.len().max(1) as f64;
    let mut all = Vec::new();
    for departure in &asked.packets {
        let journey = Journey {
            world,
            packet: departure.packet.clone(),
            start: departure.start.clone(),
            one_node: asked.one_node,
        };
        all.extend(journey.flights().into_iter().map(|mut flight| {
            flight.trail.probability *= share;
            flight
        }));
    }
    all
}

fn question(asked: &Asked) -> Question {
    let first = asked.packets.first();
    let interface = first.filter(|_| asked.one_node).and_then(|departure| match &departure.start.entry {
        Entry::Interface(name) | Entry::Bridged { input: name, .. } => Some(name.to_string()),
        Entry::Local => None,
    });
    Question {
        from: asked.question.from.to_string(),
        to: asked.question.to.to_string(),
        protocol: asked.protocol.clone(),
        via: first.filter(|_| asked.one_node).map(|departure| format!("node/{}", departure.start.node)),
        interface,
    }
}

/// The course that the answer tells about: one that fails whatever the unknowns are, else one that fails, else the first.
fn telling(flights: &[Flight]) -> Option<&Flight> {
    let fails = |flight: &&Flight| !flight.is_connected();
    let certain = |flight: &&Flight| is_free(flight);
    let by_rule = |flight: &&Flight| flight.stopped_by_leg || flight.cited.is_some();
    let find = |test: &dyn Fn(&&Flight) -> bool| flights.iter().find(test);
    find(&|flight| fails(flight) && certain(flight))
        .or_else(|| find(&|flight| fails(flight) && by_rule(flight) && flight.sees != ClientSees::Depends))
        // Of those that nobody can tell, the one that came farthest.
        .or_else(|| flights.iter().filter(|flight| fails(flight)).max_by_key(|flight| flight.trail.legs.len()))
        .or_else(|| flights.first())
}

fn is_doubtful(flights: &[Flight]) -> bool {
    flights.iter().any(|flight| !flight.trail.doubts.is_empty())
}

fn verdict(flights: &[Flight], family: Family) -> (Verdict, Option<String>) {
    let first = flights.first().map(|flight| flight.verdict);
    let same = flights.iter().all(|flight| Some(flight.verdict) == first);
    match first {
        Some(fate) if same && !is_doubtful(flights) => match fate {
            Fate::Accept => (Verdict::Accept, None),
            Fate::Drop => (Verdict::Drop, None),
            Fate::Reject(kind) => (Verdict::Reject, Some(kind.word(family).to_owned())),
        },
        _ => (Verdict::Depends, None),
    }
}

fn sees(flights: &[Flight]) -> Sees {
    let first = flights.first().map(|flight| flight.sees);
    let same = flights.iter().all(|flight| Some(flight.sees) == first);
    match first {
        Some(sees) if same && !is_doubtful(flights) => seen(sees),
        _ => Sees::Depends,
    }
}

fn seen(sees: ClientSees) -> Sees {
    match sees {
        ClientSees::Connected => Sees::Connected,
        ClientSees::Timeout => Sees::Timeout,
        ClientSees::Refused => Sees::Refused,
        ClientSees::Unreachable => Sees::Unreachable,
        ClientSees::Depends => Sees::Depends,
    }
}

/// Whether only chance makes courses differ.
fn is_by_chance(flights: &[Flight]) -> bool {
    flights.iter().all(is_free) && flights.iter().any(|flight| flight.trail.probability < 1.0)
}

/// `1 of 3 endpoints fails`, and of how many more that is not known.
fn endpoints(flights: &[Flight]) -> String {
    let certain = |flight: &&Flight| !flight.is_connected() && flight.sees != ClientSees::Depends && is_free(flight);
    let names = |all: Vec<&Flight>| all.into_iter().map(Flight::destination).collect::<BTreeSet<String>>();
    let all = names(flights.iter().collect());
    let bad = names(flights.iter().filter(certain).collect());
    let open: BTreeSet<String> = names(flights.iter().filter(|flight| !flight.is_connected()).collect());
    let open: Vec<&str> = open.difference(&bad).map(String::as_str).collect();
    let verb = if bad.len() == 1 { "fails" } else { "fail" };
    let bad_names: Vec<&str> = bad.iter().map(String::as_str).collect();
    let mut text = format!("{} of {} endpoints {verb}", bad.len(), all.len());
    if !bad.is_empty() {
        text += &format!(" ({})", bad_names.join(", "));
    }
    if !open.is_empty() {
        text += &format!("; of {} that is not known ({})", open.len(), open.join(", "));
    }
    text
}

/// Whether nothing was assumed.
fn is_free(flight: &Flight) -> bool {
    flight.trail.assumptions.is_empty() && flight.trail.doubts.is_empty()
}

fn detail(flights: &[Flight], telling: Option<&Flight>, sees: Sees) -> String {
    let Some(telling) = telling else { return String::new() };
    match sees {
        Sees::Depends if is_by_chance(flights) => format!("{}: {}", endpoints(flights), telling.why),
        Sees::Depends => {
            let on = first_unknown(flights).unwrap_or_else(|| telling.why.clone());
            let certain = !telling.is_connected() && telling.sees != ClientSees::Depends && is_free(telling);
            match certain {
                true => format!("{}: {}; the rest depends on what is not known: {on}", endpoints(flights), telling.why),
                false => format!("that depends on what is not known: {on}"),
            }
        }
        Sees::Unreachable if telling.stopped_by_leg => match telling.verdict {
            Fate::Drop => format!("{}; the sending process gets an error at once", telling.why),
            _ => format!("{}: an ICMP error, or the error at once on the host itself", telling.why),
        },
        Sees::Timeout if matches!(telling.verdict, Fate::Reject(_)) => {
            format!("{}, but the refusal does not get out, so the client waits", telling.why)
        }
        _ => telling.why.clone(),
    }
}

fn first_unknown(flights: &[Flight]) -> Option<String> {
    let doubts = flights.iter().flat_map(|flight| &flight.trail.doubts);
    doubts.chain(flights.iter().flat_map(|flight| &flight.trail.assumptions)).next().cloned()
}

fn unknowns(flights: &[Flight], verdict: Verdict, sees: Sees) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |what: &String| {
        if !all.contains(what) {
            all.push(what.clone());
        }
    };
    flights.iter().flat_map(|flight| &flight.trail.doubts).for_each(&mut add);
    if verdict == Verdict::Depends || sees == Sees::Depends {
        flights.iter().flat_map(|flight| &flight.trail.assumptions).for_each(&mut add);
        let chance = flights.iter().any(|flight| flight.trail.probability < 1.0);
        if chance && flights.iter().any(|flight| !flight.is_connected()) {
            add(&format!("chance: {}", endpoints(flights)));
        }
    }
    all
}

/// The networks that carried what arrives and its answer.
fn taken_for_granted(flights: &[Flight]) -> Vec<String> {
    let wires = flights.iter().filter(|flight| flight.is_connected()).flat_map(|flight| &flight.trail.wires);
    let words = wires.map(|wire| format!("the network between {} and {} carries {}", wire.from, wire.to, wire.what));
    words.collect::<BTreeSet<String>>().into_iter().collect()
}

fn delivered(flights: &[Flight], asked: &Asked) -> Option<Delivered> {
    let with_port = asked.question.from.port.is_some();
    let mut all: Vec<Delivery> = Vec::new();
    for flight in flights.iter().filter(|flight| flight.verdict == Fate::Accept) {
        let Some(arrival) = &flight.arrival else { continue };
        let packet = &arrival.packet;
        let from_seen = if with_port { packet.source_text() } else { packet.source.to_string() };
        let delivery = Delivery {
            to: packet.destination_text(),
            from_seen,
            who: arrival.who.clone(),
            interface: arrival.interface.clone(),
            probability: flight.trail.probability,
        };
        match all.iter_mut().find(|known| known.to == delivery.to && known.from_seen == delivery.from_seen) {
            // Courses that differ in an assumption alone are no further chance.
            Some(known) if is_by_chance(flights) => {
                known.probability = (known.probability + delivery.probability).min(1.0)
            }
            Some(_) => {}
            None => all.push(delivery),
        }
    }
    match all.len() {
        0 => None,
        1 => all.pop().map(Delivered::One),
        _ => Some(Delivered::Several(all)),
    }
}

fn line(cited: &Cited) -> Line {
    Line { file: cited.origin.file.to_string(), line: cited.origin.line, text: cited.text.clone() }
}

fn decides(cited: &Cited, direction: Direction, node: Option<&Arc<str>>) -> Deciding {
    Deciding {
        file: cited.origin.file.to_string(),
        line: cited.origin.line,
        text: cited.text.clone(),
        direction,
        node: node.map(|node| node.to_string()),
        pointer: cited.origin.pointer.as_deref().map(str::to_owned),
        packets: None,
        shadows: None,
        enforced_by: None,
    }
}

/// The line that ended a course, or for one that arrives the last line that accepted the packet.
fn deciding(world: &World<'_>, flight: &Flight) -> Option<Deciding> {
    let last_node = flight.trail.legs.last().map(|leg| &leg.node).filter(|_| flight.closed.is_none());
    if let Some((cited, direction)) = &flight.cited {
        let rule = enforcing_rule(world, flight);
        let packets = rule.as_ref().and_then(|rule| rule.packets);
        let enforced_by = rule.map(|rule| line(&rule.cited));
        return Some(Deciding { packets, enforced_by, ..decides(cited, *direction, last_node) });
    }
    let forward = |leg: &&Leg| leg.direction == Direction::Forward && leg.outer.is_none();
    let leg = match flight.stopped_by_leg {
        true => flight.trail.legs.last()?,
        false => flight.trail.legs.iter().rev().find(forward)?,
    };
    let node = world.node(&leg.node)?;
    let direction = match leg.direction {
        Direction::Forward => walked::Direction::Forward,
        Direction::Reply => walked::Direction::Reply,
    };
    // An answer that arrives and is not recognized was stopped by no rule; what the kernel did with it tells why.
    if flight.stopped_by_leg && leg.outcome.verdict == Fate::Accept {
        let steps = walked::steps(node, &leg.outcome);
        let by_kernel = steps.iter().rev().filter(|step| step.hook.is_none()).find_map(|step| step.cited.as_ref());
        return by_kernel.map(|cited| decides(cited, leg.direction, Some(&leg.node)));
    }
    let found = walked::deciding(node, &leg.outcome, direction)?;
    let stops = flight.stopped_by_leg && leg.direction == Direction::Forward;
    let shadows = if stops { walked::shadowed(node, &leg.packet, &leg.entry) } else { None };
    Some(Deciding {
        packets: found.packets,
        shadows: shadows.as_ref().map(line),
        ..decides(&found.cited, leg.direction, Some(&leg.node))
    })
}

/// The rule on a node that carried out the policy which closed the way.
fn enforcing_rule(world: &World<'_>, flight: &Flight) -> Option<walked::Deciding> {
    let leg = flight.trail.legs.last().filter(|_| flight.stopped_by_leg && flight.closed.is_some())?;
    walked::deciding(world.node(&leg.node)?, &leg.outcome, walked::Direction::Forward)
}

/// A packet as it entered somewhere.
fn packet_text(packet: &Packet) -> String {
    let protocol = netpath::protocol::name(packet.protocol);
    format!("{protocol} {} to {}", packet.source_text(), packet.destination_text())
}

fn steps(world: &World<'_>, flight: &Flight) -> Vec<Step> {
    let mut all = Vec::new();
    let (trail, end) = (&flight.trail, flight.trail.legs.len());
    for at in 0..=end {
        let remarks = trail.remarks.iter().filter(|remark| remark.after == at);
        all.extend(remarks.map(|remark| remark_step(remark, &packet_behind(flight, at))));
        if let Some(leg) = trail.legs.get(at) {
            all.extend(leg_steps(world, leg));
        }
    }
    all
}

/// The packet as it is behind so many legs.
fn packet_behind(flight: &Flight, legs: usize) -> String {
    let own = |leg: &&Leg| leg.outer.is_none();
    let before = flight.trail.legs.iter().take(legs).rev().find(own).map(|leg| &leg.outcome.skb.packet);
    before.or_else(|| flight.trail.legs.first().map(|leg| &leg.packet)).map(packet_text).unwrap_or_default()
}

fn leg_steps(world: &World<'_>, leg: &Leg) -> Vec<Step> {
    let Some(node) = world.node(&leg.node) else { return Vec::new() };
    let place = match &leg.outer {
        Some(overlay) => format!("node/{} {overlay}", leg.node),
        None => format!("node/{}", leg.node),
    };
    let step = |step: walked::Step| Step {
        direction: leg.direction,
        at: place.clone(),
        packet: packet_text(&leg.packet),
        hook: step.hook.map(|hook| hook.chain_name().to_owned()),
        table: step.table,
        chain: step.chain,
        file: step.cited.as_ref().map(|cited| cited.origin.file.to_string()),
        line: step.cited.as_ref().map(|cited| cited.origin.line),
        text: step.cited.map(|cited| cited.text),
        effect: step.effect,
        because: step.because,
    };
    walked::steps(node, &leg.outcome).into_iter().map(step).collect()
}

fn remark_step(remark: &super::flight::Remark, packet: &str) -> Step {
    Step {
        direction: remark.direction,
        at: remark.at.clone(),
        packet: packet.to_owned(),
        hook: None,
        table: None,
        chain: None,
        file: remark.cited.as_ref().map(|cited| cited.origin.file.to_string()),
        line: remark.cited.as_ref().map(|cited| cited.origin.line),
        text: remark.cited.as_ref().map(|cited| cited.text.clone()),
        effect: remark.effect.clone(),
        because: Vec::new(),
    }
}

/// Changes what stops the packet, node after node, and walks the whole way again.
fn fix(world: &World<'_>, asked: &Asked, flights: Vec<Flight>) -> Option<Fix> {
    let mut fix = Fix { changes: Vec::new(), verified: false };
    let mut world = world.with_nothing();
    let mut flights = flights;
    for _ in 0..MOST_ROUNDS {
        let Some((changes, changed)) = opening(&world, &flights).or_else(|| repair(&world, &flights)) else { break };
        let before = fix.changes.len();
        for change in changes {
            if !fix.changes.contains(&change) {
                fix.changes.push(change);
            }
        }
        let Some(changed) = changed.filter(|_| fix.changes.len() > before) else { break };
        world = changed;
        flights = self::flights(&world, asked);
        if sees(&flights) == Sees::Connected {
            fix.verified = true;
            break;
        }
    }
    (!fix.changes.is_empty()).then_some(fix)
}

/// Changes, and the world with them; none where judging again did not show that they help.
type Changed<'a> = (Vec<Change>, Option<World<'a>>);

/// The change of the policy or security group that stops the telling course.
fn opening<'a>(world: &World<'a>, flights: &[Flight]) -> Option<Changed<'a>> {
    let flight = telling(flights)?;
    let gate = flight.closed.as_ref()?;
    let change = |(command, answers): &(String, Option<Cited>)| Change {
        at: gate.place.to_owned(),
        owner: gate.owner.to_owned(),
        command: command.clone(),
        answers: answers.as_ref().map(line),
    };
    let changes: Vec<Change> = gate.changes.iter().map(change).collect();
    let opened = || {
        let opened = world.opening(&gate.key);
        let Some(leg) = flight.trail.legs.last().filter(|_| flight.stopped_by_leg) else { return Some(opened) };
        // What carries out the policy on the node changes with it.
        let node = walked::without_refusals_by_policy(world.node(&leg.node)?, &leg.packet, &leg.entry);
        Some(opened.with(&leg.node, node))
    };
    (!changes.is_empty()).then(|| (changes, gate.verified.then(opened).flatten()))
}

/// The change on the node that stops the telling course.
fn repair<'a>(world: &World<'a>, flights: &[Flight]) -> Option<Changed<'a>> {
    let flight = telling(flights).filter(|flight| flight.stopped_by_leg)?;
    let last = flight.trail.legs.last()?;
    // The answer's way is repaired together with the packet's own through the same node. What carries the answer through
    // an overlay is no answer itself.
    let leg = match last.direction {
        Direction::Reply if last.outer.is_none() => {
            let own = |leg: &&Leg| leg.node == last.node && leg.direction == Direction::Forward && leg.outer.is_none();
            flight.trail.legs.iter().find(own).unwrap_or(last)
        }
        _ => last,
    };
    let (fix, changed) = walked::repair(world.node(&leg.node)?, &leg.packet, &leg.entry)?;
    let change = |change: walked::Change| Change {
        at: format!("node/{}", leg.node),
        owner: owner_name(change.owner),
        command: change.command,
        answers: change.answers.as_ref().map(line),
    };
    Some((fix.changes.into_iter().map(change).collect(), Some(world.with(&leg.node, changed))))
}

fn owner_name(owner: walked::Owner) -> String {
    serde_json::to_value(owner).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

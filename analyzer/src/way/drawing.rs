//! An answer for people: the way drawn hop by hop, and what follows from it.

use std::fmt::Write;

use super::answer::{Delivered, Delivery, Direction, Line, PathAnswer, Sees, Step, Verdict};
use super::battery::{Battery, Check};
use crate::report::visible;

/// Draws an answer. With `all` every step is shown, else only those that did something to the packet.
pub fn draw(answer: &PathAnswer, all: bool) -> String {
    let mut out = String::new();
    let asked = &answer.question;
    let way = asked.via.as_ref().map(|node| match &asked.interface {
        Some(interface) => format!(", through {node} by {interface}"),
        None => format!(", through {node}"),
    });
    line(&mut out, &format!("{} to {}, {}{}", asked.from, asked.to, asked.protocol, way.unwrap_or_default()));
    out.push('\n');
    line(&mut out, &format!("{}: {}", headline(answer), answer.detail));
    if let Some(deciding) = &answer.deciding {
        let whose = if deciding.direction == Direction::Reply { "the answer" } else { "the packet" };
        let word = if answer.client_sees == Sees::Connected { "let pass by" } else { "decided by" };
        line(&mut out, &format!("  {whose} is {word} {}:{}", deciding.file, deciding.line));
        line(&mut out, &format!("    {}", deciding.text));
        if let Some(rule) = &deciding.enforced_by {
            line(&mut out, &format!("  which this rule carries out: {}", place(rule)));
            line(&mut out, &format!("    {}", rule.text));
        }
        if let Some(packets) = deciding.packets {
            line(&mut out, &format!("    it has counted {packets} packets"));
        }
        if let Some(shadowed) = &deciding.shadows {
            line(&mut out, &format!("  so this ACCEPT is never reached: {}", place(shadowed)));
            line(&mut out, &format!("    {}", shadowed.text));
        }
    }
    draw_fix(&mut out, answer);
    for unknown in &answer.unknowns {
        line(&mut out, &format!("  not known: {unknown}"));
    }
    for granted in &answer.takes_for_granted {
        line(&mut out, &format!("  taken for granted, since the bundle does not hold it: {granted}"));
    }
    draw_steps(&mut out, &answer.steps, all);
    draw_delivered(&mut out, answer);
    out
}

/// The verdict and what the client sees, in words.
pub fn headline(answer: &PathAnswer) -> String {
    let verdict = match (answer.verdict, &answer.reject) {
        (Verdict::Accept, _) => "ACCEPT".to_owned(),
        (Verdict::Drop, _) => "DROP".to_owned(),
        (Verdict::Reject, Some(kind)) => format!("REJECT ({kind})"),
        (Verdict::Reject, None) => "REJECT".to_owned(),
        (Verdict::Depends, _) => "DEPENDS".to_owned(),
    };
    let granted = match answer.client_sees == Sees::Connected && !answer.takes_for_granted.is_empty() {
        true => ", if the network between nodes carries it",
        false => "",
    };
    format!("{verdict}, the client sees {}{granted}", sees(answer.client_sees))
}

/// What the client sees, in a word or two.
pub fn sees(sees: Sees) -> &'static str {
    match sees {
        Sees::Connected => "a connection",
        Sees::Timeout => "a timeout",
        Sees::Refused => "`connection refused`",
        Sees::Unreachable => "`unreachable`",
        Sees::Depends => "what is not known",
    }
}

/// The battery as a table: failing checks first and in full, then what passes, a line for each purpose.
pub fn table(battery: &Battery) -> String {
    let mut out = String::new();
    let (passed, others): (Vec<&Check>, Vec<&Check>) =
        battery.checks.iter().partition(|check| check.client_sees == Sees::Connected);
    let total = battery.checks.len();
    line(&mut out, &format!("{total} packets walked: {} pass, {} do not or depend", passed.len(), others.len()));
    out.push('\n');
    for check in others {
        draw_check(&mut out, check);
    }
    let mut purposes: Vec<(&str, usize)> = Vec::new();
    for check in passed {
        match purposes.last_mut() {
            Some((purpose, count)) if *purpose == check.purpose => *count += 1,
            _ => purposes.push((&check.purpose, 1)),
        }
    }
    for (purpose, count) in purposes {
        line(&mut out, &format!("{:<11} {purpose} ({count})", "passes"));
    }
    for what in &battery.not_walked {
        line(&mut out, &format!("{:<11} {what}", "not walked"));
    }
    line(&mut out, &format!("{:<11} the networks between nodes: the bundle does not hold them", "not walked"));
    out
}

fn draw_check(out: &mut String, check: &Check) {
    let word = match check.client_sees {
        Sees::Connected => "passes",
        Sees::Timeout => "timeout",
        Sees::Refused => "refused",
        Sees::Unreachable => "unreachable",
        Sees::Depends => "depends",
    };
    let others = match check.stands_for {
        0 | 1 => String::new(),
        count => format!(" and {} more like it", count - 1),
    };
    line(out, &format!("{word:<11} {}: {}{others} to {}, {}", check.purpose, check.from, check.to, check.protocol));
    line(out, &format!("            {}", check.detail));
    if let Some(deciding) =
        check.deciding.as_ref().filter(|_| check.verdict != Verdict::Accept || !check.unknowns.is_empty())
    {
        line(out, &format!("            {}   [{}:{}]", deciding.text, deciding.file, deciding.line));
    }
    for change in check.fix.iter().flat_map(|fix| &fix.changes) {
        line(out, &format!("            on {}: {}", change.at, change.command));
    }
}

fn draw_fix(out: &mut String, answer: &PathAnswer) {
    let Some(fix) = &answer.fix else { return };
    let proof = match fix.verified {
        true => "walked again with it: connected",
        false => "walked again with it: not proven to connect",
    };
    line(out, &format!("  to let it pass ({proof}):"));
    for change in &fix.changes {
        let owner = if change.owner == "unknown" { String::new() } else { format!(" ({})", change.owner) };
        line(out, &format!("    on {}{owner}: {}", change.at, change.command));
    }
}

/// What happens at one place to one packet.
fn draw_steps(out: &mut String, steps: &[Step], all: bool) {
    let mut place: Option<(&str, &str, Direction)> = None;
    for step in steps {
        let here = (step.at.as_str(), step.packet.as_str(), step.direction);
        if place != Some(here) {
            if place.is_none_or(|(_, _, direction)| direction != step.direction) {
                let title = if step.direction == Direction::Forward { "The packet" } else { "The answer" };
                out.push('\n');
                line(out, title);
            }
            line(out, &format!("  {}: {}", step.at, step.packet));
            place = Some(here);
        }
        if all || tells(step) {
            draw_step(out, step);
        }
    }
}

/// Whether a step does something that people want to see: not jumps, and not policies and rules that only count.
fn tells(step: &Step) -> bool {
    !matches!(step.effect.as_str(), "goes on in the chain it names" | "RETURN" | "counts only" | "policy ACCEPT")
}

fn draw_step(out: &mut String, step: &Step) {
    let hook = match (&step.hook, &step.table, &step.chain) {
        (Some(hook), Some(table), Some(chain)) if chain == hook => format!("{hook} {table}"),
        (Some(hook), Some(table), Some(chain)) => format!("{hook} {table} {chain}"),
        _ => String::new(),
    };
    let text = if hook.is_empty() { step.effect.clone() } else { format!("{hook}: {}", step.effect) };
    line(out, &format!("    | {text}"));
    if let (Some(file), Some(number), Some(text), false) = (&step.file, step.line, &step.text, hook.is_empty()) {
        line(out, &format!("    |   {text}   [{}:{number}]", file.rsplit('/').next().unwrap_or(file)));
    }
}

fn draw_delivered(out: &mut String, answer: &PathAnswer) {
    let all: Vec<&Delivery> = match &answer.delivered {
        None => return,
        Some(Delivered::One(one)) => vec![one],
        Some(Delivered::Several(several)) => several.iter().collect(),
    };
    out.push('\n');
    for delivery in all {
        let who = delivery.who.as_ref().map_or(String::new(), |who| format!(" ({who})"));
        let way = delivery.interface.as_ref().map_or(String::new(), |interface| format!(", by {interface}"));
        let chance = match delivery.probability {
            probability if probability < 0.995 => format!(", {:.0} of 100 times", probability * 100.0),
            _ => String::new(),
        };
        line(out, &format!("Arrives at {}{who}, from {}{way}{chance}", delivery.to, delivery.from_seen));
    }
}

fn place(line: &Line) -> String {
    format!("{}:{}", line.file, line.line)
}

/// Texts of a bundle may hold anything; each line is shown as one line.
fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{}", visible(text).replace('\n', " "));
}

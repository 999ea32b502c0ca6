//! The steps of a path, for people and for machines.

use serde::Serialize;

use crate::answer::deciding::{native_of, table_of};
use crate::iptables::Rule;
use crate::node::Node;
use crate::source::Cited;
use crate::walk::{ChainRef, Effect, Event, Hook, Verdict};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The hook, for rules and policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// The table, for rules and policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The chain, for rules and policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The line.
    #[serde(flatten)]
    pub cited: Option<Cited>,
    /// What it did to the packet.
    pub effect: String,
    /// The tests that held, in the rule's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

pub(super) fn of(node: &Node, events: &[Event]) -> Vec<Step> {
    events.iter().filter_map(|event| step(node, event)).collect()
}

fn step(node: &Node, event: &Event) -> Option<Step> {
    match event {
        Event::Rule { hook, chain, rule, effect } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let rule = table.chains.get(chain.chain)?.rules.get(*rule)?;
            let mut step = placed(node, *hook, *chain)?;
            step.cited = Some(ruleset.cite(rule));
            step.effect = describe(effect);
            step.because = tests(rule);
            Some(step)
        }
        Event::Policy { hook, chain, policy } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let mut step = placed(node, *hook, *chain)?;
            step.cited = Some(ruleset.cite_chain(table.chains.get(chain.chain)?));
            step.effect = format!("policy {policy}");
            Some(step)
        }
        Event::Native { hook, chain, rule, effect } => {
            let (table, declared) = native_of(node, *chain)?;
            Some(Step {
                hook: Some(*hook),
                table: Some(format!("{} (nftables)", table.name)),
                chain: Some(declared.name.to_string()),
                cited: Some(declared.rules.get(*rule)?.cited.clone()),
                effect: describe(effect),
                because: Vec::new(),
            })
        }
        Event::NativePolicy { hook, chain, policy } => {
            let (table, declared) = native_of(node, *chain)?;
            Some(Step {
                hook: Some(*hook),
                table: Some(format!("{} (nftables)", table.name)),
                chain: Some(declared.name.to_string()),
                cited: Some(declared.cited.clone()),
                effect: format!("policy {policy}"),
                because: Vec::new(),
            })
        }
        Event::Kernel { what, detail, cited } => Some(Step {
            hook: None,
            table: None,
            chain: None,
            cited: cited.clone(),
            effect: format!("{what}: {detail}"),
            because: Vec::new(),
        }),
        Event::Answer { kind } => Some(Step {
            hook: None,
            table: None,
            chain: None,
            cited: None,
            effect: format!("the node answers with {kind:?}"),
            because: Vec::new(),
        }),
    }
}

fn placed(node: &Node, hook: Hook, at: ChainRef) -> Option<Step> {
    let (ruleset, table) = table_of(node, at)?;
    Some(Step {
        hook: Some(hook),
        table: Some(format!("{} ({})", table.name, ruleset.backend.name())),
        chain: Some(table.chains.get(at.chain)?.name.to_string()),
        cited: None,
        effect: String::new(),
        because: Vec::new(),
    })
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::None => "counts only".to_owned(),
        Effect::Verdict(Verdict::Accept) => "ACCEPT".to_owned(),
        Effect::Verdict(Verdict::Drop) => "DROP".to_owned(),
        Effect::Verdict(Verdict::Reject(kind)) => format!("REJECT ({kind:?})"),
        Effect::Jump => "goes on in the chain it names".to_owned(),
        Effect::Return => "RETURN".to_owned(),
        Effect::Mark(mark) => format!("mark := {mark:#x}"),
        Effect::Connmark(mark) => format!("connection mark := {mark:#x}"),
        Effect::NoTrack => "is not tracked".to_owned(),
        Effect::Destination(to) => format!("destination := {to}"),
        Effect::Source(from) => format!("source := {from}"),
        Effect::Header(change) => format!("header changed: {change}"),
        Effect::Unknown => "nobody knows".to_owned(),
    }
}

/// The tests of a rule, each in iptables' words.
fn tests(rule: &Rule) -> Vec<String> {
    let mut all = Vec::new();
    let header = &rule.header;
    let mut push = |negated: bool, option: &str, value: String| {
        all.push(format!("{}{option} {value}", if negated { "! " } else { "" }));
    };
    header.source.iter().for_each(|test| push(test.negated, "-s", test.value.to_string()));
    header.destination.iter().for_each(|test| push(test.negated, "-d", test.value.to_string()));
    header.in_interface.iter().for_each(|test| push(test.negated, "-i", test.value.to_string()));
    header.out_interface.iter().for_each(|test| push(test.negated, "-o", test.value.to_string()));
    header.protocol.iter().for_each(|test| push(test.negated, "-p", test.value.to_string()));
    for m in &rule.matches {
        let mut text = String::new();
        m.write(&mut text);
        all.push(text.trim().to_owned());
    }
    all
}

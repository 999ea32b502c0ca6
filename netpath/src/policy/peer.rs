//! Which peers a rule of a NetworkPolicy is about.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::endpoint::{Endpoint, Flow, Party, Pod, Side};
use super::label::Selector;
use super::plugin::{Plugin, Question, ask};
use crate::held::Held;

/// An entry of `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Pods by selectors; without one of namespaces, those of the policy's own.
    Pods { namespaces: Option<Selector>, pods: Option<Selector> },
    /// Addresses.
    Block(Block),
    /// What we cannot read.
    Unreadable(String),
}

/// An `ipBlock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    cidr: IpNet,
    except: Vec<IpNet>,
}

impl Block {
    fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && !self.except.iter().any(|except| except.contains(&address))
    }
}

/// Reads a peer. Exactly one kind is allowed: an ipBlock, or selectors.
pub(super) fn peer(value: &Value) -> Peer {
    let bad = || Peer::Unreadable(value.to_string());
    let Some(fields) = value.as_object() else { return bad() };
    let set = |key: &str| fields.get(key).filter(|value| !value.is_null());
    if fields.keys().any(|key| !matches!(key.as_str(), "podSelector" | "namespaceSelector" | "ipBlock")) {
        return bad();
    }
    match (set("ipBlock"), set("namespaceSelector"), set("podSelector")) {
        (Some(block), None, None) => block_of(block).map_or_else(bad, Peer::Block),
        (None, None, None) | (Some(_), ..) => bad(),
        (None, namespaces, pods) => {
            Peer::Pods { namespaces: namespaces.map(Selector::parse), pods: pods.map(Selector::parse) }
        }
    }
}

fn block_of(value: &Value) -> Option<Block> {
    let fields = value.as_object()?;
    if fields.keys().any(|key| !matches!(key.as_str(), "cidr" | "except")) {
        return None;
    }
    let cidr = network(fields.get("cidr")?)?;
    let except = match fields.get("except") {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => list.as_array()?.iter().map(network).collect::<Option<_>>()?,
    };
    Some(Block { cidr, except })
}

/// A CIDR; host bits are cut, as implementations do (`192.168.242.213/24`).
pub(super) fn network(value: &Value) -> Option<IpNet> {
    value.as_str()?.parse::<IpNet>().ok().map(|network| network.trunc())
}

impl Peer {
    /// Whether the flow's other end matches.
    pub fn matches(&self, flow: &Flow, side: Side, namespace: &str, plugin: Option<Plugin>) -> Held {
        let end = flow.peer(side);
        match self {
            Self::Unreadable(what) => Held::perhaps(format!("peer {what}"), format!("what a peer means: {what}")),
            Self::Pods { namespaces, pods } => {
                let selects = |pod: &Pod| pod_selected(pod, namespaces.as_ref(), pods.as_ref(), namespace);
                match &end.party {
                    Party::Pod(pod) if pod.ended => Held::No,
                    Party::Pod(pod) if pod.host_network => match selects(pod) {
                        Held::No => Held::No,
                        selected => selected.and(ask(plugin, Question::SelectsHostNetwork)),
                    },
                    Party::Pod(pod) => selects(pod),
                    Party::Node(_) | Party::Outside => Held::No,
                    Party::Unidentified => unidentified(end),
                }
            }
            Self::Block(block) => block_matches(block, flow, side, plugin),
        }
    }
}

fn pod_selected(pod: &Pod, namespaces: Option<&Selector>, pods: Option<&Selector>, namespace: &str) -> Held {
    let in_namespace = match namespaces {
        None => (*pod.namespace == *namespace).into(),
        Some(selector) => selector.selects_namespace(&pod.namespace, pod.namespace_labels.as_ref()),
    };
    in_namespace.and(pods.map_or(Held::Yes, |selector| selector.selects(Some(&pod.labels), "the pod")))
}

fn block_matches(block: &Block, flow: &Flow, side: Side, plugin: Option<Plugin>) -> Held {
    let end = flow.peer(side);
    let translated = block_holds(block, end, end.address, plugin);
    let Some(service) = flow.service.filter(|_| side == Side::Egress) else { return translated };
    // A Service's address is nobody's: only an implementation that judges before translation compares it.
    let untranslated: Held = block.contains(service).into();
    if translated == untranslated {
        return translated;
    }
    match ask(plugin, Question::JudgesTranslated) {
        Held::Yes => translated,
        Held::No => untranslated,
        perhaps @ Held::Perhaps(_) => match translated {
            Held::Perhaps(_) => perhaps.and(translated),
            _ => perhaps,
        },
    }
}

fn block_holds(block: &Block, end: &Endpoint, address: IpAddr, plugin: Option<Plugin>) -> Held {
    if !block.contains(address) {
        return Held::No;
    }
    match &end.party {
        Party::Pod(pod) if !pod.host_network => ask(plugin, Question::BlockMatchesPods),
        Party::Pod(_) | Party::Node(_) => ask(plugin, Question::BlockMatchesNodes),
        Party::Outside => Held::Yes,
        // Whoever it is, implementations that match every address match it.
        Party::Unidentified => {
            let everybody = ask(plugin, Question::BlockMatchesPods).and(ask(plugin, Question::BlockMatchesNodes));
            if everybody == Held::Yes { Held::Yes } else { unidentified(end) }
        }
    }
}

/// The unknown of an address without an owner.
pub(super) fn unidentified(end: &Endpoint) -> Held {
    let what = format!("whose address {} is", end.address);
    Held::perhaps(what.clone(), what)
}

//! The smallest change that turns the verdict, in the language of whoever manages the line, and verified by walking
//! again.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::address::Family;
use crate::answer::deciding::{event_of, native_of, table_of};
use crate::answer::owner::{Owner, owner_of_chain};
use crate::answer::{ClientSees, Direction, Trip, client};
use crate::iptables::{Backend, Header, Negatable, Rule, Ruleset, Specification};
use crate::matches::{Match, Ports, Tcp};
use crate::nft::{Expression, NativeRule, Operand, Statement, Value, VerdictWord};
use crate::node::Node;
use crate::packet::Packet;
use crate::port::PortRange;
use crate::protocol;
use crate::protocol::Protocol;
use crate::source::Cited;
use crate::targets::Target;
use crate::walk::{ChainRef, Effect, Entry, Event, NativeRef, Outcome, Verdict, explore};

/// A remedy: all its changes together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What is to be changed, in order.
    pub changes: Vec<Change>,
    /// Whether walking again with the changes showed that the client is then connected.
    pub verified: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who manages what is changed.
    pub owner: Owner,
    /// The command or the edit, in the owner's language.
    pub command: String,
    /// The line that the change answers.
    pub answers: Option<Cited>,
}

/// More changes than this are not a remedy.
const MAX_CHANGES: usize = 4;

/// Where a rule is put into a copy of the node.
struct Insertion {
    at: ChainRef,
    rule: usize,
}

pub(super) fn find(node: &Node, packet: &Packet, entry: &Entry) -> Option<(Fix, Node)> {
    let mut changed = node.clone();
    let mut fix = Fix { changes: Vec::new(), verified: false };
    let mut current = Trip::make(&changed, packet, entry);
    if client::sees(&current).0 == ClientSees::Connected {
        return None;
    }
    for _ in 0..MAX_CHANGES {
        let (outcome, direction) = current.telling()?;
        let Some(change) = change_for(&mut changed, outcome, direction) else { break };
        if fix.changes.contains(&change) {
            break;
        }
        fix.changes.push(change);
        current = Trip::make(&changed, packet, entry);
        if client::sees(&current).0 == ClientSees::Connected {
            fix.verified = true;
            return Some((fix, changed));
        }
    }
    (!fix.changes.is_empty()).then_some((fix, changed))
}

/// The ACCEPT that would have been reached without the line that decides.
pub(super) fn shadowed(node: &Node, packet: &Packet, entry: &Entry, trip: &Trip) -> Option<Cited> {
    let (outcome, direction) = trip.telling()?;
    let Event::Rule { chain, rule, .. } = event_of(outcome)? else { return None };
    let mut without = node.clone();
    let ruleset = Arc::make_mut(without.rulesets.get_mut(chain.ruleset)?);
    let rules = &mut ruleset.tables.get_mut(chain.table)?.chains.get_mut(chain.chain)?.rules;
    (*rule < rules.len()).then(|| rules.remove(*rule))?;
    let again = Trip::make(&without, packet, entry);
    let outcome = match direction {
        Direction::Forward => again.forward.outcomes.first()?,
        Direction::Reply => again.replies.iter().flatten().next()?.outcomes.first()?,
    };
    outcome.events.iter().find_map(|event| match event {
        Event::Rule { chain: at, rule, effect: Effect::Verdict(Verdict::Accept), .. }
            if at.ruleset == chain.ruleset && at.table == chain.table =>
        {
            let (ruleset, table) = table_of(&without, *at)?;
            Some(ruleset.cite(table.chains.get(at.chain)?.rules.get(*rule)?))
        }
        _ => None,
    })
}

/// Who manages the rule that stopped a packet; nothing where none did.
pub(super) fn refusing(node: &Node, outcome: &Outcome) -> Option<Owner> {
    let Event::Rule { chain, .. } = event_of(outcome).filter(|_| outcome.verdict != Verdict::Accept)? else {
        return None;
    };
    let (_, table) = table_of(node, *chain)?;
    Some(managed_by(table, &table.chains.get(chain.chain)?.name))
}

/// The node as it is once the rules that carry out network policies no longer refuse the packet: what follows them is
/// what a packet meets that policies allow, marks and ACCEPT included.
pub(super) fn without_refusals_by_policy(node: &Node, packet: &Packet, entry: &Entry) -> Node {
    let mut changed = node.clone();
    for _ in 0..MAX_CHANGES {
        let outcomes = explore(&changed, packet, entry, 0, &[]).outcomes;
        let by_policy = |outcome: &&Outcome| refusing(&changed, outcome).is_some_and(Owner::enforces_policies);
        let Some(Event::Rule { chain, rule, .. }) = outcomes.iter().find(by_policy).and_then(event_of) else { break };
        let ruleset = changed.rulesets.get_mut(chain.ruleset).map(Arc::make_mut);
        let table = ruleset.and_then(|ruleset| ruleset.tables.get_mut(chain.table));
        let Some(at) = table.and_then(|table| table.chains.get_mut(chain.chain)) else { break };
        at.rules.remove(*rule);
    }
    changed
}

/// Makes one change in the copy and says it in words.
fn change_for(node: &mut Node, outcome: &Outcome, direction: Direction) -> Option<Change> {
    match event_of(outcome)? {
        Event::Kernel { cited, .. } => set_setting(node, cited.clone()?),
        Event::Rule { chain, rule, .. } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let blocking = table.chains.get(chain.chain)?;
            let cited = ruleset.cite(blocking.rules.get(*rule)?);
            let owner = managed_by(table, &blocking.name);
            allow(node, *chain, Insertion { at: *chain, rule: *rule }, owner, cited, (outcome, direction))
        }
        Event::Policy { chain, .. } => {
            let (ruleset, table) = table_of(node, *chain)?;
            let base = table.chains.get(chain.chain)?;
            let cited = ruleset.cite_chain(base);
            let owner = managed_by(table, &base.name);
            let end = base.rules.len();
            allow(node, *chain, Insertion { at: *chain, rule: end }, owner, cited, (outcome, direction))
        }
        Event::Native { chain, .. } | Event::NativePolicy { chain, .. } => {
            native_change(node, *chain, outcome, direction)
        }
        Event::Answer { .. } => None,
    }
}

/// firewalld and kube-proxy manage their native tables; other tables are somebody's own.
fn native_change(node: &mut Node, at: NativeRef, outcome: &Outcome, direction: Direction) -> Option<Change> {
    let (table, chain) = native_of(node, at)?;
    let packet = &outcome.skb.packet;
    let answers = Some(chain.cited.clone());
    let name = table.name.to_string();
    let (owner, command) = match &*name {
        "kube-proxy" => {
            (Owner::KubeProxy, "do not edit kube-proxy's table: change the Service or its endpoints".to_owned())
        }
        "firewalld" => {
            (Owner::Firewalld, firewalld(packet, native_zone(node, outcome).as_deref(), chain.name.contains("FORWARD")))
        }
        _ => {
            let words = words_of(packet, direction);
            (Owner::Unknown, format!("in the nft table {name}, chain {}, accept{words} before this rule", chain.name))
        }
    };
    if owner != Owner::KubeProxy {
        insert_native(node, at, outcome, packet, direction)?;
    }
    Some(Change { owner, command, answers })
}

/// The zone whose chain the packet went through, in the spelling of firewalld's iptables chains.
fn native_zone(node: &Node, outcome: &Outcome) -> Option<String> {
    outcome.events.iter().find_map(|event| match event {
        Event::Native { chain, .. } => {
            let (_, chain) = native_of(node, *chain)?;
            let zone = chain.name.strip_prefix("filter_IN_")?.split('_').next()?;
            (zone != "policy").then(|| format!("IN_{zone}_allow"))
        }
        _ => None,
    })
}

/// Puts an accepting rule at the head of the base chain that refused.
fn insert_native(
    node: &mut Node,
    at: NativeRef,
    outcome: &Outcome,
    packet: &Packet,
    direction: Direction,
) -> Option<()> {
    let is = |protocol: &str, field: &str, right: Value| Statement::Match {
        negated: false,
        bits: false,
        left: Expression::Payload(protocol.into(), field.into()),
        right: Operand::Value(right),
    };
    let ip = if packet.source.is_ipv4() { "ip" } else { "ip6" };
    let mut statements =
        vec![is(ip, "saddr", Value::Address(packet.source)), is(ip, "daddr", Value::Address(packet.destination))];
    let (port, field) = match direction {
        Direction::Forward => (packet.destination_port(), "dport"),
        Direction::Reply => (packet.source_port(), "sport"),
    };
    statements.extend(port.map(|port| is("th", field, Value::Number(u64::from(port)))));
    statements.push(Statement::Verdict(VerdictWord::Accept));
    let hook = outcome.events.iter().rev().find_map(|event| match event {
        Event::Native { hook, chain, .. } | Event::NativePolicy { hook, chain, .. } if *chain == at => Some(*hook),
        _ => None,
    })?;
    let table = node.nft.as_mut()?.tables.get_mut(at.table)?;
    let base = table
        .chains
        .iter_mut()
        .find(|chain| chain.base.is_some_and(|base| base.hook == hook && !base.nat && base.priority >= 0))?;
    let cited = base.cited.clone();
    base.rules.insert(0, NativeRule { statements, comment: None, cited });
    Some(())
}

/// A built-in chain belongs to the program whose chains it calls and whose policy it carries.
fn managed_by(table: &crate::iptables::Table, chain: &str) -> Owner {
    let own = owner_of_chain(chain);
    if own != Owner::Unknown {
        return own;
    }
    let has = |name: &str| table.chain(name).is_some_and(|chain| !chain.rules.is_empty());
    let lower = chain.to_ascii_lowercase();
    if has(&format!("ufw-before-{lower}")) || has(&format!("ufw6-before-{lower}")) {
        return Owner::Ufw;
    }
    if table.chain(&format!("{chain}_ZONES")).is_some() {
        return Owner::Firewalld;
    }
    if chain == "FORWARD" && table.chain("DOCKER-USER").is_some() {
        return Owner::Docker;
    }
    Owner::Unknown
}

/// Settings whose other value lets the packet pass.
fn set_setting(node: &mut Node, cited: Cited) -> Option<Change> {
    let name = cited.text.split(['=', ':']).next()?.trim().to_owned();
    if let Some(all) = forwarding_of_all(node, &name) {
        let family = if all.contains("ipv6") { "ipv6" } else { "ipv4" };
        let names = node.links.iter().map(|link| crate::sysctl::interface_setting(family, &link.name, "forwarding"));
        for name in names.chain([all.to_owned()]) {
            node.sysctls.set(&name, "1", cited.clone());
        }
        return Some(Change { owner: Owner::Unknown, command: format!("sysctl -w {all}=1"), answers: Some(cited) });
    }
    let value = match name.rsplit('.').next()? {
        "rp_filter" => "2",
        "forwarding" | "ip_forward" | "route_localnet" | "accept_local" => "1",
        _ => return None,
    };
    let command = format!("sysctl -w {name}={value}");
    node.sysctls.set(&name, value, Cited { text: format!("{name} = {value}"), ..cited.clone() });
    Some(Change { owner: Owner::Unknown, command, answers: Some(cited) })
}

/// The switch of the whole host where it is off, for an interface's or itself: writing it writes every interface's too
/// (Documentation/networking/ip-sysctl.rst, `ip_forward` and `conf/all/forwarding`).
fn forwarding_of_all(node: &Node, name: &str) -> Option<&'static str> {
    let forwarding = name.ends_with(".forwarding") || name.ends_with(".ip_forward");
    let all = if name.starts_with("net.ipv6.") { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
    (forwarding && node.sysctls.number(all) == Some(0)).then_some(all)
}

/// Lets the packet pass at the place where its owner allows such changes.
fn allow(
    node: &mut Node,
    blocking: ChainRef,
    before: Insertion,
    owner: Owner,
    cited: Cited,
    (outcome, direction): (&Outcome, Direction),
) -> Option<Change> {
    let packet = &outcome.skb.packet;
    let (ruleset, table) = table_of(node, blocking)?;
    let chain = |name: &str| table.chains.iter().position(|chain| &*chain.name == name);
    let base = base_chain(outcome, blocking)?;
    let forwarded = base == "FORWARD";
    let words = words_of(packet, direction);
    let refused_by_proxy = Change { owner, command: String::new(), answers: Some(cited.clone()) };
    let (insertion, command) = match owner {
        Owner::Ufw => {
            let prefix = if ruleset.family == Family::V4 { "ufw" } else { "ufw6" };
            let place = if forwarded {
                "forward"
            } else if base == "OUTPUT" {
                "output"
            } else {
                "input"
            };
            let at = chain(&format!("{prefix}-user-{place}"))?;
            (Insertion { at: ChainRef { chain: at, ..blocking }, rule: 0 }, ufw(packet, &base, outcome))
        }
        Owner::Firewalld => {
            let zone = zone_chain(table, outcome, forwarded);
            let at = zone
                .as_deref()
                .and_then(chain)
                .map_or(before, |at| Insertion { at: ChainRef { chain: at, ..blocking }, rule: 0 });
            (at, firewalld(packet, zone.as_deref(), forwarded))
        }
        Owner::Docker if forwarded && chain("DOCKER-USER").is_some() => {
            let at = Insertion { at: ChainRef { chain: chain("DOCKER-USER")?, ..blocking }, rule: 0 };
            (at, format!("{} -I DOCKER-USER{words} -j ACCEPT", tool(ruleset)))
        }
        Owner::KubeProxy
        | Owner::KubeRouter
        | Owner::Calico
        | Owner::Cilium
        | Owner::AzureNpm
        | Owner::Istio
        | Owner::Flannel
        | Owner::Cni
        | Owner::MasqAgent => {
            return Some(Change { command: never_edited(owner, &cited), ..refused_by_proxy });
        }
        _ => {
            let name = &table.chains.get(before.at.chain)?.name;
            let position = before.rule + 1;
            let table_option = if &*table.name == "filter" { String::new() } else { format!(" -t {}", table.name) };
            (before, format!("{}{table_option} -I {name} {position}{words} -j ACCEPT", tool(ruleset)))
        }
    };
    let rule = accepting(packet, direction);
    let ruleset = Arc::make_mut(node.rulesets.get_mut(insertion.at.ruleset)?);
    let rules = &mut ruleset.tables.get_mut(insertion.at.table)?.chains.get_mut(insertion.at.chain)?.rules;
    rules.insert(insertion.rule.min(rules.len()), rule);
    Some(Change { owner, command, answers: Some(cited) })
}

/// The built-in chain from which the walk came to the deciding line.
fn base_chain(outcome: &Outcome, blocking: ChainRef) -> Option<String> {
    let hook = outcome.events.iter().rev().find_map(|event| match event {
        Event::Rule { hook, chain, .. } | Event::Policy { hook, chain, .. } if *chain == blocking => Some(*hook),
        _ => None,
    })?;
    Some(hook.chain_name().to_owned())
}

fn tool(ruleset: &Ruleset) -> &'static str {
    match (ruleset.family, ruleset.backend) {
        (Family::V4, Backend::Nft) => "iptables-nft",
        (Family::V4, Backend::Legacy) => "iptables-legacy",
        (Family::V6, Backend::Nft) => "ip6tables-nft",
        (Family::V6, Backend::Legacy) => "ip6tables-legacy",
    }
}

fn never_edited(owner: Owner, cited: &Cited) -> String {
    let who = match owner {
        Owner::KubeProxy if cited.text.contains("has no endpoints") || cited.text.contains("no local endpoints") => {
            return "do not edit kube-proxy's lines: give the Service a ready endpoint (on this node, if its traffic policy is Local)".to_owned();
        }
        Owner::KubeProxy => "kube-proxy's lines: change the Service or kube-proxy's configuration",
        Owner::Calico | Owner::Cilium | Owner::AzureNpm | Owner::KubeRouter => {
            "lines that a network policy made: change the NetworkPolicy that selects the pod"
        }
        _ => "lines that a CNI plugin writes again: change its configuration",
    };
    format!("do not edit {who}")
}

/// The rule that lets exactly this packet's kind pass.
fn accepting(packet: &Packet, direction: Direction) -> Rule {
    let plain = |value| Some(Negatable { negated: false, value });
    let mut header = Header {
        source: plain(crate::address::AddrMask::host(packet.source)),
        protocol: Protocol::parse(&packet.protocol.to_string()).map(|value| Negatable { negated: false, value }),
        ..Header::default()
    };
    header.destination = plain(crate::address::AddrMask::host(packet.destination));
    let port = match direction {
        Direction::Forward => packet.destination_port(),
        Direction::Reply => packet.source_port(),
    };
    let range = port.map(|port| Negatable { negated: false, value: PortRange::single(port) });
    let (from, to) = if direction == Direction::Forward { (None, range) } else { (range, None) };
    let ports = match packet.protocol {
        protocol::TCP => Some(Match::Tcp(Tcp { source: from, destination: to, ..Tcp::default() })),
        protocol::UDP => Some(Match::Ports(Ports { module: "udp", source: from, destination: to, deeper: None })),
        protocol::SCTP => Some(Match::Ports(Ports { module: "sctp", source: from, destination: to, deeper: None })),
        _ => None,
    };
    let text = format!("-A (the fix){} -j ACCEPT", words_of(packet, direction));
    let matches = ports.into_iter().collect();
    Rule::new(Specification::of(text, header, matches, Target::Accept))
}

/// The same tests in iptables' words.
fn words_of(packet: &Packet, direction: Direction) -> String {
    let mut words = format!(" -s {} -d {} -p {}", packet.source, packet.destination, protocol::name(packet.protocol));
    let _ = match (direction, packet.ports()) {
        (Direction::Forward, Some((_, port))) => write!(words, " --dport {port}"),
        (Direction::Reply, Some((port, _))) => write!(words, " --sport {port}"),
        _ => Ok(()),
    };
    words
}

fn ufw(packet: &Packet, base: &str, outcome: &Outcome) -> String {
    let proto = protocol::name(packet.protocol);
    let port = packet.destination_port().map_or(String::new(), |port| format!(" port {port}"));
    let from = packet.source;
    let to = packet.destination;
    match base {
        "FORWARD" => {
            let way = |name: &Option<Arc<str>>, word: &str| {
                name.as_ref().map_or(String::new(), |name| format!(" {word} on {name}"))
            };
            let ways = format!("{}{}", way(&outcome.skb.in_interface, "in"), way(&outcome.skb.out_interface, "out"));
            format!("ufw route allow{ways} proto {proto} from {from} to {to}{port}")
        }
        "OUTPUT" => format!("ufw allow out proto {proto} from {from} to {to}{port}"),
        _ => format!("ufw insert 1 allow proto {proto} from {from} to {to}{port}"),
    }
}

/// firewalld's chain for what a zone allows: the zone is the one whose chain the packet went through.
fn zone_chain(table: &crate::iptables::Table, outcome: &Outcome, forwarded: bool) -> Option<String> {
    if forwarded {
        return table.chain("FORWARD_direct").map(|chain| chain.name.to_string());
    }
    outcome.events.iter().find_map(|event| match event {
        Event::Rule { chain, .. } => {
            let name = &table.chains.get(chain.chain)?.name;
            let zone = name.strip_prefix("IN_")?.split('_').next()?;
            let allow = format!("IN_{zone}_allow");
            table.chain(&allow).map(|_| allow)
        }
        _ => None,
    })
}

fn firewalld(packet: &Packet, chain: Option<&str>, forwarded: bool) -> String {
    let proto = protocol::name(packet.protocol);
    let port = packet.destination_port().unwrap_or_default();
    if forwarded {
        let (ip, words) = if packet.source.is_ipv4() { ("ipv4", "") } else { ("ipv6", "") };
        let spec = words_of(packet, Direction::Forward);
        return format!(
            "firewall-cmd --permanent --direct --add-rule {ip} filter FORWARD 0{words}{spec} -j ACCEPT && firewall-cmd --reload"
        );
    }
    let zone =
        chain.and_then(|name| name.strip_prefix("IN_")).and_then(|name| name.split('_').next()).unwrap_or("public");
    format!("firewall-cmd --permanent --zone={zone} --add-port={port}/{proto} && firewall-cmd --reload")
}

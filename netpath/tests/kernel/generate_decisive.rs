//! Rule sets in which one module or target decides most packets' fate.

use crate::generate::{Place, module, transport_test};
use crate::pool::Pool;
use crate::random::Random;

/// What a rule set is about, and where it may stand.
struct Focus {
    table: &'static str,
    hooks: &'static [&'static str],
    /// The number of the module, see [`module`]; `None` is a transport header.
    module: Option<usize>,
    /// What has to happen to the packets before.
    before: Before,
    /// What the packets must be like.
    kind: Kind,
}

/// Packets that a focus needs.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Only of these protocols.
    pub protocol: Option<[u8; 2]>,
    /// Only what the node itself sends.
    pub sent_by_node: bool,
}

const ANY: Kind = Kind { protocol: None, sent_by_node: false };
const OWN: Kind = Kind { protocol: None, sent_by_node: true };
const ENDS: &[&str] = &["INPUT", "FORWARD"];

const fn transport(protocol: [u8; 2]) -> Focus {
    let kind = Kind { protocol: Some(protocol), sent_by_node: false };
    Focus { table: "filter", hooks: ENDS, module: None, before: Before::Nothing, kind }
}

const fn after(before: Before, module: Option<usize>) -> Focus {
    Focus { table: "filter", hooks: ENDS, module, before, kind: ANY }
}

const fn at(table: &'static str, hooks: &'static [&'static str], module: usize, kind: Kind) -> Focus {
    Focus { table, hooks, module: Some(module), before: Before::Nothing, kind }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Mark,
    Connmark,
    Restore,
    NoTrack,
}

const fn filter(module: usize) -> Focus {
    at("filter", ENDS, module, ANY)
}

/// How many focuses there are.
pub const COUNT: usize = FOCUSES.len();

const FOCUSES: [Focus; 25] = [
    transport([6, 6]),
    transport([17, 17]),
    transport([132, 132]),
    transport([1, 58]),
    filter(0),
    filter(1),
    filter(4),
    filter(5),
    filter(6),
    filter(7),
    filter(8),
    filter(9),
    filter(11),
    filter(14),
    after(Before::Mark, Some(2)),
    after(Before::Connmark, Some(3)),
    after(Before::Restore, Some(2)),
    after(Before::NoTrack, None),
    after(Before::NoTrack, None),
    after(Before::NoTrack, None),
    after(Before::NoTrack, None),
    at("filter", &["FORWARD"], 15, ANY),
    at("filter", &["OUTPUT"], 14, OWN),
    at("raw", &["PREROUTING"], 16, ANY),
    at("mangle", &["PREROUTING"], 16, ANY),
];

/// The rule set of the focus of that number.
pub fn rules(random: &mut Random, pool: &Pool, number: usize) -> (String, Kind) {
    let focus = &FOCUSES[number % FOCUSES.len()];
    let mut text = before(random, pool, focus.before);
    let chains = match focus.table {
        "raw" => &["PREROUTING", "OUTPUT"][..],
        "mangle" => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"][..],
        _ => &["INPUT", "FORWARD", "OUTPUT"][..],
    };
    text.push_str(&format!("*{}\n", focus.table));
    chains.iter().for_each(|chain| text.push_str(&format!(":{chain} ACCEPT [0:0]\n")));
    text.push_str(":C0 - [0:0]\n:C1 - [0:0]\n");
    for hook in focus.hooks {
        for _ in 0..4 {
            let test = match focus.before {
                Before::NoTrack => " -m conntrack --ctstate UNTRACKED".to_owned(),
                _ => test(random, pool, focus, hook),
            };
            let tcp = test.contains(" -p tcp") && !test.contains("! -p tcp");
            let comment = if random.chance(30) { " -m comment --comment why" } else { "" };
            text.push_str(&format!("-A {hook}{test}{comment} {}\n", target(random, pool, focus, hook, tcp)));
        }
        // What RETURN and ACCEPT spare meets its end here.
        if random.chance(50) {
            text.push_str(&format!("-A {hook} -j DROP\n"));
        }
    }
    text.push_str("-A C0 -p udp -j RETURN\n-A C0 -j DROP\n-A C1 -p tcp -j RETURN\n-A C1 -j DROP\nCOMMIT\n");
    (text, focus.kind)
}

fn test(random: &mut Random, pool: &Pool, focus: &Focus, hook: &'static str) -> String {
    match focus.module {
        None => loop {
            let text = transport_test(random, pool);
            let wanted = focus.kind.protocol.map_or("", |[protocol, _]| match protocol {
                6 => " -p tcp",
                17 => " -p udp",
                132 => " -p sctp",
                _ => "icmp",
            });
            if text.contains(wanted) {
                return text;
            }
        },
        // Not what stands there when the module does not suit the place.
        Some(number) => loop {
            let text = module(random, pool, Place { table: focus.table, hook: Some(hook) }, number);
            if !text.contains("-m comment") {
                return text;
            }
        },
    }
}

fn target(random: &mut Random, pool: &Pool, focus: &Focus, hook: &str, tcp: bool) -> &'static str {
    let refuses = focus.table == "filter" && hook != "OUTPUT";
    match random.below(8) {
        0 => "-j RETURN",
        1 => "-j ACCEPT",
        2 => "-j C0",
        3 => "-g C1",
        4 if refuses && tcp => "-j REJECT --reject-with tcp-reset",
        4 | 5 if refuses && pool.is_v4() => "-j REJECT --reject-with icmp-host-prohibited",
        4 | 5 if refuses => "-j REJECT --reject-with icmp6-adm-prohibited",
        _ => "-j DROP",
    }
}

/// Rules that give the packets a mark, or take their connection away.
fn before(random: &mut Random, pool: &Pool, before: Before) -> String {
    let (table, chain, chains): (_, _, &[&str]) = match before {
        Before::Nothing => return String::new(),
        Before::NoTrack => ("raw", "PREROUTING", &["PREROUTING", "OUTPUT"]),
        _ => ("mangle", "PREROUTING", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    };
    let mut text = format!("*{table}\n");
    chains.iter().for_each(|chain| text.push_str(&format!(":{chain} ACCEPT [0:0]\n")));
    for number in 0..4 {
        let test = transport_test(random, pool);
        let target = match before {
            Before::NoTrack if random.chance(50) => "NOTRACK".to_owned(),
            Before::NoTrack => "CT --notrack".to_owned(),
            Before::Mark => format!("MARK --set-xmark {number:#x}/0xffffffff"),
            _ => format!("CONNMARK --set-xmark {number:#x}/0xffffffff"),
        };
        text.push_str(&format!("-A {chain}{test} -j {target}\n"));
    }
    if before == Before::Restore {
        text.push_str(&format!("-A {chain} -j CONNMARK --restore-mark\n"));
    }
    text.push_str("COMMIT\n");
    text
}

//! `nft list ruleset` and `nft -j list ruleset` of the same rule set are the same tables: real dumps, and rule sets that
//! the real nft loads and lists here.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs, unused_imports)]
#[path = "kernel/lab.rs"]
mod lab;

use std::fmt::Write as _;

use netpath::nft::{self, Statement, Tables};

const KUBE_PROXY: [&str; 2] =
    [include_str!("data/kube-proxy/nftables.txt"), include_str!("data/kube-proxy/nftables.json")];
const FIREWALLD: [&str; 2] = [include_str!("data/firewalld.nft"), include_str!("data/firewalld.nft.json")];

/// Everything that the tables mean; what is not understood, without its words, which differ.
fn meaning(tables: &Tables) -> String {
    let mut text = String::new();
    for table in &tables.tables {
        let _ = writeln!(text, "table {:?} {}", table.family, table.name);
        for set in &table.sets {
            let _ = writeln!(text, " set {} dynamic {} complete {}", set.name, set.dynamic, set.complete);
            set.elements.iter().for_each(|element| writeln!(text, "  {element:?}").unwrap());
            set.verdicts.iter().for_each(|pair| writeln!(text, "  {pair:?}").unwrap());
            assert_eq!(set.places.len(), set.elements.len() + set.verdicts.len());
        }
        for chain in &table.chains {
            let _ = writeln!(text, " chain {} {:?}", chain.name, chain.base);
            for rule in &chain.rules {
                let statements: Vec<String> = rule.statements.iter().map(statement).collect();
                let _ = writeln!(text, "  {} {:?}", statements.join("; "), rule.comment);
            }
        }
    }
    let _ = writeln!(text, "unread {}", tables.unread.len());
    text
}

fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Unknown(_) => "unknown".to_owned(),
        Statement::Limit(_) => "limit".to_owned(),
        other => format!("{other:?}"),
    }
}

fn assert_same(text: &str, json: &str) {
    let (text, json) = (nft::parse_text("nft.txt", text.as_bytes()), nft::parse("nft.json", json.as_bytes()).unwrap());
    let (text, json) = (meaning(&text), meaning(&json));
    let mut lines = text.lines().zip(json.lines());
    if let Some((text, json)) = lines.find(|(text, json)| text != json) {
        panic!("text: {text}\njson: {json}");
    }
    assert_eq!(text, json);
}

#[test]
fn real_dumps_mean_the_same_in_both_forms() {
    for [text, json] in [KUBE_PROXY, FIREWALLD] {
        assert_same(text, json);
    }
}

/// What the real nft is given: one of each construct, the shapes of Calico and Docker, and real dumps of firewalld and
/// kube-proxy.
const LOADED: [(&str, &str); 5] = [
    ("constructs", include_str!("data/nft/constructs.nft")),
    ("calico", include_str!("data/nft/calico.nft")),
    ("docker", include_str!("data/nft/docker.nft")),
    ("firewalld", FIREWALLD[0]),
    ("kube-proxy", KUBE_PROXY[0]),
];

/// What iptables-nft is given: its tables are of a form of their own.
const RESTORED: [(&str, &str); 3] = [
    ("ufw", include_str!("data/ufw.save")),
    ("kube-proxy", include_str!("data/kube-proxy/iptables.v4")),
    ("firewalld", include_str!("data/firewalld.save")),
];

/// A network namespace with nft in it, gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        let name = format!("npt{}{name}", std::process::id());
        lab::run("ip", &["netns", "add", &name]).unwrap();
        Self(name)
    }

    fn run(&self, command: &[&str]) -> String {
        lab::run("ip", &[&["netns", "exec", &self.0], command].concat()).unwrap()
    }

    fn feed(&self, command: &[&str], input: &str) -> Result<(), String> {
        lab::feed("ip", &[&["netns", "exec", &self.0], command].concat(), input)
    }

    /// Compares every way of listing what is loaded.
    fn compare(&self, name: &str, assert: impl Fn(&str, &str)) {
        for [text, json] in [["-y", "-jy"], ["-a", "-ja"], ["-n", "-jn"], ["-s", "-js"]] {
            let text = self.run(&["nft", text, "list", "ruleset"]);
            let json = self.run(&["nft", json, "list", "ruleset"]);
            println!("{name}: {} lines", text.lines().count());
            assert(&text, &json);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = lab::run("ip", &["netns", "del", &self.0]);
    }
}

#[test]
fn what_nft_loaded_means_the_same_in_both_forms() {
    if lab::must_skip() {
        return;
    }
    for (name, rules) in LOADED {
        let namespace = Namespace::new("l");
        namespace.run(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
        namespace.feed(&["nft", "-f", "-"], rules).unwrap();
        namespace.compare(name, assert_same);
    }
}

/// Of what iptables' own modules test, nft's text has translations, and its JSON has not: there the text may know more.
fn assert_no_less(text: &str, json: &str) {
    let (text, json) = (nft::parse_text("nft.txt", text.as_bytes()), nft::parse("nft.json", json.as_bytes()).unwrap());
    let (text, json) = (meaning(&text), meaning(&json));
    assert_eq!(text.lines().count(), json.lines().count());
    for (text, json) in text.lines().zip(json.lines()) {
        assert!(text == json || json.contains("unknown"), "text: {text}\njson: {json}");
    }
    assert!(text.lines().filter(|line| line.contains("unknown")).count() <= json.matches("unknown").count());
}

#[test]
fn what_iptables_nft_restored_means_no_less_in_text() {
    if lab::must_skip() {
        return;
    }
    for (name, rules) in RESTORED {
        let namespace = Namespace::new("r");
        // Counting objects of nfacct have to be there before rules name them.
        let rules: String = rules.split_inclusive('\n').filter(|line| !line.contains("nfacct")).collect();
        namespace.feed(&["iptables-nft-restore"], &rules).unwrap();
        namespace.compare(name, assert_no_less);
    }
}

/// Chains, sets and rules have the line that they stand on.
#[test]
fn everything_is_cited_by_its_line() {
    let text = KUBE_PROXY[0];
    let tables = nft::parse_text("nft.txt", text.as_bytes());
    let line = |number: u32| text.lines().nth(number as usize - 1).unwrap();
    let mut cited = 0;
    for table in &tables.tables {
        for set in &table.sets {
            for place in &set.places {
                assert!(line(place.origin.line).contains(&place.text), "{place:?}");
                cited += 1;
            }
        }
        for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
            assert!(line(rule.cited.origin.line).contains(&rule.cited.text), "{:?}", rule.cited);
            cited += 1;
        }
    }
    assert!(cited > 200, "{cited}");
}

/// Beginnings and damaged copies of a real text, and deep and endless ones, are read without a panic and in linear time.
#[test]
fn damaged_texts_are_read_as_far_as_they_go() {
    let whole = LOADED[0].1;
    for end in (0..whole.len()).step_by(7) {
        nft::parse_text("cut", &whole.as_bytes()[..end]);
    }
    let mut seed = 0x9e37_79b9_u32;
    for _ in 0..500 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..8 {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            let at = seed as usize % bytes.len();
            bytes[at] = b"{}\";:,.#\n@-/\xff0a"[(seed >> 16) as usize % 15];
        }
        nft::parse_text("damaged", &bytes);
    }
    let within = |rule: String| format!("table ip x {{\nchain c {{\n{rule}\n}}\n}}\n");
    for text in [
        "{".repeat(200_000),
        "table ip a {\n".repeat(100_000),
        "table ip a { chain b { accept } } ".repeat(50_000),
        within("a{".repeat(200_000)),
        within("ip saddr {".repeat(100_000)),
        within("accept ip saddr { ".repeat(100_000) + ",("),
        within("add @a { counter ".repeat(100_000)),
        within("ip saddr { 10.0.0.1, ".repeat(100_000) + &"}".repeat(100_000)),
    ] {
        nft::parse_text("deep", text.as_bytes());
    }
}

/// A verdict within what is not understood is none of the rule's own.
#[test]
fn what_is_not_understood_is_kept_whole() {
    let rule = "jhash ip saddr mod 2 vmap { 0 : goto a, 1 : drop } counter accept";
    let text = format!("table ip x {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n");
    let tables = nft::parse_text("nft.txt", text.as_bytes());
    let rule = &tables.tables[0].chains[0].rules[0];
    let shown: Vec<String> = rule.statements.iter().map(|statement| format!("{statement:?}")).collect();
    let unknown = r#"Unknown("jhash ip saddr mod 2 vmap { 0 : goto a, 1 : drop }")"#;
    assert_eq!(shown, [unknown, "Inert", "Verdict(Accept)"]);
    assert_eq!(rule.cited.origin.line, 3);
}

//! Rule sets in R's kernel: loaded, printed by the kernel's own tools, and taken away again.

use std::sync::Arc;

use netpath::address::Family;
use netpath::iptables::{self, Backend, Ruleset};

use crate::lab::Lab;

/// The rule sets of one family in a lab.
pub struct RuleSets<'a> {
    pub lab: &'a Lab,
    pub family: Family,
}

impl RuleSets<'_> {
    /// Loads rule sets in place of all others; gives them as the kernel's tools print them.
    pub fn load(&self, rules: &[(Backend, &str)]) -> Vec<Arc<Ruleset>> {
        self.reset();
        let load = |(backend, text): &(Backend, &str)| {
            let command = self.command(*backend, "restore");
            self.lab.feed_r(&[&command], text).unwrap_or_else(|why| panic!("{why}\n{text}"));
            Arc::new(self.saved(*backend))
        };
        rules.iter().map(load).collect()
    }

    /// Takes every rule out of the kernel, policies too, and forgets all connections.
    pub fn reset(&self) {
        let (mut accepting, mut gone) = (String::new(), String::new());
        let family = if self.family == Family::V4 { "ip" } else { "ip6" };
        for (table, chains) in [
            ("raw", "PREROUTING OUTPUT"),
            ("mangle", "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"),
            ("nat", "PREROUTING INPUT OUTPUT POSTROUTING"),
            ("filter", "INPUT FORWARD OUTPUT"),
            ("security", "INPUT FORWARD OUTPUT"),
        ] {
            accepting.push_str(&format!("*{table}\n"));
            chains.split(' ').for_each(|chain| accepting.push_str(&format!(":{chain} ACCEPT [0:0]\n")));
            accepting.push_str("COMMIT\n");
            gone.push_str(&format!("add table {family} {table}\ndelete table {family} {table}\n"));
        }
        self.lab.feed_r(&["nft", "-f", "-"], &gone).unwrap();
        self.lab.feed_r(&[&self.command(Backend::Legacy, "restore")], &accepting).unwrap();
        let flush = if self.family == Family::V4 { "conntrack -F -f ipv4" } else { "conntrack -F -f ipv6" };
        let _ = self.lab.in_r(flush);
    }

    /// `iptables-nft-save` and its like.
    fn command(&self, backend: Backend, what: &str) -> String {
        let six = if self.family == Family::V4 { "" } else { "6" };
        format!("ip{six}tables-{}-{what}", name(backend))
    }

    /// What is loaded, read from what `iptables-save -c` prints, which printing it again must give back.
    pub fn saved(&self, backend: Backend) -> Ruleset {
        let text = self.lab.in_r(&format!("{} -c", self.command(backend, "save"))).unwrap();
        let ruleset = iptables::parse("save", text.as_bytes(), self.family, backend);
        assert!(ruleset.notes.is_empty(), "{:?}", ruleset.notes);
        let printed = ruleset.to_save(true);
        for (ours, theirs) in printed.lines().zip(text.lines()) {
            assert_eq!(ours, theirs, "the printed rule set differs from iptables-save");
        }
        assert_eq!(printed, text);
        ruleset
    }
}

pub fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Legacy => "legacy",
        Backend::Nft => "nft",
    }
}

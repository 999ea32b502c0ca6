//! The connection tracking table: how full it is, and the kernel's counters of what did not fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;

use super::sysctl::Sysctls;
use super::{lines, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// Counters of `/proc/net/stat/nf_conntrack`, summed over the CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sums by column name: `insert_failed`, `drop`, `early_drop`, `invalid`, `search_restart` …
    pub sums: BTreeMap<String, u64>,
    /// Entries in the table; each CPU's line repeats the same number, so this one is not a sum.
    pub entries: Option<u64>,
    /// Lines of CPUs.
    pub cpus: u64,
    /// The first line of a CPU, for citing.
    pub citation: Option<Citation>,
}

/// Reads `/proc/net/stat/nf_conntrack`: a line of names, then per CPU a line of hexadecimal numbers
/// (net/netfilter/nf_conntrack_standalone.c). Kernels differ in the names, never in the order within one file.
pub fn parse_counters(path: &Arc<str>, bytes: &[u8]) -> Counters {
    let text = lines::text(bytes);
    let mut all = lines::lines(&text).filter(|line| !line.text.trim().is_empty());
    let Some(header) = all.next() else { return Counters::default() };
    let names: Vec<&str> = header.text.split_whitespace().collect();
    let mut counters = Counters::default();
    for line in all {
        let numbers: Result<Vec<u64>, _> =
            line.text.split_whitespace().map(|word| u64::from_str_radix(word, 16)).collect();
        let Ok(numbers) = numbers else { continue };
        if numbers.len() != names.len() {
            continue;
        }
        counters.cpus += 1;
        counters.citation.get_or_insert_with(|| Citation::line(path, line.number, line.text));
        for (name, number) in names.iter().zip(numbers) {
            if *name == "entries" {
                counters.entries.get_or_insert(number);
                continue;
            }
            let sum = counters.sums.entry((*name).to_owned()).or_default();
            *sum = sum.saturating_add(number);
        }
    }
    counters
}

/// The table of a node: its size and fill by the sysctls (`net.netfilter.nf_conntrack_*`, from either of the entries
/// that hold them), and the counters. None where neither is known.
pub fn value(sysctls: Option<&Sysctls>, counters: Option<&Counters>) -> Option<Value> {
    let number = |name: &str| sysctls.and_then(|s| s.number(&format!("net.netfilter.nf_conntrack_{name}")));
    let (count, max) = (number("count"), number("max"));
    if count.is_none() && counters.is_none_or(|c| c.cpus == 0) {
        return None;
    }
    let cite = |name: &str| sysctls.and_then(|s| s.citation(&format!("net.netfilter.nf_conntrack_{name}")));
    let lines: Vec<Value> = ["count", "max"].iter().filter_map(|name| cite(name)).map(cited).collect();
    let citation = cite("count").or_else(|| counters.and_then(|c| c.citation.clone()))?;
    let sums = counters.map(|c| c.sums.clone());
    Some(
        Record::cited(citation)
            .with("count", opt(count))
            .with("max", opt(max))
            .with("buckets", opt(number("buckets")))
            .with("fill_percent", opt(fill_percent(count, max)))
            .with("lines", lines)
            .with("counters", opt(sums))
            .with("counters_line", opt(counters.and_then(|c| c.citation.clone()).map(cited)))
            .into_value(),
    )
}

fn cited(citation: Citation) -> Value {
    super::cited_line(&citation)
}

/// Percent of the table in use, rounded down; none without a limit (a limit of 0 means that there is none).
fn fill_percent(count: Option<i64>, max: Option<i64>) -> Option<i64> {
    let (count, max) = (count?, max.filter(|max| *max > 0)?);
    count.checked_mul(100)?.checked_div(max)
}

/// The fields of the connection tracking table.
pub static CONNTRACK: RecordShape = RecordShape {
    name: "conntrack",
    doc: "The connection tracking table of a node.",
    fields: &[
        Field {
            name: "count",
            shape: Shape::Scalar,
            doc: "Entries in use (nf_conntrack_count); undefined where unknown.",
        },
        Field {
            name: "max",
            shape: Shape::Scalar,
            doc: "Entries allowed (nf_conntrack_max); undefined where unknown.",
        },
        Field { name: "buckets", shape: Shape::Scalar, doc: "Buckets of the hash table." },
        Field { name: "fill_percent", shape: Shape::Scalar, doc: "count of max, in percent, rounded down." },
        Field {
            name: "lines",
            shape: Shape::List(&Shape::Record(&super::CITED_LINE)),
            doc: "The lines that count and max come from.",
        },
        Field {
            name: "counters",
            shape: Shape::Map(&Shape::Scalar),
            doc: "Kernel counters since boot by name (insert_failed, drop, early_drop …), summed over the CPUs; undefined where unknown.",
        },
        Field {
            name: "counters_line",
            shape: Shape::Record(&super::CITED_LINE),
            doc: "The first CPU's line of the counters.",
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;
    use crate::facts::node::sysctl;

    /// The header of a 6.x kernel; the numbers are made up, in the kernel's format.
    const REAL: &str = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n\
        0000001a  00000000 00000000 00000000 0000000b 00000000 00000000 00000000 00000000 00000010 00000001 00000000 00000000  00000000 00000000 00000000 000000ff\n\
        0000001a  00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000 0000000f 00000000 00000000 00000000  00000000 00000000 00000000 00000001\n";

    #[test]
    fn hexadecimal_columns_are_summed_over_the_cpus() {
        let counters = parse_counters(&"c".into(), REAL.as_bytes());
        assert_eq!(counters.cpus, 2);
        assert_eq!(counters.sums["insert_failed"], 0x1f);
        assert_eq!(counters.sums["search_restart"], 0x100);
        assert_eq!(counters.entries, Some(0x1a), "the table's size is no sum");
        assert_eq!(counters.citation.unwrap().line, Some(2));
    }

    #[test]
    fn lines_that_do_not_fit_the_header_are_left_out() {
        let broken = "entries drop\n00000001 00000002\n00000001\nnot hex\n";
        assert_eq!(parse_counters(&"c".into(), broken.as_bytes()).cpus, 1);
        assert_eq!(parse_counters(&"c".into(), b""), Counters::default());
    }

    #[test]
    fn the_fill_is_of_the_sysctls() {
        let sysctls = sysctl::parse(
            &"s".into(),
            b"net.netfilter.nf_conntrack_count = 58982\nnet.netfilter.nf_conntrack_max = 65536\n",
        );
        let counters = parse_counters(&"c".into(), REAL.as_bytes());
        let fact = value(Some(&sysctls), Some(&counters)).unwrap();
        assert_eq!(fact.get_attr("fill_percent").unwrap(), Value::from(89));
        assert_shape(&fact, &Shape::Record(&CONNTRACK));
        assert!(value(None, None).is_none());
        assert_eq!(fill_percent(Some(5), Some(0)), None);
    }
}

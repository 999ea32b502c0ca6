//! The cases beside each rule: a Markdown file of small bundles, each with the outcome that is expected of the rule.
//!
//! ````markdown
//! # ip-forward-zero
//!
//! ## Sick: forwarding is off on a node with pods
//!
//! Why this is wrong.
//!
//! ```text nodes/n1/system/sysctl.txt
//! net.ipv4.ip_forward = 0
//! ```
//!
//! ```expect
//! finding error node/n1: forwarding is off
//! evidence nodes/n1/system/sysctl.txt:1
//! ```
//!
//! ## Twin: forwarding is on
//!
//! ```change nodes/n1/system/sysctl.txt
//! - net.ipv4.ip_forward = 0
//! + net.ipv4.ip_forward = 1
//! ```
//!
//! ```expect
//! pass node/n1
//! ```
//! ````
//!
//! A heading of the second level begins a case; it starts with `Sick`, `Twin` or `Trap`. Twins and traps begin with the
//! files of the sick case before them.

mod evidence_path;
mod expect;
mod markdown;
mod mini_bundle;
mod parse;
mod run;

pub use parse::{Case, CaseFile, Kind, parse};
pub use run::{Report, run, run_all};

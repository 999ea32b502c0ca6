//! Would this packet pass, and if not, which line stops it?
//!
//! A [`node::Node`] holds what was collected of a host: interfaces, routes, settings, rule sets. Every parser takes
//! the file's name and its bytes, so that each parsed thing can be cited with its file and line. The crate knows
//! nothing of bundles or clusters.

pub mod address;
pub mod answer;
pub mod cloud;
pub mod conntrack;
pub mod firewalld;
mod held;
pub mod interface;
pub mod ipset;
pub mod iptables;
pub mod ipvs;
mod json;
pub mod link;
pub mod matches;
pub mod neighbour;
pub mod nft;
pub mod node;
pub mod packet;
pub mod policy;
pub mod port;
pub mod protocol;
mod reverse_path;
pub mod route;
pub mod service;
pub mod source;
pub mod sysctl;
pub mod targets;
pub mod ufw;
pub mod unknown;
pub mod walk;

pub use answer::{Answer, walk};
pub use json::JsonError;

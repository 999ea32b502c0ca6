//! Would the cluster's policies let this flow pass, and if not, which rule is missing or denies it?
//!
//! ```text
//! endpoint.rs        the two ends of a flow
//! policies.rs        all policies of a cluster; the kinds that there are
//! network_policy.rs  NetworkPolicy: objects, isolation, rules; peer.rs and port.rs: what a rule is about
//! tier.rs            AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy
//! foreign.rs         Calico's, Cilium's and others' own kinds: recognized, not evaluated; calico_selector.rs
//! plugin.rs          whether anything enforces policies, and what the API leaves to whoever does
//! branch.rs judge.rs the ways a judgement can go, and what they come to
//! fix.rs             the rule to add, tried out
//! ```
//!
//! A judgement is of one side: the source's egress or the destination's ingress, after a Service's address was
//! translated. Where the evidence or the API leaves something open, the judgement depends on it by name; nothing that
//! cannot be read is taken as "no match".

mod admission;
mod branch;
mod calico_selector;
mod endpoint;
mod fix;
mod foreign;
mod judge;
mod label;
mod network_policy;
mod peer;
mod plugin;
mod policies;
mod port;
mod tier;

pub use admission::{Admission, Closed};
pub use branch::Missed;
pub use endpoint::{ContainerPort, Endpoint, Flow, Host, Party, Pod, Side};
pub use fix::PolicyFix;
pub use judge::{Isolating, Judgement, Way};
pub use label::{Labels, NAMESPACE_NAME, Selector};
pub use plugin::{Denial, Enforcement, Plugin};
pub use policies::{Kind, Policies};

//! The walk of one packet through the hooks of a node.
//!
//! [`explore`] walks all paths that unknowns and chance allow; each ends in an [`Outcome`].

mod bridge;
mod choices;
mod event;
mod explore;
mod hooks;
mod nat;
mod native;
mod native_fib;
mod native_values;
mod orders;
mod path;
mod routing;
mod routing_v6;
mod skb;
mod source_check;
mod source_v6;
mod tables;
mod track;
mod walker;

pub use self::event::{Delivery, Effect, Event, Verdict};
pub use self::explore::{Answered, Assumption, Entry, Exploration, Outcome, explore};
pub use self::hooks::{ChainRef, NativeRef};
pub(crate) use self::skb::Context;
pub use self::skb::{Hook, Skb, Socket};

//! The walk of one packet through the hooks of a node.

mod skb;

pub(crate) use self::skb::Context;
pub use self::skb::{Hook, Skb};

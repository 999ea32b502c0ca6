//! The whole way of a packet: would it pass, what does the client see, and which line decides?
//!
//! ```text
//! question.rs   from the ends to a packet, its sender and where it begins
//! world.rs      who has which address, and the nodes to walk through
//! journey/      node after node, what lies between, the end, and the way back
//! flight.rs     one course of a journey
//! overlay.rs    what carries packets between nodes
//! gate.rs       what decides beside nodes: policies, and a cloud's security groups
//! observed.rs   what was tried while the bundle was gathered
//! verdict.rs    from all courses to one answer, with the fix tried out
//! answer.rs     the contract of `--json`
//! drawing.rs    the answer for people
//! battery.rs    the packets that every cluster lives by: `--all`
//! intake.rs     the way between the ends that a symptom names
//! ```
//!
//! What happens within a node is netpath's; what lies between nodes is put together here, of facts.

pub mod answer;
pub mod battery;
pub mod drawing;
mod flight;
mod gate;
pub mod intake;
mod journey;
mod observed;
mod overlay;
pub mod question;
mod verdict;
pub mod world;

pub use crate::facts::symptom::endpoint;
pub use answer::PathAnswer;
pub use question::{Protocol, Question, QuestionError};
pub use world::World;

/// Answers a question.
///
/// # Errors
/// Where an end, a port or the node is not in the bundle, or the question lacks something: what, and what to do.
pub fn answer(world: &World<'_>, question: &Question) -> Result<PathAnswer, QuestionError> {
    let asked = question.resolve(world)?;
    Ok(verdict::answer(world, &asked))
}

#[cfg(test)]
mod gate_tests;

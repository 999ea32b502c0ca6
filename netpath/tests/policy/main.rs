//! Policies: cases that implementations get wrong, odd input, and an independent evaluation of generated clusters.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod cases;
mod generate;
mod naive;
mod property;
#[path = "../kernel/random.rs"]
mod random;

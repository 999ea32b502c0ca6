//! Policies: cases that implementations get wrong, odd input, an independent evaluation of generated clusters, and the same
//! clusters' policies carried out by the kernel.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod cases;
mod compile;
#[allow(dead_code)]
#[path = "../kernel/frames.rs"]
mod frames;
mod generate;
mod kernel;
#[allow(dead_code)]
#[path = "../kernel/lab.rs"]
mod lab;
mod naive;
mod property;
#[path = "../kernel/random.rs"]
mod random;
#[allow(dead_code)]
#[path = "../kernel/wire.rs"]
mod wire;

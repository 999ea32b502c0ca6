//! Policies: cases that implementations get wrong, odd input, and an independent evaluation of generated clusters.
#![allow(clippy::unwrap_used, missing_docs)]

mod cases;

//! Rules.
pub mod diagnostic;
pub mod evidence_id;
pub mod expression;
pub mod yaml;

//! The analyzer: evidence → facts → rules → findings → causes → report.
//!
//! It knows only the bundle: no network, no environment, no clock. The same bundle gives the same bytes of report
//! with any number of threads.

pub mod attachment;
pub mod citation;
pub mod command;
pub mod evidence;
pub mod fact;
pub mod facts;
pub mod finding;
pub mod pattern;
pub mod regression;
pub mod report;
pub mod rule;
pub mod shape;
pub mod symptom;
pub mod way;

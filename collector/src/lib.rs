//! The collector: gathers what a cluster and its nodes say into one bundle, changing nothing.
//!
//! Two halves meet here and nowhere else: [`cluster`] asks an API server, [`node`] reads the host that it runs on;
//! [`reach`] brings the second to the nodes through the first. Beside them [`cloud`] asks the provider's own program, and
//! [`attach`] takes what the sender has already. All announce what they will do as [`plan::PlanLine`]s, and hand every item
//! to the [`run::Run`], which owns the bundle, the clock and the way to stop.

pub mod attach;
pub mod certificate;
pub mod cli;
pub mod cloud;
pub mod cluster;
pub mod merge;
pub mod node;
pub mod plan;
pub mod reach;
pub mod redact;
pub mod resolve;
pub mod run;
pub mod symptom;

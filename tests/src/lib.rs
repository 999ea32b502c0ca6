//! What the end-to-end tests and the making of the samples share: upstream programs built from their source, a real API
//! server that ends with the process that started it, and prerequisites that a test states before it begins.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api_server;
pub mod cache;
pub mod cluster;
pub mod fault_proxy;
pub mod host;
pub mod pki;
pub mod product;
pub mod programs;
pub mod require;
pub mod scenario;

pub use api_server::{ApiServer, Options, User};
pub use host::Host;
pub use require::Missing;

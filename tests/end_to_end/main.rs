//! The programs as their users run them, against the real things: an API server, a kernel, a browser.
#![allow(clippy::unwrap_used)]

mod api_server;
mod bad_input;
mod browser;
mod cluster;
mod cluster_content;
mod credentials;
mod deploy;
mod explained;
mod given;
mod host;
mod krew;
mod kubelets;
mod limits;
mod names;
mod node;
mod offline;
mod path;
mod proxies;
mod reach;
mod samples;
mod stops;

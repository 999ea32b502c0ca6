//! What stops a connection, explained from a host's file alone and confirmed by the kernel.
//!
//! Each test breaks a connection with the real tool, sees it fail with a real socket, has the host's collector write its
//! file, asks `dossier` which line stops it, applies the change as it is printed, and sees the connection succeed.
//!
//! ```text
//! site.rs      a host with pods, and beside it a peer that stands for the other nodes
//! cases.rs     what stops what
//! policy.rs    a policy that stops it, enforced by kube-router
//! ```

mod cases;
mod policy;
mod site;

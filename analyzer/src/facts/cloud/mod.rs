//! A cloud's security groups, as `az` and `tccli` print them: what `--cloud` gathered, or what a customer attached.
//!
//! ```text
//! tke.rs       what tccli says of clusters, load balancers, subnets and routes
//! machine.rs   nodes whose groups are the same, and what these make of all packets from some clients
//! exposed.rs   from a Service's clients to its node ports, or to its load balancer's address
//! peers.rs     networks that are not the cluster's: peer VPCs and data centres
//! api_access.rs    to TKE's API server from the Internet and from the VPC
//! ```

pub mod api_access;
pub mod exposed;
pub mod machine;
pub mod peers;
pub mod tke;

use std::sync::Arc;

use bundle::Scope;
use netpath::cloud::{Azure, Tencent};

use crate::evidence::Evidence;
use crate::finding::Unreadable;
use tke::Tke;

/// The beginning of the ids of all that is known of a cloud.
const EVIDENCE: &str = "cloud";

/// What is known of the clouds that a cluster may run in.
#[derive(Debug, Default)]
pub struct Clouds {
    /// Azure's network security groups.
    pub azure: Azure,
    /// Tencent Cloud's security groups.
    pub tencent: Tencent,
    /// What Tencent Cloud says of clusters and of what is around them.
    pub tke: Tke,
}

impl Clouds {
    /// Whether no security group is known.
    pub fn is_empty(&self) -> bool {
        self.azure.is_empty() && self.tencent.is_empty()
    }
}

/// Reads the documents. Those that tell nothing of security groups are skipped.
pub(super) fn read(evidence: &Evidence) -> (Clouds, Vec<Unreadable>) {
    let (mut clouds, mut unreadable) = (Clouds::default(), Vec::new());
    for item in evidence.items(EVIDENCE, &Scope::Cluster) {
        let Some(path) = &item.path else { continue };
        let file: Arc<str> = Arc::from(path.as_str());
        let added = evidence.bundle().read(path).map_err(|error| error.to_string()).and_then(|bytes| {
            let azure = clouds.azure.add(&file, &bytes).map_err(|error| error.to_string())?;
            let tencent = clouds.tencent.add(&file, &bytes).map_err(|error| error.to_string())?;
            Ok(clouds.tke.add(&file, &bytes) || azure || tencent)
        });
        if let Err(reason) = added {
            unreadable.push(Unreadable { path: path.clone(), reason });
        }
    }
    (clouds, unreadable)
}

#[cfg(test)]
mod tests;

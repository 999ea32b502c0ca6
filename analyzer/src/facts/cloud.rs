//! A cloud's security groups, as `az` and `tccli` print them: what `--cloud` gathered, or what a customer attached.

use std::sync::Arc;

use bundle::Scope;
use netpath::cloud::{Azure, Tencent};

use crate::evidence::Evidence;
use crate::finding::Unreadable;

/// The beginning of the ids of all that is known of a cloud.
const EVIDENCE: &str = "cloud";

/// What is known of the clouds that a cluster may run in.
#[derive(Debug, Default)]
pub struct Clouds {
    /// Azure's network security groups.
    pub azure: Azure,
    /// Tencent Cloud's security groups.
    pub tencent: Tencent,
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
            let known = azure || clouds.tencent.add(&file, &bytes).map_err(|error| error.to_string())?;
            Ok(known)
        });
        if let Err(reason) = added {
            unreadable.push(Unreadable { path: path.clone(), reason });
        }
    }
    (clouds, unreadable)
}

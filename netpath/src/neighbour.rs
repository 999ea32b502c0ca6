//! The neighbour table, from `ip -j neigh`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::json::{self, JsonError, string};
use crate::source::Cited;

/// One neighbour.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// The interface it is on.
    pub interface: Arc<str>,
    /// Its Ethernet address, when it answered.
    pub mac: Option<[u8; 6]>,
    /// `REACHABLE`, `STALE`, `FAILED`, …
    pub states: Vec<Box<str>>,
    /// Where it was read.
    pub cited: Cited,
}

impl Neighbour {
    /// Whether the kernel gave up on it.
    pub fn failed(&self) -> bool {
        self.states.iter().any(|state| &**state == "FAILED")
    }
}

/// Reads `ip -j neigh`.
///
/// # Errors
/// When the bytes are not a JSON array.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Neighbour>, JsonError> {
    let file: Arc<str> = Arc::from(file);
    let neighbours = json::array(&file, bytes)?.into_iter().filter_map(|element| {
        let value = &element.value;
        Some(Neighbour {
            address: string(value, "dst")?.parse().ok()?,
            interface: Arc::from(string(value, "dev")?),
            mac: string(value, "lladdr").and_then(crate::matches::parse_mac),
            states: value
                .get("state")
                .and_then(|states| states.as_array())
                .map(|states| states.iter().filter_map(|state| state.as_str()).map(Into::into).collect())
                .unwrap_or_default(),
            cited: element.cited,
        })
    });
    Ok(neighbours.collect())
}

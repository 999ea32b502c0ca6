//! Pods that claim one address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use minijinja::Value;

use crate::fact::Record;
use crate::facts::pod::Pod;
use crate::facts::{Facts, pod};
use crate::shape::{Field, RecordShape, Shape};

/// The shape of an address that several pods claim.
pub static SHAPE: RecordShape = RecordShape {
    name: "shared address",
    doc: "An address that several running pods of the pod network claim.",
    fields: &[
        Field::scalar("ip", "The address."),
        Field::of("pods", Shape::List(&Shape::Record(&pod::fact::SHAPE)), "The pods."),
        Field::of(
            "alive",
            Shape::List(&Shape::Record(&pod::fact::SHAPE)),
            "Those on nodes that are Ready: the status of a pod on a lost node is old, and its address may be given anew.",
        ),
    ],
};

/// Addresses that several pods claim, in order. A pod that is being deleted, has ended or uses the host's network
/// claims none.
pub fn shared(facts: &Facts) -> Vec<(IpAddr, Vec<u32>)> {
    let claims = |pod: &Pod| pod.is_networked() && &*pod.phase == "Running" && pod.deleted.timestamp().is_none();
    let claiming = (0..).zip(facts.pods().all()).filter(|(_, pod)| claims(pod));
    let mut claimed: Vec<(IpAddr, u32)> =
        claiming.flat_map(|(place, pod)| pod.addresses().map(move |address| (address, place))).collect();
    claimed.sort_unstable();
    let mut shared: BTreeMap<IpAddr, Vec<u32>> = BTreeMap::new();
    for pair in claimed.windows(2) {
        let [(address, first), (other, second)] = pair else { continue };
        if address == other && first != second {
            let places = shared.entry(*address).or_default();
            places.extend([*first, *second].into_iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
        }
    }
    shared.into_iter().collect()
}

/// The same as values.
pub fn values(facts: &Facts) -> Value {
    let alive = |place: &u32| {
        let node = facts.pods().get(*place).and_then(|pod| facts.node_object(&pod.node));
        node.is_none_or(|node| node.is_ready())
    };
    let value = |(address, places): &(IpAddr, Vec<u32>)| {
        let living = places.iter().copied().filter(alive);
        Record::derived()
            .with("ip", address.to_string())
            .with("pods", pod::fact::values(facts, places.iter().copied()))
            .with("alive", pod::fact::values(facts, living))
            .into_value()
    };
    facts.shared_addresses().iter().map(value).collect()
}

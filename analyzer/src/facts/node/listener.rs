//! Whether the kubelet listens where the API server asks for it: TCP 10250 of the node's address, or what its configuration
//! says instead (`port` of KubeletConfiguration, `--port`).

use std::net::IpAddr;

use minijinja::Value;

use super::NodeFacts;
use crate::fact::Record;
use crate::shape::{Field, RecordShape};

/// The kubelet's port where nobody names another (pkg/cluster/ports/ports.go of Kubernetes).
const KUBELET: u16 = 10250;

/// The shape of `node.kubelet_socket`.
pub static SHAPE: RecordShape = RecordShape {
    name: "kubelet socket",
    doc: "Whether the kubelet listens where the API server asks for it.",
    fields: &[
        Field::scalar("address", "The node's InternalIP."),
        Field::scalar("port", "The kubelet's port: 10250, unless its configuration says another."),
        Field::scalar(
            "who",
            "`yes`: a socket takes it; `elsewhere`: sockets of the port are bound to other addresses; `nobody`.",
        ),
        Field::scalar("bound", "Those other addresses."),
    ],
};

/// Who listens at this address of the node; none where its sockets are not known.
pub fn value(files: &NodeFacts, address: IpAddr) -> Option<Value> {
    let port = files.kubelet().port().unwrap_or(KUBELET);
    let who = files.sockets()?.listening("tcp", address, port);
    let record = Record::cited(who.citation().clone())
        .with("address", address.to_string())
        .with("port", port)
        .with("who", who.word())
        .with_any("bound", who.bound());
    Some(record.into_value())
}

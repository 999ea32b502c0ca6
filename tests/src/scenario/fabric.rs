//! The network between a sample's nodes: a bridge in a network namespace of the process's own, so that the addresses may
//! be those of a real site and nothing of it reaches the machine's network.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where the API server serves: the address that stands in every kubeconfig.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(10, 240, 0, 10);

/// The address of a node, as its object says.
pub fn address(node: &str) -> Ipv4Addr {
    match node {
        "cp-1" => Ipv4Addr::new(10, 240, 0, 11),
        "worker-1" => Ipv4Addr::new(10, 240, 0, 12),
        _ => Ipv4Addr::new(10, 240, 0, 13),
    }
}

/// The nodes whose hosts are not real: the fabric itself answers at their addresses.
pub const OTHERS: [&str; 2] = ["cp-1", "worker-2"];

/// The bridge, and the addresses that the fabric answers for.
#[derive(Debug)]
pub struct Fabric(());

impl Fabric {
    /// Lays the bridge. The process must already be in namespaces of its own (see `make-samples`).
    pub fn lay() -> Result<Self> {
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "fabric", "type", "bridge"])?;
        ip(&["addr", "add", &format!("{CONTROL_PLANE}/24"), "dev", "fabric"])?;
        for node in OTHERS {
            ip(&["addr", "add", &format!("{}/24", address(node)), "dev", "fabric"])?;
        }
        ip(&["link", "set", "fabric", "up"])?;
        Ok(Fabric(()))
    }

    /// Makes the network namespace of a node, with an eth0 on the bridge, and returns its name.
    pub fn attach(&self, node: &str, address: Ipv4Addr) -> Result<String> {
        ip(&["netns", "add", node])?;
        ip(&["link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", node])?;
        ip(&["link", "set", node, "master", "fabric", "up"])?;
        for arguments in [
            vec!["link", "set", "lo", "up"],
            vec!["addr", "add", &format!("{address}/24"), "dev", "eth0"],
            vec!["link", "set", "eth0", "up"],
            vec!["route", "add", "default", "via", &CONTROL_PLANE.to_string()],
        ] {
            ip(&[["-n", node].as_slice(), &arguments].concat())?;
        }
        Ok(node.to_owned())
    }

    /// Removes the network namespace of a node, and its link with it.
    pub fn detach(&self, node: &str) -> Result<()> {
        ip(&["netns", "delete", node])
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

//! Gates and items that ask systemd.

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;

use super::host::Host;
use super::item::{NodeItem, command};

/// systemctl and its kin talk to a systemd that runs, or complain.
pub fn systemd(host: &Host) -> Result<(), ItemEnd> {
    if host.has_systemd() {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Unsupported, "systemd does not run this host"))
}

/// The items of node.units.
pub fn items() -> Vec<NodeItem> {
    let list = |id, path, verb: &str| {
        command(
            id,
            path,
            &["systemctl", verb, "--type=service", "--all", "--no-legend", "--no-pager", "--plain", "--full"],
        )
        .only_where("systemd runs the host", systemd)
    };
    vec![
        list("node.units.services", "system/units.txt", "list-units"),
        list("node.units.unit-files", "system/unit-files.txt", "list-unit-files"),
    ]
}

//! Where things lie in a bundle, format 1. Every path in a bundle is made here, so that writer and reader agree.
//!
//! ```text
//! README.txt                                 first entry, for the person who sends the file
//! cluster/<group>/<resource>.json            objects, as the API served them, less what is stripped
//! cluster/<group>/<resource>.table.json      the server's own table of the same list
//! cluster/{version,health,access}.json …     what is not a list
//! kubectl/<resource>.txt                     what `kubectl get -A -o wide` prints
//! logs/<namespace>/<pod>/<container>[.previous].log
//! nodes/<node>/{net,firewall,dns,ipam,cni,kubelet,system,logs}/…
//! probes/….json   cloud/…   extra/…
//! manifest.json                              last entry
//! ```

/// The first entry.
pub const README: &str = "README.txt";
/// The last entry.
pub const MANIFEST: &str = "manifest.json";

/// Objects of one resource: `cluster/apps/deployments.json`. The core group, which the API spells "", is `core`.
pub fn objects(group: &str, resource: &str) -> String {
    format!("cluster/{}/{}.json", group_folder(group), component(resource))
}

/// The server's table of the same list.
pub fn table(group: &str, resource: &str) -> String {
    format!("cluster/{}/{}.table.json", group_folder(group), component(resource))
}

/// One object of a resource whose lists are kept without their content.
pub fn object(group: &str, resource: &str, namespace: &str, name: &str) -> String {
    let folder = group_folder(group);
    format!("cluster/{folder}/{}/{}/{}.json", component(resource), component(namespace), component(name))
}

/// Something of the cluster that is not a list: `cluster/version.json`.
pub fn cluster_file(name: &str) -> String {
    format!("cluster/{}", component(name))
}

/// What `kubectl get -A -o wide` prints of a resource.
pub fn kubectl(resource: &str) -> String {
    format!("kubectl/{}.txt", component(resource))
}

/// A container's log.
pub fn container_log(namespace: &str, pod: &str, container: &str, previous: bool) -> String {
    let suffix = if previous { ".previous" } else { "" };
    format!("logs/{}/{}/{}{suffix}.log", component(namespace), component(pod), component(container))
}

/// A file of a node: `nodes/n1/net/link.json` from `n1` and `net/link.json`. The part below the node may have
/// folders of its own; each of its components is made safe.
pub fn node_file(node: &str, below: &str) -> String {
    let mut path = format!("nodes/{}", component(node));
    for part in below.split('/').filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(&component(part));
    }
    path
}

fn group_folder(group: &str) -> String {
    if group.is_empty() { "core".to_owned() } else { component(group) }
}

/// One path component, safe on every system that might unpack the file: anything but letters, digits and `._-@:+~`
/// becomes `%XX`, so do a leading dot pair and the names `.` and `..`; at most 200 bytes stay.
pub fn component(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        let dots_only = name.bytes().all(|b| b == b'.');
        let plain = byte.is_ascii_alphanumeric() || (b"._-@+~".contains(&byte) && !(dots_only && i == 0));
        if plain {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    if safe.is_empty() {
        safe.push_str("%00");
    }
    safe.truncate(200);
    safe
}

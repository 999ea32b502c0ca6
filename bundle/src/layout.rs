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
//! redactions.json                            what was masked, by kind and file; no item, made from the manifest
//! manifest.json                              last entry
//! ```

use crate::hash::sha256;

/// The first entry.
pub const README: &str = "README.txt";
/// What was masked.
pub const REDACTIONS: &str = "redactions.json";
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

/// Something that the sender attached: `extra/1-nsg.json`. The number keeps two files of one name apart.
pub fn extra(number: usize, name: &str) -> String {
    format!("extra/{}", component(&format!("{number}-{name}")))
}

/// What a provider's own tool said: `cloud/az/nsg.json`.
pub fn cloud(provider: &str, name: &str) -> String {
    format!("cloud/{}/{}", component(provider), component(name))
}

fn group_folder(group: &str) -> String {
    if group.is_empty() { "core".to_owned() } else { component(group) }
}

/// Bytes that a path component may have; file systems take 255.
const COMPONENT: usize = 200;

/// One path component, safe on every system that might unpack the file.
///
/// Anything but letters, digits and `._-@+~` becomes `%XX`, and so do: the first dot of a name of dots alone, a dot at
/// the end and the first letter of a device's name (both of which Windows has its own ideas of; a pod may well be
/// called `aux`). A name of over 200 bytes is cut, and told from others by the hash of the whole.
pub fn component(name: &str) -> String {
    let dots_only = name.bytes().all(|b| b == b'.');
    let last = name.len().saturating_sub(1);
    let mut safe = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        let special = (dots_only && i == 0) || (byte == b'.' && i == last) || (i == 0 && is_device(name));
        if !special && (byte.is_ascii_alphanumeric() || b"._-@+~".contains(&byte)) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    if safe.is_empty() {
        safe.push_str("%00");
    }
    if safe.len() > COMPONENT {
        let whole = sha256(name.as_bytes());
        safe.truncate(COMPONENT - 17);
        safe.push('~');
        safe.push_str(whole.get(..16).unwrap_or(&whole));
    }
    safe
}

/// Names that Windows keeps for devices, with any extension, in any folder.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [digit] if digit.is_ascii_digit()))
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::read::name;

    #[test]
    fn kubernetes_names_stay_as_they_are() {
        for name in
            ["kube-system", "coredns-5d78c9869d-abcde", "n1.example.com", "networking.k8s.io", "a..b", "console"]
        {
            assert_eq!(component(name), name);
        }
    }

    #[test]
    fn what_some_system_takes_differently_is_spelled_out() {
        let cases = [
            ("", "%00"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "%2E.%2E"),
            ("a/b", "a%2Fb"),
            ("a\\b", "a%5Cb"),
            ("C:", "C%3A"),
            ("dot.", "dot%2E"),
            ("aux", "%61ux"),
            ("NUL.log", "%4EUL.log"),
            ("com1", "%63om1"),
            ("ü", "%C3%BC"),
            ("a\u{1b}[2J", "a%1B%5B2J"),
        ];
        for (name, safe) in cases {
            assert_eq!(component(name), safe);
            assert_eq!(name::check(&component(name), &Limits::default()), Ok(()));
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, two) = (format!("{}1", "ü".repeat(150)), format!("{}2", "ü".repeat(150)));
        assert_eq!(component(&one).len(), COMPONENT);
        assert_ne!(component(&one), component(&two));
        assert_eq!(component(&"x".repeat(200)).len(), 200);
    }

    #[test]
    fn paths_lie_where_the_format_says() {
        assert_eq!(objects("", "pods"), "cluster/core/pods.json");
        assert_eq!(table("apps", "deployments"), "cluster/apps/deployments.table.json");
        assert_eq!(container_log("ns", "p", "c", true), "logs/ns/p/c.previous.log");
        assert_eq!(node_file("n1", "net//../link.json"), "nodes/n1/net/%2E%2E/link.json");
    }
}

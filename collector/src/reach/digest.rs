//! The most telling lines of a node, small enough for a pod's termination message: 4,096 bytes, which the kubelet carries
//! to the API server itself (Kubernetes, "Determine the Reason for Pod Failure"). It is what is left where neither exec
//! nor the mailbox goes.

use std::io::{Cursor, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::ItemStatus;
use bundle::write::frames::{self, Frame};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// What a termination message holds.
const MESSAGE: usize = 4_096;
/// What is believed of a message when it is inflated.
const INFLATED_AT_MOST: u64 = 1 << 20;

/// Items that are sent whole where they fit, the most telling first.
const WHOLE: [&str; 3] = ["node.ufw.status", "node.ufw.default", "node.xtables.counts"];
/// Dumps of which the deciding lines are sent.
const DUMPS: [&str; 3] = ["node.iptables.nft-v4", "node.iptables.legacy-v4", "node.iptables.plain-v4"];
/// Settings that decide whether packets are forwarded, filtered and tracked.
const SETTINGS: [&str; 8] = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.eth0.rp_filter",
    "net.bridge.bridge-nf-call-iptables",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
];

/// What is sent.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Items that are whole.
    pub items: Vec<Whole>,
    /// Lines of others.
    pub lines: Vec<String>,
}

/// An item that is sent whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// Its evidence id.
    pub id: String,
    /// Where it lies in the bundle.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Composes the message from the frames that a collector wrote; `remark` comes first.
pub fn compose(stream: &[u8], remark: Option<String>) -> String {
    let items = read(stream);
    let of = |id: &str| items.iter().find(|item| item.id == id);
    let mut digest = Digest::default();
    digest.lines.extend(remark);
    for id in WHOLE {
        digest.items.extend(of(id).cloned());
        if digest.encoded().is_none() {
            digest.items.pop();
        }
    }
    let dumps = DUMPS.into_iter().filter_map(of);
    let mut lines: Vec<String> =
        dumps.flat_map(|dump| deciding(&dump.text).map(|line| format!("{}: {line}", dump.id))).collect();
    let settings = of("node.sysctl").into_iter().flat_map(|item| item.text.lines());
    let settings = settings.filter(|line| SETTINGS.iter().any(|name| line.split(' ').next() == Some(name)));
    // Few and short, so that they go before the rules.
    lines.splice(0..0, settings.map(str::to_owned));
    while !lines.is_empty() {
        let before = digest.lines.len();
        digest.lines.extend(lines.iter().cloned());
        if let Some(message) = digest.encoded() {
            return message;
        }
        digest.lines.truncate(before);
        lines.truncate(lines.len() * 7 / 8);
    }
    digest.encoded().unwrap_or_default()
}

/// Reads a message.
pub fn read_message(message: &str) -> Option<Digest> {
    let packed = STANDARD.decode(message.trim()).ok()?;
    let mut text = Vec::new();
    DeflateDecoder::new(packed.as_slice()).take(INFLATED_AT_MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Digest {
    /// As a message, where it fits.
    fn encoded(&self) -> Option<String> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        serde_json::to_writer(&mut encoder, self).ok()?;
        encoder.flush().ok()?;
        let message = STANDARD.encode(encoder.finish().ok()?);
        (message.len() <= MESSAGE).then_some(message)
    }
}

/// The lines of a dump that decide about packets for the node itself and for its pods: policies, and rules that drop,
/// reject or speak of the kubelet's port. Chains of kube-proxy and of the CNI's Services are left out.
fn deciding(dump: &str) -> impl Iterator<Item = &str> {
    dump.lines().filter(|line| {
        let policy = line.starts_with(':')
            && (line.contains(" DROP ") || line.starts_with(":INPUT ") || line.starts_with(":FORWARD "));
        let service =
            line.contains("-A KUBE-SVC-") || line.contains("-A KUBE-SEP-") || line.contains("-A KUBE-SERVICES");
        let verdict =
            ["-j DROP", "-j REJECT", "dport 10250", "-A INPUT ", "-A FORWARD "].iter().any(|word| line.contains(word));
        policy || (verdict && !service)
    })
}

fn read(stream: &[u8]) -> Vec<Whole> {
    let mut stream = Cursor::new(stream);
    let mut items = Vec::new();
    while let Ok(Some(frame)) = frames::next(&mut stream) {
        let Frame::Item(record, content) = frame else { continue };
        let Ok(bytes) = content.read(&mut stream, INFLATED_AT_MOST) else { break };
        if let (ItemStatus::Ok, Some(path)) = (record.status, &record.path) {
            items.push(Whole {
                id: record.id.clone(),
                path: path.clone(),
                text: String::from_utf8_lossy(&bytes).into_owned(),
            });
        }
    }
    items
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use bundle::{BundleWriter, ItemDraft, ItemEnd, Scope, Source, WriteOptions};

    use super::*;

    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn stream(items: &[(&str, &str)]) -> Vec<u8> {
        let pipe = Pipe::default();
        let writer = BundleWriter::create_framed(Box::new(pipe.clone()), WriteOptions::default());
        for (id, text) in items {
            let draft = ItemDraft {
                id: (*id).to_owned(),
                scope: Scope::Node("n1".to_owned()),
                source: Source::Computed(String::new()),
                plan: (*id).to_owned(),
            };
            let mut item = writer.begin(draft, format!("nodes/n1/{id}")).unwrap();
            item.write_all(text.as_bytes()).unwrap();
            item.end(ItemEnd::new(ItemStatus::Ok)).unwrap();
        }
        drop(writer);
        Arc::into_inner(pipe.0).unwrap().into_inner().unwrap()
    }

    #[test]
    fn the_deciding_lines_arrive() {
        let ufw = "Status: active\n10250/tcp DENY IN Anywhere\n";
        let dump = "*filter\n:INPUT DROP [0:0]\n-A KUBE-SVC-X -j DROP\n-A ufw-user-input -p tcp -m tcp --dport 10250 -j DROP\n-A OUTPUT -j X\nCOMMIT\n";
        let sysctl = "net.ipv4.ip_forward = 0\nnet.ipv4.ip_default_ttl = 64\n";
        let message = compose(
            &stream(&[("node.ufw.status", ufw), ("node.iptables.nft-v4", dump), ("node.sysctl", sysctl)]),
            None,
        );
        let digest = read_message(&message).unwrap();
        assert_eq!(digest.items[0].text, ufw);
        assert_eq!(
            digest.lines,
            [
                "net.ipv4.ip_forward = 0",
                "node.iptables.nft-v4: :INPUT DROP [0:0]",
                "node.iptables.nft-v4: -A ufw-user-input -p tcp -m tcp --dport 10250 -j DROP",
            ]
        );
    }

    #[test]
    fn it_always_fits() {
        let rules: String =
            (0..5_000).map(|i| format!("-A INPUT -s 10.{}.{}.{} -j DROP\n", i % 251, i % 241, i % 239)).collect();
        let message = compose(
            &stream(&[("node.iptables.nft-v4", &rules), ("node.xtables.counts", &rules)]),
            Some("why".to_owned()),
        );
        assert!(message.len() <= MESSAGE && message.len() > MESSAGE / 2, "{}", message.len());
        let digest = read_message(&message).unwrap();
        assert!(digest.items.is_empty() && digest.lines[0] == "why" && digest.lines.len() > 100);
        assert_eq!(read_message("not base64"), None);
    }
}

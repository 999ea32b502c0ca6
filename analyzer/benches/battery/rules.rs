//! kube-proxy's rules as `iptables-nft-save -c` prints them: eight or eleven a Service, by the number of its endpoints,
//! and three more where it has a NodePort.

use std::fmt::Write as _;

/// The Services have two and three endpoints by turns.
pub fn endpoints_of(service: usize) -> usize {
    2 + service % 2
}

/// One in ten has a NodePort.
pub fn node_port_of(service: usize) -> Option<usize> {
    (service % 10 == 9).then_some(30_000 + service / 10)
}

/// The cluster IP; the first Service is the cluster's DNS.
pub fn cluster_ip(service: usize) -> String {
    format!("10.96.{}.{}", service / 200, service % 200 + 10)
}

/// `namespace/name`.
pub fn name(service: usize) -> (String, String) {
    match service {
        0 => ("kube-system".to_owned(), "kube-dns".to_owned()),
        _ => (format!("team-{:02}", service / 25), format!("service-{service:04}")),
    }
}

/// The Service's ports: protocol, name, its own number, and the number at the endpoints.
pub fn ports_of(service: usize) -> &'static [(&'static str, &'static str, u16, u16)] {
    match service {
        0 => &[("udp", "dns", 53, 53), ("tcp", "dns-tcp", 53, 53)],
        _ => &[("tcp", "http", 80, 8080)],
    }
}

/// How many rules a node has.
pub fn count(services: usize) -> usize {
    let address = |_: usize, _: usize| String::new();
    dump(0, services, &address).lines().filter(|line| line.contains("] -A ")).count()
}

/// The whole dump of one node. Its counters are its own: two thirds of its Services are never used there.
pub fn dump(node: usize, services: usize, endpoint: &dyn Fn(usize, usize) -> String) -> String {
    let mut nat = Nat::default();
    for service in 0..services {
        for port in ports_of(service) {
            nat.service(node, service, *port, endpoint);
        }
    }
    let Nat { chains, portals, node_ports, body } = nat;
    format!(
        "{FILTER}*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
        :KUBE-MARK-MASQ - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n\
        :KUBE-SEP-7QGVHRZ4KM2XJ6TA - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]\n{chains}{NAT}{node_ports}{portals}{}{body}COMMIT\n\
        # Completed on Sat Nov 21 10:05:51 2026\n",
        "[3:180] -A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule \
        in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
    )
}

#[derive(Default)]
struct Nat {
    chains: String,
    portals: String,
    node_ports: String,
    body: String,
}

impl Nat {
    fn service(
        &mut self,
        node: usize,
        service: usize,
        (protocol, port_name, port, target): (&str, &str, u16, u16),
        endpoint: &dyn Fn(usize, usize) -> String,
    ) {
        let (namespace, name) = name(service);
        let (full, address) = (format!("{namespace}/{name}:{port_name}"), cluster_ip(service));
        let chain = hashed(service, usize::from(port) + protocol.len() + port_name.len());
        let used = counters(node, service);
        let Nat { chains, portals, node_ports, body } = self;
        let at = format!(
            "-d {address}/32 -p {protocol} -m comment --comment \"{full} cluster IP\" -m {protocol} --dport {port}"
        );
        writeln!(chains, ":KUBE-SVC-{chain} - [0:0]").ok();
        writeln!(portals, "{used} -A KUBE-SERVICES {at} -j KUBE-SVC-{chain}").ok();
        writeln!(body, "[0:0] -A KUBE-SVC-{chain} ! -s 10.244.0.0/16 {at} -j KUBE-MARK-MASQ").ok();
        if let Some(number) = node_port_of(service) {
            writeln!(chains, ":KUBE-EXT-{chain} - [0:0]").ok();
            writeln!(node_ports, "[0:0] -A KUBE-NODEPORTS -p tcp -m comment --comment \"{full}\" -m tcp --dport {number} -j KUBE-EXT-{chain}").ok();
            writeln!(body, "[0:0] -A KUBE-EXT-{chain} -m comment --comment \"masquerade traffic for {full} external destinations\" -j KUBE-MARK-MASQ").ok();
            writeln!(body, "[0:0] -A KUBE-EXT-{chain} -j KUBE-SVC-{chain}").ok();
        }
        let count = endpoints_of(service);
        for place in 0..count {
            let (end, to) = (hashed(service, 1000 + place * 10 + port_name.len()), endpoint(service, place));
            let chance = match count - place {
                1 => String::new(),
                left => format!(" -m statistic --mode random --probability {:.11}", 1.0 / left as f64),
            };
            writeln!(chains, ":KUBE-SEP-{end} - [0:0]").ok();
            writeln!(
                body,
                "{used} -A KUBE-SVC-{chain} -m comment --comment \"{full} -> {to}:{target}\"{chance} -j KUBE-SEP-{end}"
            )
            .ok();
            writeln!(body, "[0:0] -A KUBE-SEP-{end} -s {to}/32 -m comment --comment \"{full}\" -j KUBE-MARK-MASQ").ok();
            writeln!(body, "{used} -A KUBE-SEP-{end} -p {protocol} -m comment --comment \"{full}\" -m {protocol} -j DNAT --to-destination {to}:{target}").ok();
        }
    }
}

fn counters(node: usize, service: usize) -> String {
    let mixed = mixed(node * 100_003 + service) % 3000;
    let packets = if mixed < 2000 { 0 } else { mixed };
    format!("[{packets}:{}]", packets * 60)
}

fn mixed(number: usize) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Sixteen letters of base32, as kube-proxy ends the names of its chains.
fn hashed(service: usize, salt: usize) -> String {
    let letters = mixed(service * 4099 + salt);
    (0..16)
        .map(|place| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(letters >> (place * 4) & 31) as usize]))
        .collect()
}

const FILTER: &str = r#"# Generated by iptables-nft-save v1.8.9 (nf_tables) on Sat Nov 21 10:05:51 2026
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
[80:43790] -A INPUT -j KUBE-FIREWALL
[1:1128] -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
[80:43790] -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
[1:1128] -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
[0:0] -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
[0:0] -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
[0:0] -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
[107:19340] -A OUTPUT -j KUBE-FIREWALL
[13:740] -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
[13:740] -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[0:0] -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
[0:0] -A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP
[0:0] -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
[0:0] -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
# Completed on Sat Nov 21 10:05:51 2026
# Generated by iptables-nft-save v1.8.9 (nf_tables) on Sat Nov 21 10:05:51 2026
"#;

const NAT: &str = r#"[1:1128] -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[13:740] -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[13:740] -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
[0:0] -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
[0:0] -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
[0:0] -A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ
[0:0] -A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https -> 10.240.0.11:6443" -j KUBE-SEP-7QGVHRZ4KM2XJ6TA
[0:0] -A KUBE-SEP-7QGVHRZ4KM2XJ6TA -s 10.240.0.11/32 -m comment --comment "default/kubernetes:https" -j KUBE-MARK-MASQ
[0:0] -A KUBE-SEP-7QGVHRZ4KM2XJ6TA -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 10.240.0.11:6443
[11:660] -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
[0:0] -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
[0:0] -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
"#;

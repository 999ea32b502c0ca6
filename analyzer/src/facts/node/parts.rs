//! The facts of one node's folder, each parsed once, when it is first asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use netpath::iptables::Specifications;

use super::address_range::AddressRange;
use super::azure_ipam::{self, Endpoints};
use super::certificate::{self, Certificate};
use super::cni::{self, CniConfig};
use super::conntrack::{self, Counters};
use super::folder::Folder;
use super::host_local::{self, HostLocal};
use super::json;
use super::kernel;
use super::kubelet::{self, Kubelet};
use super::link::{self, Link, Route};
use super::resolver::Resolver;
use super::sandbox::{self, Sandboxes};
use super::selftest;
use super::sockets::{self, Sockets};
use super::store::Store;
use super::sysctl::{self, Sysctls};
use super::sysctl_files::{self, ConfFile, Standing, SysctlFiles};
use super::system::{self, Unit};
use crate::citation::Citation;
use crate::evidence::Evidence;
use crate::facts::Facts;
use crate::facts::service::proxy_chains::{self, Checked};
use crate::finding::Unreadable;

/// The facts of one node's folder.
pub struct NodeFacts {
    node: Arc<str>,
    pub(in crate::facts) folder: Folder,
    sysctls: OnceLock<Option<Arc<Sysctls>>>,
    conntrack_limits: OnceLock<Option<Sysctls>>,
    conntrack_counters: OnceLock<Option<Counters>>,
    sysctl_files: OnceLock<Option<Chain>>,
    kubelet: OnceLock<Kubelet>,
    resolver: OnceLock<Resolver>,
    cni: OnceLock<Option<CniConfig>>,
    host_local: OnceLock<Option<Vec<HostLocal>>>,
    flannel: OnceLock<Vec<AddressRange>>,
    azure: OnceLock<Vec<Store>>,
    sandboxes: OnceLock<Option<Sandboxes>>,
    running: OnceLock<Option<Sandboxes>>,
    certificates: OnceLock<Vec<Certificate>>,
    links: OnceLock<Option<Vec<Link>>>,
    routes: OnceLock<Option<Vec<Route>>>,
    modules: OnceLock<Option<BTreeMap<String, Citation>>>,
    units: OnceLock<Option<BTreeMap<String, Unit>>>,
    /// The iptables rules that were read for the cluster's other nodes.
    known_rules: Arc<Specifications>,
    kernel: OnceLock<Option<netpath::node::Node>>,
    proxy_chains: OnceLock<Option<Vec<Checked>>>,
    sockets: OnceLock<Option<Sockets>>,
}

/// The sysctl.d chain, the listing it was made from, and whether every file could be read.
pub struct Chain {
    /// The chain.
    pub files: Arc<SysctlFiles>,
    /// The listing, or the first file.
    pub citation: Citation,
    /// Whether every file of the listing could be read.
    pub complete: bool,
}

impl fmt::Debug for NodeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeFacts({})", self.node)
    }
}

impl NodeFacts {
    /// The facts of a node. Nothing is parsed yet.
    pub fn new(evidence: Arc<Evidence>, node: Arc<str>, known_rules: Arc<Specifications>) -> NodeFacts {
        NodeFacts {
            folder: Folder::new(evidence, &node),
            node,
            sysctls: OnceLock::new(),
            conntrack_limits: OnceLock::new(),
            conntrack_counters: OnceLock::new(),
            sysctl_files: OnceLock::new(),
            kubelet: OnceLock::new(),
            resolver: OnceLock::new(),
            cni: OnceLock::new(),
            host_local: OnceLock::new(),
            flannel: OnceLock::new(),
            azure: OnceLock::new(),
            sandboxes: OnceLock::new(),
            running: OnceLock::new(),
            certificates: OnceLock::new(),
            links: OnceLock::new(),
            routes: OnceLock::new(),
            modules: OnceLock::new(),
            units: OnceLock::new(),
            known_rules,
            kernel: OnceLock::new(),
            proxy_chains: OnceLock::new(),
            sockets: OnceLock::new(),
        }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The live sysctls.
    pub fn sysctls(&self) -> Option<&Arc<Sysctls>> {
        let read = || self.folder.entry("node.sysctl").map(|entry| Arc::new(sysctl::parse(&entry.path, &entry.bytes)));
        self.sysctls.get_or_init(read).as_ref()
    }

    /// The size and fill of the connection tracking table: of the item of its own, which is read at the same moment,
    /// else of all sysctls.
    pub fn conntrack_limits(&self) -> Option<&Sysctls> {
        let read = || self.folder.entry("node.conntrack.limits").map(|entry| sysctl::parse(&entry.path, &entry.bytes));
        let own = self.conntrack_limits.get_or_init(read).as_ref();
        let known = |sysctls: &&Sysctls| sysctls.number("net.netfilter.nf_conntrack_count").is_some();
        own.filter(known).or_else(|| self.sysctls().map(AsRef::as_ref))
    }

    /// The kernel's counters of connection tracking.
    pub fn conntrack_counters(&self) -> Option<&Counters> {
        let read = || {
            let entry = self.folder.entry("node.conntrack.stat")?;
            Some(conntrack::parse_counters(&entry.path, &entry.bytes))
        };
        self.conntrack_counters.get_or_init(read).as_ref()
    }

    /// The sysctl.d chain.
    pub fn sysctl_files(&self) -> Option<&Chain> {
        self.sysctl_files.get_or_init(|| read_chain(&self.folder)).as_ref()
    }

    /// What the kubelet was told.
    pub fn kubelet(&self) -> &Kubelet {
        self.kubelet.get_or_init(|| Kubelet {
            config: self.folder.parsed("node.kubelet.config", kubelet::parse_config),
            process: self.folder.parsed("node.kubelet.processes", kubelet::parse_processes).flatten(),
        })
    }

    /// The resolv.conf files.
    pub fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::read(&self.folder, self.kubelet()))
    }

    /// /etc/cni/net.d. None where nothing is known of it; a folder that does not exist is an empty one.
    pub fn cni(&self) -> Option<&CniConfig> {
        self.cni.get_or_init(|| read_cni(&self.folder)).as_ref()
    }

    /// The folders of host-local.
    pub fn host_local(&self) -> Option<&[HostLocal]> {
        self.host_local.get_or_init(|| self.folder.parsed("node.cni.host-local", host_local::parse)).as_deref()
    }

    /// flannel's subnets of this node.
    pub fn flannel(&self) -> &[AddressRange] {
        let read = || self.folder.entry("node.flannel.subnet-env").map(|e| host_local::parse_subnet_env(&e.bytes));
        self.flannel.get_or_init(|| read().unwrap_or_default())
    }

    /// The stores of Azure's CNI.
    pub fn azure(&self) -> &[Store] {
        self.azure.get_or_init(|| {
            let endpoints = self.folder.parsed("node.azure.vnet", |_, bytes| azure_ipam::parse_vnet(bytes));
            let endpoints: Endpoints = endpoints.unwrap_or_default();
            let pools = |path: &Arc<str>, bytes: &[u8]| azure_ipam::parse_vnet_ipam(path, bytes, &endpoints);
            let mut stores = self.folder.parsed("node.azure.vnet-ipam", pools).unwrap_or_default();
            let of_cns = self.folder.parsed("node.azure.endpoints", azure_ipam::parse_endpoints);
            stores.extend(of_cns.unwrap_or_default());
            stores
        })
    }

    /// The sandboxes of the container runtime.
    pub fn sandboxes(&self) -> Option<&Sandboxes> {
        self.sandboxes.get_or_init(|| self.folder.parsed("node.cri.pods", sandbox::parse)).as_ref()
    }

    /// The sandboxes that addresses are compared with: the runtime's, else those that the processes tell.
    pub fn running(&self) -> Option<&Sandboxes> {
        let read = || self.folder.parsed("node.netns", sandbox::parse_namespaces).flatten();
        self.sandboxes().or_else(|| self.running.get_or_init(read).as_ref())
    }

    /// All certificates, by name.
    pub fn certificates(&self) -> &[Certificate] {
        self.certificates.get_or_init(|| {
            let mut all = self.folder.parsed("node.certs.files", certificate::parse_files).unwrap_or_default();
            let within = self.folder.parsed("node.certs.kubeconfigs", certificate::parse_kubeconfigs);
            all.extend(within.unwrap_or_default());
            all.sort_by_key(|certificate| (certificate.file.clone(), certificate.index));
            certificate::set_aside_renewed(&mut all, self.folder.collected());
            all
        })
    }

    /// The network interfaces, with their addresses.
    pub fn links(&self) -> Option<&[Link]> {
        self.links.get_or_init(|| read_links(&self.folder)).as_deref()
    }

    /// The routes of both families, of all tables.
    pub fn routes(&self) -> Option<&[Route]> {
        let read = || {
            let of = |id: &str| self.folder.parsed(id, link::parse_routes);
            let (v4, v6) = (of("node.ip.route4"), of("node.ip.route6"));
            (v4.is_some() || v6.is_some()).then(|| [v4, v6].into_iter().flatten().flatten().collect())
        };
        self.routes.get_or_init(read).as_deref()
    }

    /// The loaded kernel modules.
    pub fn modules(&self) -> Option<&BTreeMap<String, Citation>> {
        let read = || self.folder.entry("node.system.modules").map(|e| system::parse_modules(&e.path, &e.bytes));
        self.modules.get_or_init(read).as_ref()
    }

    /// The services of systemd.
    pub fn units(&self) -> Option<&BTreeMap<String, Unit>> {
        let read = || self.folder.entry("node.units.services").map(|e| system::parse_units(&e.path, &e.bytes));
        self.units.get_or_init(read).as_ref()
    }

    /// The node as packets are walked through it. None where neither its interfaces nor its routes are known, because
    /// then no packet can be placed.
    pub fn kernel(&self) -> Option<&netpath::node::Node> {
        self.kernel.get_or_init(|| kernel::read(&self.folder, &self.known_rules)).as_ref()
    }

    /// What kube-proxy made of the Services, beside what the API says.
    pub fn proxy_chains(&self, facts: &Facts) -> Option<&[Checked]> {
        self.proxy_chains.get_or_init(|| proxy_chains::check(facts, self)).as_deref()
    }

    /// How the API server's own requests to the kubelet were lost, if they were: in a word, and the requests.
    pub fn selftest_lost(&self) -> Option<(String, Citation)> {
        let read = |path: &Arc<str>, bytes: &[u8]| {
            let lost =
                |selftest: selftest::Selftest| selftest.lost(path).map(|(word, citation)| (word.to_owned(), citation));
            selftest::parse(bytes).map(lost)
        };
        self.folder.parsed(selftest::EVIDENCE, read)?
    }

    /// Whether the kubelet answered the API server's own requests. None where it was not asked.
    pub fn selftest_answered(&self) -> Option<bool> {
        let read = |_: &Arc<str>, bytes: &[u8]| selftest::parse(bytes).map(|selftest| selftest.is_answered());
        self.folder.parsed(selftest::EVIDENCE, read)
    }

    /// The sockets of the node itself that take what comes. None where they were not collected whole.
    pub fn sockets(&self) -> Option<&Sockets> {
        let read = || self.folder.parsed("node.sock.listening", sockets::parse);
        self.sockets.get_or_init(read).as_ref()
    }

    /// The network namespace of the pod with this uid. None where it was not found on the node.
    pub fn pod_namespace(&self, uid: u128) -> Option<sockets::Namespace> {
        let account = self.folder.parsed("node.netns", |_, bytes| serde_json::from_slice(bytes))?;
        sockets::namespace_of(&account, uid)
    }

    /// The sockets in the network namespace of the pod with this uid. None where they were not collected.
    pub fn pod_sockets(&self, uid: u128) -> Option<Sockets> {
        let place = format!("/netns/{}/sockets.json", self.pod_namespace(uid)?.inode);
        let entries = self.folder.entries("pod.netns.sockets");
        let entry = entries.iter().find(|entry| entry.path.ends_with(&place))?;
        sockets::parse(&entry.path, &entry.bytes).ok()
    }

    /// What in the folder could not be read. Asking parses all of it.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.sysctls();
        self.conntrack_limits();
        self.conntrack_counters();
        self.sysctl_files();
        self.resolver();
        self.cni();
        self.host_local();
        self.flannel();
        self.azure();
        self.running();
        self.certificates();
        self.links();
        self.routes();
        self.modules();
        self.units();
        self.kernel();
        self.sockets();
        self.folder.unreadable()
    }
}

/// The files of the chain: those that the listing names, with what was read of them.
fn read_chain(folder: &Folder) -> Option<Chain> {
    let contents = folder.entries("node.sysctl-files");
    let index = folder.entry("node.sysctl-files.index");
    let citation = match (&index, contents.first()) {
        (Some(index), _) => Citation::whole(&index.path, "the files of the sysctl.d chain"),
        (None, Some(first)) => Citation::whole(&first.path, &first.host_path),
        (None, None) => folder.nothing("node.sysctl-files")?,
    };
    let listed = index.and_then(|index| match serde_json::from_slice::<Vec<serde_json::Value>>(&index.bytes) {
        Ok(listed) => Some(listed),
        Err(error) => {
            folder.not_understood(&index.path, error);
            None
        }
    });
    let mut files: Vec<ConfFile> = contents
        .into_iter()
        .map(|entry| ConfFile {
            host_path: entry.host_path,
            link: entry.link,
            path: Some(entry.path),
            bytes: entry.bytes,
        })
        .collect();
    let mut unread: BTreeSet<String> = BTreeSet::new();
    let places: BTreeMap<String, usize> = files.iter().map(|file| file.host_path.clone()).zip(0..).collect();
    for entry in listed.into_iter().flatten() {
        let Some(host_path) = json::text(&entry, "path") else { continue };
        let link = json::text(&entry, "link_target").map(str::to_owned);
        if let Some(known) = places.get(host_path).and_then(|place| files.get_mut(*place)) {
            known.link = known.link.take().or(link);
            continue;
        }
        if entry.get("bytes").and_then(serde_json::Value::as_u64) != Some(0) {
            unread.insert(host_path.to_owned());
        }
        files.push(ConfFile { host_path: host_path.to_owned(), link, path: None, bytes: Vec::new() });
    }
    let files = Arc::new(sysctl_files::chain(files, super::firewall::ufw_starts(folder)));
    // Only a file that systemd-sysctl would read matters: /lib is a second name of /usr/lib on most hosts, and what lies
    // there is collected once.
    let matters =
        |(file, standing): &(ConfFile, Standing)| *standing == Standing::Read && unread.contains(&file.host_path);
    let known = folder.records("node.sysctl-files").iter().all(|record| record.status.is_known());
    let complete = known && !files.cut && !files.files.iter().any(matters);
    Some(Chain { files, citation, complete })
}

fn read_cni(folder: &Folder) -> Option<CniConfig> {
    let index = folder.parsed("node.cni.conf-index", cni::parse_index);
    let name = |host_path: &str| host_path.rsplit('/').next().unwrap_or(host_path).to_owned();
    let contents = folder.entries("node.cni.conf");
    let files = contents.iter().map(|entry| cni::parse_file(&name(&entry.host_path), &entry.path, &entry.bytes));
    match index {
        Some(index) => Some(index.with_contents(files)),
        None if !contents.is_empty() => Some(CniConfig::default().with_contents(files)),
        None => folder.nothing("node.cni.conf-index").map(CniConfig::absent),
    }
}

fn read_links(folder: &Folder) -> Option<Vec<Link>> {
    let mut links = folder.parsed("node.ip.link", link::parse_links)?;
    for id in ["node.ip.addr4", "node.ip.addr6"] {
        let mut addresses = folder.parsed(id, |_, bytes| link::parse_addresses(bytes)).unwrap_or_default();
        for link in &mut links {
            link.addresses.extend(addresses.remove(&link.name).unwrap_or_default());
        }
    }
    Some(links)
}

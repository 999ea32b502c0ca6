//! Items of kubelet/: the kubelet's configuration and units, static pods, certificates, the container runtime.

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Source};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gather::copy;
use super::host::Host;
use super::item::{Document, NodeItem, command, document, file, files, first_file, own};
use super::root::HostRoot;
use super::units::systemd;
use super::{Context, certificates, json, kubeconfigs, pods, secrets};
use crate::plan::PlanLine;
use crate::run::capped::Cap;
use crate::run::command::find_program;

/// Where the kubelet's configuration lies where its arguments do not say: kubeadm, EKS, GKE, AKS.
const CONFIGS: [&str; 4] = [
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet/kubelet-config.json",
    "/home/kubernetes/kubelet-config.yaml",
    "/etc/default/kubeletconfig.json",
];
/// Folders of further configuration where the arguments do not say: k3s and RKE2 use them.
const CONFIG_FOLDERS: [&str; 3] = [
    "/etc/kubernetes/kubelet/config.json.d",
    "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d",
    "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d",
];
/// Programs whose arguments are read, as the kernel cuts their names. Arguments of others may hold secrets.
const KNOWN_PROGRAMS: [&str; 27] = [
    "kubelet",
    "containerd",
    "crio",
    "dockerd",
    "cri-dockerd",
    "kube-proxy",
    "flanneld",
    "calico-node",
    "calico-typha",
    "felix",
    "cilium-agent",
    "cilium-operator",
    "cilium-envoy",
    "azure-cns",
    "azure-npm",
    "aws-k8s-agent",
    "kindnetd",
    "kube-router",
    "coredns",
    "node-cache",
    "ip-masq-agent",
    "proxy-agent",
    "kube-apiserver",
    "kube-controller",
    "k3s-agent",
    "k3s-server",
    "calico-felix",
];
/// Sockets behind which a container runtime answers.
const RUNTIME_SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// The items.
pub fn items() -> Vec<NodeItem> {
    let units = [
        "kubelet",
        "containerd",
        "crio",
        "docker",
        "k3s",
        "k3s-agent",
        "rke2-server",
        "rke2-agent",
        "localdns",
        "systemd-resolved",
        "systemd-networkd",
        "NetworkManager",
    ];
    let properties = "--property=Id,LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,\
                      ActiveEnterTimestamp,ExecMainStartTimestamp,ExecMainStatus,MainPID,MemoryCurrent,FragmentPath,\
                      DropInPaths";
    let show: Vec<&str> = ["systemctl", "show", "--no-pager", properties].into_iter().chain(units).collect();
    vec![
        own("node.kubelet.config", &format!("what the kubelet's --config names, else {}", CONFIGS.join(", else ")), config)
            .bounded("1.0 MB"),
        own(
            "node.kubelet.config-dir",
            &format!("*.conf in what the kubelet's --config-dir names, else in {}", CONFIG_FOLDERS.join(" ")),
            config_folder,
        )
        .bounded("20 files, 1.0 MB each"),
        file("node.kubelet.flags-env", "kubelet/kubeadm-flags.env", "/var/lib/kubelet/kubeadm-flags.env").edited(mask),
        first_file(
            "node.kubelet.defaults",
            "kubelet/default-kubelet",
            &["/etc/default/kubelet", "/etc/sysconfig/kubelet"],
        )
        .edited(mask),
        command("node.kubelet.units", "kubelet/units.txt", &show).only_where("systemd runs the host", systemd),
        command(
            "node.kubelet.unit-files",
            "kubelet/unit-files.txt",
            &["systemctl", "cat", "--no-pager", "kubelet", "containerd"],
        )
        .only_where("systemd runs the host", systemd)
        // 1: one of them is not there; what is there is printed.
        .answering(&[1])
        .edited(mask),
        files("node.kubelet.manifests", &["/etc/kubernetes/manifests/*.y*ml"], 20, |path| {
            format!("kubelet/manifests/{}.json", path.rsplit('/').next().unwrap_or_default())
        })
        .keeping(Cap { head: 1_000_000, tail: 0 })
        .edited(pods::static_pod),
        document(
            "node.kubelet.processes",
            "kubelet/processes.json",
            &format!("/proc/PID/cmdline of {}", KNOWN_PROGRAMS.join(" ")),
            processes,
        ),
        file("node.kubelet.azure-json", "kubelet/azure.json", "/etc/kubernetes/azure.json").edited(azure_json),
        document(
            "node.certs.files",
            "kubelet/certificates.json",
            "*.crt and *.pem in /etc/kubernetes/{pki,certs,ssl}, /var/lib/kubelet/pki and their like: names, dates, hash",
            certificates::document,
        )
        .bounded("300 files"),
        document(
            "node.certs.kubeconfigs",
            "kubelet/kubeconfigs.json",
            "/etc/kubernetes/*.conf, /var/lib/kubelet/kubeconfig, /etc/cni/net.d/*kubeconfig*: server and dates",
            kubeconfigs::document,
        )
        .bounded("50 files"),
        crictl("node.cri.pods", "kubelet/crictl-pods.json", &["pods", "-o", "json"]).edited(pods::without_annotations),
        crictl("node.cri.containers", "kubelet/crictl-containers.json", &["ps", "-a", "-o", "json"])
            .edited(pods::without_annotations),
        crictl("node.cri.info", "kubelet/crictl-info.json", &["info"]).edited(pods::runtime_status),
    ]
}

fn crictl(id: &'static str, path: &'static str, arguments: &[&str]) -> NodeItem {
    let argv: Vec<&str> = ["crictl", "--timeout", "5s"].iter().chain(arguments).copied().collect();
    command(id, path, &argv).only_where("a container runtime has its socket", runtime).moderate()
}

fn runtime(host: &Host) -> Result<(), ItemEnd> {
    if find_program(host.root.dir(), "crictl").is_none() {
        return Err(ItemEnd::because(ItemStatus::ToolMissing, "crictl is not installed on this host"));
    }
    if RUNTIME_SOCKETS.iter().any(|socket| host.root.exists(socket)) {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Absent, "no container runtime has its socket in the usual places"))
}

fn mask(text: &str) -> Result<String, String> {
    Ok(secrets::mask_text(text))
}

/// A program whose arguments were read.
#[derive(Debug, Serialize)]
struct Program {
    pid: u32,
    comm: String,
    exe: Option<String>,
    args: Vec<String>,
}

/// kubelet/processes.json.
fn processes(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let root = &context.host.root;
    let known =
        context.host.processes().iter().filter(|process| KNOWN_PROGRAMS.iter().any(|program| process.comm == *program));
    let programs: Vec<Program> = known
        .take(100)
        .map(|process| {
            let arguments = arguments(root, process.pid);
            Program {
                pid: process.pid,
                comm: process.comm.clone(),
                exe: exe(root, process.pid),
                args: secrets::mask_arguments(arguments.iter().map(String::as_str)),
            }
        })
        .collect();
    if programs.is_empty() {
        return Err(ItemEnd::because(ItemStatus::Empty, "none of the known programs runs on this host"));
    }
    Ok(json(&programs, None))
}

/// Where a process's program lies; hidden from those who may not look into it.
pub fn exe(root: &HostRoot, pid: u32) -> Option<String> {
    let link = std::fs::read_link(root.at(format!("/proc/{pid}/exe"))).ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn arguments(root: &HostRoot, pid: u32) -> Vec<String> {
    let bytes = std::fs::read(root.at(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..100_000).unwrap_or(&bytes)).into_owned();
    text.split('\0').filter(|argument| !argument.is_empty()).map(str::to_owned).collect()
}

/// The value of a flag of the running kubelet, in both spellings.
fn kubelet_flag(context: &Context<'_>, name: &str) -> Option<String> {
    let kubelet = context.host.processes().iter().find(|process| process.comm == "kubelet")?;
    flag(&arguments(&context.host.root, kubelet.pid), name)
}

fn flag(arguments: &[String], name: &str) -> Option<String> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(rest) = argument.strip_prefix("--").and_then(|flag| flag.strip_prefix(name)) else { continue };
        match rest.strip_prefix('=') {
            Some(value) => return Some(value.to_owned()),
            None if rest.is_empty() => return arguments.next().cloned(),
            None => {}
        }
    }
    None
}

fn config_path(context: &Context<'_>) -> Option<String> {
    let root = &context.host.root;
    kubelet_flag(context, "config").or_else(|| CONFIGS.iter().find(|path| root.exists(path)).map(|&p| p.to_owned()))
}

/// The file whose resolvers the kubelet gives to pods with dnsPolicy Default: its flag, else its configuration, else
/// /etc/resolv.conf (https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/).
pub fn resolver_path(context: &Context<'_>) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        resolv_conf: Option<String>,
    }
    let from_file = || {
        let text = context.host.root.read(&config_path(context)?, 1_000_000).ok()?;
        serde_saphyr::from_str::<Config>(&text).ok()?.resolv_conf
    };
    let path = kubelet_flag(context, "resolv-conf").or_else(from_file).filter(|path| path.starts_with('/'));
    path.unwrap_or_else(|| "/etc/resolv.conf".to_owned())
}

fn config(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let path = config_path(context).unwrap_or_else(|| CONFIGS.first().copied().unwrap_or_default().to_owned());
    let draft = context.run.draft(line, Source::File(path.clone()));
    match context.host.root.open(&path) {
        Ok(opened) => copy(
            context,
            draft,
            "kubelet/config.yaml",
            opened,
            Cap { head: 1_000_000, tail: 0 },
            Some(secrets::mask_yaml_text),
        ),
        Err(refusal) => {
            context.run.record(draft, refusal.end(), Timestamp::now());
            Ok(())
        }
    }
}

fn config_folder(context: &Context<'_>, line: &PlanLine) -> anyhow::Result<()> {
    let root = &context.host.root;
    let folder = kubelet_flag(context, "config-dir")
        .or_else(|| CONFIG_FOLDERS.iter().find(|path| root.exists(path)).map(|&path| path.to_owned()))
        .unwrap_or_else(|| CONFIG_FOLDERS.first().copied().unwrap_or_default().to_owned());
    let names = match root.names(&folder) {
        Ok(names) => names,
        Err(refusal) => {
            let draft = context.run.draft(line, Source::File(folder));
            context.run.record(draft, refusal.end(), Timestamp::now());
            return Ok(());
        }
    };
    let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(".conf")).take(20).collect();
    if names.is_empty() {
        let draft = context.run.draft(line, Source::File(folder.clone()));
        context.run.record(
            draft,
            ItemEnd::because(ItemStatus::Empty, format!("{folder} holds none")),
            Timestamp::now(),
        );
    }
    for name in names {
        let path = format!("{folder}/{name}");
        let draft = context.run.draft(line, Source::File(path.clone()));
        match root.open(&path) {
            Ok(opened) => {
                let cap = Cap { head: 1_000_000, tail: 0 };
                copy(context, draft, &format!("kubelet/config.d/{name}"), opened, cap, Some(secrets::mask_yaml_text))?;
            }
            Err(refusal) => context.run.record(draft, refusal.end(), Timestamp::now()),
        }
    }
    Ok(())
}

/// The keys of the cloud provider's configuration that say how the network is built; credentials are among the others.
fn azure_json(text: &str) -> Result<String, String> {
    const KEPT: [&str; 26] = [
        "cloud",
        "location",
        "vmType",
        "resourceGroup",
        "vnetName",
        "vnetResourceGroup",
        "subnetName",
        "securityGroupName",
        "securityGroupResourceGroup",
        "routeTableName",
        "routeTableResourceGroup",
        "primaryAvailabilitySetName",
        "primaryScaleSetName",
        "loadBalancerSku",
        "loadBalancerName",
        "disableOutboundSNAT",
        "excludeMasterFromStandardLB",
        "maximumLoadBalancerRuleCount",
        "useInstanceMetadata",
        "useManagedIdentityExtension",
        "enableMultipleStandardLoadBalancers",
        "disableAvailabilitySetNodes",
        "cloudProviderRateLimit",
        "cloudProviderBackoff",
        "cloudProviderBackoffRetries",
        "networkResourceTenantID",
    ];
    // The parser's message may quote what is around the error, so it stays here.
    let config: Value = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
    let fields = config.as_object().ok_or("it is not a JSON object")?;
    let kept: serde_json::Map<String, Value> =
        fields.iter().filter(|(key, _)| KEPT.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn flags_are_read_in_both_spellings() {
        let arguments = ["kubelet", "--config-dir=/x", "--config", "/var/lib/kubelet/config.yaml", "--v=2"];
        let arguments = arguments.map(str::to_owned);
        assert_eq!(flag(&arguments, "config").as_deref(), Some("/var/lib/kubelet/config.yaml"));
        assert_eq!(flag(&arguments, "config-dir").as_deref(), Some("/x"));
        assert_eq!(flag(&arguments, "resolv-conf"), None);
    }

    #[test]
    fn credentials_do_not_leave_azure_json() {
        let text = r#"{"vnetName": "v", "aadClientSecret": "s3cret", "aadClientId": "id", "tenantId": "t"}"#;
        assert_eq!(azure_json(text).unwrap(), "{\n  \"vnetName\": \"v\"\n}");
        assert!(azure_json("aadClientSecret: s3cret").is_err_and(|why| !why.contains("s3cret")));
    }
}

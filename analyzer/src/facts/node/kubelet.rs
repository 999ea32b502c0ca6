//! What the kubelet was told: its configuration file, its command line, and the resolver that follows from them.
//!
//! A flag beats the configuration file; without either, `resolvConf` is /etc/resolv.conf
//! (pkg/kubelet/apis/config/v1beta1/defaults.go of Kubernetes 1.34). An empty `resolvConf` gives pods no resolver.

use std::sync::Arc;

use minijinja::Value;
use serde_json::Value as Json;

use super::{json, lines, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The file that the kubelet reads when nobody names another.
pub const DEFAULT_RESOLV_CONF: &str = "/etc/resolv.conf";

/// What the kubelet was told.
#[derive(Debug, Clone, Default)]
pub struct Kubelet {
    /// The configuration file.
    pub config: Option<Config>,
    /// The command line, where a kubelet runs.
    pub process: Option<Process>,
}

/// The configuration file, as a tree, with its lines for citing.
#[derive(Debug, Clone)]
pub struct Config {
    path: Arc<str>,
    tree: Json,
    text: String,
}

/// The kubelet's process.
#[derive(Debug, Clone)]
pub struct Process {
    args: Vec<String>,
    citation: Citation,
}

/// A setting with the place that decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// The line or argument; none for a default.
    pub citation: Option<Citation>,
}

/// Reads a KubeletConfiguration (YAML, or JSON, which is YAML too).
pub fn parse_config(path: &Arc<str>, bytes: &[u8]) -> Result<Config, String> {
    let text = lines::text(bytes).into_owned();
    let tree: Json = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    if !tree.is_object() {
        return Err("it is not a mapping".to_owned());
    }
    Ok(Config { path: path.clone(), tree, text })
}

/// Finds the kubelet in the collector's list of processes.
pub fn parse_processes(path: &Arc<str>, bytes: &[u8]) -> Result<Option<Process>, serde_json::Error> {
    let list: Vec<Json> = serde_json::from_slice(bytes)?;
    let found = list.iter().enumerate().find(|(_, process)| is_kubelet(process));
    Ok(found.map(|(index, process)| {
        let args: Vec<String> =
            json::items(process, "args").filter_map(|(_, arg)| arg.as_str()).map(str::to_owned).collect();
        let citation = Citation::pointer(path, format!("/{index}/args"), &args.join(" "));
        Process { args, citation }
    }))
}

fn is_kubelet(process: &Json) -> bool {
    let exe = json::text(process, "exe").and_then(|exe| exe.rsplit('/').next());
    json::text(process, "comm") == Some("kubelet") || exe == Some("kubelet")
}

impl Process {
    /// A flag's value: `--name=value` or `--name value`; the last one counts.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let spelled = |arg: &str| arg.trim_start_matches('-') == name && arg.starts_with('-');
        let mut found = None;
        for (index, arg) in self.args.iter().enumerate() {
            match arg.split_once('=') {
                Some((flag, value)) if spelled(flag) => found = Some(value),
                None if spelled(arg) => found = self.args.get(index + 1).map(String::as_str),
                _ => {}
            }
        }
        found
    }
}

impl Config {
    fn text(&self, name: &str) -> Option<&str> {
        self.tree.get(name)?.as_str()
    }

    /// The line of a top-level key.
    fn citation(&self, name: &str) -> Option<Citation> {
        let key = |text: &str| {
            let text = text.trim_start_matches(['"', '\'']);
            text.strip_prefix(name).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
        };
        let line = lines::lines(&self.text).find(|line| key(line.text))?;
        Some(Citation::line(&self.path, line.number, line.text))
    }
}

impl Kubelet {
    /// A setting that a flag or the file gives.
    fn setting(&self, flag: &str, key: &str) -> Option<Setting> {
        if let Some(process) = &self.process
            && let Some(value) = process.flag(flag)
        {
            return Some(Setting { value: value.to_owned(), citation: Some(process.citation.clone()) });
        }
        let config = self.config.as_ref()?;
        Some(Setting { value: config.text(key)?.to_owned(), citation: config.citation(key) })
    }

    /// The TCP port that the API server asks at: `port`, or `--port`. None where neither names one.
    pub fn port(&self) -> Option<u16> {
        let by_flag = self.process.as_ref().and_then(|process| process.flag("port")?.parse().ok());
        let by_file = || self.config.as_ref()?.tree.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok());
        by_flag.or_else(by_file).filter(|port| *port != 0)
    }

    /// The file that the kubelet takes pods' resolvers from. None where neither the command line nor the configuration
    /// is known: then another path than the default may have been named.
    pub fn resolv_conf(&self) -> Option<Setting> {
        let given = self.setting("resolv-conf", "resolvConf");
        let known = self.config.is_some() || self.process.is_some();
        given.or_else(|| known.then(|| Setting { value: DEFAULT_RESOLV_CONF.to_owned(), citation: None }))
    }

    /// The servers that pods with dnsPolicy ClusterFirst get.
    pub fn cluster_dns(&self) -> Vec<String> {
        if let Some(flag) = self.process.as_ref().and_then(|process| process.flag("cluster-dns")) {
            return flag.split(',').map(str::to_owned).collect();
        }
        let tree = self.config.as_ref().map(|config| &config.tree);
        let listed = tree.into_iter().flat_map(|tree| json::items(tree, "clusterDNS"));
        listed.filter_map(|(_, server)| server.as_str()).map(str::to_owned).collect()
    }

    /// The fact, as expressions see it; none where nothing of the kubelet is known.
    pub fn value(&self) -> Option<Value> {
        let whole = self.config.as_ref().map(|config| Citation::whole(&config.path, "the kubelet's configuration"));
        let citation = whole.or_else(|| self.process.as_ref().map(|process| process.citation.clone()))?;
        let resolv = self.resolv_conf();
        let resolv_line = resolv.as_ref().and_then(|setting| setting.citation.as_ref()).map(super::cited_line);
        let dns_line = self.config.as_ref().and_then(|config| config.citation("clusterDNS"));
        let tree = self.config.as_ref().map(|config| &config.tree);
        let max_pods = tree.and_then(|tree| tree.get("maxPods")).and_then(Json::as_u64);
        let flag_max_pods = self.process.as_ref().and_then(|process| process.flag("max-pods")?.parse().ok());
        Some(
            Record::cited(citation)
                .with("running", opt(self.process.as_ref().map(|_| true)))
                .with("resolv_conf", opt(resolv.map(|setting| setting.value)))
                .with("resolv_conf_line", opt(resolv_line))
                .with("cluster_dns", self.cluster_dns())
                .with("cluster_dns_line", opt(dns_line.as_ref().map(super::cited_line)))
                .with("cluster_domain", opt(self.setting("cluster-domain", "clusterDomain").map(|s| s.value)))
                .with("max_pods", opt(flag_max_pods.or(max_pods)))
                .into_value(),
        )
    }
}

/// The fields of the kubelet.
pub static KUBELET: RecordShape = RecordShape {
    name: "kubelet",
    doc: "What the kubelet was told, by its command line and its configuration file.",
    fields: &[
        Field { name: "running", shape: Shape::Scalar, doc: "True where its process was seen; otherwise undefined." },
        Field {
            name: "resolv_conf",
            shape: Shape::Scalar,
            doc: "The resolv.conf that it takes pods' resolvers from; /etc/resolv.conf where it was not told another.",
        },
        Field {
            name: "resolv_conf_line",
            shape: Shape::Record(&super::CITED_LINE),
            doc: "What tells it so; undefined for the default.",
        },
        Field {
            name: "cluster_dns",
            shape: Shape::List(&Shape::Scalar),
            doc: "The servers that pods with dnsPolicy ClusterFirst get.",
        },
        Field { name: "cluster_dns_line", shape: Shape::Record(&super::CITED_LINE), doc: "What tells it so." },
        Field { name: "cluster_domain", shape: Shape::Scalar, doc: "The cluster's domain." },
        Field { name: "max_pods", shape: Shape::Scalar, doc: "Pods that it runs at most; undefined for the default." },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    /// As kubeadm 1.34 writes it, shortened.
    const CONFIG: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n\
        clusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\nkind: KubeletConfiguration\nmaxPods: 110\n\
        resolvConf: /run/systemd/resolve/resolv.conf\n";

    fn kubelet(config: &str, args: &str) -> Kubelet {
        let config = (!config.is_empty()).then(|| parse_config(&"config.yaml".into(), config.as_bytes()).unwrap());
        let process = format!(
            r#"[{{"pid": 1, "comm": "containerd", "exe": "/usr/bin/containerd", "args": []}}, {{"pid": 7, "comm": "kubelet", "exe": "/usr/bin/kubelet", "args": [{args}]}}]"#
        );
        let process = parse_processes(&"processes.json".into(), process.as_bytes()).unwrap();
        Kubelet { config, process }
    }

    #[test]
    fn the_file_gives_the_resolver_with_its_line() {
        let kubelet = kubelet(CONFIG, r#""/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml""#);
        let resolv = kubelet.resolv_conf().unwrap();
        assert_eq!(resolv.value, "/run/systemd/resolve/resolv.conf");
        assert_eq!(resolv.citation.unwrap().line, Some(10));
        assert_eq!(kubelet.cluster_dns(), ["10.96.0.10"]);
        assert_shape(&kubelet.value().unwrap(), &Shape::Record(&KUBELET));
    }

    #[test]
    fn a_flag_beats_the_file_and_the_last_flag_counts() {
        let args =
            r#""/usr/bin/kubelet", "--resolv-conf=/a", "--resolv-conf", "/b", "--cluster-dns=10.0.0.10,fd00::a""#;
        let kubelet = kubelet(CONFIG, args);
        let resolv = kubelet.resolv_conf().unwrap();
        assert_eq!(resolv.value, "/b");
        assert_eq!(resolv.citation.unwrap().pointer.as_deref(), Some("/1/args"));
        assert_eq!(kubelet.cluster_dns(), ["10.0.0.10", "fd00::a"]);
    }

    #[test]
    fn the_default_needs_something_to_be_known() {
        assert_eq!(kubelet("", "").resolv_conf().unwrap().value, DEFAULT_RESOLV_CONF);
        assert_eq!(Kubelet::default().resolv_conf(), None);
        assert!(Kubelet::default().value().is_none());
        assert_eq!(kubelet("resolvConf: \"\"\n", "").resolv_conf().unwrap().value, "", "empty is a value: no resolver");
    }

    #[test]
    fn what_is_no_configuration_is_an_error() {
        assert!(parse_config(&"c".into(), b"a: [").is_err());
        assert!(parse_config(&"c".into(), b"just text").is_err());
    }
}

//! The ConfigMaps whose text is taken: those of network components, by name. Of all others only names are.

use std::sync::Mutex;

use bundle::{Scope, Source, layout};

use super::document;
use super::json::cursor::string_at;
use super::request::{Ask, Requests};
use super::strip::Profile;
use crate::plan::{Cost, PlanLine};

/// Names, each with the namespaces in which it is asked for.
pub const LISTED: &[(&str, &[&str])] = &[
    ("coredns", KUBE_SYSTEM),
    ("coredns-custom", KUBE_SYSTEM),
    ("kube-proxy", KUBE_SYSTEM),
    ("kube-proxy-config", KUBE_SYSTEM),
    ("kubeadm-config", KUBE_SYSTEM),
    ("kubelet-config", KUBE_SYSTEM),
    ("ip-masq-agent", KUBE_SYSTEM),
    ("ip-masq-agent-config", KUBE_SYSTEM),
    ("azure-ip-masq-agent-config", KUBE_SYSTEM),
    ("azure-ip-masq-agent-config-reconciled", KUBE_SYSTEM),
    ("konnectivity-agent-autoscaler", KUBE_SYSTEM),
    ("cns-config", KUBE_SYSTEM),
    ("cilium-config", KUBE_SYSTEM),
    ("calico-config", KUBE_SYSTEM),
    ("amazon-vpc-cni", KUBE_SYSTEM),
    ("aws-node", KUBE_SYSTEM),
    ("node-local-dns", KUBE_SYSTEM),
    ("nodelocaldns", KUBE_SYSTEM),
    ("tke-service-controller-config", KUBE_SYSTEM),
    ("kube-flannel-cfg", &["kube-flannel", "kube-system"]),
];

const KUBE_SYSTEM: &[&str] = &["kube-system"];

/// How many that match a pattern are taken.
pub const MATCHING: usize = 20;

/// The longest text of a ConfigMap; the API server refuses more than 1 MiB.
const BOUND: &str = "1 MiB";

/// The lines of the plan.
pub fn plan() -> Vec<PlanLine> {
    let mut lines: Vec<PlanLine> = LISTED
        .iter()
        .map(|(name, namespaces)| {
            let paths: Vec<String> = namespaces.iter().map(|namespace| url(namespace, name)).collect();
            PlanLine::new(
                format!("api.cm.{name}"),
                Scope::Cluster,
                format!("GET {}", paths.join(" and ")),
                Cost::Trivial,
                BOUND,
            )
        })
        .collect();
    lines.push(PlanLine::new(
        MATCHING_LINE,
        Scope::Cluster,
        "GET …/kube-system/configmaps/{kubelet-config-*,azure-ip-masq-agent-config*,tke-cni*,*nginx*} and …/default/configmaps/*kubelb*, of those that api.configmaps shows",
        Cost::Trivial,
        format!("{MATCHING} of {BOUND}"),
    ));
    lines
}

/// The plan's line of those that match a pattern.
pub const MATCHING_LINE: &str = "api.cm-matching";

/// Asks for a ConfigMap by name.
pub fn gather(requests: &Requests, line: &PlanLine, namespace: &str, name: &str, deadline: std::time::Instant) {
    let run = requests.run();
    let path = url(namespace, name);
    let source = Source::Request(path.clone());
    let draft = if line.id == MATCHING_LINE {
        run.draft_of(line, name, Scope::Cluster, source)
    } else {
        run.draft(line, source)
    };
    let place = layout::object("", "configmaps", namespace, name);
    document::gather_object(requests, draft, &Ask::get(path, deadline), place, Profile::ConfigMapText);
}

/// The names that match a pattern, collected while the list of all passes by.
#[derive(Debug, Default)]
pub struct Matching(Mutex<Vec<(String, String)>>);

impl Matching {
    /// Looks at a ConfigMap of the list.
    pub fn observe(&self, object: &[u8]) {
        let text = |path: &[&str]| string_at(object, path).and_then(|text| std::str::from_utf8(text).ok());
        let (Some(namespace), Some(name)) = (text(&["metadata", "namespace"]), text(&["metadata", "name"])) else {
            return;
        };
        if matches_a_pattern(namespace, name) {
            self.lock().push((namespace.to_owned(), name.to_owned()));
        }
    }

    /// What was found, in the server's order.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn matches_a_pattern(namespace: &str, name: &str) -> bool {
    let listed = LISTED.iter().any(|(known, namespaces)| *known == name && namespaces.contains(&namespace));
    let matches = match namespace {
        "kube-system" => {
            ["kubelet-config-", "azure-ip-masq-agent-config", "tke-cni"].iter().any(|start| name.starts_with(start))
                || name.contains("nginx")
        }
        "default" => name.contains("kubelb"),
        _ => false,
    };
    matches && !listed
}

fn url(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_no_name_lists() {
        let matching = Matching::default();
        for (namespace, name) in [
            ("kube-system", "kubelet-config-1.22"),
            ("kube-system", "coredns"),
            ("kube-system", "azure-ip-masq-agent-config"),
            ("kube-system", "tke-cni-agent-conf"),
            ("default", "a-kubelb-b"),
            ("shop", "nginx"),
        ] {
            matching.observe(format!(r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}}}}"#).as_bytes());
        }
        let names: Vec<String> = matching.take().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["kubelet-config-1.22", "tke-cni-agent-conf", "a-kubelb-b"]);
    }
}

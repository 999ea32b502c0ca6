//! The files of a sample's host: what kubeadm and the kubelet leave on a node, made by this cluster's own authority.

use std::fs;

use anyhow::Result;

use super::{NODE, Scenario};
use crate::api_server::{ApiServer, User};
use crate::host::Files;
use crate::pki::{ALWAYS, Validity};
use crate::product;
use crate::programs;

/// A certificate that nobody renewed, for the scenarios that want one.
const EXPIRED: Validity = Validity { from: "20240601000000Z", until: "20250601000000Z" };

/// Everything that is on the host when it boots.
pub fn files(scenario: &Scenario, server: &ApiServer) -> Result<Files> {
    let files = Files::new(NODE)?;
    programs_of_the_node(&files)?;
    credentials(&files, server)?;
    for (path, text) in scenario.logs()? {
        files.write(&format!("var/log/sample/{}", path.display()), text.as_bytes())?;
    }
    if let Some(text) = scenario.text("kernel.log")? {
        files.write("var/log/kernel", text.as_bytes())?;
    }
    Ok(files)
}

fn programs_of_the_node(files: &Files) -> Result<()> {
    let missing = |missing| anyhow::anyhow!("{missing}");
    files.copy(&programs::kube("kube-proxy").map_err(missing)?.file, "usr/local/bin/kube")?;
    files.copy(&programs::kube_router().map_err(missing)?, "usr/local/bin/kube-router")?;
    files.copy(&programs::kubelet_stand_in().map_err(missing)?, "usr/local/bin/kubelet")?;
    files.copy(product::collector().get_program().as_ref(), "usr/local/bin/dossier-collect")
}

fn credentials(files: &Files, server: &ApiServer) -> Result<()> {
    let (authority, url) = (server.authority(), server.url());
    files.copy(&authority.path("ca.crt"), "etc/kubernetes/pki/ca.crt")?;
    for (user, path) in [(User::Admin, "admin.conf"), (User::Stranger, "stranger.conf")] {
        files.copy(&server.kubeconfig(user), &format!("etc/kubernetes/{path}"))?;
    }
    authority.issue("kube-proxy", "/CN=system:kube-proxy", "", ALWAYS)?;
    files.copy(&authority.kubeconfig("kube-proxy", "harbor", url)?, "var/lib/kube-proxy/kubeconfig.conf")?;

    let subject = format!("/O=system:nodes/CN=system:node:{NODE}");
    let names = format!("DNS:{NODE},IP:{}", super::fabric::address(NODE));
    for (name, validity, folder) in
        [("kubelet", ALWAYS, "var/lib/kubelet/pki"), ("kubelet-expired", EXPIRED, "usr/local/share/sample-host")]
    {
        authority.issue(name, &subject, &names, validity)?;
        let pair =
            [fs::read(authority.path(&format!("{name}.crt")))?, fs::read(authority.path(&format!("{name}.key")))?];
        files.write(&format!("{folder}/kubelet-client-current.pem"), &pair.concat())?;
        files.write(&format!("{folder}/kubelet.crt"), &pair[0])?;
        files.write(&format!("{folder}/kubelet.key"), &pair[1])?;
    }
    files.copy(&authority.kubeconfig("kubelet", "harbor", url)?, "etc/kubernetes/kubelet.conf")
}

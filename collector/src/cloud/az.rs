//! Azure through `az`: which AKS cluster this is, and the networks, rules and balancers around its nodes.
//!
//! Every command reads (`show`, `list`); a test holds that. The cluster is the one whose FQDN is the API server's host, so
//! that nobody need know its resource group.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bundle::{ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;
use serde_json::Value;

use crate::plan::{Cost, PlanLine};
use crate::run::Run;
use crate::run::command::{self, Ending, Environment};

/// What one command may take; az needs a second or two to begin.
const TIME: Duration = Duration::from_secs(30);
/// The longest answer that is kept.
const LONGEST: usize = 16 << 20;
/// Resource groups, zones and balancers that are looked at, each.
const AT_MOST: usize = 10;

/// The lines of the plan: what is asked, by evidence id.
pub fn plan() -> Vec<PlanLine> {
    let line = |id: &str, what: &str| {
        let bound = format!("{} s a command, {} MiB", TIME.as_secs(), LONGEST >> 20);
        PlanLine::new(id, Scope::Cluster, what, Cost::Trivial, bound)
    };
    vec![
        line("cloud.aks", "az account show; az aks list, then show and nodepool list of the cluster with this FQDN"),
        line("cloud.nsg", "az network nsg list; az vmss list and az vmss nic list, in the groups of nodes and subnets"),
        line("cloud.route", "az network route-table list, in the groups of nodes and subnets"),
        line("cloud.vnet", "az network vnet list, in the groups of nodes and subnets"),
        line("cloud.dnszone", "az network private-dns zone list; az network private-dns link vnet list of each"),
        line("cloud.lb", "az network lb list; az monitor metrics list of their SNAT ports"),
        line("cloud.identity", "az role assignment list --assignee of the cluster's identity"),
    ]
}

/// Asks, in an order in which each answer names what is asked next. Where az is missing or not logged in, every line
/// says so.
pub fn collect(run: &Run, server: Option<&str>) {
    let az = Az { run, program: program() };
    let found = az.cluster(server);
    let cluster = match found {
        Ok(cluster) => cluster,
        Err(end) => {
            plan().iter().for_each(|line| az.none(&line.id, end.clone()));
            return;
        }
    };
    az.around(&cluster);
}

/// `az` in the caller's PATH: whoever is logged in has it there.
fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("az")).find(|path| path.is_file())
}

/// The cluster, as far as it leads on.
struct Cluster {
    name: String,
    group: String,
    subscription: String,
    /// Groups of nodes and of their subnets.
    groups: Vec<String>,
    identity: Option<String>,
}

struct Az<'r> {
    run: &'r Run,
    program: Option<PathBuf>,
}

impl Az<'_> {
    /// Which cluster this is: asks who is logged in, then for all clusters that they see.
    fn cluster(&self, server: Option<&str>) -> Result<Cluster, ItemEnd> {
        let account = self.ask(&["account", "show"])?;
        let subscription = text(&account, "id");
        let server = server.ok_or_else(|| {
            ItemEnd::because(
                ItemStatus::Unreachable,
                "the API server's name, by which the AKS cluster is found, is not known",
            )
        })?;
        let clusters = self.ask(&["aks", "list"])?;
        let empty = Vec::new();
        let all = clusters.as_array().unwrap_or(&empty);
        let names = ["fqdn", "privateFqdn", "azurePortalFqdn"];
        let cluster = all.iter().find(|cluster| {
            names.iter().any(|name| cluster[*name].as_str().is_some_and(|fqdn| fqdn.eq_ignore_ascii_case(server)))
        });
        let cluster = cluster.ok_or_else(|| {
            let reason = format!(
                "none of the {} AKS clusters of subscription {subscription} has the address {server}; choose another with `az account set`",
                all.len()
            );
            ItemEnd::because(ItemStatus::Absent, reason)
        })?;
        let mut groups = BTreeSet::from([text(cluster, "nodeResourceGroup")]);
        for pool in cluster["agentPoolProfiles"].as_array().into_iter().flatten() {
            groups.extend(pool["vnetSubnetId"].as_str().and_then(group_of));
        }
        let identity = [&cluster["identity"]["principalId"], &cluster["servicePrincipalProfile"]["clientId"]];
        // `msi` stands where a service principal would.
        let identity = identity.into_iter().filter_map(Value::as_str).find(|id| *id != "msi" && !id.is_empty());
        Ok(Cluster {
            name: text(cluster, "name"),
            group: text(cluster, "resourceGroup"),
            subscription,
            groups: groups.into_iter().filter(|group| !group.is_empty()).take(AT_MOST).collect(),
            identity: identity.map(str::to_owned),
        })
    }

    fn around(&self, cluster: &Cluster) {
        let Cluster { name, group, .. } = cluster;
        self.keep(cluster, "cloud.aks", "show", &["aks", "show", "--name", name, "--resource-group", group]);
        let pools = ["aks", "nodepool", "list", "--cluster-name", name, "--resource-group", group];
        self.keep(cluster, "cloud.aks", "nodepools", &pools);
        for group in &cluster.groups {
            let within = |command: &[&'static str]| -> Vec<String> {
                command
                    .iter()
                    .map(|&word| word.to_owned())
                    .chain(["--resource-group".to_owned(), group.clone()])
                    .collect()
            };
            let keep = |id: &str, what: &str, command: &[&'static str]| {
                let arguments = within(command);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.keep(cluster, id, &format!("{what}.{group}"), &arguments)
            };
            keep("cloud.nsg", "list", &["network", "nsg", "list"]);
            keep("cloud.route", "list", &["network", "route-table", "list"]);
            keep("cloud.vnet", "list", &["network", "vnet", "list"]);
            let scale_sets = keep("cloud.nsg", "vmss", &["vmss", "list"]);
            for set in names(scale_sets.as_ref()) {
                let nics = ["vmss", "nic", "list", "--vmss-name", &set, "--resource-group", group];
                self.keep(cluster, "cloud.nsg", &format!("nics.{set}"), &nics);
            }
            let balancers = keep("cloud.lb", "list", &["network", "lb", "list"]);
            for balancer in balancers.as_ref().and_then(Value::as_array).into_iter().flatten().take(AT_MOST) {
                let (id, name) = (text(balancer, "id"), text(balancer, "name"));
                let metrics = "SnatConnectionCount,AllocatedSnatPorts,UsedSnatPorts";
                let arguments =
                    ["monitor", "metrics", "list", "--resource", &id, "--metrics", metrics, "--interval", "PT5M"];
                self.keep(cluster, "cloud.lb", &format!("snat.{name}"), &arguments);
            }
        }
        let zones = self.keep(cluster, "cloud.dnszone", "zones", &["network", "private-dns", "zone", "list"]);
        for zone in zones.as_ref().and_then(Value::as_array).into_iter().flatten().take(AT_MOST) {
            let (name, group) = (text(zone, "name"), text(zone, "resourceGroup"));
            let links =
                ["network", "private-dns", "link", "vnet", "list", "--zone-name", &name, "--resource-group", &group];
            self.keep(cluster, "cloud.dnszone", &format!("links.{name}"), &links);
        }
        match &cluster.identity {
            Some(identity) => {
                let arguments = ["role", "assignment", "list", "--all", "--assignee", identity];
                self.keep(cluster, "cloud.identity", "roles", &arguments);
            }
            None => self.none("cloud.identity", ItemEnd::because(ItemStatus::Absent, "the cluster names no identity")),
        }
    }

    /// Asks and writes the answer; what fails is recorded.
    fn keep(&self, cluster: &Cluster, id: &str, what: &str, arguments: &[&str]) -> Option<Value> {
        if self.run.stopped().is_some() {
            return None;
        }
        let mut all = arguments.to_vec();
        all.extend(["--subscription", &cluster.subscription]);
        let argv = std::iter::once("az").chain(all.iter().copied()).map(str::to_owned).collect();
        let draft = ItemDraft {
            id: format!("{id}.{what}"),
            scope: Scope::Cluster,
            source: Source::Argv(argv),
            plan: id.to_owned(),
        };
        let started = Timestamp::now();
        let answer = match self.ask(&all) {
            Ok(answer) => answer,
            Err(end) => {
                self.run.record(draft, end, started);
                return None;
            }
        };
        let kind = id.trim_start_matches("cloud.");
        let place = layout::cloud("az", &format!("{kind}.{what}.json"));
        let text = serde_json::to_vec_pretty(&answer).unwrap_or_default();
        crate::cluster::write_whole(self.run, self.run.begin(draft, place), &text, ItemEnd::new(ItemStatus::Ok));
        Some(answer)
    }

    fn none(&self, id: &str, end: ItemEnd) {
        let source = Source::Argv(vec!["az".to_owned()]);
        let draft = ItemDraft { id: id.to_owned(), scope: Scope::Cluster, source, plan: id.to_owned() };
        self.run.record(draft, end, Timestamp::now());
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value, ItemEnd> {
        let Some(program) = &self.program else {
            let reason = "az is not in the PATH; install the Azure CLI or attach what it prints with --attach";
            return Err(ItemEnd::because(ItemStatus::ToolMissing, reason));
        };
        let words = arguments.iter().copied().chain(["--output", "json", "--only-show-errors"]);
        let argv: Vec<String> =
            std::iter::once(program.display().to_string()).chain(words.map(str::to_owned)).collect();
        let mut out = Vec::new();
        let clock = Instant::now();
        let stopped = || self.run.stopped().is_some();
        let report = command::run_in(Environment::Callers, &argv, self.run.time_for(TIME), &stopped, &mut out)
            .map_err(|error| ItemEnd::because(ItemStatus::Error, error.to_string()))?;
        let said = report.stderr_tail.clone().unwrap_or_default();
        match report.ending {
            Ending::Exited(0) if out.len() > LONGEST => {
                Err(ItemEnd::because(ItemStatus::Error, format!("az printed more than {} MiB", LONGEST >> 20)))
            }
            Ending::Exited(0) => serde_json::from_slice(&out)
                .map_err(|error| ItemEnd::because(ItemStatus::Error, format!("what az printed is no JSON: {error}"))),
            Ending::Exited(code) => Err(refused(code, &said)),
            Ending::Deadline => {
                let reason = format!("az did not end within {} s", clock.elapsed().as_secs());
                Err(ItemEnd::because(ItemStatus::Timeout, reason))
            }
            Ending::Stopped => Err(ItemEnd::because(ItemStatus::NotReached, "the run ended while az was asked")),
            Ending::Signal(_) | Ending::TooLong => Err(ItemEnd::because(ItemStatus::Error, "az ended early")),
        }
    }
}

/// What az says when it refuses. It exits with 1 for everything, so that its words have to tell.
fn refused(code: i32, said: &str) -> ItemEnd {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (status, hint) = if says(&["az login", "az account set", "AADSTS", "refresh token"]) {
        (ItemStatus::Forbidden, "az is not logged in: run `az login`, then this again; ")
    } else if says(&["AuthorizationFailed", "does not have authorization"]) {
        (ItemStatus::Forbidden, "")
    } else if says(&["ResourceNotFound", "ResourceGroupNotFound", "NotFound"]) {
        (ItemStatus::Absent, "")
    } else if says(&["Max retries exceeded", "Failed to establish a new connection", "Name or service not known"]) {
        (ItemStatus::Unreachable, "Azure cannot be reached from here: ")
    } else {
        (ItemStatus::Error, "")
    };
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(600).collect();
    ItemEnd { exit_code: Some(code), ..ItemEnd::because(status, format!("{hint}az said: {line}")) }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn names(list: Option<&Value>) -> Vec<String> {
    let all = list.and_then(Value::as_array).into_iter().flatten();
    all.map(|one| text(one, "name")).filter(|name| !name.is_empty()).take(AT_MOST).collect()
}

/// The resource group of a resource id: `/subscriptions/S/resourceGroups/G/…`, whose case az does not keep.
fn group_of(id: &str) -> Option<String> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case("resourceGroups"))?;
    parts.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azs_words_give_the_status() {
        let status = |said: &str| refused(1, said).status;
        assert_eq!(status("ERROR: Please run 'az login' to setup account."), ItemStatus::Forbidden);
        assert_eq!(
            status("ERROR: (AuthorizationFailed) The client 'x' does not have authorization to perform action"),
            ItemStatus::Forbidden
        );
        assert_eq!(status("ERROR: (ResourceGroupNotFound) Resource group 'x' could not be found."), ItemStatus::Absent);
        assert_eq!(
            status("HTTPSConnectionPool(host='management.azure.com', port=443): Max retries exceeded"),
            ItemStatus::Unreachable
        );
        assert_eq!(status("something else"), ItemStatus::Error);
    }

    #[test]
    fn a_resource_group_is_found_in_an_id() {
        let id = "/subscriptions/s/resourceGroups/net-rg/providers/Microsoft.Network/virtualNetworks/v/subnets/a";
        assert_eq!(group_of(id).as_deref(), Some("net-rg"));
        assert_eq!(group_of("/subscriptions/s/resourcegroups/x").as_deref(), Some("x"));
        assert_eq!(group_of("/subscriptions/s"), None);
    }
}

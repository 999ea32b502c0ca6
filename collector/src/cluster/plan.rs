//! Everything that a cluster will be asked, known before it is asked.

use bundle::Scope;

use super::resource::{RESOURCES, Resource};
use super::{access, config_map, health, kubelet, list, logs, server_certificate};
use crate::plan::{Cost, PlanLine};

/// The plan's line of what the server serves.
pub const DISCOVERY: &str = "api.discovery";

/// All lines, in the order in which they are tried.
pub fn lines() -> Vec<PlanLine> {
    let mut lines: Vec<PlanLine> = health::Check::ALL.into_iter().map(health::Check::plan).collect();
    lines.push(server_certificate::plan());
    lines.push(PlanLine::new(DISCOVERY, Scope::Cluster, "GET /api and /apis, aggregated", Cost::Trivial, "64 MiB"));
    lines.push(access::plan());
    lines.extend(RESOURCES.iter().map(of_list));
    lines.extend(config_map::plan());
    lines.extend(logs::plan());
    lines.extend(kubelet::plan());
    lines
}

fn of_list(resource: &Resource) -> PlanLine {
    let urls: Vec<String> = resource.groups.iter().map(|(group, version)| resource.url(group, version)).collect();
    let steps = if resource.is_aggregated() {
        "whole, then as table"
    } else {
        "limit=1, then whole or in pages, then as table"
    };
    let what = format!("GET {} where served: {steps}", urls.join(", else "));
    let bound = format!("{} s, pages of 500 from {} on", list::TIME.as_secs(), list::PAGED_FROM);
    PlanLine::new(resource.evidence(), Scope::Cluster, what, resource.cost(), bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let lines = lines();
        let ids: BTreeSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
        assert_eq!(ids.len(), lines.len());
    }

    #[test]
    fn nothing_in_the_plan_asks_for_secrets() {
        assert!(lines().iter().all(|line| !line.what.contains("secrets")));
    }
}

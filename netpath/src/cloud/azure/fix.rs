//! What lets through a flow that a network security group denies: az commands, tried out.

use std::net::IpAddr;

use super::rule::SecurityRule;
use super::{Azure, Group};
use crate::answer::Decision;
use crate::cloud::{CloudChange, CloudFix, CloudFlow, Way, protocol_spelling};

/// The priorities that people's rules have (<https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview>).
const LOWEST: u32 = 100;
const HIGHEST: u32 = 4096;

impl Azure {
    /// Allow rules before those that deny, tried out.
    pub(super) fn fix(&self, machine: IpAddr, flow: &CloudFlow, way: Way) -> Option<CloudFix> {
        let mut changed = self.clone();
        let mut changes = Vec::new();
        // A subnet's and a NIC's group at most.
        for _ in 0..2 {
            let (groups, _, space) = changed.met(machine, way);
            let denying = groups.iter().find_map(|group| {
                let result = changed.through(group, flow, way, &space);
                (result.verdict == Decision::Drop).then(|| ((*group).clone(), result.deciding))
            });
            let Some((group, answers)) = denying else { break };
            let deny = group.rules.iter().find(|rule| Some(&rule.cited) == answers.as_ref());
            let before = deny.map_or(HIGHEST + 1, |rule| rule.priority);
            let priority = free_priority(&group, way, before).or_else(|| {
                changes.extend(changed.make_room(&group, way, before)?);
                Some(before)
            })?;
            let port = flow.port.map_or_else(|| "any".to_owned(), |port| port.to_string());
            let protocol = protocol_spelling(flow.protocol);
            let name = format!("allow-{}-{port}", protocol.to_ascii_lowercase().replace('*', "any"));
            changes.push(CloudChange {
                group: group.name.clone(),
                command: command(&group, flow, way, priority, &name),
                answers,
            });
            let rule = SecurityRule::allowing(flow, way, priority, &name, group.cited.clone());
            changed.insert(&group, &rule);
        }
        let verified = changed.verdict(machine, flow, way).verdict == Decision::Accept;
        (!changes.is_empty()).then_some(CloudFix { changes, verified })
    }

    /// Moves the rules that stand at `from` and at the priorities directly behind it one further, the last first, so that
    /// `from` is free and each keeps its place among the others. None where there is no end to them.
    fn make_room(&mut self, group: &Group, way: Way, from: u32) -> Option<Vec<CloudChange>> {
        let at = |priority: u32| group.rules.iter().find(|rule| rule.priority == priority && rule.way == Some(way));
        let moved: Vec<&SecurityRule> = (from..=HIGHEST).map_while(at).collect();
        let last = moved.last()?.priority;
        if last == HIGHEST {
            return None;
        }
        self.change(group, |rules| {
            let of_way = rules.iter_mut().filter(|rule| rule.way == Some(way));
            of_way.filter(|rule| (from..=last).contains(&rule.priority)).for_each(|rule| rule.priority += 1);
        });
        let change = |rule: &&SecurityRule| CloudChange {
            group: group.name.clone(),
            command: format!(
                "az network nsg rule update -g {} --nsg-name {} -n {} --priority {}",
                group.resource_group(),
                group.name,
                rule.name,
                rule.priority + 1
            ),
            answers: Some(rule.cited.clone()),
        };
        Some(moved.iter().rev().map(change).collect())
    }

    fn insert(&mut self, group: &Group, rule: &SecurityRule) {
        self.change(group, |rules| rules.push(rule.clone()));
    }

    /// Changes the rules of a group wherever it is kept.
    fn change(&mut self, group: &Group, change: impl Fn(&mut Vec<SecurityRule>)) {
        let same = |one: &&mut Group| one.cited == group.cited;
        let groups = self.groups.values_mut().chain(self.effective.values_mut().flatten());
        for one in groups.filter(same) {
            change(&mut one.rules);
            one.rules.sort_by_key(|rule| rule.priority);
        }
    }
}

/// The highest priority below the denying rule's that no rule of the direction has.
fn free_priority(group: &Group, way: Way, before: u32) -> Option<u32> {
    let taken = |priority: &u32| group.rules.iter().any(|rule| rule.priority == *priority && rule.way == Some(way));
    (LOWEST..before.min(HIGHEST + 1)).rev().find(|priority| !taken(priority))
}

fn command(group: &Group, flow: &CloudFlow, way: Way, priority: u32, name: &str) -> String {
    let resource_group = group.resource_group();
    let direction = if way == Way::Inbound { "Inbound" } else { "Outbound" };
    let ports = flow.port.map_or_else(|| "'*'".to_owned(), |port| port.to_string());
    format!(
        "az network nsg rule create -g {resource_group} --nsg-name {} -n {name} --priority {priority} --direction \
         {direction} --access Allow --protocol '{}' --source-address-prefixes {} --destination-address-prefixes {} \
         --destination-port-ranges {ports}",
        group.name,
        protocol_spelling(flow.protocol),
        flow.source,
        flow.destination
    )
}

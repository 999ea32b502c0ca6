//! Azure: which NSGs a flow meets, and what they make of it.
//!
//! Inbound the subnet's group comes first, then the NIC's; outbound the other way round; each that there is must allow
//! (<https://learn.microsoft.com/azure/virtual-network/network-security-group-how-it-works>). Rules apply by ascending
//! priority, the default ones (65000 and above) last. Traffic within a subnet is filtered too.

mod fix;
mod rule;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use self::rule::{PLATFORM, SecurityRule};
use super::extent::Marks;
use super::first_match::{Candidate, GroupResult, first_match};
use super::{CloudFlow, CloudJudgement, Way, field, network, text, texts};
use crate::address::AddrRange;
use crate::answer::Decision;
use crate::held::{Held, add_all};
use crate::json::{JsonError, Place, objects};
use crate::source::Cited;
use crate::unknown::Unknown;

/// Where the metadata service answers. It and the platform's host are exempt from rules that do not name their tags.
const METADATA: &str = "169.254.169.254";

/// Where the priorities of the default rules begin.
const DEFAULTS: u32 = 65000;

/// What the evidence holds of NSGs, NICs, virtual networks and subnets.
#[derive(Clone, Debug, Default)]
pub struct Azure {
    groups: BTreeMap<String, Group>,
    interfaces: Vec<Interface>,
    subnets: BTreeMap<String, Subnet>,
    /// Effective groups by the NIC's id.
    effective: BTreeMap<String, Vec<Group>>,
    unreadable: Vec<Cited>,
}

#[derive(Clone, Debug)]
struct Group {
    id: String,
    name: String,
    cited: Cited,
    rules: Vec<SecurityRule>,
    subnets: Vec<String>,
    interfaces: Vec<String>,
    /// For effective groups: whether it is the NIC's own rather than its subnet's.
    of_interface: bool,
}

#[derive(Clone, Debug)]
struct Interface {
    id: String,
    name: String,
    addresses: Vec<(IpAddr, Option<String>)>,
    group: Option<String>,
    machine: Option<String>,
}

#[derive(Clone, Debug)]
struct Subnet {
    prefixes: Vec<IpNet>,
    group: Option<String>,
    network: Vec<IpNet>,
}

impl Azure {
    /// Adds a file as `az network nsg show|list`, `nic list|show|list-effective-nsg`, `vmss nic list`, `vnet list|show` or
    /// `vnet subnet list` prints it; objects are told apart by their members, others are skipped. Answers whether there
    /// was any of these.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON object or array.
    pub fn add(&mut self, file: &Arc<str>, bytes: &[u8]) -> Result<bool, JsonError> {
        let whole = String::from_utf8_lossy(bytes);
        let mut any = false;
        let of_file = interface_of_file(file);
        for place in objects(file, &whole, Some("value"))? {
            any |= self.add_one(&place, of_file.as_deref());
        }
        Ok(any)
    }

    fn add_one(&mut self, place: &Place<'_>, of_file: Option<&str>) -> bool {
        let value = place.value();
        let has = |name: &str| field(&value, name).is_some();
        if has("effectiveSecurityRules") {
            return self.add_effective(place, &value, of_file);
        }
        let Some(id) = text(&value, "id").map(str::to_ascii_lowercase) else { return false };
        if has("securityRules") || has("defaultSecurityRules") {
            let mut group = Group::of(id.clone(), place.cited());
            self.read_rules(&mut group, place, &["securityRules", "defaultSecurityRules"]);
            group.subnets = ids(&value, "subnets");
            group.interfaces = ids(&value, "networkInterfaces");
            self.groups.insert(id, group);
        } else if has("ipConfigurations") && id.contains("/networkinterfaces/") {
            self.interfaces.push(interface(id, &value));
        } else if has("addressSpace") {
            let space: Vec<IpNet> = field(&value, "addressSpace")
                .map(|space| texts(space, "addressPrefixes").iter().filter_map(|text| network(text)).collect())
                .unwrap_or_default();
            for subnet in field(&value, "subnets").and_then(Value::as_array).into_iter().flatten() {
                self.add_subnet(subnet, &space);
            }
        } else if id.contains("/subnets/") {
            self.add_subnet(&value, &[]);
        } else {
            return false;
        }
        true
    }

    fn add_subnet(&mut self, value: &Value, space: &[IpNet]) {
        let Some(id) = text(value, "id").map(str::to_ascii_lowercase) else { return };
        let written = texts(value, "addressPrefix").into_iter().chain(texts(value, "addressPrefixes"));
        let prefixes: Vec<IpNet> = written.filter_map(|text| network(&text)).collect();
        let group =
            field(value, "networkSecurityGroup").and_then(|group| text(group, "id")).map(str::to_ascii_lowercase);
        let known = if space.is_empty() { self.subnets.get(&id).map(|known| known.network.clone()) } else { None };
        let network = known.unwrap_or_else(|| space.to_vec());
        self.subnets.insert(id, Subnet { prefixes, group, network });
    }

    fn add_effective(&mut self, place: &Place<'_>, value: &Value, of_file: Option<&str>) -> bool {
        let named = |outer: &Value, name: &str| {
            field(outer, name).and_then(|inner| text(inner, "id")).map(str::to_ascii_lowercase)
        };
        let association = field(value, "association").cloned().unwrap_or_default();
        let nic = named(&association, "networkInterface");
        let mut group = Group::of(named(value, "networkSecurityGroup").unwrap_or_default(), place.cited());
        group.of_interface = nic.is_some();
        self.read_rules(&mut group, place, &["effectiveSecurityRules"]);
        // The subnet's group does not name the NIC that was asked for; its neighbour in the file or the file's name does.
        let key = nic.or_else(|| of_file.map(str::to_owned)).unwrap_or_default();
        self.effective.entry(key).or_default().push(group);
        true
    }

    fn read_rules(&mut self, group: &mut Group, place: &Place<'_>, lists: &[&str]) {
        for list in lists {
            let found = place.member(list).or_else(|| place.member("properties").and_then(|inner| inner.member(list)));
            for rule in found.map(|list| list.elements()).unwrap_or_default() {
                match SecurityRule::parse(&rule) {
                    Some(rule) => group.rules.push(rule),
                    None => self.unreadable.push(rule.cited()),
                }
            }
        }
        group.rules.sort_by_key(|rule| rule.priority);
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.interfaces.is_empty() && self.effective.is_empty()
    }

    /// The name of the virtual machine whose NIC has an address, as nodes of a cluster are called.
    pub fn machine_of(&self, address: IpAddr) -> Option<&str> {
        self.interface_of(address).and_then(|(interface, _)| interface.machine.as_deref())
    }

    /// Judges a flow on one side.
    pub fn judge(&self, flow: &CloudFlow, way: Way) -> CloudJudgement {
        self.judge_at(flow.own(way), flow, way)
    }

    /// Judges a flow at a machine that has not its address: at the node of a pod, or behind a load balancer that keeps
    /// the destination.
    pub fn judge_at(&self, machine: IpAddr, flow: &CloudFlow, way: Way) -> CloudJudgement {
        let mut judgement = self.verdict(machine, flow, way);
        if judgement.verdict == Decision::Drop {
            judgement.fix = self.fix(machine, flow, way);
        }
        judgement
    }

    /// The addresses and ports that the groups of a machine name for what enters it.
    pub fn marks(&self, machine: IpAddr) -> Marks {
        let (groups, _, space) = self.met(machine, Way::Inbound);
        let mut marks = Marks::default();
        for rule in groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.way != Some(Way::Outbound)) {
            rule.mark(&mut marks);
        }
        let of_space = space.iter().map(|network| AddrRange { first: network.network(), last: network.broadcast() });
        marks.addresses.extend(of_space);
        marks
    }

    /// What two machines have in common whose groups make the same of whatever enters them.
    pub fn class_of(&self, machine: IpAddr) -> String {
        let (groups, blind, space) = self.met(machine, Way::Inbound);
        // What is not known of a machine is the same unknown for all of which it is not known.
        let own = machine.to_string();
        let mut class: String = blind.iter().map(|unknown| unknown.what.replace(&own, "it") + "\n").collect();
        for group in groups {
            class.push_str(&format!("{}\n", group.cited.origin));
            class.extend(group.rules.iter().map(|rule| rule.is_towards(machine, &space)));
        }
        class + &format!("{space:?}")
    }

    /// The rule of a person that allows a flow in the group of a denying rule, behind that rule: it never gets its turn.
    pub fn shadowed_by(&self, deny: &Cited, flow: &CloudFlow, way: Way) -> Option<Cited> {
        let (groups, _, space) = self.met(flow.own(way), way);
        let found = groups.iter().find_map(|group| {
            let at = group.rules.iter().position(|rule| rule.cited == *deny)?;
            group.rules.get(at + 1..)?.iter().find(|rule| {
                let of_way = rule.way == Some(way) && rule.priority < DEFAULTS;
                of_way && rule.allows == Some(true) && rule.matches(flow, &space) == Held::Yes
            })
        });
        found.map(|rule| rule.cited.clone())
    }

    fn verdict(&self, machine: IpAddr, flow: &CloudFlow, way: Way) -> CloudJudgement {
        let mut judgement = CloudJudgement {
            verdict: Decision::Accept,
            way,
            why: String::new(),
            deciding: None,
            unknowns: Vec::new(),
            fix: None,
        };
        let (groups, blind, space) = self.met(machine, way);
        let platform = [PLATFORM, METADATA].contains(&flow.destination.to_string().as_str());
        let names_platform = groups.iter().flat_map(|group| &group.rules).any(SecurityRule::names_platform);
        if way == Way::Outbound && platform && !names_platform {
            judgement.why = format!("{} is the platform's own, which rules do not filter", flow.destination);
            return judgement;
        }
        let mut whys = Vec::new();
        for group in &groups {
            let result = self.through(group, flow, way, &space);
            whys.push(format!("{}: {}", group.name, result.title));
            let drops = result.verdict == Decision::Drop && judgement.verdict != Decision::Drop;
            let doubts = result.verdict == Decision::Depends && judgement.verdict == Decision::Accept;
            if drops || doubts || judgement.verdict == Decision::Accept {
                judgement.deciding = result.deciding;
                judgement.verdict = result.verdict;
                judgement.why = format!("NSG {}, {}", group.name, result.title);
            }
            add_all(&mut judgement.unknowns, &result.unknowns);
        }
        if judgement.verdict == Decision::Drop {
            judgement.unknowns.clear();
            return judgement;
        }
        if !blind.is_empty() {
            judgement.verdict = Decision::Depends;
            add_all(&mut judgement.unknowns, &blind);
        }
        if judgement.why.is_empty() {
            judgement.why = format!("no NSG is known that filters {machine}");
        }
        judgement
    }

    /// The groups that a flow of an address meets, in their order; what is not known; the own network's addresses.
    fn met(&self, own: IpAddr, way: Way) -> (Vec<&Group>, Vec<Unknown>, Vec<IpNet>) {
        let ask = |what: String| Unknown::deterministic(what.clone(), what);
        let found = self.interface_of(own);
        let subnet_id = match &found {
            Some((_, subnet)) => subnet.clone(),
            None => self.subnet_of(own),
        };
        let subnet = subnet_id.as_ref().and_then(|id| self.subnets.get(id));
        let space = subnet.map(|subnet| subnet.network.clone()).unwrap_or_default();
        let effective = found.as_ref().and_then(|(interface, _)| {
            self.effective.get(&interface.id).or_else(|| self.effective.get(&interface.name.to_ascii_lowercase()))
        });
        if let Some(groups) = effective {
            let mut groups: Vec<&Group> = groups.iter().collect();
            groups.sort_by_key(|group| group.of_interface == (way == Way::Inbound));
            return (groups, Vec::new(), space);
        }
        let (mut of_nic, mut of_subnet, mut blind) = (None, None, Vec::new());
        match &found {
            Some((interface, _)) => {
                let listed = self.groups.values().find(|group| group.interfaces.contains(&interface.id));
                let id = interface.group.clone().or_else(|| listed.map(|group| group.id.clone()));
                of_nic = self.group(id.as_deref(), &mut blind);
            }
            None => blind.push(ask(format!("which NSG the NIC of {own} has"))),
        }
        match (&subnet_id, subnet) {
            (Some(_), Some(subnet)) => of_subnet = self.group(subnet.group.as_deref(), &mut blind),
            (Some(id), None) => match self.groups.values().find(|group| group.subnets.contains(id)) {
                Some(group) => of_subnet = Some(group),
                None => blind.push(ask(format!("whether the subnet {id} has an NSG"))),
            },
            (None, _) => blind.push(ask(format!("which subnet {own} is in"))),
        }
        let order = match way {
            Way::Inbound => [of_subnet, of_nic],
            Way::Outbound => [of_nic, of_subnet],
        };
        (order.into_iter().flatten().collect(), blind, space)
    }

    fn group(&self, id: Option<&str>, blind: &mut Vec<Unknown>) -> Option<&Group> {
        let id = id?;
        let group = self.groups.get(id);
        if group.is_none() {
            let what = format!("what the NSG {} says", id.rsplit('/').next().unwrap_or(id));
            blind.push(Unknown::deterministic(what.clone(), what));
        }
        group
    }

    fn interface_of(&self, address: IpAddr) -> Option<(&Interface, Option<String>)> {
        self.interfaces.iter().find_map(|interface| {
            let (_, subnet) = interface.addresses.iter().find(|(own, _)| *own == address)?;
            Some((interface, subnet.clone()))
        })
    }

    fn subnet_of(&self, address: IpAddr) -> Option<String> {
        let holds = |subnet: &Subnet| subnet.prefixes.iter().any(|prefix| prefix.contains(&address));
        self.subnets.iter().find(|(_, subnet)| holds(subnet)).map(|(id, _)| id.clone())
    }

    fn through(&self, group: &Group, flow: &CloudFlow, way: Way, space: &[IpNet]) -> GroupResult {
        // A rule that could not be read might come first.
        let unread = self.unreadable.iter().map(|cited| Candidate {
            held: Held::perhaps(cited.origin.to_string(), format!("what the rule at {} says", cited.origin)),
            allows: None,
            cited: cited.clone(),
            title: "a rule that cannot be read".to_owned(),
        });
        let rules = group.rules.iter().filter(|rule| rule.way.is_none_or(|own| own == way)).map(|rule| {
            let directed = match rule.way {
                Some(_) => Held::Yes,
                None => Held::perhaps(rule.cited.origin.to_string(), format!("the direction of rule {}", rule.name)),
            };
            let title = format!("rule {} (priority {})", rule.name, rule.priority);
            let held = directed.and(rule.matches(flow, space));
            Candidate { held, allows: rule.allows, cited: rule.cited.clone(), title }
        });
        // Every group ends with a default rule that denies; a dump without default rules hides those before it.
        let hidden = Candidate {
            held: if group.rules.iter().any(|rule| rule.priority >= 65500) {
                Held::Yes
            } else {
                Held::perhaps(format!("defaults {}", group.id), format!("the default rules of NSG {}", group.name))
            },
            allows: group.rules.iter().any(|rule| rule.priority >= 65500).then_some(false),
            cited: group.cited.clone(),
            title: "no rule matches".to_owned(),
        };
        first_match(unread.chain(rules), Some(hidden))
    }
}

impl Group {
    fn of(id: String, cited: Cited) -> Self {
        let name = id.rsplit('/').next().unwrap_or_default().to_owned();
        let (rules, subnets, interfaces) = (Vec::new(), Vec::new(), Vec::new());
        Self { id, name, cited, rules, subnets, interfaces, of_interface: false }
    }

    /// The resource group that its id names, for az.
    fn resource_group(&self) -> &str {
        let mut parts = self.id.split('/').skip_while(|part| *part != "resourcegroups");
        parts.nth(1).unwrap_or("RESOURCE-GROUP")
    }
}

fn interface(id: String, value: &Value) -> Interface {
    let named = |name: &str| field(value, name).and_then(|inner| text(inner, "id"));
    let configurations = field(value, "ipConfigurations").and_then(Value::as_array);
    let addresses = configurations.into_iter().flatten().filter_map(|configuration| {
        let address = text(configuration, "privateIPAddress")?.parse().ok()?;
        let subnet = field(configuration, "subnet").and_then(|subnet| text(subnet, "id"));
        Some((address, subnet.map(str::to_ascii_lowercase)))
    });
    Interface {
        name: id.rsplit('/').next().unwrap_or_default().to_owned(),
        addresses: addresses.collect(),
        group: named("networkSecurityGroup").map(str::to_ascii_lowercase),
        machine: named("virtualMachine").map(machine_of_id),
        id,
    }
}

/// A machine's name as its node's: of a scale set's instance 3 in VMSS `aks-np-1-vmss`, `aks-np-1-vmss000003` (the
/// number in base 36, <https://learn.microsoft.com/azure/virtual-machine-scale-sets/>).
fn machine_of_id(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    let last = parts.last().copied().unwrap_or_default();
    let scale_set = parts.windows(2).find(|pair| pair[0].eq_ignore_ascii_case("virtualMachineScaleSets"));
    let (Some(pair), Ok(mut number)) = (scale_set, last.parse::<u64>()) else { return last.to_owned() };
    let mut digits = Vec::new();
    while digits.len() < 6 {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
    }
    format!("{}{}", pair[1], digits.iter().rev().collect::<String>())
}

/// `effective-nsg-NIC.json` names the NIC that was asked for.
fn interface_of_file(file: &str) -> Option<String> {
    let name = file.rsplit('/').next()?.strip_suffix(".json")?;
    let nic = name.strip_prefix("effective-nsg-").or_else(|| name.strip_prefix("list-effective-nsg-"))?;
    Some(nic.to_ascii_lowercase())
}

fn ids(value: &Value, name: &str) -> Vec<String> {
    let list = field(value, name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| text(one, "id")).map(str::to_ascii_lowercase).collect()
}

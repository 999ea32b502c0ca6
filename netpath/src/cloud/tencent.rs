//! Tencent Cloud: security groups of instances.
//!
//! The groups of an instance apply in their binding order, the policies of a group by `PolicyIndex`; the first that
//! matches decides, and what none matches is dropped
//! (<https://www.tencentcloud.com/document/product/213/34601>).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::extent::Marks;
use super::first_match::{Candidate, first_match};
use super::{
    CloudChange, CloudFix, CloudFlow, CloudJudgement, Way, addresses, field, network, protocol_spelling, text, texts,
};
use crate::address::AddrRange;
use crate::answer::Decision;
use crate::held::{Held, add_all};
use crate::json::{JsonError, Place, objects};
use crate::port::PortRange;
use crate::protocol;
use crate::source::{Cited, Origin};
use crate::unknown::Unknown;

/// What the evidence holds of security groups and instances.
#[derive(Clone, Debug, Default)]
pub struct Tencent {
    groups: BTreeMap<String, Group>,
    instances: Vec<Instance>,
    /// Addresses of address templates, by id.
    templates: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug)]
struct Group {
    cited: Cited,
    ingress: Vec<Policy>,
    egress: Vec<Policy>,
    /// Whether a policy could not be placed.
    unreadable: bool,
}

#[derive(Clone, Debug)]
struct Policy {
    index: u64,
    value: Value,
    cited: Cited,
}

#[derive(Clone, Debug)]
struct Instance {
    name: String,
    addresses: Vec<IpAddr>,
    groups: Vec<String>,
}

impl Tencent {
    /// Adds a file as `tccli vpc DescribeSecurityGroupPolicies`, `cvm DescribeInstances` or `vpc DescribeAddressTemplates`
    /// prints it, with or without `Response`. The first does not say whose policies they are: the file's name must hold
    /// the group's id (`sg-…`). Answers whether it was one of these.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON object or array.
    pub fn add(&mut self, file: &Arc<str>, bytes: &[u8]) -> Result<bool, JsonError> {
        let whole = String::from_utf8_lossy(bytes);
        let mut any = false;
        for place in objects(file, &whole, None)? {
            let place = place.member("Response").unwrap_or(place);
            any |= self.add_one(file, &place);
        }
        Ok(any)
    }

    fn add_one(&mut self, file: &str, place: &Place<'_>) -> bool {
        let value = place.value();
        if let Some(set) = place.member("SecurityGroupPolicySet") {
            let id = group_of_file(file).unwrap_or_default();
            let (ingress, whole_in) = policies(&set, "Ingress");
            let (egress, whole_out) = policies(&set, "Egress");
            let group = Group { cited: set.cited(), ingress, egress, unreadable: !(whole_in && whole_out) };
            self.groups.insert(id, group);
            return true;
        }
        if let Some(instances) = field(&value, "InstanceSet").and_then(Value::as_array) {
            self.instances.extend(instances.iter().map(|one| Instance {
                name: text(one, "InstanceId").unwrap_or_default().to_owned(),
                addresses: texts(one, "PrivateIpAddresses").iter().filter_map(|text| text.parse().ok()).collect(),
                groups: texts(one, "SecurityGroupIds"),
            }));
            return true;
        }
        if let Some(templates) = field(&value, "AddressTemplateSet").and_then(Value::as_array) {
            for one in templates {
                if let Some(id) = text(one, "AddressTemplateId") {
                    self.templates.insert(id.to_owned(), texts(one, "AddressSet"));
                }
            }
            return true;
        }
        false
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.instances.is_empty()
    }

    /// The id of the instance that has an address, which nodes carry in their labels.
    pub fn instance_of(&self, address: IpAddr) -> Option<&str> {
        self.instance(address).map(|instance| instance.name.as_str())
    }

    fn instance(&self, address: IpAddr) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.addresses.contains(&address))
    }

    /// The security groups of the instance that has an address, in binding order; none where they are not known.
    pub fn groups_of(&self, machine: IpAddr) -> Option<&[String]> {
        self.instance(machine).map(|instance| instance.groups.as_slice()).filter(|groups| !groups.is_empty())
    }

    /// The addresses of the instance of that id.
    pub fn addresses_of(&self, instance: &str) -> &[IpAddr] {
        let found = self.instances.iter().find(|known| known.name == instance);
        found.map_or(&[], |instance| instance.addresses.as_slice())
    }

    /// Judges a flow on one side.
    pub fn judge(&self, flow: &CloudFlow, way: Way) -> CloudJudgement {
        self.judge_at(flow.own(way), flow, way)
    }

    /// Judges a flow at a machine that has not its address: at the node of a pod, or behind a load balancer.
    pub fn judge_at(&self, machine: IpAddr, flow: &CloudFlow, way: Way) -> CloudJudgement {
        let unknown = match self.instance(machine) {
            Some(instance) if !instance.groups.is_empty() => return self.judge_groups(&instance.groups, flow, way),
            Some(instance) => format!("which security groups {} has", instance.name),
            None => format!("which security groups {machine} has"),
        };
        CloudJudgement {
            verdict: Decision::Depends,
            way,
            why: unknown.clone(),
            deciding: None,
            unknowns: vec![Unknown::deterministic(unknown.clone(), unknown)],
            fix: None,
        }
    }

    /// Judges a flow by groups in their binding order: of a load balancer, or of a cluster's endpoint.
    pub fn judge_groups(&self, groups: &[String], flow: &CloudFlow, way: Way) -> CloudJudgement {
        let mut judgement = self.verdict(groups, flow, way);
        if judgement.verdict == Decision::Drop {
            judgement.fix = self.fix(groups, flow, way, judgement.deciding.as_ref());
        }
        judgement
    }

    /// The addresses and ports that groups name.
    pub fn marks(&self, groups: &[String], way: Way) -> Marks {
        let mut marks = Marks::default();
        for group in groups.iter().filter_map(|id| self.groups.get(id)) {
            for policy in if way == Way::Inbound { &group.ingress } else { &group.egress } {
                let blocks = ["CidrBlock", "Ipv6CidrBlock"].into_iter().filter_map(|name| text(&policy.value, name));
                marks.addresses.extend(blocks.filter_map(addresses));
                let template = template(&policy.value, "AddressTemplate").and_then(|id| self.templates.get(&id));
                marks.addresses.extend(template.into_iter().flatten().filter_map(|text| addresses(text)));
                if let Some(ports) = text(&policy.value, "Port") {
                    marks.ports.extend(ports.split(',').filter_map(|range| PortRange::parse(range.trim(), '-')));
                }
                if text(&policy.value, "SecurityGroupId").is_some() {
                    let own = self.instances.iter().flat_map(|instance| &instance.addresses);
                    marks.addresses.extend(own.map(|address| AddrRange { first: *address, last: *address }));
                }
            }
        }
        marks
    }

    fn verdict(&self, groups: &[String], flow: &CloudFlow, way: Way) -> CloudJudgement {
        let mut candidates = Vec::new();
        for id in groups {
            match self.groups.get(id) {
                Some(group) => candidates.extend(self.candidates(id, group, flow, way)),
                None => candidates.push(Candidate {
                    held: Held::perhaps(id.clone(), format!("what security group {id} says")),
                    allows: None,
                    cited: Cited { origin: Origin::line(&Arc::from("cloud"), 1), text: id.clone() },
                    title: format!("security group {id}"),
                }),
            }
        }
        let last = groups.iter().rev().find_map(|id| Some((id, self.groups.get(id)?)));
        let otherwise = last.map(|(id, group)| Candidate {
            held: Held::Yes,
            allows: Some(false),
            cited: group.cited.clone(),
            title: format!("security group {id}: no policy matches, which drops"),
        });
        let result = first_match(candidates, otherwise);
        let known = result.deciding.filter(|cited| &*cited.origin.file != "cloud");
        let mut unknowns = Vec::new();
        add_all(&mut unknowns, &result.unknowns);
        CloudJudgement { verdict: result.verdict, way, why: result.title, deciding: known, unknowns, fix: None }
    }

    fn candidates(&self, id: &str, group: &Group, flow: &CloudFlow, way: Way) -> Vec<Candidate> {
        let policies = if way == Way::Inbound { &group.ingress } else { &group.egress };
        let unread = group.unreadable.then(|| Candidate {
            held: Held::perhaps(id, format!("what a policy of security group {id} says that cannot be read")),
            allows: None,
            cited: group.cited.clone(),
            title: format!("security group {id}: a policy that cannot be read"),
        });
        let candidate = |policy: &Policy| Candidate {
            held: self.matches(&policy.value, flow, way),
            allows: match text(&policy.value, "Action").map(str::to_ascii_uppercase).as_deref() {
                Some("ACCEPT") => Some(true),
                Some("DROP") => Some(false),
                _ => None,
            },
            cited: policy.cited.clone(),
            title: format!("security group {id}: policy {}", policy.index),
        };
        unread.into_iter().chain(policies.iter().map(candidate)).collect()
    }

    fn matches(&self, policy: &Value, flow: &CloudFlow, way: Way) -> Held {
        self.service_matches(policy, flow).and(self.address_matches(policy, flow.other(way)))
    }

    fn service_matches(&self, policy: &Value, flow: &CloudFlow) -> Held {
        if let Some(template) = template(policy, "ServiceTemplate") {
            let what = format!("what the service template {template} holds");
            return Held::perhaps(what.clone(), what);
        }
        let name = text(policy, "Protocol").unwrap_or("ALL").to_ascii_lowercase();
        let by_protocol: Held = match name.as_str() {
            "all" => return Held::Yes,
            "icmp" => (flow.protocol == protocol::ICMP).into(),
            name => match protocol::number(name) {
                Some(number) => (number == flow.protocol).into(),
                None => Held::perhaps(format!("protocol {name}"), format!("what the protocol \"{name}\" is")),
            },
        };
        by_protocol.and(ports_match(policy, flow.port))
    }

    fn address_matches(&self, policy: &Value, address: IpAddr) -> Held {
        if let Some(id) = template(policy, "AddressTemplate") {
            return match self.templates.get(&id) {
                Some(addresses) => Held::any(addresses.iter().map(|text| one_address(text, address))),
                None => {
                    let what = format!("whether {address} is in the address template {id}");
                    Held::perhaps(what.clone(), what)
                }
            };
        }
        if let Some(id) = text(policy, "SecurityGroupId") {
            return match self.instance(address) {
                Some(instance) => instance.groups.iter().any(|group| group == id).into(),
                None => {
                    let what = format!("whether {address} is of the security group {id}");
                    Held::perhaps(what.clone(), what)
                }
            };
        }
        let blocks = [text(policy, "CidrBlock"), text(policy, "Ipv6CidrBlock")];
        if blocks.iter().all(Option::is_none) {
            return Held::perhaps("no address", "which addresses a policy without any is about");
        }
        Held::any(blocks.into_iter().flatten().map(|text| one_address(text, address)))
    }

    /// An ACCEPT before the policy that drops, tried out.
    fn fix(&self, groups: &[String], flow: &CloudFlow, way: Way, answers: Option<&Cited>) -> Option<CloudFix> {
        let of = |group: &Group| if way == Way::Inbound { group.ingress.clone() } else { group.egress.clone() };
        let dropping = |id: &&String| {
            let group = self.groups.get(*id);
            group.is_some_and(|group| {
                of(group).iter().any(|policy| Some(&policy.cited) == answers) || Some(&group.cited) == answers
            })
        };
        let id = groups.iter().find(dropping)?;
        let group = self.groups.get(id)?;
        let at = of(group).iter().position(|policy| Some(&policy.cited) == answers);
        let at = at.unwrap_or_else(|| of(group).len());
        let index =
            of(group).get(at).map_or_else(|| of(group).last().map_or(0, |last| last.index + 1), |one| one.index);
        let other = flow.other(way);
        let key = if other.is_ipv4() { "CidrBlock" } else { "Ipv6CidrBlock" };
        let protocol = protocol_spelling(flow.protocol).to_ascii_uppercase().replace('*', "ALL");
        let port = flow.port.map_or_else(|| "ALL".to_owned(), |port| port.to_string());
        let policy = json!({"PolicyIndex": index, "Protocol": protocol, "Port": port, key: other.to_string(), "Action": "ACCEPT"});
        let list = if way == Way::Inbound { "Ingress" } else { "Egress" };
        let command = format!(
            "tccli vpc CreateSecurityGroupPolicies --SecurityGroupId {id} --SecurityGroupPolicySet '{}'",
            json!({list: [policy]})
        );
        let mut changed = self.clone();
        let own = changed.groups.get_mut(id)?;
        let policies = if way == Way::Inbound { &mut own.ingress } else { &mut own.egress };
        policies.insert(at, Policy { index, value: policy, cited: group.cited.clone() });
        let verified = changed.verdict(groups, flow, way).verdict == Decision::Accept;
        let change = CloudChange { group: id.clone(), command, answers: answers.cloned() };
        Some(CloudFix { changes: vec![change], verified })
    }
}

/// The policies of a direction by their index, and whether all could be placed.
fn policies(set: &Place<'_>, direction: &str) -> (Vec<Policy>, bool) {
    let mut whole = true;
    let mut all = Vec::new();
    let Some(list) = set.member(direction) else { return (all, true) };
    whole &= matches!(list.value(), Value::Array(_) | Value::Null);
    for place in list.elements() {
        let value = place.value();
        match field(&value, "PolicyIndex").and_then(Value::as_u64) {
            Some(index) => all.push(Policy { index, value, cited: place.cited() }),
            None => whole = false,
        }
    }
    all.sort_by_key(|policy| policy.index);
    (all, whole)
}

/// The id of a template that a policy names: of addresses, services, or groups of them.
fn template(policy: &Value, name: &str) -> Option<String> {
    let template = field(policy, name)?.as_object()?;
    template.values().filter_map(Value::as_str).find(|id| !id.is_empty()).map(str::to_owned)
}

/// An address, a prefix, a range, or everything.
fn one_address(text: &str, address: IpAddr) -> Held {
    if text.eq_ignore_ascii_case("all") {
        return Held::Yes;
    }
    if let Some(network) = network(text) {
        return network.contains(&address).into();
    }
    match AddrRange::parse(text) {
        Some(range) => range.contains(address).into(),
        None => Held::perhaps(format!("address {text}"), format!("which addresses \"{text}\" are")),
    }
}

/// `ALL`, `80`, `80,443`, `8000-9000`.
fn ports_match(policy: &Value, port: Option<u16>) -> Held {
    let written = match field(policy, "Port") {
        None => return Held::Yes,
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if written.is_empty() || written.eq_ignore_ascii_case("all") {
        return Held::Yes;
    }
    let Some(port) = port else {
        return Held::perhaps("port", "the destination port, which a policy names");
    };
    Held::any(written.split(',').map(|range| match PortRange::parse(range.trim(), '-') {
        Some(range) => range.contains(port).into(),
        None => Held::perhaps(format!("ports {range}"), format!("which ports \"{range}\" are")),
    }))
}

/// The group's id in a file's name: `sg-` and letters or digits.
fn group_of_file(file: &str) -> Option<String> {
    let at = file.rfind("sg-").filter(|at| !file[..*at].ends_with(|before: char| before.is_ascii_alphanumeric()))?;
    let rest = file.get(at + 3..)?;
    let end = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (end > 0).then(|| format!("sg-{}", &rest[..end]))
}

//! Security groups as `az` and `tccli` print them. The shapes follow Microsoft's and Tencent's documentation of the
//! commands' output; the names are those that AKS gives.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::IpAddr;
use std::sync::Arc;

use netpath::answer::Decision;
use netpath::cloud::{Azure, CloudFlow, Tencent, Way};
use serde_json::{Value, json};

const GROUPS: &str = "/subscriptions/s/resourceGroups/MC_rg/providers/Microsoft.Network";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn flow(source: &str, destination: &str, port: u16) -> CloudFlow {
    CloudFlow { source: ip(source), destination: ip(destination), protocol: 6, source_port: None, port: Some(port) }
}

fn rule(
    name: &str,
    priority: u32,
    direction: &str,
    access: &str,
    source: &str,
    destination: &str,
    ports: Value,
) -> Value {
    let mut rule = json!({"name": name, "priority": priority, "direction": direction, "access": access, "protocol": "Tcp",
        "sourceAddressPrefix": source, "sourceAddressPrefixes": [], "sourcePortRange": "*", "sourcePortRanges": [],
        "destinationAddressPrefix": destination, "destinationAddressPrefixes": [],
        "sourceApplicationSecurityGroups": null, "destinationApplicationSecurityGroups": null});
    rule["destinationPortRange"] = if ports.is_string() { ports.clone() } else { Value::Null };
    rule["destinationPortRanges"] = if ports.is_array() { ports } else { json!([]) };
    rule
}

fn defaults() -> Value {
    let mut rules = vec![
        rule("AllowVnetInBound", 65000, "Inbound", "Allow", "VirtualNetwork", "VirtualNetwork", json!("*")),
        rule("AllowAzureLoadBalancerInBound", 65001, "Inbound", "Allow", "AzureLoadBalancer", "*", json!("*")),
        rule("DenyAllInBound", 65500, "Inbound", "Deny", "*", "*", json!("*")),
        rule("AllowVnetOutBound", 65000, "Outbound", "Allow", "VirtualNetwork", "VirtualNetwork", json!("*")),
        rule("AllowInternetOutBound", 65001, "Outbound", "Allow", "*", "Internet", json!("*")),
        rule("DenyAllOutBound", 65500, "Outbound", "Deny", "*", "*", json!("*")),
    ];
    rules.iter_mut().for_each(|rule| rule["protocol"] = json!("*"));
    json!(rules)
}

fn nsg(name: &str, rules: &[Value]) -> Value {
    json!({"id": format!("{GROUPS}/networkSecurityGroups/{name}"), "name": name, "securityRules": rules,
        "defaultSecurityRules": defaults(), "subnets": null, "networkInterfaces": null})
}

fn subnet_id() -> String {
    format!("{GROUPS}/virtualNetworks/vnet/subnets/nodes")
}

fn nic(name: &str, address: &str, group: Option<&str>) -> Value {
    json!({"id": format!("{GROUPS}/networkInterfaces/{name}"), "name": name,
        "ipConfigurations": [{"privateIPAddress": address, "subnet": {"id": subnet_id()}}],
        "networkSecurityGroup": group.map(|name| json!({"id": format!("{GROUPS}/networkSecurityGroups/{name}")})),
        "virtualMachine": {"id": "/subscriptions/s/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks-np-1-vmss/virtualMachines/36"}})
}

fn vnet(group: Option<&str>) -> Value {
    json!([{"id": format!("{GROUPS}/virtualNetworks/vnet"), "addressSpace": {"addressPrefixes": ["10.224.0.0/12"]},
        "subnets": [{"id": subnet_id(), "addressPrefix": "10.224.0.0/16",
            "networkSecurityGroup": group.map(|name| json!({"id": format!("{GROUPS}/networkSecurityGroups/{name}")}))}]}])
}

fn azure(files: &[Value]) -> Azure {
    let mut azure = Azure::default();
    for (number, file) in files.iter().enumerate() {
        let bytes = serde_json::to_string_pretty(file).unwrap();
        assert!(azure.add(&Arc::from(format!("cloud/{number}.json")), bytes.as_bytes()).unwrap());
    }
    azure
}

fn inbound(azure: &Azure, source: &str, port: u16) -> Decision {
    azure.judge(&flow(source, "10.224.0.4", port), Way::Inbound).verdict
}

#[test]
fn a_subnets_deny_of_10250_names_its_rule_and_the_fix_is_tried() {
    let deny = rule("deny-10250", 200, "Inbound", "Deny", "*", "VirtualNetwork", json!(["22", "10240-10260"]));
    let groups = json!([nsg("subnet-nsg", &[deny]), nsg("aks-agentpool-1-nsg", &[])]);
    let azure =
        azure(&[groups, json!([nic("nic-a", "10.224.0.4", Some("aks-agentpool-1-nsg"))]), vnet(Some("subnet-nsg"))]);
    let judged = azure.judge(&flow("10.224.0.5", "10.224.0.4", 10250), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Drop);
    let deciding = judged.deciding.unwrap();
    assert_eq!(deciding.origin.pointer.as_deref(), Some("/0/securityRules/0"));
    assert!(deciding.origin.line > 1 && deciding.text.contains("deny-10250"));
    let fix = judged.fix.unwrap();
    assert!(fix.verified && fix.changes.len() == 1, "{fix:?}");
    assert_eq!(
        fix.changes[0].command,
        "az network nsg rule create -g mc_rg --nsg-name subnet-nsg -n allow-tcp-10250 --priority 199 --direction Inbound \
         --access Allow --protocol 'Tcp' --source-address-prefixes 10.224.0.5 --destination-address-prefixes 10.224.0.4 \
         --destination-port-ranges 10250"
    );
    assert_eq!(inbound(&azure, "10.224.0.5", 443), Decision::Accept);
    assert_eq!(azure.judge(&flow("10.224.0.4", "10.224.0.5", 10250), Way::Outbound).verdict, Decision::Accept);
    assert_eq!(azure.machine_of(ip("10.224.0.4")), Some("aks-np-1-vmss000010"));
}

#[test]
fn where_nothing_can_stand_before_the_deny_it_is_moved() {
    let judged =
        |last: u32| {
            let mut rules = vec![rule("deny-all", 100, "Inbound", "Deny", "*", "*", json!("*"))];
            // An outbound rule of the next priority is in nobody's way.
            rules.push(rule("out", 101, "Outbound", "Deny", "*", "*", json!("25")));
            rules.extend((101..=last).map(|number| {
                rule(&format!("r{number}"), number, "Inbound", "Allow", "*", "192.0.2.0/24", json!("22"))
            }));
            let azure = azure(&[json!([nsg("a", &rules)]), json!([nic("n", "10.224.0.4", Some("a"))]), vnet(None)]);
            azure.judge(&flow("10.224.0.5", "10.224.0.4", 10250), Way::Inbound).fix
        };
    let fix = judged(102).unwrap();
    let commands: Vec<&str> = fix.changes.iter().map(|change| change.command.as_str()).collect();
    assert_eq!(
        commands[..3],
        [
            "az network nsg rule update -g mc_rg --nsg-name a -n r102 --priority 103",
            "az network nsg rule update -g mc_rg --nsg-name a -n r101 --priority 102",
            "az network nsg rule update -g mc_rg --nsg-name a -n deny-all --priority 101"
        ]
    );
    assert!(commands[3].contains("-n allow-tcp-10250 --priority 100 ") && fix.verified, "{fix:?}");
    assert!(judged(4096).is_none(), "there is no room at all");
}

#[test]
fn an_allow_behind_the_deny_never_gets_its_turn() {
    let judged = |allow_priority: u32, allowed: &str| {
        let deny = rule("deny-10250", 200, "Inbound", "Deny", "*", "*", json!("10250"));
        let allow = rule("allow-kubelet", allow_priority, "Inbound", "Allow", "*", "*", json!(allowed));
        let azure = azure(&[json!([nsg("a", &[deny, allow])]), json!([nic("n", "10.224.0.4", Some("a"))]), vnet(None)]);
        let flow = flow("10.224.0.5", "10.224.0.4", 10250);
        let judged = azure.judge(&flow, Way::Inbound);
        let deny = judged.deciding.filter(|_| judged.verdict == Decision::Drop)?;
        azure.shadowed_by(&deny, &flow, Way::Inbound)
    };
    assert!(judged(300, "10250").unwrap().text.contains("allow-kubelet"));
    assert_eq!(judged(300, "10255"), None);
    assert_eq!(judged(100, "10250"), None);
}

#[test]
fn both_groups_must_allow() {
    let allow = rule("allow", 100, "Inbound", "Allow", "*", "*", json!("80"));
    let groups = json!([nsg("a", &[allow]), nsg("b", &[])]);
    let azure = |of_nic, of_subnet| azure(&[groups.clone(), json!([nic("n", "10.224.0.4", of_nic)]), vnet(of_subnet)]);
    let outside = "203.0.113.9";
    // VirtualNetwork may hold any address by peerings and routes, hence the doubt.
    assert_eq!(inbound(&azure(Some("a"), Some("a")), outside, 80), Decision::Accept);
    assert_eq!(inbound(&azure(Some("a"), None), outside, 80), Decision::Accept);
    assert_eq!(inbound(&azure(None, None), outside, 80), Decision::Accept);
    let judged = azure(Some("a"), Some("b")).judge(&flow(outside, "10.224.0.4", 80), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Depends);
    assert_eq!(judged.unknowns[0].what, "whether 203.0.113.9 is in the service tag VirtualNetwork");
    assert_eq!(inbound(&azure(Some("b"), Some("b")), "168.63.129.16", 80), Decision::Accept);
}

#[test]
fn tags_and_application_groups_are_unknown_unless_expanded() {
    let mut by_group = rule("asg", 100, "Inbound", "Deny", "", "*", json!("*"));
    by_group["sourceApplicationSecurityGroups"] = json!([{"id": "/x/applicationSecurityGroups/web"}]);
    let by_tag = rule("tag", 110, "Inbound", "Deny", "Storage.WestEurope", "*", json!("*"));
    for (rule, word) in [(by_group, "application security group web"), (by_tag, "service tag Storage.WestEurope")] {
        let azure = azure(&[json!([nsg("a", &[rule])]), json!([nic("n", "10.224.0.4", Some("a"))]), vnet(None)]);
        let judged = azure.judge(&flow("10.224.0.5", "10.224.0.4", 80), Way::Inbound);
        assert_eq!(judged.verdict, Decision::Depends);
        assert!(judged.unknowns[0].what.contains(word), "{:?}", judged.unknowns);
    }
}

fn effective(name: &str, priority: u32, access: &str, source: &str, expanded: Value) -> Value {
    json!({"access": access, "direction": "Inbound", "name": name, "priority": priority, "protocol": "All",
        "sourceAddressPrefix": source, "sourceAddressPrefixes": [source], "expandedSourceAddressPrefix": expanded,
        "destinationAddressPrefix": "0.0.0.0/0", "destinationAddressPrefixes": ["0.0.0.0/0"],
        "expandedDestinationAddressPrefix": null, "sourcePortRange": "0-65535", "sourcePortRanges": ["0-65535"],
        "destinationPortRange": "0-65535", "destinationPortRanges": ["0-65535"]})
}

#[test]
fn effective_rules_decide_what_tags_hold() {
    let list = json!({"value": [{"association": {"networkInterface": {"id": format!("{GROUPS}/networkInterfaces/n")}, "subnet": null},
        "networkSecurityGroup": {"id": format!("{GROUPS}/networkSecurityGroups/a")}, "tagMap": {},
        "effectiveSecurityRules": [
            effective("defaultSecurityRules/DenyAllInBound", 65500, "Deny", "0.0.0.0/0", Value::Null),
            effective("defaultSecurityRules/AllowVnetInBound", 65000, "Allow", "VirtualNetwork", json!(["10.224.0.0/12", "172.16.0.0/16"])),
            effective("securityRules/no-db", 300, "Deny", "10.225.0.0/16", Value::Null)]}], "nextLink": null});
    let azure = azure(&[list, json!([nic("n", "10.224.0.4", Some("a"))])]);
    assert_eq!(inbound(&azure, "172.16.9.9", 80), Decision::Accept);
    assert_eq!(inbound(&azure, "10.225.0.9", 80), Decision::Drop);
    let judged = azure.judge(&flow("203.0.113.9", "10.224.0.4", 80), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Drop);
    assert!(judged.why.contains("DenyAllInBound"));
    assert!(judged.fix.unwrap().verified);
}

#[test]
fn what_is_not_known_of_a_nic_is_named() {
    let azure = azure(&[json!([nsg("a", &[])]), vnet(Some("gone"))]);
    let judged = azure.judge(&flow("10.224.0.5", "10.224.0.4", 80), Way::Inbound);
    let unknowns: Vec<&str> = judged.unknowns.iter().map(|unknown| &*unknown.what).collect();
    assert_eq!(judged.verdict, Decision::Depends);
    assert_eq!(unknowns, ["which NSG the NIC of 10.224.0.4 has", "what the NSG gone says"]);
    let metadata = azure.judge(&flow("10.224.0.4", "169.254.169.254", 80), Way::Outbound);
    assert_eq!(metadata.verdict, Decision::Accept);
}

fn policy(index: u32, protocol: &str, port: &str, block: &str, action: &str) -> Value {
    json!({"PolicyIndex": index, "Protocol": protocol, "Port": port, "CidrBlock": block, "Ipv6CidrBlock": "",
        "SecurityGroupId": "", "ServiceTemplate": {"ServiceId": "", "ServiceGroupId": ""},
        "AddressTemplate": {"AddressId": "", "AddressGroupId": ""}, "Action": action, "PolicyDescription": "",
        "ModifyTime": "2026-01-01 00:00:00"})
}

fn tencent(groups: &[(&str, Value)], bound: &[&str]) -> Tencent {
    let mut tencent = Tencent::default();
    for (id, ingress) in groups {
        let set =
            json!({"SecurityGroupPolicySet": {"Version": "12", "Ingress": ingress, "Egress": []}, "RequestId": "r"});
        let file = Arc::from(format!("cloud/tccli-vpc-DescribeSecurityGroupPolicies-{id}.json"));
        assert!(tencent.add(&file, serde_json::to_string_pretty(&set).unwrap().as_bytes()).unwrap());
    }
    let instances = json!({"Response": {"InstanceSet": [
        {"InstanceId": "ins-1", "PrivateIpAddresses": ["10.0.0.4"], "SecurityGroupIds": bound},
        {"InstanceId": "ins-2", "PrivateIpAddresses": ["10.0.0.5"], "SecurityGroupIds": ["sg-peer"]}]}});
    assert!(tencent.add(&Arc::from("cloud/instances.json"), instances.to_string().as_bytes()).unwrap());
    tencent
}

fn entering(tencent: &Tencent, source: &str, port: u16) -> Decision {
    tencent.judge(&flow(source, "10.0.0.4", port), Way::Inbound).verdict
}

#[test]
fn tencents_policies_apply_in_order_and_none_means_drop() {
    let one = json!([
        policy(1, "ALL", "ALL", "10.0.0.0/8", "DROP"),
        policy(0, "tcp", "22,30000-32767", "0.0.0.0/0", "ACCEPT")
    ]);
    let tencent = tencent(&[("sg-aaaa1111", one)], &["sg-aaaa1111"]);
    assert_eq!(entering(&tencent, "10.0.0.5", 31000), Decision::Accept);
    let judged = tencent.judge(&flow("10.0.0.5", "10.0.0.4", 10250), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Drop);
    assert_eq!(judged.deciding.unwrap().origin.pointer.as_deref(), Some("/SecurityGroupPolicySet/Ingress/0"));
    let fix = judged.fix.unwrap();
    assert!(
        fix.verified
            && fix.changes[0]
                .command
                .starts_with("tccli vpc CreateSecurityGroupPolicies --SecurityGroupId sg-aaaa1111")
    );
    let judged = tencent.judge(&flow("203.0.113.9", "10.0.0.4", 10250), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Drop);
    assert!(judged.why.contains("no policy matches") && judged.fix.unwrap().verified);
    assert_eq!(tencent.judge(&flow("10.0.0.4", "10.0.0.5", 80), Way::Outbound).verdict, Decision::Drop);
    assert_eq!(tencent.instance_of(ip("10.0.0.4")), Some("ins-1"));
}

#[test]
fn tencents_groups_apply_in_binding_order_and_templates_are_unknown() {
    let deny = json!([policy(0, "ALL", "ALL", "0.0.0.0/0", "DROP")]);
    let allow = json!([policy(0, "TCP", "80", "0.0.0.0/0", "ACCEPT")]);
    let groups = [("sg-a1", deny), ("sg-b2", allow)];
    assert_eq!(entering(&tencent(&groups, &["sg-b2", "sg-a1"]), "10.0.0.5", 80), Decision::Accept);
    assert_eq!(entering(&tencent(&groups, &["sg-a1", "sg-b2"]), "10.0.0.5", 80), Decision::Drop);
    assert_eq!(entering(&tencent(&groups, &["sg-gone", "sg-b2"]), "10.0.0.5", 80), Decision::Depends);
    let mut templated = policy(0, "ALL", "ALL", "", "ACCEPT");
    templated["AddressTemplate"]["AddressId"] = json!("ipm-1");
    let mut by_template = tencent(&[("sg-c3", json!([templated]))], &["sg-c3"]);
    let judged = by_template.judge(&flow("10.0.0.5", "10.0.0.4", 80), Way::Inbound);
    assert_eq!(judged.verdict, Decision::Depends);
    assert!(judged.unknowns[0].what.contains("address template ipm-1"));
    let templates =
        json!({"AddressTemplateSet": [{"AddressTemplateId": "ipm-1", "AddressSet": ["10.0.0.5-10.0.0.9"]}]});
    by_template.add(&Arc::from("cloud/t.json"), templates.to_string().as_bytes()).unwrap();
    assert_eq!(entering(&by_template, "10.0.0.5", 80), Decision::Accept);
    assert_eq!(entering(&by_template, "10.0.0.4", 80), Decision::Drop);
    let mut by_group = policy(0, "ALL", "ALL", "", "ACCEPT");
    by_group["SecurityGroupId"] = json!("sg-peer");
    let of_peer = tencent(&[("sg-d4", json!([by_group]))], &["sg-d4"]);
    assert_eq!(entering(&of_peer, "10.0.0.5", 80), Decision::Accept);
    assert_eq!(entering(&of_peer, "10.0.0.9", 80), Decision::Depends);
}

#[test]
fn odd_input_is_unknown_and_never_a_panic() {
    let shapes = [json!(null), json!(7), json!("x"), json!([]), json!({}), json!([[1]]), json!({"a": {"b": [null]}})];
    for shape in &shapes {
        let odd_rule = json!({"name": shape, "priority": shape, "direction": shape, "access": shape, "protocol": shape,
            "sourceAddressPrefix": shape, "destinationPortRange": shape});
        let mut placed = odd_rule.clone();
        placed["priority"] = json!(100);
        for rules in [json!([shape, odd_rule]), json!([placed]), shape.clone()] {
            let mut group = nsg("a", &[]);
            group["securityRules"] = rules.clone();
            let bytes = json!([group, shape, nic("n", "10.224.0.4", Some("a"))]).to_string();
            let mut azure = Azure::default();
            azure.add(&Arc::from("f"), bytes.as_bytes()).unwrap();
            let judged = azure.judge(&flow("168.63.129.16", "10.224.0.4", 80), Way::Inbound);
            if rules.as_array().is_some_and(|rules| !rules.is_empty() && !rules[0].is_array() || rules.len() > 1) {
                assert_eq!(judged.verdict, Decision::Depends, "{rules}");
            }
            let mut tencent = Tencent::default();
            let set = json!({"SecurityGroupPolicySet": {"Ingress": rules, "Egress": shape}});
            tencent.add(&Arc::from("sg-1.json"), set.to_string().as_bytes()).unwrap();
            let instances = json!({"InstanceSet": [shape, {"InstanceId": shape, "PrivateIpAddresses": ["10.0.0.4"], "SecurityGroupIds": ["sg-1"]}]});
            tencent.add(&Arc::from("i.json"), instances.to_string().as_bytes()).unwrap();
            tencent.judge(&flow("10.0.0.5", "10.0.0.4", 80), Way::Inbound);
        }
    }
    assert!(Azure::default().add(&Arc::from("f"), b"\xff").is_err());
    assert!(Tencent::default().add(&Arc::from("f"), b"[").is_err());
    assert!(Azure::default().is_empty() && Tencent::default().is_empty());
}

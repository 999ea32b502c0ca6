//! Whom the policies of a pod let in at a port, without asking who the client is: everybody, some, or nobody at all.

use std::net::IpAddr;
use std::sync::Arc;

use super::branch::Spot;
use super::endpoint::{Endpoint, Flow, Party, Side};
use super::fix::{self, PolicyFix};
use super::network_policy::NetworkPolicy;
use super::plugin::Enforcement;
use super::policies::Policies;
use crate::held::Held;
use crate::source::Cited;

/// Whom policies let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// No policy keeps anybody out.
    Everybody,
    /// It depends on who asks, or on what the evidence lacks: in these words.
    Some(String),
    /// No rule is about the port, whoever asks. The pod's own node is let in all the same.
    Nobody(Box<Closed>),
}

/// A port at which policies let nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why, in a sentence.
    pub why: String,
    /// The rule that is about another port, else the policy that isolates.
    pub cited: Cited,
    /// The number of that rule in its policy, from 1.
    pub rule: Option<usize>,
    /// The port added to that rule, tried out.
    pub fix: Option<PolicyFix>,
}

impl Policies {
    /// Whom the policies let in to a destination, if they are enforced as `enforcement` says.
    pub fn admission(&self, enforcement: &Enforcement, to: &Endpoint, protocol: u8, port: u16) -> Admission {
        let flow = from_anybody(to, protocol, port);
        let Party::Pod(pod) = &to.party else { return Admission::Everybody };
        let plugin = enforcement.plugin();
        if pod.host_network || pod.ended {
            return Admission::Everybody;
        }
        if !self.tiers.is_empty() {
            return Admission::Some("cluster-wide policies may allow or deny it for some".to_owned());
        }
        let foreign = self.foreign.iter().find_map(|policy| policy.unknown_for(to, Side::Ingress, plugin));
        if let Some(unknown) = foreign.or_else(|| self.blind_spots(plugin).into_iter().next()) {
            return Admission::Some(unknown.what);
        }
        let own = self.network.get(&pod.namespace).map(Vec::as_slice).unwrap_or_default();
        let isolating: Vec<(usize, &NetworkPolicy, Held)> = own
            .iter()
            .enumerate()
            .map(|(place, policy)| (place, policy, policy.isolates(pod, Side::Ingress)))
            .filter(|(_, _, isolates)| *isolates != Held::No)
            .collect();
        if isolating.is_empty() {
            return Admission::Everybody;
        }
        let titles: Vec<String> = isolating.iter().map(|(_, policy, _)| policy.title()).collect();
        let rules = || isolating.iter().flat_map(|(_, policy, _)| policy.rules(Side::Ingress).unwrap_or_default());
        if rules().any(|rule| rule.is_about_everybody() && rule.port_matches(&flow, plugin) == Held::Yes) {
            return Admission::Everybody;
        }
        let certain = isolating.iter().any(|(_, _, isolates)| *isolates == Held::Yes);
        if !certain || rules().any(|rule| rule.port_matches(&flow, plugin) != Held::No) {
            return Admission::Some(format!("{} let some in and not others", titles.join(", ")));
        }
        match self.closed(enforcement, &flow, &isolating, &titles.join(", ")) {
            Some(closed) => Admission::Nobody(Box::new(closed)),
            None => Admission::Everybody,
        }
    }

    fn closed(
        &self,
        enforcement: &Enforcement,
        flow: &Flow,
        isolating: &[(usize, &NetworkPolicy, Held)],
        titles: &str,
    ) -> Option<Closed> {
        let near = isolating.iter().find_map(|(place, policy, _)| {
            let rules = policy.rules(Side::Ingress).unwrap_or_default();
            let at = rules.iter().position(|rule| !rule.ports.is_empty())?;
            Some((*place, *policy, at, rules.get(at)?))
        });
        let what = flow.what();
        let why = format!("{} is isolated for ingress by {titles}, and no rule is about {what}", flow.destination);
        let Some((place, policy, at, rule)) = near else {
            let cited = isolating.first()?.1.cited.clone();
            return Some(Closed { why, cited, rule: None, fix: None });
        };
        let spot = Spot::Network { namespace: Arc::clone(&policy.namespace), place, near: Some(at) };
        let opens = |changed: &Policies| {
            let Party::Pod(_) = &flow.destination.party else { return false };
            let again = changed.admission(enforcement, &flow.destination, flow.protocol, flow.port.unwrap_or_default());
            !matches!(again, Admission::Nobody(_))
        };
        let fix = fix::at_spot(self, flow, Side::Ingress, &spot, Some(rule.cited.clone()), opens);
        Some(Closed { why, cited: rule.cited.clone(), rule: Some(at + 1), fix })
    }
}

/// A flow of which only the destination is known.
fn from_anybody(to: &Endpoint, protocol: u8, port: u16) -> Flow {
    let nobody = match to.address {
        IpAddr::V4(_) => IpAddr::from([0, 0, 0, 0]),
        IpAddr::V6(_) => IpAddr::from([0u16; 8]),
    };
    Flow { source: Endpoint::unidentified(nobody), destination: to.clone(), service: None, protocol, port: Some(port) }
}

#[cfg(test)]
mod tests {
    use super::super::{ContainerPort, Kind, Plugin, Pod};
    use super::*;

    fn admission(rules: &str, port: u16) -> Admission {
        let mut policies = Policies::default();
        let text = format!(
            r#"{{"items": [{{"metadata": {{"namespace": "shop", "name": "web"}}, "spec": {{"podSelector": {{}}, "ingress": {rules}}}}}]}}"#
        );
        policies.add(Kind::NetworkPolicy, &Arc::from("p.json"), text.as_bytes()).unwrap();
        let ports = vec![ContainerPort { name: Arc::from("http"), number: 8080, protocol: Arc::from("TCP") }];
        let pod = Pod { namespace: Arc::from("shop"), name: Arc::from("web-0"), ports, ..Pod::default() };
        let to = Endpoint::pod(pod, IpAddr::from([10, 244, 1, 5]));
        policies.admission(&Enforcement::Yes { plugin: Plugin::Calico, cited: None }, &to, 6, port)
    }

    #[test]
    fn ports_of_rules_tell_whether_anybody_gets_in() {
        let peer = r#""from": [{"podSelector": {"matchLabels": {"app": "cart"}}}]"#;
        assert_eq!(admission("[{}]", 8080), Admission::Everybody);
        assert_eq!(admission(r#"[{"ports": [{"port": "http"}]}]"#, 8080), Admission::Everybody);
        assert_eq!(admission(r#"[{"ports": [{"port": 8000, "endPort": 9000}]}]"#, 8080), Admission::Everybody);
        for some in [format!("[{{{peer}}}]"), format!(r#"[{{{peer}, "ports": [{{"port": 8080}}]}}]"#)] {
            assert!(matches!(admission(&some, 8080), Admission::Some(_)), "{some}");
        }
        let udp = r#"[{"ports": [{"protocol": "UDP", "port": 8080}]}]"#;
        for nobody in ["[]", r#"[{"ports": [{"port": 80}]}]"#, udp] {
            assert!(matches!(admission(nobody, 8080), Admission::Nobody(_)), "{nobody}");
        }
        // What cannot be read is never "no rule".
        assert!(matches!(admission(r#"[{"ports": [{"port": 80, "startPort": 1}]}]"#, 8080), Admission::Some(_)));
    }

    #[test]
    fn the_port_is_added_to_the_rule_that_is_about_another() {
        let Admission::Nobody(closed) = admission(r#"[{"ports": [{"protocol": "TCP", "port": 80}]}]"#, 8080) else {
            panic!("it is closed")
        };
        let fix = closed.fix.unwrap();
        assert!(fix.verified && fix.command.contains("/spec/ingress/0/ports/-"), "{}", fix.command);
        assert_eq!(closed.rule, Some(1));
        let Admission::Nobody(closed) = admission("[]", 8080) else { panic!("it is closed") };
        assert_eq!((closed.fix, closed.rule), (None, None));
    }
}

//! Chains of iptables and nftables mode, which are alike.

use std::net::IpAddr;

use crate::address::Family;
use crate::service::chain_name::ChainNames;
use crate::service::compare::{Comparison, PortComparison, endpoints, leftovers};
use crate::service::programmed::{Lead, Programmed, To};
use crate::service::{Difference, ExpectedPort, Frontend, FrontendKind, Mode, Selection};

pub(super) fn compare(programmed: &Programmed<'_>, ports: Vec<ExpectedPort>, mode: Mode, family: Family) -> Comparison {
    let leftovers = leftovers::find(programmed, &ports, mode);
    let base = programmed.base_missing.iter().map(|what| Difference::BaseMissing { what: what.clone() }).collect();
    let compare = |port: ExpectedPort| {
        let (differences, nothing_there) = Port::new(programmed, &port, mode).compare();
        PortComparison::of(port, differences, nothing_there)
    };
    let ports = ports.into_iter().map(compare).collect();
    Comparison { mode, family, base, ports, leftovers, doubts: programmed.doubts.clone() }
}

/// One port beside the node's chains.
struct Port<'p, 'a> {
    programmed: &'p Programmed<'a>,
    expected: &'p ExpectedPort,
    names: ChainNames<'p>,
    mode: Mode,
    differences: Vec<Difference>,
}

impl<'p, 'a> Port<'p, 'a> {
    fn new(programmed: &'p Programmed<'a>, expected: &'p ExpectedPort, mode: Mode) -> Self {
        let names = ChainNames::new(mode, &expected.name);
        Self { programmed, expected, names, mode, differences: Vec::new() }
    }

    /// The differences, and whether nothing of the port is there at all.
    fn compare(mut self) -> (Vec<Difference>, bool) {
        let expected = self.expected;
        let programmed = self.programmed;
        if expected.is_disputed() {
            self.disputed();
        } else {
            expected.frontends.iter().for_each(|frontend| self.frontend(frontend));
            self.chains();
        }
        if expected.external_local && expected.health_check_node_port != 0 {
            let missing = |ports: &std::collections::HashSet<u16>| !ports.contains(&expected.health_check_node_port);
            if programmed.health_checks.as_ref().is_some_and(missing) {
                self.differences.push(Difference::HealthCheckMissing { port: expected.health_check_node_port });
            }
        }
        let nothing = !expected.frontends.iter().any(|frontend| programmed.leads.contains_key(&frontend.key()));
        (self.differences, nothing)
    }

    /// Where only endpoints are left that are being deleted, some versions forward to them and some refuse. Each does one
    /// of the two.
    fn disputed(&mut self) {
        let expected = self.expected;
        let silent = expected.frontends.iter().filter(|frontend| self.leads(frontend).is_empty());
        let missing: Vec<_> =
            silent.map(|frontend| Difference::FrontendMissing { frontend: frontend.clone() }).collect();
        self.differences.extend(missing);
        for (chain, wanted) in [(self.names.cluster(), &expected.cluster), (self.names.local(), &expected.local)] {
            if self.programmed.chains.contains_key(&*chain) {
                self.pool(&chain, wanted);
            }
        }
    }

    fn leads(&self, frontend: &Frontend) -> &'p [Lead<'a>] {
        self.programmed.leads.get(&frontend.key()).map_or(&[], Vec::as_slice)
    }

    /// Whether packets to the frontend are to be refused: nobody takes them, or nobody on this node who may.
    fn is_refused(&self, frontend: &Frontend) -> bool {
        let expected = self.expected;
        !expected.has_endpoints || (expected.is_local(frontend) && expected.local.endpoints.is_empty())
    }

    /// The chain that packets to the frontend should be led to, if any.
    fn entry(&self, frontend: &Frontend) -> Option<String> {
        let expected = self.expected;
        if !expected.has_endpoints {
            return None;
        }
        match frontend.kind {
            FrontendKind::ClusterIp if self.is_refused(frontend) => None,
            FrontendKind::ClusterIp if expected.internal_local => Some(self.names.local()),
            FrontendKind::ClusterIp => Some(self.names.cluster()),
            // nftables asks for the source before it translates, in a map of its own.
            FrontendKind::LoadBalancer if self.mode == Mode::Iptables && !expected.source_ranges.is_empty() => {
                Some(self.names.firewall())
            }
            _ => Some(self.names.external()),
        }
    }

    fn frontend(&mut self, frontend: &Frontend) {
        let leads = self.leads(frontend);
        let forwards: Vec<_> = leads
            .iter()
            .filter_map(|lead| match lead.to {
                To::Chain(chain) => Some((chain, lead.line)),
                To::Refused => None,
            })
            .collect();
        let refusal = leads.iter().find(|lead| matches!(lead.to, To::Refused));
        let frontend_of = || frontend.clone();
        match (self.entry(frontend), forwards.first()) {
            (Some(_), None) => self.differences.push(Difference::FrontendMissing { frontend: frontend_of() }),
            (None, Some((_, line))) => {
                self.differences.push(Difference::FrontendForwards { frontend: frontend_of(), cited: line.cite() });
            }
            (Some(wanted), Some((_, line))) => {
                // Before 1.24 other chains stood at the same place; their names end alike.
                let right = |chain: &str| match self.programmed.old_layout {
                    true => chain.ends_with(&self.names.suffix),
                    false => chain == wanted,
                };
                if !forwards.iter().any(|(chain, _)| right(chain)) {
                    let (frontend, cited) = (frontend_of(), line.cite());
                    self.differences.push(Difference::FrontendElsewhere { frontend, wanted, cited });
                }
            }
            (None, None) => {}
        }
        match (self.is_refused(frontend), refusal) {
            // Before 1.24 packets without a local endpoint were dropped in KUBE-XLB-….
            (true, None) if self.expected.has_endpoints && self.programmed.old_layout => {}
            (true, None) => self.differences.push(Difference::RefusalMissing { frontend: frontend_of() }),
            (false, Some(lead)) => {
                let cited = lead.line.cite();
                self.differences.push(Difference::FrontendRefuses { frontend: frontend_of(), cited });
            }
            _ => {}
        }
    }

    fn chains(&mut self) {
        let expected = self.expected;
        if !expected.cluster.endpoints.is_empty() {
            self.pool(&self.names.cluster(), &expected.cluster);
        }
        // Before 1.24 the endpoints of the policy Local stood in other chains, whose form is not looked into.
        if !self.programmed.old_layout && !expected.local.endpoints.is_empty() {
            self.pool(&self.names.local(), &expected.local);
        }
        if expected.has_endpoints && expected.is_external() && !self.programmed.old_layout {
            self.external();
        }
        self.firewall();
    }

    /// A chain that picks one of several endpoints.
    fn pool(&mut self, chain: &str, wanted: &Selection) {
        let Some(view) = self.programmed.chains.get(chain).filter(|view| !view.is_empty()) else {
            self.differences.push(Difference::ChainMissing { chain: chain.to_owned() });
            return;
        };
        let found = self.programmed.endpoints(chain);
        for (endpoint, (within, line)) in &found {
            if *within != chain && *within != self.names.endpoint(endpoint) {
                let (chain, cited) = ((*within).to_owned(), line.cite());
                self.differences.push(Difference::EndpointElsewhere { chain, endpoint: *endpoint, cited });
            }
        }
        let found = found.into_iter().map(|(endpoint, (_, line))| (endpoint, line)).collect();
        self.differences.extend(endpoints(wanted, &found, chain, view.line));
    }

    /// The chain of packets from outside leads on to those of endpoints.
    fn external(&mut self) {
        let chain = self.names.external();
        let Some(view) = self.programmed.chains.get(&*chain) else {
            self.differences.push(Difference::ChainMissing { chain });
            return;
        };
        let expected = self.expected;
        let mut wanted = Vec::new();
        if !expected.cluster.endpoints.is_empty() {
            wanted.push(self.names.cluster());
        }
        if expected.external_local && !expected.local.endpoints.is_empty() {
            wanted.push(self.names.local());
        }
        wanted.retain(|to| !view.jumps.iter().any(|(found, _)| found == to));
        self.differences.extend(wanted.into_iter().map(|to| Difference::JumpMissing { chain: chain.clone(), to }));
    }

    /// The chain that admits source ranges, and the rule that drops the rest.
    fn firewall(&mut self) {
        let expected = self.expected;
        let mut balanced = expected.frontends.iter().filter(|f| f.kind == FrontendKind::LoadBalancer).peekable();
        let wanted = !expected.source_ranges.is_empty() && (expected.has_endpoints || self.mode == Mode::Nftables);
        if !wanted || balanced.peek().is_none() || self.programmed.old_layout {
            return;
        }
        let chain = self.names.firewall();
        let open = balanced.filter(|frontend| !self.programmed.firewalled.contains(&frontend.key()));
        self.differences.extend(
            open.map(|frontend| Difference::JumpMissing {
                chain: format!("the check of {frontend}"),
                to: chain.clone(),
            }),
        );
        let Some(view) = self.programmed.chains.get(&*chain) else {
            self.differences.push(Difference::ChainMissing { chain });
            return;
        };
        let admitted = |address: IpAddr| view.sources.iter().any(|range| range.contains(address));
        let missing =
            expected.source_ranges.iter().filter(|net| !admitted(net.network()) || !admitted(net.broadcast()));
        let missing = missing.map(|range| Difference::SourceMissing { range: *range, chain: chain.clone() });
        self.differences.extend(missing);
    }
}

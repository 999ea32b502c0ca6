//! Root causes: findings that no other finding explains, each with those that it does.
//!
//! A rule says what its finding would explain ([`Explains`]); where that is found too, in the scope that it names, the one
//! folds under the other. A hazard without a symptom explains nothing that is observed, nor does a faint suspicion.

use std::collections::BTreeMap;

use bundle::layout;

use crate::finding::{Cause, Confidence, Explains, Finding, Subject, SubjectKind};

/// Below this weight an effect is no more than possible.
const LIKELY: f64 = 0.5;

/// The causes of findings that are in order, those first whose worst effect comes first.
pub fn causes(findings: &[Finding]) -> Vec<Cause> {
    let parents = parents(findings);
    let root = |mut index: usize| {
        while let Some(Some(parent)) = parents.get(index) {
            index = *parent;
        }
        index
    };
    // In the order of findings, so that a cause stands where the first finding of its tree stands.
    let mut order: Vec<usize> = Vec::new();
    let mut explained: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        let root = root(index);
        let effects = explained.entry(root).or_insert_with(|| {
            order.push(root);
            Vec::new()
        });
        if root != index {
            effects.push(format!("{} {}", finding.rule, finding.scope));
        }
    }
    let cause = |root: usize| {
        let finding = findings.get(root)?;
        Some(Cause {
            rule: finding.rule.clone(),
            severity: finding.severity,
            confidence: finding.confidence,
            scope: finding.scope.clone(),
            message: finding.message.clone(),
            explains: explained.get(&root).cloned().unwrap_or_default(),
        })
    };
    order.into_iter().filter_map(cause).collect()
}

/// For each finding the one that explains it best; never in a circle.
fn parents(findings: &[Finding]) -> Vec<Option<usize>> {
    let mut explaining: BTreeMap<&str, Vec<(usize, &Explains)>> = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate().filter(|(_, finding)| finding.confidence > Confidence::Latent) {
        for effect in finding.explains.iter().filter(|effect| effect.weight >= LIKELY) {
            explaining.entry(&effect.effect).or_default().push((index, effect));
        }
    }
    let mut parents: Vec<Option<usize>> = vec![None; findings.len()];
    for (index, finding) in findings.iter().enumerate() {
        let candidates = explaining.get(&*finding.rule).into_iter().flatten();
        let holds = candidates.filter(|(cause, effect)| {
            let from = findings.get(*cause);
            from.is_some_and(|from| within(&effect.scope, from, finding)) && !is_below(*cause, index, &parents)
        });
        // Of equals the first, which is the worst and the surest.
        let best = holds.fold(None, |best: Option<(usize, f64)>, (cause, effect)| match best {
            Some((_, weight)) if weight >= effect.weight => best,
            _ => Some((*cause, effect.weight)),
        });
        if let Some(parent) = parents.get_mut(index) {
            *parent = best.map(|(cause, _)| cause);
        }
    }
    parents
}

/// Whether a finding is explained by another, directly or not, or is that other.
fn is_below(mut index: usize, above: usize, parents: &[Option<usize>]) -> bool {
    loop {
        if index == above {
            return true;
        }
        match parents.get(index) {
            Some(Some(parent)) => index = *parent,
            _ => return false,
        }
    }
}

/// Whether two findings lie within one scope of this kind.
fn within(scope: &str, cause: &Finding, effect: &Finding) -> bool {
    match scope {
        "cluster" => true,
        "node" => node_of(cause).is_some_and(|node| node_of(effect) == Some(node)),
        "service" => cause.scope.kind == SubjectKind::Service && cause.scope == effect.scope,
        "namespace" => namespace_of(&cause.scope).is_some_and(|one| namespace_of(&effect.scope) == Some(one)),
        // Pairs and subnets are not told by a subject.
        _ => false,
    }
}

/// The folder of the node that a finding is about: its subject's, or where its evidence lies.
fn node_of(finding: &Finding) -> Option<String> {
    if finding.scope.kind == SubjectKind::Node {
        return Some(layout::component(&finding.scope.name));
    }
    let mut folders = finding.evidence.iter().map(|citation| {
        let below = citation.path.strip_prefix("nodes/")?;
        below.split_once('/').map(|(folder, _)| folder.to_owned())
    });
    let first = folders.next()??;
    folders.all(|folder| folder.as_ref() == Some(&first)).then_some(first)
}

fn namespace_of(subject: &Subject) -> Option<&str> {
    let is_namespaced = matches!(subject.kind, SubjectKind::Pod | SubjectKind::Service | SubjectKind::Workload);
    is_namespaced.then(|| subject.name.split('/').next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::citation::Citation;
    use crate::finding::Severity;

    fn finding(rule: &str, scope: (SubjectKind, &str), explains: &[(&str, &str, f64)]) -> Finding {
        let explains = explains.iter().map(|(effect, scope, weight)| Explains {
            effect: (*effect).to_owned(),
            scope: (*scope).to_owned(),
            weight: *weight,
        });
        Finding {
            rule: rule.to_owned(),
            row: "1".to_owned(),
            title: rule.to_owned(),
            severity: Severity::Error,
            confidence: Confidence::Likely,
            scope: Subject { kind: scope.0, name: scope.1.to_owned() },
            message: rule.to_owned(),
            evidence: vec![Citation::line(&"nodes/n1/kubelet/certificates.json".into(), 1, "x")],
            explains: explains.collect(),
            remedy: None,
            references: Vec::new(),
        }
    }

    fn told(findings: &[Finding]) -> Vec<(String, Vec<String>)> {
        causes(findings).into_iter().map(|cause| (format!("{} {}", cause.rule, cause.scope), cause.explains)).collect()
    }

    #[test]
    fn what_is_explained_folds_under_its_cause_within_the_scope() {
        let silent = |node| finding("node-silent", (SubjectKind::Node, node), &[]);
        let expired = finding(
            "certs-expired",
            (SubjectKind::Certificate, "n1//var/lib/kubelet.crt"),
            &[("node-silent", "node", 0.8), ("webhook-call-fails", "cluster", 0.4)],
        );
        let webhook = finding("webhook-call-fails", (SubjectKind::Cluster, ""), &[]);
        assert_eq!(
            told(&[silent("n1"), silent("n2"), expired, webhook]),
            [
                (
                    "certs-expired certificate/n1//var/lib/kubelet.crt".to_owned(),
                    vec!["node-silent node/n1".to_owned()]
                ),
                ("node-silent node/n2".to_owned(), vec![]),
                ("webhook-call-fails cluster".to_owned(), vec![]),
            ]
        );
    }

    #[test]
    fn of_a_service_only_what_is_said_of_it_is_explained() {
        let of = |rule: &str, name: &str, explains: &[(&str, &str, f64)]| {
            finding(rule, (SubjectKind::Service, name), explains)
        };
        let dns = of("coredns-not-ready", "kube-system/kube-dns", &[("empty", "service", 0.9)]);
        let roots = told(&[of("empty", "kube-system/kube-dns", &[]), of("empty", "kube-system/metrics", &[]), dns]);
        assert_eq!(roots.len(), 2);
        assert_eq!(roots[0].1, ["empty service/kube-system/kube-dns"]);
        assert_eq!(roots[1], ("empty service/kube-system/metrics".to_owned(), vec![]));
    }

    #[test]
    fn a_chain_has_one_root_and_a_circle_is_cut() {
        let on = |rule: &str, effect: &str| finding(rule, (SubjectKind::Node, "n1"), &[(effect, "node", 0.9)]);
        let chain = told(&[on("a", "none"), on("b", "a"), on("c", "b")]);
        assert_eq!(chain, [("c node/n1".to_owned(), vec!["a node/n1".to_owned(), "b node/n1".to_owned()])]);
        let circle = told(&[on("a", "b"), on("b", "a")]);
        assert_eq!(circle, [("b node/n1".to_owned(), vec!["a node/n1".to_owned()])]);
    }

    #[test]
    fn the_strongest_explains_and_a_hazard_does_not() {
        let effect = finding("effect", (SubjectKind::Node, "n1"), &[]);
        let weak = finding("weak", (SubjectKind::Node, "n1"), &[("effect", "node", 0.6)]);
        let strong = finding("strong", (SubjectKind::Node, "n1"), &[("effect", "node", 0.9)]);
        let hazard = Finding {
            confidence: Confidence::Latent,
            ..finding("hazard", (SubjectKind::Node, "n1"), &[("effect", "node", 1.0)])
        };
        let roots = told(&[effect, weak, strong, hazard]);
        assert_eq!(roots[0], ("strong node/n1".to_owned(), vec!["effect node/n1".to_owned()]));
        assert_eq!(roots.len(), 3);
    }
}

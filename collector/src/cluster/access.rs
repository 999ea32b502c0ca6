//! What the collector itself may do, as the server sees it: the reason for every `forbidden` in the bundle.

use std::time::Instant;

use bundle::{Scope, Source, layout};
use serde_json::json;

use super::document;
use super::request::{Ask, Requests};
use crate::plan::{Cost, PlanLine};

/// A review is a question in the form of a POST; nothing is stored.
const URL: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
/// The longest answer that is kept.
const LONGEST: u64 = 8 << 20;

/// The line of the plan.
pub fn plan() -> PlanLine {
    PlanLine::new(
        "api.access",
        Scope::Cluster,
        format!("POST {URL} (a question, nothing is stored)"),
        Cost::Trivial,
        "30 s",
    )
}

/// Asks what may be done in kube-system, cluster-wide rules included.
pub fn gather(requests: &Requests, line: &PlanLine, deadline: Instant) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "kube-system"},
    });
    let draft = requests.run().draft(line, Source::Request(format!("POST {URL}")));
    let ask = Ask::get(URL, deadline).post(review.to_string().into_bytes());
    document::gather(requests, draft, &ask, layout::cluster_file("access.json"), LONGEST, false);
}

//! How fast the server is asked (`--qps`).

use std::time::{Duration, Instant};

use tests::fault_proxy::FaultProxy;
use tests::{ApiServer, User, require};

use super::Collected;

#[test]
fn the_server_is_asked_no_faster_than_was_said_and_nothing_is_missing() {
    const QPS: usize = 10;
    /// What may go at once, as `--help` says.
    const AT_ONCE: usize = 4 * QPS;
    let server = require!(ApiServer::shared());
    let proxy = FaultProxy::start(server, User::Admin).unwrap();
    let usual = Collected::run(&proxy.kubeconfig(), &[]);
    let before = proxy.seen().len();
    let began = Instant::now();
    let slow = Collected::run(&proxy.kubeconfig(), &["--qps", "10"]);
    let took = began.elapsed();
    // The first request, by which the server shows that it is there, is before all pace.
    let paced = proxy.seen().len() - before - 1;
    assert!(paced > AT_ONCE + QPS, "{paced} requests are too few to tell");
    let least = Duration::from_secs_f64((paced - AT_ONCE) as f64 / QPS as f64);
    assert!(took >= least, "{paced} requests in {took:?}, and {least:?} is the least");
    assert_eq!(slow.code(), usual.code());
    let (usual, slow) = (usual.bundle(), slow.bundle());
    let lines = |bundle: &bundle::Bundle| bundle.manifest().items.iter().map(|item| item.plan.clone()).collect();
    let (usual_lines, lines): (std::collections::BTreeSet<String>, _) = (lines(&usual), lines(&slow));
    assert_eq!(lines, usual_lines);
    match slow.manifest().limits.iter().find(|hit| hit.limit == "qps") {
        Some(limit) => {
            assert_eq!(limit.value, "10 requests a second");
            assert!(limit.effect.starts_with("nothing is missing; "), "{}", limit.effect);
        }
        // On a machine so busy that a request takes longer than its turn nobody waits, and nothing is said.
        None => assert!(took > 2 * least, "nothing is said of a wait of about {least:?}"),
    }
}

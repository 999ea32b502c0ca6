//! Tries `dossier-collect --nodes` on a cluster with real nodes, and says of each thing it tried whether it went as it
//! should: `ok NAME`, or `failed NAME: why`. `end_to_end/reach.rs` runs it and names what must be ok. It is a program of its
//! own because it works in namespaces of its own.

mod broken;
mod deploy;
mod ran;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bundle::ItemStatus;
use tests::cluster::{Cluster, enter_namespaces};
use tests::host::Host;
use tests::{User, product, programs};

use ran::{Ran, collector, ran, run};

/// Something that is tried, and its name.
type Try = (&'static str, fn(&mut Cluster) -> Result<()>);

const TRIES: [Try; 13] = [
    ("every node is read by exec", by_exec),
    ("limits and --deep hold on nodes too", limited),
    ("a blocked port 10250 is gone round", gone_round),
    ("without the right to exec and to make roles the deciding lines come", deciding_lines),
    ("signals leave a bundle and nothing in the cluster", signals),
    ("two runs on the same nodes do not meet", two_at_once),
    ("cleanup finds what a killed run left", killed),
    ("a namespace that refuses the pods is named", refused),
    ("a kubelet that is down and a firewall that rejects are told apart", told_apart),
    ("each role of deploy adds its items and no others", deploy::roles),
    ("the manifests of deploy read the cluster and its nodes", deploy::manifests),
    // Last, because the node does not come back.
    ("a node that is gone gets no pod and its command is printed", gone),
    ("the report of a broken cluster says what is broken and what is missing", broken::is_told),
];

fn main() -> ExitCode {
    let cluster = prepare().and_then(|()| enter_namespaces()).and_then(|()| Cluster::start());
    let mut cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => {
            println!("failed cluster: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let mut all_ok = true;
    for (name, attempt) in TRIES.iter().filter(|(name, _)| name.contains(&wanted)) {
        let tried = attempt(&mut cluster).and_then(|()| nothing_left(&cluster));
        all_ok &= tried.is_ok();
        match tried {
            Ok(()) => println!("ok {name}"),
            Err(error) => println!("failed {name}: {}", format!("{error:#}").replace('\n', " / ")),
        }
    }
    if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes what the cluster consists of, where the cache does not hold it: in the namespaces nothing can be downloaded.
fn prepare() -> Result<()> {
    let all = Host::node_image().and_then(|_| programs::kube("kubelet")).and_then(|_| programs::pause());
    all.map(|_| ()).map_err(|missing| anyhow!("{missing}"))
}

fn by_exec(cluster: &mut Cluster) -> Result<()> {
    for node in ["quay-1", "quay-2"] {
        let pod = format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "dns-{node}", "namespace": "kube-system", "labels": {{"k8s-app": "kube-dns"}}}},
            "spec": {{"nodeName": "{node}", "hostNetwork": true, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1, "tolerations": [{{"operator": "Exists"}}],
            "containers": [{{"name": "c", "image": "dossier.test/pause:1", "imagePullPolicy": "Never"}}]}}}}"#
        );
        cluster.server.load(&pod)?;
        cluster.kubectl(&[
            "wait",
            "-n",
            "kube-system",
            "--for=condition=Ready",
            "--timeout=60s",
            "pod",
            &format!("dns-{node}"),
        ])?;
    }
    for node in ["quay-1", "quay-2"] {
        cluster.on(node, &["sh", "-c", "echo '# password=the-same-everywhere' >>/etc/hosts"])?;
    }
    let ran = run(cluster, User::Admin, &["--nodes", "all"])?;
    ensure!(ran.code == Some(0), "exit code {:?}: {}", ran.code, ran.said);
    one_number_for_a_value(&ran)?;
    // quay-2 has no CNI and says NotReady: its kubelet answers, so that it is no worse off.
    for node in ["quay-1", "quay-2"] {
        ran.is_whole(node)?;
        ensure!(ran.log(&format!("dns-{node}"))?.status == ItemStatus::Empty, "the pod of {node} says nothing");
        for id in deploy::KUBELETS {
            let status = ran.of(node)?.find(|item| item.id == id).map(|item| item.status);
            ensure!(status == Some(ItemStatus::Ok), "{node}: {id} is {status:?}");
        }
        let log = ran.bundle()?.read(&format!("nodes/{node}/logs/kubelet-query.log"))?;
        ensure!(String::from_utf8_lossy(&log).contains("kubelet"), "{node}: its kubelet's own log is another");
    }
    println!("# two nodes by exec in {:.1} s", ran.took.as_secs_f64());
    Ok(())
}

/// What is the same secret on two nodes has the same mask, so that a reader sees what belongs together.
fn one_number_for_a_value(ran: &Ran) -> Result<()> {
    let mask = |node: &str| -> Result<String> {
        let hosts = String::from_utf8(ran.bundle()?.read(&format!("nodes/{node}/dns/hosts"))?)?;
        let line = hosts.lines().find_map(|line| line.strip_prefix("# password="));
        line.map(str::to_owned).with_context(|| format!("{node}: {hosts}"))
    };
    let (one, other) = (mask("quay-1")?, mask("quay-2")?);
    ensure!(one == other && one.starts_with("MASKED-"), "{one} and {other}");
    Ok(())
}

fn limited(cluster: &mut Cluster) -> Result<()> {
    let ran = run(cluster, User::Admin, &["--nodes", "quay-1", "--deep", "--node-mb", "0", "--node-seconds", "120"])?;
    ensure!(ran.code == Some(2), "exit code {:?}: {}", ran.code, ran.said);
    let limits = &ran.bundle()?.manifest().limits;
    ensure!(limits.iter().any(|hit| hit.limit.contains("node-mb")), "{limits:?}");
    for id in ["node.ip.link", "node.sock.ss", "node.conntrack.table"] {
        let item = ran.of("quay-1")?.find(|item| item.id == id).with_context(|| format!("{id} was not asked for"))?;
        let cut = item.reason.as_ref().is_some_and(|reason| reason.contains("--node-mb"));
        ensure!(item.status == ItemStatus::NotReached && cut, "{item:?}");
    }
    ensure!(ran.of("quay-2")?.all(|item| item.id != "node.reach"), "quay-2 was not asked for");
    Ok(())
}

fn gone_round(cluster: &mut Cluster) -> Result<()> {
    cluster.on("quay-1", &["ufw", "--force", "enable"])?;
    cluster.on("quay-1", &["ufw", "default", "allow", "incoming"])?;
    cluster.on("quay-1", &["ufw", "deny", "10250/tcp"])?;
    cluster.block("quay-2", true)?;
    let ran = run(cluster, User::Admin, &["--nodes", "all"]);
    cluster.block("quay-2", false)?;
    cluster.on("quay-1", &["ufw", "disable"])?;
    let ran = ran?;
    for node in ["quay-1", "quay-2"] {
        ran.is_whole(node)?;
        let reason = ran.reach(node)?.reason.clone().unwrap_or_default();
        let address = cluster.node_of(node).address;
        ensure!(reason.contains(&format!("port 10250 of {address}")), "{node}: {reason}");
    }
    // Logs go the same way and come no more where all packets vanish; ufw lets those of old connections pass, and the API
    // server keeps one to each kubelet.
    let log = ran.log("dns-quay-2")?;
    let missing = matches!(log.status, ItemStatus::Unreachable | ItemStatus::Timeout);
    ensure!(missing, "the log is {}: {:?}", log.status, log.reason);
    let ufw = ran.bundle()?.read("nodes/quay-1/firewall/ufw-status.txt")?;
    ensure!(String::from_utf8_lossy(&ufw).contains("10250/tcp"), "ufw tells the rule");
    ensure!(ran.code == Some(2), "exit code {:?}: the logs are missing", ran.code);
    let told = ran.analyzed()?;
    told.finds("ufw-active-blocks-10250", "quay-1", "")?;
    told.finds("kubelet-10250-timeout", "quay-2", "gets no answer")?;
    println!("# two nodes without exec in {:.1} s", ran.took.as_secs_f64());
    Ok(())
}

/// The two failures that come at once, each by its own words.
fn told_apart(cluster: &mut Cluster) -> Result<()> {
    const REJECT: [&str; 9] =
        ["INPUT", "-p", "tcp", "--dport", "10250", "-j", "REJECT", "--reject-with", "icmp-host-prohibited"];
    cluster.on("quay-2", &[&["iptables", "-I"], &REJECT[..]].concat())?;
    // Its end closes the connections that the API server keeps to it.
    cluster.on("quay-2", &["systemctl", "restart", "kubelet"])?;
    cluster.on("quay-1", &["systemctl", "stop", "kubelet"])?;
    let ran = run(cluster, User::Admin, &[]);
    cluster.on("quay-1", &["systemctl", "start", "kubelet"])?;
    cluster.on("quay-2", &[&["iptables", "-D"], &REJECT[..]].concat())?;
    let told = ran?.analyzed()?;
    told.finds("kubelet-10250-refused", "quay-1", "port 10250 of quay-1 refuses")?;
    // At once or later: after other dials the kernel holds a firewall's answers back.
    told.finds("kubelet-10250-refused", "quay-2", "a firewall rejects")
}

fn deciding_lines(cluster: &mut Cluster) -> Result<()> {
    cluster.server.load(SOME_RIGHTS)?;
    cluster.on("quay-1", &["sysctl", "-w", "net.ipv4.ip_forward=0"])?;
    cluster.on("quay-1", &["iptables", "-I", "INPUT", "-p", "tcp", "--dport", "8472", "-j", "DROP"])?;
    let ran = run(cluster, User::Viewer, &["--nodes", "quay-1", "--node-namespace", "default"]);
    cluster.on("quay-1", &["iptables", "-D", "INPUT", "-p", "tcp", "--dport", "8472", "-j", "DROP"])?;
    let ran = ran?;
    ensure!(ran.code == Some(2), "exit code {:?}: {}", ran.code, ran.said);
    let reason = ran.reach("quay-1")?.reason.clone().unwrap_or_default();
    ensure!(reason.contains("pods/exec") || reason.contains("exec"), "{reason}");
    let digest = ran.bundle()?.read("nodes/quay-1/reach-digest.txt");
    let digest =
        String::from_utf8_lossy(&digest.with_context(|| format!("there is no digest: {reason}"))?).into_owned();
    for line in ["net.ipv4.ip_forward = 0\n", "--dport 8472 -j DROP\n"] {
        ensure!(digest.contains(line), "{line:?} is not in the digest: {digest}");
    }
    ensure!(ran.said.contains("dossier-collect node --node-name quay-1 --out quay-1.zip"), "{}", ran.said);
    Ok(())
}

/// The collector is ended in the middle of its work on nodes, at moments that differ.
fn signals(cluster: &mut Cluster) -> Result<()> {
    for (signal, after) in [("INT", 700), ("TERM", 1_500), ("HUP", 2_500)] {
        let folder = tempfile::tempdir()?;
        let (mut command, target) = collector(&cluster.server.kubeconfig(User::Admin), &folder);
        let child = command.args(["--nodes", "all"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        wait_for_pods(cluster)?;
        std::thread::sleep(Duration::from_millis(after));
        programs::run(Command::new("kill").args(["-s", signal, &child.id().to_string()]))?;
        let began = Instant::now();
        let output = child.wait_with_output()?;
        ensure!(output.status.signal().is_none(), "{signal} ended it");
        let ran = ran(&output, &target, began.elapsed())?;
        ensure!(matches!(ran.code, Some(0 | 2)), "{signal}: exit code {:?}: {}", ran.code, ran.said);
        ran.items()?;
        nothing_left(cluster).with_context(|| format!("after {signal}"))?;
    }
    Ok(())
}

fn two_at_once(cluster: &mut Cluster) -> Result<()> {
    let cluster = &*cluster;
    let both = std::thread::scope(|threads| {
        let runs = [(); 2].map(|()| threads.spawn(|| run(cluster, User::Admin, &["--nodes", "all"])));
        runs.map(|run| run.join().unwrap_or_else(|_| bail!("a run panicked")))
    });
    for ran in both {
        let ran = ran?;
        ensure!(ran.code == Some(0), "exit code {:?}: {}", ran.code, ran.said);
        ran.is_whole("quay-1")?;
        ran.is_whole("quay-2")?;
    }
    Ok(())
}

fn killed(cluster: &mut Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut command, _) = collector(&cluster.server.kubeconfig(User::Admin), &folder);
    let mut child = command.args(["--nodes", "all"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_for_pods(cluster)?;
    child.kill()?;
    child.wait()?;
    ensure!(nothing_left(cluster).is_err(), "a killed run cannot remove anything");
    let mut cleanup = product::static_collector();
    let output = cleanup.arg("cleanup").arg("--kubeconfig").arg(cluster.server.kubeconfig(User::Admin)).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code() == Some(0) && said.contains("removed /api/v1/namespaces/default/pods/dossier-"),
        "{said}"
    );
    Ok(())
}

fn refused(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl(&["create", "namespace", "strict"])?;
    cluster.kubectl(&["label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted"])?;
    let ran = run(cluster, User::Admin, &["--nodes", "all", "--node-namespace", "strict"])?;
    ensure!(ran.code == Some(2), "exit code {:?}", ran.code);
    for node in ["quay-1", "quay-2"] {
        let record = ran.reach(node)?;
        let reason = record.reason.clone().unwrap_or_default();
        ensure!(record.status == ItemStatus::Forbidden, "{:?} {reason}", record.status);
        ensure!(reason.contains("violates PodSecurity") && reason.contains("--node-namespace"), "{reason}");
    }
    Ok(())
}

fn gone(cluster: &mut Cluster) -> Result<()> {
    cluster.take_away("quay-2")?;
    let ran = run(cluster, User::Admin, &["--nodes", "all"])?;
    ensure!(ran.code == Some(2), "exit code {:?}: {}", ran.code, ran.said);
    ran.is_whole("quay-1")?;
    let record = ran.reach("quay-2")?;
    let reason = record.reason.clone().unwrap_or_default();
    ensure!(record.status == ItemStatus::Unreachable, "{:?} {reason}", record.status);
    ensure!(
        reason.contains("silent since") && ran.said.contains("dossier-collect node --node-name quay-2"),
        "{reason}"
    );
    ensure!(format!("{:?}", record.source).contains("nothing was created"), "{:?}", record.source);
    Ok(())
}

/// Waits until the collector's pods are there.
fn wait_for_pods(cluster: &Cluster) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while cluster.get(&["pods", "-A", "-l", OWNER])?["items"].as_array().is_none_or(Vec::is_empty) {
        ensure!(Instant::now() < deadline, "the collector made no pod");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

const OWNER: &str = "app.kubernetes.io/managed-by=dossier-collect";

/// That neither the cluster nor its hosts hold anything of the collector's.
fn nothing_left(cluster: &Cluster) -> Result<()> {
    let kinds = "pods,configmaps,serviceaccounts,roles,rolebindings";
    let left = cluster.get(&[kinds, "-A", "-l", OWNER])?;
    let names: Vec<_> = left["items"].as_array().into_iter().flatten().map(|item| &item["metadata"]["name"]).collect();
    ensure!(names.is_empty(), "left in the cluster: {names:?}");
    for node in cluster.nodes.iter().filter(|node| node.host.is_some()) {
        let processes = cluster.on(node.name, &["ps", "-eo", "comm="])?;
        let ours = processes.lines().filter(|comm| comm.starts_with("dossier") || comm.starts_with("stage0"));
        let ours: Vec<_> = ours.collect();
        if !ours.is_empty() {
            bail!("left on {}: {ours:?}", node.name);
        }
    }
    Ok(())
}

/// May make pods and ConfigMaps, and neither exec nor accounts.
const SOME_RIGHTS: &str = r"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pods-without-exec}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: [list]}
- {apiGroups: [''], resources: [nodes, pods, events, configmaps], verbs: [get, list, create, delete, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: pods-without-exec}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pods-without-exec}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: support}]
";

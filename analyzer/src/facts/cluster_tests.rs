//! From a bundle's lists to facts: fields as their shapes promise them, joins, citations, and what could not be read.

use bundle::ItemStatus;
use minijinja::Value;
use serde_json::{Value as Json, json};

use super::sample::{Sample, at};
use super::{Facts, event, nnc, node_object, node_root, pod, service, workload};
use crate::fact::citations;
use crate::finding::SubjectKind;
use crate::shape::agreement::{check, check_except};

fn meta(namespace: &str, name: &str, labels: Json) -> Json {
    json!({"name": name, "namespace": namespace, "uid": "8a1f0c3e-0000-4000-8000-00000000abcd", "labels": labels,
        "creationTimestamp": "2026-11-21T09:00:00Z",
        "managedFields": [{"manager": "m", "operation": "Update", "time": "2026-11-21T09:10:00Z"},
            {"manager": "m", "operation": "Update", "time": "2026-11-21T09:20:00Z", "subresource": "status"},
            {"manager": "cpa", "operation": "Update", "time": "2026-11-21T09:30:00Z", "subresource": "scale"}]})
}

fn web_pod(name: &str, ip: &str) -> Json {
    let mut metadata = meta("shop", name, json!({"app": "web"}));
    metadata["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "web-5c", "controller": true}]);
    metadata["deletionTimestamp"] = json!("2026-11-21T10:00:30Z");
    json!({"metadata": metadata,
        "spec": {"nodeName": "n1", "hostNetwork": false, "dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"]},
            "serviceAccountName": "default", "readinessGates": [{"conditionType": "lb"}],
            "initContainers": [{"name": "mesh", "image": "m:1", "restartPolicy": "Always"}],
            "containers": [{"name": "c", "image": "web:1", "args": ["--port=1", "[stripped]", "--key=[stripped]"],
                "ports": [{"name": "http", "containerPort": 8080, "hostPort": 80}], "readinessProbe": {"tcpSocket": {}},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}}]},
        "status": {"phase": "Running", "reason": "NodeLost", "podIP": ip, "podIPs": [{"ip": ip}, {"ip": "fd00::5"}],
            "hostIP": "10.0.0.4", "startTime": "2026-11-21T09:00:01Z",
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "c",
                "lastTransitionTime": "2026-11-21T09:00:09Z"}],
            "containerStatuses": [{"name": "c", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-21T09:50:00Z"}}}]}})
}

fn sample() -> Facts {
    let node = json!({"metadata": {"name": "n1", "creationTimestamp": "2026-11-01T00:00:00Z", "labels": {"kubernetes.io/os": "linux"},
            "annotations": {"a": "b"}},
        "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], "providerID": "azure:///x", "unschedulable": true,
            "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.4"}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "fine",
                "lastHeartbeatTime": "2026-11-21T09:59:00Z", "lastTransitionTime": "2026-11-01T00:00:00Z"}],
            "nodeInfo": {"kubeletVersion": "v1.34.4", "kernelVersion": "6.1", "osImage": "Debian", "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.0", "operatingSystem": "linux", "swap": {"capacity": 1}},
            "capacity": {"cpu": "2"}, "allocatable": {"cpu": "1900m"}}});
    let service = json!({"metadata": meta("shop", "web", json!({"app": "web"})),
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "port": 80, "targetPort": "https", "nodePort": 30080, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "20.1.1.1"}]}}});
    let lost = json!({"metadata": meta("shop", "lost", json!({})), "spec": {"selector": {"app": "wep"}, "ports": [{"port": 1}]}});
    let slice = json!({"metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.244.1.5"], "conditions": {"ready": false}}, {"addresses": ["10.244.1.9"], "conditions": {}}]});
    let event = json!({"metadata": {"name": "e", "uid": "u"}, "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-a"},
        "type": "Warning", "reason": "FailedCreatePodSandBox", "message": "x", "count": 7,
        "firstTimestamp": "2026-11-21T09:50:00Z", "lastTimestamp": "2026-11-21T09:58:00Z",
        "source": {"component": "kubelet", "host": "n1"}});
    let mut replica_set = json!({"metadata": meta("shop", "web-5c", json!({})), "spec": {"replicas": 1}});
    replica_set["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    let deployment = json!({"metadata": meta("shop", "web", json!({})),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}});
    let agent = json!({"metadata": meta("kube-system", "konnectivity-agent", json!({"app": "konnectivity-agent"})),
        "spec": {"selector": {"matchLabels": {"app": "konnectivity-agent"}}, "template": {"spec": {"containers": [
            {"name": "konnectivity-agent", "image": "proxy-agent:1", "resources": {"limits": {"memory": "1Gi"}}}]}}}});
    let nnc = json!({"metadata": meta("kube-system", "n1", json!({})),
        "spec": {"requestedIPCount": 32, "ipsNotInUse": ["u1"]},
        "status": {"assignedIPCount": 16, "status": "Updating",
            "scaler": {"batchSize": 16, "requestThresholdPercent": 50, "releaseThresholdPercent": 150, "maxIPCount": 250},
            "networkContainers": [{"id": "nc1", "status": "NCUpdateSubnetFullError", "subnetName": "s", "version": 1,
                "subnetAddressSpace": "10.18.0.0/15", "primaryIP": "10.18.0.5", "ipAssignments": [{"name": "u", "ip": "10.18.0.17"}]}]}});
    let agent_pod =
        json!({"metadata": meta("kube-system", "konnectivity-agent-1", json!({"app": "konnectivity-agent"}))});
    let mut zero = deployment.clone();
    zero["metadata"]["name"] = json!("wep");
    zero["spec"] = json!({"replicas": 0, "selector": {"matchLabels": {"app": "wep"}}});
    Sample::new()
        .list("api.nodes", "cluster/core/nodes.json", json!([node]))
        .list("api.pods", "cluster/core/pods.json", json!([agent_pod, web_pod("web-a", "10.244.1.5"), {"metadata": 7}]))
        .list("api.services", "cluster/core/services.json", json!([lost, service]))
        .list("api.endpointslices", "cluster/discovery.k8s.io/endpointslices.json", json!([slice]))
        .list("api.events.core", "cluster/core/events.json", json!([event]))
        .list("api.workloads.deployments", "cluster/apps/deployments.json", json!([agent, deployment, zero]))
        .list("api.workloads.replicasets", "cluster/apps/replicasets.json", json!([replica_set]))
        .list("api.azure.nodenetworkconfigs", "cluster/acn.azure.com/nodenetworkconfigs.json", json!([nnc]))
        .list(
            "api.azure.clustersubnetstates",
            "cluster/acn.azure.com/clustersubnetstates.json",
            json!([{"metadata": {"name": "s"}, "status": {"exhausted": true, "timestamp": "2026-11-21T09:00:00Z"}}]),
        )
        .lacking("api.events.v1", ItemStatus::Forbidden)
        .on_node("n1", "node.ip.addr4", "net/addr4.json", r#"[{"ifname":"lo","flags":["LOOPBACK","UP"]}]"#)
        .on_node("n1", "node.iptables.nft-v4", "firewall/iptables-nft.v4", "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n")
        .facts()
}

fn all(facts: &Facts, kind: SubjectKind) -> Vec<Value> {
    let subjects = facts.subjects(kind);
    (0..subjects.len()).map(|place| subjects.value(place)).collect()
}

fn below(values: &[Value], path: &str) -> Vec<Value> {
    let lists = values.iter().map(|value| at(value, path)).filter(|value| !value.is_undefined());
    lists.flat_map(|list| list.try_iter().unwrap().collect::<Vec<_>>()).collect()
}

#[test]
fn facts_have_the_fields_that_their_shapes_promise() {
    let facts = sample();
    let pods = all(&facts, SubjectKind::Pod);
    // Sockets lie in the node's folder, which this sample has none of, and no pod of it has a runtime class.
    check_except(&pod::fact::SHAPE, &pods, &["listening", "runtime_class"]);
    check(&pod::fact::CONTAINER, &below(&pods, "containers"));
    check(&pod::fact::PORT, &below(&below(&pods, "containers"), "ports"));
    check(&pod::fact::ENDED, &[at(&pods[1], "containers.1.last")]);
    check(&pod::fact::CONDITION, &[at(&pods[1], "conditions.Ready")]);
    check(&event::SHAPE, &below(&pods, "events"));
    let services = all(&facts, SubjectKind::Service);
    check(&service::SHAPE, &services);
    check(&service::fact::PORT, &below(&services, "ports"));
    check(&service::fact::NEAREST, &[at(&services[0], "nearest")]);
    check(&workload::SHAPE, &all(&facts, SubjectKind::Workload));
    let configs = all(&facts, SubjectKind::NodeNetworkConfig);
    check(&nnc::SHAPE, &configs);
    check(&nnc::CONTAINER, &below(&configs, "containers"));
    check(&nnc::SUBNET, &[facts.subnet_states()[0].value()]);
    let nodes = all(&facts, SubjectKind::Node);
    check(&node_object::ADDRESS, &below(&nodes, "addresses"));
    check(&node_object::TAINT, &below(&nodes, "taints"));
    check(&node_object::CONDITION, &[at(&nodes[0], "conditions.Ready")]);
    // These lie in the node's folder or are the cloud's, of which this sample has none.
    let elsewhere = ["selftest", "kubelet_socket", "security_groups"];
    let of_api = node_root::SHAPE.fields.iter().take_while(|field| field.name != "collected");
    for field in of_api.filter(|field| !elsewhere.contains(&field.name)) {
        assert!(!at(&nodes[0], field.name).is_undefined(), "node has no {}", field.name);
    }
}

#[test]
fn pods_join_nodes_workloads_services_and_events() {
    let facts = sample();
    let pod = all(&facts, SubjectKind::Pod).remove(1);
    assert_eq!(at(&pod, "node.internal_ip").as_str(), Some("10.0.0.4"));
    assert_eq!(at(&pod, "workload.kind").as_str(), Some("Deployment"));
    assert_eq!(at(&pod, "services.0.name").as_str(), Some("web"));
    assert_eq!(at(&pod, "events.0.count"), Value::from(7));
    assert_eq!(at(&pod, "networked"), Value::from(true));
    assert_eq!(at(&pod, "uid").as_str(), Some("8a1f0c3e-0000-4000-8000-00000000abcd"));
    assert_eq!(at(&pod, "containers.1.arguments"), Value::from(vec!["--port=1"]));
    let node = all(&facts, SubjectKind::Node).remove(0);
    assert_eq!(at(&node, "net_pods.0.name").as_str(), Some("web-a"));
    assert_eq!(at(&node, "nnc.free"), Value::from(15));
    assert_eq!(at(&node, "nnc.free_most"), Value::from(24.0));
}

#[test]
fn services_join_pods_and_endpoints() {
    let facts = sample();
    let services = all(&facts, SubjectKind::Service);
    let (lost, web) = (&services[0], &services[1]);
    assert_eq!(at(web, "live_pods"), Value::from(1));
    assert_eq!(at(web, "ready_pods"), Value::from(0));
    assert_eq!((at(web, "endpoints"), at(web, "endpoints_not_ready")), (Value::from(1), Value::from(1)));
    assert_eq!(at(web, "ports.0.pods_without"), Value::from(1));
    assert_eq!(at(web, "ports.0.declared"), Value::from(vec!["http 8080/TCP"]));
    assert_eq!(at(lost, "nearest.found").as_str(), Some("web"));
    assert_eq!(at(lost, "scaled_to_zero.0.name").as_str(), Some("wep"));
}

#[test]
fn citations_point_into_the_lists() {
    let facts = sample();
    let pod = all(&facts, SubjectKind::Pod).remove(1);
    let container = citations(&at(&pod, "containers.1")).remove(0);
    assert_eq!(&*container.path, "cluster/core/pods.json");
    assert_eq!(container.pointer.as_deref(), Some("/items/1/status/containerStatuses/0"));
    assert!(container.text.contains("OOMKilled (exit code 137) at 2026-11-21T09:50:00Z"), "{}", container.text);
    let template = at(&all(&facts, SubjectKind::Workload)[0], "containers.0");
    assert_eq!(citations(&template)[0].pointer.as_deref(), Some("/items/0/spec/template/spec/containers/0"));
}

#[test]
fn what_cannot_be_read_is_evidence() {
    let facts = sample();
    let unreadable = facts.unreadable_of(SubjectKind::Pod);
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0].reason.starts_with("/items/2: invalid type"), "{}", unreadable[0].reason);
    assert_eq!(facts.subjects(SubjectKind::Pod).len(), 2);
    assert_eq!(facts.unreadable().len(), 1);
}

/// A cluster in which everything that `cluster` can have is there.
fn full_cluster() -> Facts {
    let config_map = |namespace: &str, name: &str, data: Json| {
        json!({"metadata": {"name": name, "namespace": namespace}, "data": data}).to_string()
    };
    let agent = json!({"metadata": meta("kube-system", "konnectivity-agent-1", json!({"app": "konnectivity-agent"})),
        "spec": {"nodeName": "n1", "containers": [{"name": "konnectivity-agent", "image": "a", "resources": {"limits": {"memory": "100Mi"}}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}});
    let mut twin = agent.clone();
    twin["metadata"]["name"] = json!("konnectivity-agent-2");
    let node = json!({"metadata": {"name": "n1", "labels": {"kubernetes.azure.com/cluster": "c"}, "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.4"}],
        "allocatable": {"cpu": "1900m"}, "conditions": [{"type": "Ready", "status": "True"}]}});
    let metrics = json!({"metadata": meta("kube-system", "konnectivity-agent-1", json!({"app": "konnectivity-agent"})),
        "containers": [{"name": "konnectivity-agent", "usage": {"cpu": "1m", "memory": "50Mi"}}]});
    let event = json!({"metadata": {"uid": "u"}, "involvedObject": {"kind": "Pod", "name": "p"}, "type": "Warning", "reason": "BackOff", "message": "m"});
    let deployment = json!({"metadata": meta("kube-system", "konnectivity-agent", json!({"app": "konnectivity-agent"})), "spec": {"replicas": 2}});
    let config_maps = "cluster/core/configmaps";
    Sample::new()
        .list("api.nodes", "cluster/core/nodes.json", json!([node]))
        .list("api.pods", "cluster/core/pods.json", json!([agent, twin]))
        .list("api.metrics.pods", "cluster/metrics.k8s.io/pods.json", json!([metrics]))
        .list("api.events.core", "cluster/core/events.json", json!([event]))
        .list("api.workloads.deployments", "cluster/apps/deployments.json", json!([deployment]))
        .text("api.cm.konnectivity-agent-autoscaler", &format!("{config_maps}/kube-system/konnectivity-agent-autoscaler.json"),
            &config_map("kube-system", "konnectivity-agent-autoscaler", json!({"ladder": "{\"nodesToReplicas\":[[2,1]]}"})))
        .text("api.cm.kube-flannel-cfg", &format!("{config_maps}/kube-flannel/kube-flannel-cfg.json"),
            &config_map("kube-flannel", "kube-flannel-cfg", json!({"net-conf.json": "{\"Network\":\"10.244.0.0/16\",\"Backend\":{\"Type\":\"vxlan\",\"Port\":8472}}"})))
        .text("api.cm.kube-flannel-cfg", &format!("{config_maps}/kube-system/kube-flannel-cfg.json"),
            &config_map("kube-system", "kube-flannel-cfg", json!({"net-conf.json": "{"})))
        .facts()
}

#[test]
fn the_cluster_has_the_fields_that_its_shapes_promise() {
    let facts = full_cluster();
    let cluster = all(&facts, SubjectKind::Cluster);
    check_except(&super::cluster::SHAPE, &cluster, &["tke"]);
    check(&super::tunnel::SHAPE, &[at(&cluster[0], "tunnel")]);
    check(&super::tunnel::usage::SHAPE, &below(&cluster, "tunnel.memory"));
    check(&super::flannel::SHAPE, &below(&cluster, "flannel"));
    check(&super::flannel::OUTSIDE, &below(&below(&cluster, "flannel"), "outside"));
    check(&super::api_health::SHAPE, &[at(&cluster[0], "api")]);
    check(&super::address_plan::range::SHAPE, &below(&cluster, "ranges"));
    check(&super::address_plan::overlap::SHAPE, &below(&cluster, "overlaps"));
    check(&super::address_plan::duplicate::SHAPE, &below(&cluster, "shared_ips"));
    assert_eq!(at(&cluster[0], "provider").as_str(), Some("aks"));
    assert_eq!(at(&cluster[0], "tunnel_autoscaler.wanted"), Value::from(1));
}

//! A bundle with a list of pods, 4.6 KB each, in the API server's order and spelling: 30 to a node, of workloads of 20,
//! one in five hundred not well.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use bundle::{BundleWriter, ItemDraft, ItemEnd, ItemStatus, Scope, Source};

use crate::manifest::manifest;

const PODS_PER_NODE: usize = 30;
const PODS_PER_WORKLOAD: usize = 20;
const WORKLOADS_PER_NAMESPACE: usize = 25;

/// Writes the bundle.
pub fn make(target: &Path, pods: usize) {
    let writer = BundleWriter::create(target, "A bundle of a benchmark.\n").expect("the bundle can be begun");
    list(&writer, "api.nodes", "cluster/core/nodes.json", "NodeList", pods / PODS_PER_NODE, node);
    list(&writer, "api.pods", "cluster/core/pods.json", "PodList", pods, pod);
    list(&writer, "api.services", "cluster/core/services.json", "ServiceList", pods / PODS_PER_WORKLOAD, service);
    list(&writer, "api.events.core", "cluster/core/events.json", "EventList", 0, node);
    let slices = "cluster/discovery.k8s.io/endpointslices.json";
    list(&writer, "api.endpointslices", slices, "EndpointSliceList", pods / PODS_PER_WORKLOAD, slice);
    writer
        .finish(manifest("benchmark", "2026-11-21T10:00:00Z".parse().expect("a time")))
        .expect("the bundle can be finished");
}

fn list(writer: &BundleWriter, id: &str, path: &str, kind: &str, count: usize, object: fn(&mut String, usize)) {
    let draft = ItemDraft {
        id: id.to_owned(),
        scope: Scope::Cluster,
        source: Source::Computed("benchmark".to_owned()),
        plan: "lists".to_owned(),
    };
    let mut item = writer.begin(draft, path.to_owned()).expect("the item can be begun");
    let mut text = format!(r#"{{"kind":"{kind}","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":["#);
    for number in 0..count {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        object(&mut text, number);
        if text.len() > 1 << 20 {
            item.write_all(text.as_bytes()).expect("the item can be written");
            text.clear();
        }
    }
    text.push_str("\n]}\n");
    item.write_all(text.as_bytes()).expect("the item can be written");
    item.end(ItemEnd::new(ItemStatus::Ok)).expect("the item can be ended");
}

fn names(number: usize) -> (String, String) {
    let workload = number / PODS_PER_WORKLOAD;
    (format!("team-{:04}", workload / WORKLOADS_PER_NAMESPACE), format!("service-{workload:05}"))
}

fn uid(number: usize) -> String {
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mixed >> 32,
        mixed >> 16 & 0xffff,
        mixed & 0xfff,
        mixed >> 4 & 0xfff,
        mixed >> 8
    )
}

fn node(out: &mut String, number: usize) {
    let (a, b) = (number / 250, number % 250);
    write!(
        out,
        r#"{{"metadata":{{"name":"node-{number:05}","uid":"{}","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"kubernetes.io/os":"linux","kubernetes.io/hostname":"node-{number:05}"}}}},"spec":{{"podCIDR":"10.{}.{b}.0/24","podCIDRs":["10.{}.{b}.0/24"]}},"status":{{"addresses":[{{"type":"InternalIP","address":"172.20.{a}.{b}"}},{{"type":"Hostname","address":"node-{number:05}"}}],"allocatable":{{"cpu":"16","memory":"64Gi","pods":"110"}},"conditions":[{{"type":"Ready","status":"True","reason":"KubeletReady","message":"kubelet is posting ready status","lastHeartbeatTime":"2026-11-21T09:59:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}}],"nodeInfo":{{"kubeletVersion":"v1.34.4","operatingSystem":"linux","architecture":"amd64"}}}}}}"#,
        uid(number), 100 + a, 100 + a
    )
    .ok();
}

fn service(out: &mut String, number: usize) {
    let (namespace, name) = names(number * PODS_PER_WORKLOAD);
    write!(
        out,
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":{{"type":"ClusterIP","clusterIP":"10.96.{}.{}","clusterIPs":["10.96.{}.{}"],"selector":{{"app":"{name}"}},"ports":[{{"name":"http","port":80,"protocol":"TCP","targetPort":"http"}}]}},"status":{{"loadBalancer":{{}}}}}}"#,
        number / 250, number % 250, number / 250, number % 250
    )
    .ok();
}

fn slice(out: &mut String, number: usize) {
    let (namespace, name) = names(number * PODS_PER_WORKLOAD);
    write!(
        out,
        r#"{{"metadata":{{"name":"{name}-abcde","namespace":"{namespace}","labels":{{"kubernetes.io/service-name":"{name}"}}}},"addressType":"IPv4","ports":[{{"name":"http","port":8080,"protocol":"TCP"}}],"endpoints":["#
    )
    .ok();
    for offset in 0..PODS_PER_WORKLOAD {
        let (address, comma) = (address(number * PODS_PER_WORKLOAD + offset), if offset == 0 { "" } else { "," });
        write!(
            out,
            r#"{comma}{{"addresses":["{address}"],"conditions":{{"ready":true,"serving":true,"terminating":false}}}}"#
        )
        .ok();
    }
    out.push_str("]}");
}

fn address(number: usize) -> String {
    let (node, own) = (number / PODS_PER_NODE, number % PODS_PER_NODE + 2);
    format!("10.{}.{}.{own}", 100 + node / 250, node % 250)
}

fn pod(out: &mut String, number: usize) {
    let (namespace, name) = names(number);
    let (uid, node, address) = (uid(number), number / PODS_PER_NODE, address(number));
    let (sick, suffix) = (number % 500 == 499, format!("{:05x}", number % 0xfffff));
    write!(
        out,
        r#"{{"metadata":{{"name":"{name}-7d9f8c6b5-{suffix}","generateName":"{name}-7d9f8c6b5-","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{number}","generation":1,"creationTimestamp":"2026-11-20T08:00:00Z","labels":{{"app":"{name}","app.kubernetes.io/managed-by":"Helm","pod-template-hash":"7d9f8c6b5","team":"{namespace}"}},"annotations":{{"kubectl.kubernetes.io/restartedAt":"2026-11-20T07:59:58Z"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{name}-7d9f8c6b5","uid":"{uid}","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-20T08:00:00Z","fieldsType":"FieldsV1"}},{{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-11-20T08:00:09Z","fieldsType":"FieldsV1","subresource":"status"}}]}},"#
    )
    .ok();
    write!(
        out,
        r#""spec":{{"volumes":[{{"name":"kube-api-access-{suffix}","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}},{{"name":"config","configMap":{{"name":"{name}-config","defaultMode":420}}}},{{"name":"cache","emptyDir":{{}}}}],"#
    )
    .ok();
    for (container, port) in [("app", 8080), ("metrics", 9090)] {
        let begin = if container == "app" { r#""containers":["# } else { "," };
        write!(
            out,
            r#"{begin}{{"name":"{container}","image":"registry.example.test/{namespace}/{name}:{container}-1.42.{}","args":["--config=[stripped]","[stripped]"],"ports":[{{"name":"{}","containerPort":{port},"protocol":"TCP"}}],"env":[{{"name":"DATABASE_HOST"}},{{"name":"DATABASE_USER"}},{{"name":"LOG_LEVEL"}},{{"name":"POD_NAME","valueFrom":{{"fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.name"}}}}}}],"resources":{{"limits":{{"cpu":"500m","memory":"512Mi"}},"requests":{{"cpu":"50m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"config","mountPath":"/etc/{name}"}},{{"name":"cache","mountPath":"/var/cache"}},{{"name":"kube-api-access-{suffix}","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/healthz","port":{port},"scheme":"HTTP"}},"initialDelaySeconds":10,"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"readinessProbe":{{"httpGet":{{"path":"/ready","port":{port},"scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","securityContext":{{"capabilities":{{"drop":["ALL"]}},"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}}}"#,
            number / PODS_PER_WORKLOAD % 90, if container == "app" { "http" } else { "metrics" }
        )
        .ok();
    }
    write!(
        out,
        r#"],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"{name}","serviceAccount":"{name}","nodeName":"node-{node:05}","securityContext":{{"fsGroup":1000}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"#
    )
    .ok();
    let (ready, reason) = if sick {
        ("False", r#","reason":"ContainersNotReady","message":"containers with unready status: [app]""#)
    } else {
        ("True", "")
    };
    out.push_str(r#""status":{"phase":"Running","conditions":["#);
    for (place, kind) in
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].into_iter().enumerate()
    {
        let about = if kind.ends_with("Ready") { (ready, reason) } else { ("True", "") };
        let comma = if place == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"type":"{kind}","observedGeneration":1,"status":"{}","lastProbeTime":null,"lastTransitionTime":"2026-11-20T08:00:0{place}Z"{}}}"#, about.0, about.1).ok();
    }
    write!(out, r#"],"hostIP":"172.20.{}.{}","hostIPs":[{{"ip":"172.20.{}.{}"}}],"podIP":"{address}","podIPs":[{{"ip":"{address}"}}],"startTime":"2026-11-20T08:00:00Z","containerStatuses":["#, node / 250, node % 250, node / 250, node % 250).ok();
    for container in ["app", "metrics"] {
        let broken = sick && container == "app";
        let state = if broken {
            r#"{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 5m0s restarting failed container"}},"lastState":{"terminated":{"exitCode":1,"reason":"Error","startedAt":"2026-11-21T09:50:00Z","finishedAt":"2026-11-21T09:50:05Z"}}"#
        } else {
            r#"{"running":{"startedAt":"2026-11-20T08:00:05Z"}},"lastState":{}"#
        };
        let (comma, restarts) = (if container == "app" { "" } else { "," }, if broken { 41 } else { 0 });
        write!(out, r#"{comma}{{"name":"{container}","state":{state},"ready":{},"restartCount":{restarts},"image":"registry.example.test/{namespace}/{name}:{container}-1.42.0","imageID":"registry.example.test/{namespace}/{name}@sha256:{uid}{uid}","containerID":"containerd://{uid}{uid}","started":{},"resources":{{"limits":{{"cpu":"500m","memory":"512Mi"}},"requests":{{"cpu":"50m","memory":"128Mi"}}}}}}"#, !broken, !broken).ok();
    }
    out.push_str(r#"],"qosClass":"Burstable"}}"#);
}

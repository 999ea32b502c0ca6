//! A bundle of component logs: deterministic, a third each klog, JSON lines and plain text, behind the timestamps that
//! the kubelet puts before each line. One line in two thousand is a sample of a message pattern, so that all patterns
//! have something to find.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use analyzer::pattern::document::FamilyDocument;
use analyzer::rule::diagnostic::SourceFile;
use analyzer::rule::yaml;
use bundle::write::WriteOptions;
use bundle::{BundleWriter, ItemDraft, ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;
use rayon::prelude::*;

use crate::manifest::manifest;

const FILES: u64 = 100;
const LINES_PER_SAMPLE: u64 = 2_000;
const COMPONENTS: [&str; 5] = ["coredns", "kube-proxy", "konnectivity-agent", "azure-cns", "unwell"];
const NAMESPACES: [&str; 4] = ["kube-system", "payments-prod", "search-stage", "ingress-nginx"];

/// Writes the bundle with this many bytes of logs.
pub fn make(target: &Path, bytes: u64) {
    let samples = samples();
    let options = WriteOptions { sorted: true, ..WriteOptions::default() };
    let writer =
        BundleWriter::create_with(target, "A bundle of a benchmark.\n", options).expect("the bundle can be begun");
    (0..FILES).into_par_iter().for_each(|number| write_log(&writer, number, bytes / FILES, &samples));
    writer.finish(manifest("speed", Timestamp::UNIX_EPOCH)).expect("the bundle can be finished");
}

/// The samples of all patterns of the project.
fn samples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/patterns");
    let mut samples = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok) {
        let path = entry.path().display().to_string();
        if !path.ends_with(".yaml") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("a family can be read");
        let family: FamilyDocument = yaml::parse(&SourceFile::new(path, text)).expect("a family is well formed");
        samples.extend(family.patterns.into_values().flat_map(|pattern| pattern.yes));
    }
    samples
}

/// A generator of numbers that look random and are the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn write_log(writer: &BundleWriter, number: u64, bytes: u64, samples: &[String]) {
    let component = COMPONENTS[(number / 3 % 5) as usize];
    let namespace = NAMESPACES[(number % 4) as usize];
    let pod = format!("{component}-{number:04}");
    let path = layout::container_log(namespace, &pod, component, false);
    let draft = ItemDraft {
        id: format!("log.{component}"),
        scope: Scope::Pod(namespace.to_owned(), pod),
        source: Source::Computed("benchmark".to_owned()),
        plan: "logs".to_owned(),
    };
    let mut item = writer.begin(draft, path).expect("the item can be begun");
    let mut numbers = Numbers(number);
    let (mut written, mut count, mut text) = (0, 0, String::new());
    while written < bytes {
        text.clear();
        for _ in 0..2_000 {
            count += 1;
            let sample = (count % LINES_PER_SAMPLE == LINES_PER_SAMPLE / 2)
                .then(|| &samples[((count / LINES_PER_SAMPLE + number * 7) % samples.len() as u64) as usize]);
            line(&mut text, number, numbers.next(), count, sample.map(String::as_str));
        }
        item.write_all(text.as_bytes()).expect("the item can be written");
        written += text.len() as u64;
    }
    item.end(ItemEnd::new(ItemStatus::Ok)).expect("the item can be ended");
}

fn line(out: &mut String, file: u64, random: u64, count: u64, sample: Option<&str>) {
    let (hour, minute, second) = (count / 7_200 % 24, count / 120 % 60, count / 2 % 60);
    let (a, b, n, m) = (random >> 8 & 31, random >> 16 & 63, random >> 24 & 1023, (random >> 34) % 8191);
    let id = random.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 20;
    write!(out, "2026-11-21T{hour:02}:{minute:02}:{second:02}.{:09}Z ", random & 0x3FFF_FFFF).ok();
    let written = match (sample, file % 3, random & 3) {
        (Some(sample), ..) => writeln!(out, "{}", sample.replace('\n', " ")),
        (None, 0, 0) => writeln!(
            out,
            "I1121 {hour:02}:{minute:02}:{second:02}.{m:06} {file} reflector.go:368] \"Caches populated\" type=\"*v1.Pod\" reflector=\"k8s.io/client-go/informers/factory.go:160\""
        ),
        (None, 0, 1) => writeln!(
            out,
            "I1121 {hour:02}:{minute:02}:{second:02}.{m:06} {file} kubelet.go:2547] \"SyncLoop (PLEG): event for pod\" pod=\"payments-prod/api-{id:x}\" event={{\"ID\":\"{id:x}-{m}\",\"Type\":\"ContainerStarted\",\"Data\":\"{id:x}{m}\"}}"
        ),
        (None, 0, 2) => writeln!(
            out,
            "W1121 {hour:02}:{minute:02}:{second:02}.{m:06} {file} reflector.go:561] watch of *v1.Node ended with: an error on the server (\"unable to decode an event from the watch stream: http2: client connection lost\") has prevented the request from succeeding"
        ),
        (None, 0, _) => writeln!(
            out,
            "E1121 {hour:02}:{minute:02}:{second:02}.{m:06} {file} pod_workers.go:1301] \"Error syncing pod, skipping\" err=\"failed to \\\"StartContainer\\\" for \\\"api\\\" with CrashLoopBackOff: \\\"back-off {n}s restarting failed container=api pod=api-{id:x}_payments-prod\\\"\""
        ),
        (None, 1, 0) => writeln!(
            out,
            "{{\"level\":\"info\",\"logger\":\"http\",\"msg\":\"request completed\",\"method\":\"GET\",\"path\":\"/v1/orders/{m}\",\"status\":200,\"duration_ms\":{n},\"trace_id\":\"{id:x}\",\"client\":\"10.128.{a}.{b}\"}}"
        ),
        (None, 1, 1) => writeln!(
            out,
            "{{\"level\":\"info\",\"logger\":\"db\",\"msg\":\"query\",\"sql\":\"select id, total from orders where customer = $1\",\"rows\":{a},\"duration_ms\":{n},\"trace_id\":\"{id:x}\"}}"
        ),
        (None, 1, 2) => writeln!(
            out,
            "{{\"level\":\"warn\",\"logger\":\"cache\",\"msg\":\"miss\",\"key\":\"cart:{m}\",\"shard\":{a},\"backend\":\"redis-{b}.payments-prod.svc.cluster.local:6379\"}}"
        ),
        (None, 1, _) => writeln!(
            out,
            "{{\"level\":\"error\",\"logger\":\"upstream\",\"msg\":\"call failed\",\"service\":\"api.payments-prod.svc.cluster.local\",\"error\":\"rpc error: code = Unavailable desc = upstream reset, retry {a}\",\"trace_id\":\"{id:x}\"}}"
        ),
        (None, _, 0) => writeln!(
            out,
            "[INFO] 10.128.{a}.{b}:{m} - {n} \"A IN api.payments-prod.svc.cluster.local. udp 58 false 512\" NOERROR qr,aa,rd 114 0.000{m}s"
        ),
        (None, _, 1) => writeln!(
            out,
            "10.128.{a}.{b} - - [21/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \"GET /healthz HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.34\" {n} 0.00{a} [payments-prod-api-80] [] 10.128.{b}.{a}:8080 2 0.00{a} 200 {id:x}"
        ),
        (None, _, 2) => {
            writeln!(out, "INFO  [main-{a}] c.e.api.OrderService - order {m} accepted for customer {n} in {b} ms")
        }
        (None, _, _) => writeln!(
            out,
            "DEBUG [pool-{a}] o.a.kafka.clients.Fetcher - Fetch READ_UNCOMMITTED at offset {m} for partition orders-{b} returned fetch data"
        ),
    };
    written.ok();
}

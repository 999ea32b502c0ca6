//! The samples: whole, small, of invented names, and judged as their scenario says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::{Bundle, Limits};
use serde_json::Value;
use tests::product::{analyzer, workspace};
use tests::require;

#[test]
fn every_sample_has_its_scenario_and_its_findings() {
    let samples = samples();
    assert!(samples.len() >= 8, "there are only {} samples", samples.len());
    for sample in &samples {
        let name = sample.file_stem().unwrap().to_str().unwrap();
        assert!(workspace().join("samples/scenarios").join(name).join("README.md").is_file(), "{name} has no scenario");
        assert!(sample.with_extension("findings.json").is_file(), "{name} has no expected findings");
    }
    let bytes: u64 = samples.iter().map(|sample| fs::metadata(sample).unwrap().len()).sum();
    assert!(bytes < 5_000_000, "the samples take {bytes} bytes");
}

#[test]
fn every_sample_is_whole() {
    let unzip = require!(require::program("unzip"));
    for sample in samples() {
        let tested = Command::new(&unzip).arg("-tqq").arg(&sample).output().unwrap();
        assert!(tested.status.success(), "unzip -t {}: {}", sample.display(), String::from_utf8_lossy(&tested.stdout));
        let verified = analyzer().arg("verify").arg(&sample).output().unwrap();
        assert!(
            verified.status.success(),
            "verify {}: {}",
            sample.display(),
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

#[test]
fn the_report_of_a_sample_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    for sample in samples() {
        let [one, two] = ["1", "2"].map(|threads| {
            let out = folder.path().join(threads);
            analyzer().args(["analyze", "--threads", threads, "--out"]).arg(&out).arg(&sample).output().unwrap();
            ["findings.json", "report.html", "report.md"].map(|file| fs::read(out.join(file)).unwrap())
        });
        assert!(one == two, "{} is judged differently with two threads", sample.display());
    }
}

#[test]
fn the_healthy_sample_raises_no_alarm() {
    let findings = analyzed("healthy");
    assert_eq!(findings["findings"], Value::Array(Vec::new()));
    assert_eq!(findings["rule_errors"], Value::Array(Vec::new()));
    assert_ne!(findings["passed"], Value::Array(Vec::new()));
}

#[test]
fn the_blind_sample_is_never_called_healthy() {
    let findings = analyzed("blind");
    assert_eq!(findings["verdict"]["health"], "incomplete");
    let missing = findings["not_checked"].as_array().unwrap();
    assert!(missing.len() > 1, "what could not be checked is not said: {missing:?}");
}

#[test]
fn every_row_that_a_scenario_names_is_found_in_its_sample() {
    for (sample, rows) in [
        ("addresses-collide", vec!["E33", "E45", "E48", "88"]),
        ("certificates-expired", vec!["E16"]),
        ("cni-config-missing", vec!["E44"]),
        ("coredns-loop", vec!["17", "E23"]),
        ("dns-egress-without-tcp", vec!["11"]),
        ("docker-forward-drop", vec!["E9", "92"]),
        ("firewall-and-limits", vec!["E2", "E26", "30", "31", "75", "91"]),
        ("firewalld-blocks-kubelet", vec!["90"]),
        ("forward-reject", vec!["93"]),
        ("ip-forward-off", vec!["81", "82"]),
        ("ipam-leak", vec!["50", "53"]),
        ("konnectivity-starved", vec!["34", "40", "42"]),
        ("masquerade-mark-dropped", vec!["65"]),
        ("nnc-subnet-full", vec!["50", "52", "55", "56"]),
        ("services-without-endpoints", vec!["59", "60", "61", "64"]),
    ] {
        let findings = analyzed(sample);
        let found: BTreeSet<&str> =
            findings["findings"].as_array().unwrap().iter().filter_map(|finding| finding["row"].as_str()).collect();
        let lacking: Vec<_> = rows.iter().filter(|row| !found.contains(*row)).collect();
        assert!(lacking.is_empty(), "{sample}: not found {lacking:?}, found {found:?}");
    }
}

#[test]
fn no_sample_names_the_machine_that_made_it() {
    let names = names_of_this_machine();
    assert!(!names.is_empty());
    for sample in samples() {
        let bundle = Bundle::open(&sample, Limits::default()).unwrap();
        for host in &bundle.manifest().hosts {
            assert_eq!(host.hostname, "worker-1", "{}", sample.display());
        }
        for entry in bundle.entries() {
            let text = String::from_utf8_lossy(&bundle.read(&entry.path).unwrap()).into_owned();
            for name in &names {
                assert!(!text.contains(name.as_str()), "{}: {} holds {name:?}", sample.display(), entry.path);
            }
        }
    }
}

/// What would tell where a sample was made: host, kernel and who built it, folders, resolvers. Words of fewer than five
/// letters stand in any text and are left out; the host's own name is also compared as a whole.
fn names_of_this_machine() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut names =
        vec![read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/osrelease"), read("/etc/machine-id")];
    names.extend(read("/proc/version").split(['(', ')']).filter(|word| word.contains('@')).map(str::to_owned));
    names.extend(
        read("/etc/resolv.conf").lines().filter_map(|line| line.strip_prefix("nameserver ").map(str::to_owned)),
    );
    names.push(workspace().display().to_string());
    names.extend(std::env::var("HOME").into_iter().filter(|home| home != "/root"));
    names.extend(std::env::var("USER").into_iter().filter(|user| user != "root"));
    names.into_iter().map(|name| name.trim().to_owned()).filter(|name| name.len() >= 5).collect()
}

fn analyzed(sample: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let sample = workspace().join("samples").join(format!("{sample}.zip"));
    let output =
        analyzer().args(["analyze", "--format", "json", "--out"]).arg(folder.path()).arg(&sample).output().unwrap();
    let findings = fs::read(folder.path().join("findings.json"));
    let findings = findings.unwrap_or_else(|_| panic!("{}: {output:?}", sample.display()));
    serde_json::from_slice(&findings).unwrap()
}

fn samples() -> Vec<PathBuf> {
    let folder: &Path = &workspace().join("samples");
    let mut samples: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    samples.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    samples.sort();
    samples
}

//! The laws of the workspace: who may know whom, what the rooms' files are called, what stands beside what.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::product::workspace;
use walkdir::WalkDir;

/// The packages that the project promises to build on, each used by the named room.
const CARD: [(&str, &str); 10] = [
    ("zip", "bundle"),
    ("serde", "bundle"),
    ("serde_json", "bundle"),
    ("walkdir", "bundle"),
    ("rayon", "analyzer"),
    ("regex", "analyzer"),
    ("minijinja", "analyzer"),
    ("clap", "analyzer"),
    ("kube", "collector"),
    ("flate2", "bundle"),
];

#[test]
fn packages_are_named_as_their_folders() {
    for (name, folder) in Graph::read().members() {
        assert_eq!(folder.file_name().unwrap().to_str().unwrap(), name);
    }
}

#[test]
fn the_analyzer_reaches_neither_a_cluster_nor_the_network() {
    let reached = Graph::read().reached_from("analyzer");
    for forbidden in ["kube", "kube-client", "tokio", "hyper", "reqwest", "rustls", "collector"] {
        assert!(
            !reached.contains(forbidden),
            "analyzer depends on {forbidden}: `cargo tree -p analyzer -i {forbidden}`"
        );
    }
    assert!(reached.contains("bundle"), "the graph is not read as it should be: {reached:?}");
}

#[test]
fn the_packet_walk_knows_neither_bundles_nor_the_analyzer() {
    let reached = Graph::read().reached_from("netpath");
    for forbidden in ["bundle", "analyzer", "collector", "kube", "tokio"] {
        assert!(!reached.contains(forbidden), "netpath depends on {forbidden}");
    }
}

#[test]
fn collector_and_analyzer_meet_only_in_the_bundle() {
    let graph = Graph::read();
    assert!(!graph.reached_from("collector").contains("analyzer"));
    let reached = graph.reached_from("bundle");
    for forbidden in ["analyzer", "collector", "netpath", "kube", "minijinja"] {
        assert!(!reached.contains(forbidden), "bundle depends on {forbidden}");
    }
}

#[test]
fn the_packages_of_the_card_are_direct_dependencies_that_do_real_work() {
    let graph = Graph::read();
    for (package, room) in CARD {
        assert!(graph.direct(room).contains(package), "{room} does not depend on {package} directly");
        let used = PathOf { package: package.replace('-', "_") };
        let sources = files(&workspace().join(room).join("src"), "rs");
        assert!(sources.iter().any(|file| used.in_code(file)), "{room} depends on {package} and does not use it");
    }
}

#[test]
fn no_file_is_named_after_nothing() {
    for file in files(&workspace(), "") {
        let stem = file.file_stem().unwrap().to_string_lossy().to_lowercase();
        for vague in ["util", "utils", "helper", "helpers", "common", "misc", "manager"] {
            assert!(
                stem.split(['_', '-', '.']).all(|word| word != vague),
                "{} says nothing of its subject",
                file.display()
            );
        }
    }
}

#[test]
fn every_rule_has_its_cases_beside_it_and_every_case_file_its_rule() {
    let rules = workspace().join("rules");
    // The patterns that rules name are no rules; each stands beside the lines that it must match and must not.
    let patterns = rules.join("patterns");
    for rule in files(&rules, "yaml").iter().filter(|rule| !rule.starts_with(&patterns)) {
        assert!(rule.with_extension("md").is_file(), "{} has no cases beside it", rule.display());
    }
    for cases in files(&rules, "md").iter().filter(|file| file.file_name().unwrap() != "README.md") {
        assert!(cases.with_extension("yaml").is_file(), "{} has no rule beside it", cases.display());
    }
}

#[test]
fn the_mapping_of_the_archive_is_the_one_unsafe_block_beside_stage0() {
    let blocks: Vec<String> = ["bundle", "netpath", "collector", "analyzer", "tests/src"]
        .iter()
        .flat_map(|room| files(&workspace().join(room), "rs"))
        // The first program in a pod has no library between it and the kernel (ARCHITECTURE.md, Panics); it reads no bundle.
        .filter(|file| !file.ends_with("collector/stage0/main.rs"))
        .flat_map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(" unsafe {"));
            lines.map(|line| format!("{}: {}", file.display(), line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert!(blocks.len() <= 1 && blocks.iter().all(|block| block.contains("bundle/")), "{blocks:#?}");
}

#[test]
fn the_licence_is_apache_2() {
    let licence = std::fs::read_to_string(workspace().join("LICENSE")).unwrap();
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
}

/// Whether a crate is named as the beginning of a path in code, which is how Rust uses one.
struct PathOf {
    package: String,
}

impl PathOf {
    fn in_code(&self, file: &Path) -> bool {
        let text = std::fs::read_to_string(file).unwrap();
        let path = format!("{}::", self.package);
        text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
            line.match_indices(&path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            })
        })
    }
}

/// All files below a folder with an extension (any where it is empty), without what builds leave and version control keeps.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    let kept =
        walk.filter_entry(|entry| entry.depth() == 0 || !["target", ".git"].iter().any(|n| entry.file_name() == *n));
    let files = kept.map(Result::unwrap).filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    files.filter(|path| extension.is_empty() || path.extension().is_some_and(|e| e == extension)).collect()
}

/// The resolved dependencies of the workspace, without those of tests and build scripts.
struct Graph {
    /// Name and folder of each member.
    members: BTreeMap<String, PathBuf>,
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--format-version=1", "--locked"]).current_dir(workspace());
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let members: BTreeSet<&str> = texts(&metadata["workspace_members"]).collect();
        let mut graph = Graph { members: BTreeMap::new(), names: BTreeMap::new(), edges: BTreeMap::new() };
        for package in metadata["packages"].as_array().unwrap() {
            let (id, name) = (package["id"].as_str().unwrap(), package["name"].as_str().unwrap());
            graph.names.insert(id.into(), name.into());
            if members.contains(id) {
                let manifest = Path::new(package["manifest_path"].as_str().unwrap());
                graph.members.insert(name.into(), manifest.parent().unwrap().into());
            }
        }
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let normal = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            let to = normal.map(|dependency| dependency["pkg"].as_str().unwrap().to_owned()).collect();
            graph.edges.insert(node["id"].as_str().unwrap().into(), to);
        }
        graph
    }

    fn members(&self) -> &BTreeMap<String, PathBuf> {
        &self.members
    }

    fn id(&self, name: &str) -> &str {
        let folder = self.members[name].display().to_string();
        self.names.iter().find(|(id, n)| *n == name && id.contains(&folder)).unwrap().0
    }

    fn direct(&self, member: &str) -> BTreeSet<&str> {
        self.edges[self.id(member)].iter().map(|id| self.names[id].as_str()).collect()
    }

    fn reached_from(&self, member: &str) -> BTreeSet<String> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![self.id(member)]);
        while let Some(id) = open.pop() {
            for next in &self.edges[id] {
                if reached.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        reached.iter().map(|id| self.names[id].clone()).collect()
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap())
}

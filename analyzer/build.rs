//! Puts the rules below `rules/` into the program: their paths and texts as a table. Adding a rule touches its two files
//! and nothing else.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let package = PathBuf::from(manifest);
    // Not canonical: cargo looks for what is named relative to the package in the checkout that it builds, also where two
    // checkouts share a target folder.
    let root = PathBuf::from("../rules");
    let mut rules = Vec::new();
    let mut patterns = Vec::new();
    for path in files(&root)? {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let (name, text) = embedded(&package, &root, &path);
        let of_patterns = path.parent().and_then(Path::file_name).is_some_and(|parent| parent == "patterns");
        if of_patterns {
            patterns.push(format!("({name}, {text}),\n"));
            continue;
        }
        let cases = path.with_extension("md");
        let cases = match cases.is_file() {
            true => {
                let (name, text) = embedded(&package, &root, &cases);
                format!("Some(({name}, {text}))")
            }
            false => "None".to_owned(),
        };
        rules.push(format!("({name}, {text}, {cases}),\n"));
    }
    let table = format!(
        "const RULES: &[EmbeddedRule] = &[\n{}];\nconst PATTERNS: &[(&str, &str)] = &[\n{}];\n",
        rules.concat(),
        patterns.concat()
    );
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("builtin_rules.rs"), table)
}

/// The path as messages name it (`rules/kernel/ip-forward-zero.yaml`) and its text, both as Rust.
fn embedded(package: &Path, root: &Path, path: &Path) -> (String, String) {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let name = format!("rules/{}", parts.join("/"));
    (format!("{name:?}"), format!("include_str!({:?})", package.join(path).display().to_string()))
}

/// All files below a folder, sorted by path. Cargo runs this script again when one of them or their number changes.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

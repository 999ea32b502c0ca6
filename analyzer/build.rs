//! Puts the rules below `rules/` into the program: their paths and texts as a table. Adding a rule touches its two files
//! and nothing else.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let root = Path::new(&manifest).join("..").join("rules").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut rules = String::from("const RULES: &[EmbeddedRule] = &[\n");
    let mut patterns = String::from("const PATTERNS: &[(&str, &str)] = &[\n");
    for path in files(&root)? {
        println!("cargo::rerun-if-changed={}", path.display());
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let of_patterns = path.parent().and_then(Path::file_name).is_some_and(|parent| parent == "patterns");
        let cases = path.with_extension("md");
        let written = match of_patterns {
            true => writeln!(patterns, "{},", embedded(&root, &path)),
            false if cases.is_file() => {
                let (name, text) = (shown(&root, &path), path.display());
                writeln!(rules, "({name:?}, include_str!({text:?}), Some({})),", embedded(&root, &cases), text = text.to_string())
            }
            false => {
                let (name, text) = (shown(&root, &path), path.display().to_string());
                writeln!(rules, "({name:?}, include_str!({text:?}), None),")
            }
        };
        written.map_err(io::Error::other)?;
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("builtin_rules.rs"), format!("{rules}];\n{patterns}];\n"))
}

/// A pair of path and text, as Rust.
fn embedded(root: &Path, path: &Path) -> String {
    format!("({:?}, include_str!({:?}))", shown(root, path), path.display().to_string())
}

/// The path as messages name it: `rules/kernel/ip-forward-zero.yaml`.
fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    format!("rules/{}", parts.join("/"))
}

/// All files below a folder, sorted by path.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

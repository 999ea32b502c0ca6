//! The last step of a sample: entries and records in order, so that the same items give the same bytes, and without what
//! names the machine it was made on. Sizes and hashes are computed again; everything else stays as the collector wrote it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The kernel release that a sample shows in place of the machine's; `programs/host/image` says the same.
const KERNEL: &str = "6.1.0-28-amd64";

/// Writes the bundle to `to`.
pub fn write(bundle: &[u8], to: &Path) -> Result<()> {
    let machine = Machine::read()?;
    let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut archive = ZipArchive::new(Cursor::new(bundle)).context("the collector's bundle does not open")?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        entries.insert(entry.name()?.into_owned(), machine.forget(content));
    }
    let readme = entries.remove("README.txt").context("the bundle has no README.txt")?;
    let manifest = entries.remove("manifest.json").context("the bundle has no manifest.json")?;
    let manifest = renewed(&manifest, &entries)?;

    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o600);
    let mut zip = ZipWriter::new(File::create(to).with_context(|| format!("cannot write {}", to.display()))?);
    let first = std::iter::once(("README.txt", readme));
    let last = std::iter::once(("manifest.json", manifest));
    let middle = entries.iter().map(|(name, content)| (name.as_str(), content.clone()));
    for (name, content) in first.chain(middle).chain(last) {
        zip.start_file(name, options)?;
        zip.write_all(&content)?;
    }
    zip.finish()?;
    Ok(())
}

/// The manifest with the records in order, and with the sizes and hashes of what is in the bundle now.
fn renewed(manifest: &[u8], entries: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let mut manifest: Value = serde_json::from_slice(manifest)?;
    let items = manifest["items"].as_array_mut().context("the manifest has no items")?;
    for item in items.iter_mut() {
        let Some(content) = item["path"].as_str().and_then(|path| entries.get(path)) else { continue };
        let digest = bundle::sha256(content);
        item["bytes"] = content.len().into();
        item["sha256"] = digest.into();
    }
    let key = |item: &Value| ["path", "scope", "id", "source"].map(|field| item[field].to_string());
    items.sort_by_cached_key(key);
    let mut text = serde_json::to_vec_pretty(&manifest)?;
    text.push(b'\n');
    Ok(text)
}

/// What names the machine: its kernel's release and who built it.
struct Machine {
    names: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Machine {
    fn read() -> Result<Self> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let build = std::fs::read_to_string("/proc/sys/kernel/version")?;
        let names = [(release.trim(), KERNEL), (build.trim(), "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)")];
        Ok(Machine { names: names.map(|(from, to)| (from.as_bytes().to_vec(), to.as_bytes().to_vec())).to_vec() })
    }

    fn forget(&self, content: Vec<u8>) -> Vec<u8> {
        self.names.iter().fold(content, |content, (from, to)| replaced(&content, from, to))
    }
}

fn replaced(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_wherever_it_stands() {
        assert_eq!(replaced(b"a 6.9-x b 6.9-x", b"6.9-x", b"6.1"), b"a 6.1 b 6.1");
        assert_eq!(replaced(b"none", b"6.9-x", b"6.1"), b"none");
    }
}

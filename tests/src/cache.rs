//! Where built and downloaded programs are kept: outside the tree, so that a clean checkout stays clean and the next run
//! is quick.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The cache folder: `DOSSIER_TEST_CACHE`, or `dossier-tests` in the user's cache folder.
pub fn folder() -> Result<PathBuf> {
    let folder = match std::env::var_os("DOSSIER_TEST_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => user_cache()?.join("dossier-tests"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the cache folder {}", folder.display()))?;
    Ok(folder)
}

fn user_cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder));
    }
    let home =
        std::env::var_os("HOME").context("neither DOSSIER_TEST_CACHE nor HOME is set: no place for the cache")?;
    Ok(PathBuf::from(home).join(".cache"))
}

/// Returns the cached folder `name`, filling it first with `fill` where it is missing.
///
/// Test binaries run side by side and would build the same program twice, so a file lock is held while filling; and a
/// folder appears under its name only when it is whole, so that an interrupted build leaves nothing to trip over.
pub fn filled(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = folder()?;
    let ready = cache.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let lock = File::create(cache.join(format!(".{name}.lock"))).context("cannot create a lock file in the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let partial = cache.join(format!(".{name}.partial"));
    match fs::remove_dir_all(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).context("cannot remove an unfinished build"),
        _ => fs::create_dir(&partial)?,
    }
    fill(&partial)?;
    fs::rename(&partial, &ready)?;
    Ok(ready)
}

/// A short name for content: what is built of other content gets another folder of the cache.
pub fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

//! Ends a run before it fills the disk that it writes to, or becomes larger than anybody can send.

use std::io;
use std::path::Path;

use bundle::manifest::Ended;
use bundle::{BundleWriter, WriteError};

use super::Limits;

/// A limit that was met: its name, its value, and why the run ends.
pub struct Full {
    /// The limit's name.
    pub limit: &'static str,
    /// Its value, for people.
    pub value: String,
    /// Why the run ends.
    pub why: Ended,
}

/// Looks whether there is room for more.
pub fn look(writer: &BundleWriter, limits: &Limits) -> Option<Full> {
    let held = writer.bytes_written() + writer.bytes_in_flight();
    let most = limits.bundle_bytes();
    if held > most {
        return Some(Full { limit: "bundle-mb", value: format!("{most} bytes"), why: Ended::Space });
    }
    let free = writer.folder().and_then(free)?;
    let kept = limits.keep_free_bytes();
    (free < kept).then(|| Full {
        limit: "keep-free-mb",
        value: format!("{kept} bytes, {free} were left"),
        why: Ended::Space,
    })
}

/// Looks, before anything is written, whether there is room for a bundle at this path.
pub fn look_before(bundle: &Path, limits: &Limits) -> anyhow::Result<()> {
    let folder = bundle.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kept = limits.keep_free_bytes();
    match free(folder) {
        Some(free) if free < kept => anyhow::bail!(
            "cannot write {}: {free} bytes are free in {}, and {kept} are kept free (--keep-free-mb)",
            bundle.display(),
            folder.display()
        ),
        _ => Ok(()),
    }
}

/// Bytes that this user may still write on a file system; none where it does not tell.
fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Some network file systems answer zero for everything.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether an error comes from a full disk, however deep it says so.
pub fn is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let as_write = cause.downcast_ref::<WriteError>().is_some_and(WriteError::is_out_of_space);
        let as_io = cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull);
        as_write || as_io
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_disk_tells_what_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free(dir.path()).unwrap() > 0);
        assert_eq!(free(&dir.path().join("nothing")), None);
    }
}

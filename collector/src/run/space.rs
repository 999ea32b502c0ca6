//! Ends a run before it fills the disk that it writes to, or becomes larger than anybody can send.

use std::io;
use std::path::Path;

use bundle::manifest::Ended;
use bundle::{BundleWriter, WriteError};

use super::{Limits, Run};

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

/// Says how much is free where the bundle goes, where that is little: less than the bundle may grow to, so that the disk
/// bounds it and not --bundle-mb. Told before anything is cut, for a reader who wonders why a log ends early.
pub fn note_scarce(run: &Run) {
    let Some(free) = run.writer().folder().and_then(free) else { return };
    if let Some(value) = scarce(free, run.limits()) {
        run.note_limit("keep-free-mb", value, "nothing was cut for it when the run began");
    }
}

fn scarce(free: u64, limits: &Limits) -> Option<String> {
    let (kept, wanted) = (limits.keep_free_bytes(), limits.bundle_bytes());
    (free < kept.saturating_add(wanted))
        .then(|| format!("{kept} bytes; only {free} were free when the run began, and a bundle may grow to {wanted}"))
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
    fn little_space_is_space_that_the_largest_bundle_does_not_fit_into() {
        let limits = Limits::default();
        assert_eq!(scarce(1_100_000_000, &limits), None);
        let told = scarce(190_000_000, &limits).unwrap();
        assert!(told.contains("only 190000000 were free"), "{told}");
    }

    #[test]
    fn a_disk_tells_what_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free(dir.path()).unwrap() > 0);
        assert_eq!(free(&dir.path().join("nothing")), None);
    }
}

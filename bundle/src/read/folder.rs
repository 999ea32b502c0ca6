//! An unpacked bundle: a folder on disk. Links are not followed, and nothing but folders and regular files is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{OpenError, Refusal, name};
use crate::limits::Limits;

/// The files below a folder, by their path with `/`, with their sizes.
pub(crate) fn files(root: &Path, limits: &Limits) -> Result<BTreeMap<String, (PathBuf, u64)>, OpenError> {
    let mut found = BTreeMap::new();
    let mut total = 0u64;
    // One level more than may be, so that a file below the bound is named instead of overlooked.
    for entry in WalkDir::new(root).min_depth(1).max_depth(limits.nesting + 2).follow_links(false) {
        let entry = entry.map_err(|error| walk_error(root, error))?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let shown = path_with_slashes(relative)?;
        let refuse = |problem: String| OpenError::from(Refusal::new(&shown, problem));
        name::check(&shown, limits).map_err(refuse)?;
        if entry.file_type().is_dir() {
            continue;
        }
        if entry.file_type().is_symlink() {
            return Err(refuse("is a symbolic link; unpack the bundle again, without links".to_owned()));
        }
        if !entry.file_type().is_file() {
            return Err(refuse("is neither a file nor a folder".to_owned()));
        }
        let bytes = entry.metadata().map_err(|error| walk_error(root, error))?.len();
        total = total.saturating_add(bytes);
        if total > limits.total {
            return Err(refuse(format!("brings the content to over {} bytes, the bound of a bundle", limits.total)));
        }
        if found.len() >= limits.entries {
            return Err(refuse(format!("is one file too many; the bound is {}", limits.entries)));
        }
        found.insert(shown, (entry.into_path(), bytes));
    }
    Ok(found)
}

fn walk_error(root: &Path, error: walkdir::Error) -> OpenError {
    let path = error.path().unwrap_or(root).to_owned();
    OpenError::Io { path, source: error.into() }
}

fn path_with_slashes(relative: &Path) -> Result<String, Refusal> {
    let mut shown = String::new();
    for component in relative.components() {
        let Some(part) = component.as_os_str().to_str() else {
            return Err(Refusal::new(&relative.to_string_lossy(), "has a name that is not UTF-8"));
        };
        if !shown.is_empty() {
            shown.push('/');
        }
        shown.push_str(part);
    }
    Ok(shown)
}

/// Opens a file that was found before, unless a link or a device took its place since.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // O_NONBLOCK keeps a pipe that took the file's place from holding the reader for ever.
        options.custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no longer a regular file"));
    }
    Ok((file, metadata.len()))
}

//! The file that a bundle is written to: `<name>.partial` until it is complete, then `<name>`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::WriteError;
use super::spool::folder_of;

/// An unfinished file beside its target. Dropped, it is removed.
pub(super) struct Target {
    partial: PathBuf,
    path: PathBuf,
    placed: bool,
}

impl Target {
    /// Makes the unfinished file: new, not through a link, readable by its owner alone.
    ///
    /// It stays locked while it is written. One that is left from a run that was killed is not locked, holds no
    /// directory and no manifest, and gives way.
    pub(super) fn create(path: &Path) -> Result<(Target, File), WriteError> {
        check_replaceable(path)?;
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let fail = |source| WriteError::Target { path: partial.clone(), source };
        let file = match create_new(&partial) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_leftover(&partial)?;
                create_new(&partial).map_err(fail)?
            }
            other => other.map_err(fail)?,
        };
        let busy = || WriteError::Busy { path: partial.clone() };
        match file.try_lock() {
            // Another run took the file for a leftover between its creation and its lock, and removes it.
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Ok(()) if !is_still(&file, &partial) => return Err(busy()),
            // Some network file systems have no locks; O_EXCL alone has to do there.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        Ok((Target { partial, path: path.to_owned(), placed: false }, file))
    }

    /// The path that the file will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path that the file has now.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Brings the file to the disk, and gives it its name.
    pub(super) fn place(mut self, file: &File) -> Result<PathBuf, WriteError> {
        file.sync_all().map_err(|source| WriteError::Target { path: self.partial.clone(), source })?;
        fs::rename(&self.partial, &self.path)
            .map_err(|source| WriteError::Target { path: self.path.clone(), source })?;
        self.placed = true;
        // The name is not safe from a power failure before its folder is written. Some file systems cannot do this
        // (CIFS answers EINVAL); the content is safe by then, so that is no reason to fail.
        if let Ok(folder) = File::open(folder_of(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The finished file is renamed over its target; over a device or a folder that would do harm, or fail in the end.
fn check_replaceable(path: &Path) -> Result<(), WriteError> {
    let problem = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => "it is a folder; name a file in it",
        Ok(found) if !found.is_file() && !found.is_symlink() => "it is not a regular file; use - for standard output",
        _ => return Ok(()),
    };
    Err(WriteError::Target { path: path.to_owned(), source: io::Error::other(problem) })
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options.open(path)
}

/// Removes the unfinished file of a run that is no more; fails where the run still is.
fn remove_leftover(partial: &Path) -> Result<(), WriteError> {
    let fail = |source| WriteError::Target { path: partial.to_owned(), source };
    let found = fs::symlink_metadata(partial).map_err(fail)?;
    if !found.is_file() {
        return Err(fail(io::Error::other("it exists and is not a regular file; remove it")));
    }
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.open(partial).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(WriteError::Busy { path: partial.to_owned() }),
        Err(TryLockError::Error(_)) => {
            return Err(fail(io::Error::other("it is left from another run; remove it if that has ended")));
        }
    }
    if !is_still(&file, partial) {
        return Err(WriteError::Busy { path: partial.to_owned() });
    }
    fs::remove_file(partial).map_err(fail)
}

/// Whether the path still names the file that was locked, and not one that another run made meanwhile.
#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still(_file: &File, _path: &Path) -> bool {
    true
}

//! Which kernel modules are there, and whether asking could load one.
//!
//! Many harmless-looking commands load modules (`nft list`, `iptables -V`, `iptables-legacy-save`): the kernel loads
//! what is asked for. A module that was not there changes how packets are treated, so nothing that could load one is
//! run unless it is there already, or the kernel cannot load any.

use std::collections::BTreeSet;

use bundle::ItemEnd;
use bundle::manifest::ItemStatus;
use serde::Serialize;

use super::root::HostRoot;

/// Where a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Loaded as a module.
    Loaded,
    /// Part of the kernel itself.
    BuiltIn,
    /// Not there; asking for it would load it where it is installed.
    Absent,
    /// The kernel cannot load modules and does not tell what it holds: asking is safe, and will tell.
    Unknown,
}

/// What the kernel has loaded, and whether it could load more.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    loaded: BTreeSet<String>,
    built_in: BTreeSet<String>,
    /// Nothing can be loaded, whatever is asked.
    closed: bool,
}

impl Modules {
    /// Reads /proc/modules, /sys/module and modules.builtin. `closed` where the kernel was built without modules
    /// (no /proc/modules), or loading has been switched off for good (kernel.modules_disabled).
    pub fn read(root: &HostRoot) -> Modules {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let proc_modules = std::fs::read_to_string(root.at("/proc/modules"));
        let disabled = std::fs::read_to_string(root.at("/proc/sys/kernel/modules_disabled")).unwrap_or_default();
        let without_modules = proc_modules.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
            && root.exists("/proc/version");
        let first_words = |text: &str| text.lines().filter_map(|line| line.split(' ').next()).map(name).collect();
        let loaded: BTreeSet<String> = proc_modules.map(|text| first_words(&text)).unwrap_or_default();
        let listed = root.read(&format!("/lib/modules/{release}/modules.builtin"), 4_000_000).unwrap_or_default();
        // A built-in module has a folder in /sys/module where it has parameters or a version; the list has them all.
        let folders = root.names("/sys/module").unwrap_or_default();
        let built_in = listed
            .lines()
            .filter_map(|path| path.rsplit('/').next()?.split('.').next().map(name))
            .chain(folders.iter().map(|folder| name(folder)).filter(|folder| !loaded.contains(folder)))
            .collect();
        Modules { loaded, built_in, closed: without_modules || disabled.trim() == "1" }
    }

    /// Where a module is.
    pub fn presence(&self, module: &str) -> Presence {
        let module = name(module);
        if self.loaded.contains(&module) {
            Presence::Loaded
        } else if self.built_in.contains(&module) {
            Presence::BuiltIn
        } else if self.closed {
            Presence::Unknown
        } else {
            Presence::Absent
        }
    }

    /// Whether something that needs the module can be asked without loading it; otherwise how the item ends.
    pub fn need(&self, module: &str) -> Result<(), ItemEnd> {
        match self.presence(module) {
            Presence::Absent => Err(ItemEnd::because(
                ItemStatus::ModuleNotLoaded,
                format!("the kernel module {module} is not loaded, and asking would load it"),
            )),
            Presence::Loaded | Presence::BuiltIn | Presence::Unknown => Ok(()),
        }
    }
}

/// Modules are spelled with `_` where they are listed and with `-` in file names.
fn name(module: &str) -> String {
    module.replace('-', "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn host(proc_modules: Option<&str>, modules_disabled: &str) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        fs::create_dir_all(dir.path().join("sys/module/ip_set")).unwrap();
        fs::write(dir.path().join("proc/version"), "Linux\n").unwrap();
        fs::write(dir.path().join("proc/sys/kernel/modules_disabled"), modules_disabled).unwrap();
        if let Some(modules) = proc_modules {
            fs::write(dir.path().join("proc/modules"), modules).unwrap();
        }
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let lib = dir.path().join("lib/modules").join(release);
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("modules.builtin"), "kernel/net/ipv4/netfilter/ip_tables.ko\n").unwrap();
        let root = HostRoot::new(dir.path());
        (dir, root)
    }

    #[test]
    fn loaded_built_in_and_absent_are_told_apart() {
        let (_dir, root) = host(Some("nf_tables 1 0 - Live 0x0\n"), "0\n");
        let modules = Modules::read(&root);
        assert_eq!(modules.presence("nf-tables"), Presence::Loaded);
        assert_eq!(modules.presence("ip_tables"), Presence::BuiltIn);
        assert_eq!(modules.presence("ip_set"), Presence::BuiltIn);
        assert_eq!(modules.presence("ip_vs"), Presence::Absent);
        assert_eq!(modules.need("ip_vs").unwrap_err().status, ItemStatus::ModuleNotLoaded);
    }

    #[test]
    fn a_kernel_that_cannot_load_may_be_asked() {
        for (modules, disabled) in [(None, "0\n"), (Some(""), "1\n")] {
            let (_dir, root) = host(modules, disabled);
            assert_eq!(Modules::read(&root).presence("ip_vs"), Presence::Unknown);
            assert!(Modules::read(&root).need("ip_vs").is_ok());
        }
    }
}

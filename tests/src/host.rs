//! A host in namespaces of its own: a Debian with systemd, its own hostname, files, processes, firewall and network stack,
//! on the machine's kernel. `programs/host/` holds the scripts that make and start it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cache;
use crate::programs::run;
use crate::require::{self, Missing};

/// Longer than booting takes on a busy machine.
const BOOT: Duration = Duration::from_secs(60);

/// A running host, ended when dropped.
#[derive(Debug)]
pub struct Host {
    supervisor: Child,
    init: String,
}

/// The files that a host has besides those of its image, gathered before it boots.
#[derive(Debug)]
pub struct Files {
    folder: TempDir,
}

impl Files {
    /// No files yet but those that name the host.
    pub fn new(name: &str) -> Result<Self> {
        let files = Files { folder: TempDir::with_prefix("dossier-host-")? };
        files.write("etc/hostname", format!("{name}\n").as_bytes())?;
        files.write("etc/hosts", format!("127.0.0.1 localhost\n127.0.1.1 {name}\n").as_bytes())?;
        // Without one systemd takes the boot for the first of a new machine. Any will do that is not this machine's.
        let id: String = name.bytes().cycle().take(16).map(|byte| format!("{byte:02x}")).collect();
        files.write("etc/machine-id", format!("{id}\n").as_bytes())?;
        files.write("var/log/kernel", b"")?;
        Ok(files)
    }

    /// Writes a file; `path` is relative to the host's root.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.place(path)?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Copies a program or any other file.
    pub fn copy(&self, from: &Path, path: &str) -> Result<()> {
        let to = self.place(path)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        Ok(())
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("files").join(path);
        fs::create_dir_all(path.parent().context("a file of the root has no folder")?)?;
        Ok(path)
    }
}

impl Host {
    /// The root filesystem of hosts, made once and cached.
    ///
    /// # Errors
    ///
    /// [`Missing`] where namespaces cannot be created or the image cannot be made.
    pub fn image() -> Result<PathBuf, Missing> {
        Host::image_of("host")
    }

    /// The same with a container runtime, for a real kubelet.
    ///
    /// # Errors
    ///
    /// As [`Host::image`].
    pub fn node_image() -> Result<PathBuf, Missing> {
        Host::image_of("node")
    }

    fn image_of(kind: &str) -> Result<PathBuf, Missing> {
        require::namespaces()?;
        require::program("mmdebstrap")?;
        let script = scripts().join("image");
        let name = format!("{kind}-{}", cache::digest(&fs::read(&script).unwrap_or_default()));
        let filled = cache::filled(&name, |folder| run(Command::new(script).arg(folder.join("root")).arg(kind)));
        let folder = filled.map_err(|e| Missing(format!("the image of hosts cannot be made: {e:#}")))?;
        Ok(folder.join("root"))
    }

    /// Boots a host named `name` into the network namespace `netns`, which `ip netns` knows.
    pub fn boot(name: &str, netns: &str, image: &Path, files: Files) -> Result<Host> {
        // From here on the supervisor removes the folder.
        let folder = files.folder.keep();
        let mut start = Command::new(scripts().join("start"));
        start.arg(name).arg(image).arg(&folder).arg(netns).stdin(Stdio::piped()).stdout(Stdio::null());
        // A group of its own: what ends the test's group must not end the one who cleans up after it.
        let supervisor = start.process_group(0).spawn().context("cannot start the host's supervisor")?;
        let mut host = Host { supervisor, init: String::new() };
        host.wait_until_up(&folder)?;
        Ok(host)
    }

    /// A command on the host, as root, ready for its arguments.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init, "--all", "env", "-i", "HOME=/root", "LC_ALL=C"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").arg(program);
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs a command on the host to its end and returns what it printed.
    pub fn output(&self, argv: &[&str]) -> Result<Vec<u8>> {
        let (program, arguments) = argv.split_first().context("a command has a name")?;
        let output = self.command(program).args(arguments).output().context("cannot run nsenter")?;
        if !output.status.success() {
            // Some tools, CNI plugins among them, tell their errors on standard output.
            let said = [output.stderr, output.stdout].concat();
            bail!("{argv:?} on the host ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim());
        }
        Ok(output.stdout)
    }

    fn wait_until_up(&mut self, folder: &Path) -> Result<()> {
        let deadline = Instant::now() + BOOT;
        loop {
            let init = fs::read_to_string(folder.join("pid")).unwrap_or_default();
            init.trim().clone_into(&mut self.init);
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            if init.ends_with('\n') {
                if self.init.is_empty() {
                    bail!("the host did not start: {}", log());
                }
                let state = self.command("systemctl").args(["is-system-running"]).output()?;
                if ["running", "degraded"].contains(&String::from_utf8_lossy(&state.stdout).trim()) {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                bail!("the host is not up after {} s: {}", BOOT.as_secs(), log());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/host")
}

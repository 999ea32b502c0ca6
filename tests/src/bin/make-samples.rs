//! Makes the sample bundles: `samples/make [NAME…]`, as root.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use tests::host::Host;
use tests::product;
use tests::scenario::{Fabric, Scenario};

/// Set where the process is already in namespaces of its own.
const INSIDE: &str = "DOSSIER_SAMPLES_INSIDE";

fn main() -> ExitCode {
    match make() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make-samples: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        // Made here where it is not there yet: inside, nothing of the machine's network is reached.
        Host::image().map_err(|missing| anyhow::anyhow!("{missing}"))?;
        // A network of its own, with addresses of a real site, and a /run/netns that ends with it.
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--propagation=private"]).arg(std::env::current_exe()?);
        return Err(unshare.args(std::env::args_os().skip(1)).env(INSIDE, "1").exec()).context("cannot run unshare");
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let scenarios = Scenario::all()?;
    if let Some(unknown) = wanted.iter().find(|name| scenarios.iter().all(|scenario| scenario.name != **name)) {
        bail!("there is no scenario {unknown} in samples/scenarios");
    }
    std::fs::create_dir_all("/run/netns")?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run/netns"]).status()?;
    if !mounted.success() {
        bail!("cannot mount a folder for network namespaces: run this as root");
    }
    let fabric = Fabric::lay()?;
    for scenario in scenarios.iter().filter(|scenario| wanted.is_empty() || wanted.contains(&scenario.name)) {
        eprintln!("== {}", scenario.name);
        let sample = product::workspace().join("samples").join(format!("{}.zip", scenario.name));
        scenario.make(&fabric, &sample).with_context(|| format!("the sample {}", scenario.name))?;
        eprintln!("{} bytes", std::fs::metadata(&sample)?.len());
    }
    Ok(())
}

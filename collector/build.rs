//! Compiles `stage0/`, the program that a pod of `--nodes` starts with, for the architecture that the collector is built
//! for, and leaves it where `src/reach/program.rs` includes it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What stands before the program, so that it can be found in the file of a collector for another architecture.
const MARK: &[u8] = b"\0dossier stage0 for a pod\0";
/// Bytes that a ConfigMap may hold (Kubernetes validation, `MaxSecretSize`), with room for a second architecture.
const AT_MOST: usize = 400_000;

fn main() {
    println!("cargo::rerun-if-changed=stage0");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names OUT_DIR"));
    let (system, architecture) = (variable("CARGO_CFG_TARGET_OS"), variable("CARGO_CFG_TARGET_ARCH"));
    let supported = system == "linux" && ["x86_64", "aarch64"].contains(&architecture.as_str());
    let program = if supported { compile(&out) } else { Vec::new() };
    assert!(program.len() < AT_MOST, "stage0 has {} bytes and must fit into a ConfigMap", program.len());
    let length = u32::try_from(program.len()).expect("it is small");
    let blob = [MARK, &length.to_be_bytes(), &program].concat();
    fs::write(out.join("stage0.bin"), blob).expect("OUT_DIR can be written");
}

fn compile(out: &Path) -> Vec<u8> {
    let program = out.join("stage0");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name=stage0", "--cap-lints=warn"]);
    rustc.args(["--target", &variable("TARGET"), "stage0/main.rs", "-o"]).arg(&program);
    for option in ["opt-level=2", "panic=abort", "strip=symbols", "codegen-units=1", "relocation-model=static"] {
        rustc.args(["-C", option]);
    }
    // No libc and no start code: nothing on the node is needed to start it.
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"] {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    let status = rustc.status().expect("rustc runs");
    assert!(status.success(), "stage0 does not build");
    fs::read(program).expect("rustc wrote the program")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo names {name}"))
}

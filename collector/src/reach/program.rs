//! The programs that run on a node: this collector or one given for another architecture, and stage0, which starts it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// What `build.rs` left: a mark, the length in 4 bytes, and the program. It is searched for in the file, so that it must
/// be there as a whole also where only its beginning is named here.
#[used]
static STAGE0: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stage0.bin"));
/// The length of the mark that `build.rs` sets. The mark itself is not written here, so that a collector's file holds it
/// once.
const MARK: usize = 26;

/// A collector for one architecture.
#[derive(Clone)]
pub struct Program {
    /// The collector, as a raw deflate stream.
    pub packed: Bytes,
    /// The program that inflates and starts it.
    pub stage0: Bytes,
}

/// The collectors at hand, by architecture as Kubernetes names it (`amd64`, `arm64`).
#[derive(Clone, Default)]
pub struct Programs {
    by_architecture: BTreeMap<String, Program>,
    /// Why this collector itself cannot be sent, where that is so.
    own_problem: Option<(String, String)>,
}

/// `--node-binary ARCH=FILE`.
#[derive(Debug, Clone)]
pub struct NodeBinary {
    architecture: String,
    file: PathBuf,
}

impl std::str::FromStr for NodeBinary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((architecture, file)) if !architecture.is_empty() && !file.is_empty() => {
                Ok(NodeBinary { architecture: architecture.to_owned(), file: file.into() })
            }
            _ => Err("it is written ARCH=FILE, such as arm64=./dossier-collect-arm64".to_owned()),
        }
    }
}

impl Programs {
    /// Reads this collector and those that were given. An error is of one that was given.
    pub fn read(given: &[NodeBinary]) -> anyhow::Result<Programs> {
        let mut programs = Programs::default();
        for binary in given {
            let file = binary.file.display();
            let program = read(&binary.file, Some(&binary.architecture))
                .with_context(|| format!("--node-binary {}={file} cannot be used", binary.architecture))?;
            programs.by_architecture.insert(binary.architecture.clone(), program.1);
        }
        if programs.by_architecture.contains_key(own_architecture()) {
            return Ok(programs);
        }
        match read(Path::new("/proc/self/exe"), None) {
            Ok((architecture, program)) => {
                programs.by_architecture.insert(architecture.to_owned(), program);
            }
            Err(error) => {
                programs.own_problem = Some((own_architecture().to_owned(), bundle::in_one_line(error.as_ref())));
            }
        }
        Ok(programs)
    }

    /// The collector for an architecture, or why there is none and what to do.
    pub fn of(&self, architecture: &str) -> Result<&Program, String> {
        if let Some(program) = self.by_architecture.get(architecture) {
            return Ok(program);
        }
        let why = match &self.own_problem {
            Some((own, problem)) if own == architecture => {
                format!("this dossier-collect cannot be sent there: {problem}")
            }
            _ => format!("this dossier-collect is for {}", own_architecture()),
        };
        Err(format!("the node is {architecture} and {why}; name one for it with --node-binary {architecture}=FILE"))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Program)> {
        self.by_architecture.iter().map(|(architecture, program)| (architecture.as_str(), program))
    }
}

fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Reads a collector's file: it must be a static program of Linux, because nothing of the node's is mounted where its
/// loader would look for libraries.
fn read(file: &Path, expected: Option<&str>) -> anyhow::Result<(&'static str, Program)> {
    let bytes = std::fs::read(file).context("it cannot be read")?;
    let architecture = static_architecture(&bytes)?;
    if let Some(expected) = expected.filter(|expected| *expected != architecture) {
        bail!("it is for {architecture}, not {expected}");
    }
    let stage0 = stage0_of(&bytes)
        .context("it is no dossier-collect of this version, or one that was built without the program for pods")?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&bytes)?;
    Ok((architecture, Program { packed: encoder.finish()?.into(), stage0 }))
}

/// The architecture of a static ELF program (System V ABI, chapters 4 and 5).
fn static_architecture(elf: &[u8]) -> anyhow::Result<&'static str> {
    const NEEDS_LOADER: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at + length).unwrap_or_default();
        bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
    };
    if elf.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        bail!("it is no 64-bit Linux program");
    }
    let architecture = match number(18, 2) {
        62 => "amd64",
        183 => "arm64",
        other => bail!("its machine (ELF {other}) is not known"),
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    for segment in 0..count {
        let at = usize::try_from(table + segment * size)?;
        if number(at, 4) == u64::from(NEEDS_LOADER) {
            bail!("it is linked to libraries of this system; use the static dossier-collect of the release");
        }
    }
    Ok(architecture)
}

/// Finds the stage0 that a collector's file carries.
fn stage0_of(file: &[u8]) -> Option<Bytes> {
    let mark = STAGE0.get(..MARK)?;
    let at = file.windows(MARK).position(|window| window == mark)? + MARK;
    let length = u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?);
    let program = file.get(at + 4..)?.get(..usize::try_from(length).ok()?)?;
    (!program.is_empty()).then(|| Bytes::copy_from_slice(program))
}

#[cfg(test)]
#[path = "../../stage0/inflate.rs"]
mod inflate;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    struct Slice<'a>(std::slice::Iter<'a, u8>);

    impl inflate::Source for Slice<'_> {
        fn byte(&mut self) -> Option<u8> {
            self.0.next().copied()
        }
    }

    fn inflated(packed: &[u8]) -> Result<Vec<u8>, inflate::Problem> {
        let mut out = Vec::new();
        let mut room = inflate::Room::new(|bytes: &[u8]| {
            let full = out.len() > 1 << 24;
            out.extend_from_slice(bytes);
            if full { Err(inflate::Problem::Output) } else { Ok(()) }
        });
        inflate::inflate(&mut Slice(packed.iter()), &mut room)?;
        Ok(out)
    }

    fn packed(content: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn stage0_inflates_what_the_library_deflates(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..4000),
            level in 0u32..10,
        ) {
            let content: Vec<u8> = picks.iter().filter(|_| !words.is_empty()).flat_map(|pick| pick.get(&words).clone()).collect();
            prop_assert_eq!(inflated(&packed(&content, level)), Ok(content));
        }

        #[test]
        fn what_is_no_stream_ends_in_an_answer(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = inflated(&noise);
        }
    }

    #[test]
    fn a_stream_that_is_cut_is_known() {
        let whole = packed(&vec![b'x'; 100_000], 6);
        assert_eq!(inflated(&whole[..whole.len() - 2]), Err(inflate::Problem::Cut));
    }

    #[test]
    fn a_collectors_file_shows_its_stage0_and_whether_it_is_static() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let stage0 = stage0_of(&own).unwrap();
        assert_eq!(static_architecture(&stage0).unwrap(), own_architecture());
        assert!(static_architecture(b"#!/bin/sh\n").is_err());
        // /bin/sh of every distribution that runs these tests needs its loader.
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(static_architecture(&shell).unwrap_err().to_string().contains("linked to libraries"));
    }

    #[test]
    fn a_node_of_another_architecture_says_what_to_do() {
        let problem = Programs::default().of("s390x").err().unwrap();
        assert!(problem.ends_with("name one for it with --node-binary s390x=FILE"), "{problem}");
        assert!("arm64".parse::<NodeBinary>().is_err() && "arm64=x".parse::<NodeBinary>().is_ok());
    }
}

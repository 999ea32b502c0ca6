//! `dossier test`: sample bundles against the findings expected of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::facts::Facts;
use crate::regression::Expectation;
use crate::report::visible;
use crate::rule::{Options, RuleSet, analyze};

/// Analyzes each bundle of a folder and compares with the findings expected beside it.
///
/// Beside NAME.zip, or the unpacked bundle NAME/, lies NAME.findings.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all agree, 1 something differs, 2 a bundle or an expectation cannot be read.")]
pub struct Test {
    /// The folder with the bundles.
    folder: PathBuf,
    /// Writes what was found as what is expected from now on; review the difference before you commit it.
    #[arg(long)]
    bless: bool,
    /// Writes the outcome as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// A folder of rules of your own, beside the built-in ones.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

/// What came of one bundle.
struct Outcome {
    name: String,
    /// What differs; nothing where all agrees.
    differences: Vec<String>,
    /// Why it could not be judged.
    trouble: Option<String>,
    seconds: f64,
}

impl Test {
    /// Compares, prints, and says by the exit code whether all agree.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let rules = super::rules::load(self.rules.as_deref())?;
        let bundles = bundles(&self.folder)?;
        let outcomes: Vec<Outcome> = bundles.iter().map(|bundle| self.judge(bundle, &rules)).collect();
        super::print(|out| outcomes.iter().try_for_each(|outcome| write!(out, "{}", told(outcome))))?;
        let differ = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
        let failed = outcomes.iter().filter(|outcome| outcome.trouble.is_some()).count();
        super::print(|out| {
            let agree = outcomes.len() - differ - failed;
            writeln!(out, "{} bundles: {agree} agree, {differ} differ, {failed} cannot be judged", outcomes.len())
        })?;
        if let Some(file) = &self.junit {
            std::fs::write(file, junit(&outcomes)).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(match (failed, differ) {
            (0, 0) => super::FINE,
            (0, _) => super::found(),
            _ => super::could_not(),
        })
    }

    fn judge(&self, bundle: &Path, rules: &RuleSet) -> Outcome {
        let start = Instant::now();
        let name = name(bundle);
        let (differences, trouble) = match self.compare(bundle, &name, rules) {
            Ok(differences) => (differences, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        Outcome { name, differences, trouble, seconds: start.elapsed().as_secs_f64() }
    }

    fn compare(&self, bundle: &Path, name: &str, rules: &RuleSet) -> anyhow::Result<Vec<String>> {
        let facts = Facts::new(super::open(bundle)?);
        let found = Expectation::of(&analyze(&facts, rules, &Options::default()));
        let file = self.folder.join(format!("{name}.findings.json"));
        if self.bless {
            let text = format!("{}\n", serde_json::to_string_pretty(&found)?);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}; --bless writes it", file.display()))?;
        let expected: Expectation = serde_json::from_str(&text)
            .with_context(|| format!("{} is no expectation; --bless writes it anew", file.display()))?;
        Ok(expected.differences(&found))
    }
}

/// The bundles of a folder: zip files, and folders that hold a manifest.
fn bundles(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let is_bundle = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "zip") || path.join(bundle::layout::MANIFEST).is_file()
    };
    let mut bundles: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_bundle).collect();
    bundles.sort();
    if bundles.is_empty() {
        bail!("{} holds no bundle: neither a zip file nor a folder with a manifest.json", folder.display());
    }
    Ok(bundles)
}

fn name(bundle: &Path) -> String {
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".zip").unwrap_or(&name).to_owned()
}

fn told(outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some(trouble) = &outcome.trouble {
        let _ = writeln!(text, "{}: {}", outcome.name, visible(trouble));
    } else if !outcome.differences.is_empty() {
        let _ = writeln!(text, "{}:", outcome.name);
        for difference in &outcome.differences {
            let _ = writeln!(text, "  {}", visible(difference));
        }
    }
    text
}

/// The outcome in the form that continuous integration reads: a test case for each bundle.
fn junit(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    let errors = outcomes.iter().filter(|outcome| outcome.trouble.is_some()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"dossier test\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\">",
        outcomes.len()
    );
    for outcome in outcomes {
        let (name, seconds) = (escaped(&outcome.name), outcome.seconds);
        let _ = write!(xml, "  <testcase classname=\"bundle\" name=\"{name}\" time=\"{seconds:.3}\"");
        let _ = match (&outcome.trouble, outcome.differences.as_slice()) {
            (Some(trouble), _) => writeln!(xml, "><error message=\"{}\"/></testcase>", escaped(trouble)),
            (None, []) => writeln!(xml, "/>"),
            (None, differences) => {
                let text = escaped(&differences.join("\n"));
                writeln!(xml, "><failure message=\"{} differences\">{text}</failure></testcase>", differences.len())
            }
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text for XML: markup escaped, and what XML 1.0 cannot hold replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_counts_and_escapes() {
        let outcome = |name: &str, differences: &[&str], trouble: Option<&str>| Outcome {
            name: name.to_owned(),
            differences: differences.iter().map(|text| (*text).to_owned()).collect(),
            trouble: trouble.map(str::to_owned),
            seconds: 0.5,
        };
        let xml = junit(&[
            outcome("healthy", &[], None),
            outcome("sick", &["- <b>\u{1b}[31m&"], None),
            outcome("broken", &[], Some("not a \"zip\"")),
        ]);
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("- &lt;b&gt;\u{FFFD}[31m&amp;</failure>"), "{xml}");
        assert!(xml.contains("<error message=\"not a &quot;zip&quot;\"/>"), "{xml}");
        assert!(xml.contains("name=\"healthy\" time=\"0.500\"/>"), "{xml}");
    }
}

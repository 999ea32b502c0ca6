//! What can be asked of a host, as data: the tables in the neighbouring files are made of these.

use std::time::Duration;

use bundle::ItemEnd;
use bundle::manifest::Scope;

use super::Context;
use super::host::Host;
use crate::plan::{Cost, PlanLine};
use crate::run::capped::Cap;

/// What a command may take unless it says otherwise.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// One line of the plan of a node, and how it is gathered.
pub struct NodeItem {
    /// The evidence id.
    pub id: &'static str,
    /// What the plan says will be done.
    pub what: String,
    /// What it costs the host.
    pub cost: Cost,
    /// What bounds it, for people.
    pub bound: String,
    /// How it is done.
    pub gather: Gather,
}

/// How an item is gathered.
pub enum Gather {
    /// By running a command.
    Command(Command),
    /// By reading a file.
    File(File),
    /// By reading files whose names are known only after looking.
    Files(Files),
    /// By computing one document.
    Document(&'static str, Compute),
    /// In a way of its own, making its records itself.
    Own(fn(&Context<'_>, &PlanLine) -> anyhow::Result<()>),
}

/// Computes the content of an item, or says why there is none.
pub type Compute = fn(&Context<'_>) -> Result<Document, ItemEnd>;

/// Says whether an item may be asked for on this host, and how it ends where not.
pub type Gate = fn(&Host) -> Result<(), ItemEnd>;

/// Takes out of a text what must not leave the host; an error says why nothing of it may.
pub type Edit = fn(&str) -> Result<String, String>;

/// A computed document.
pub struct Document {
    /// Its content.
    pub bytes: Vec<u8>,
    /// How the item ends: `Ok`, or a status that says what is missing from it.
    pub end: ItemEnd,
}

/// A command and its fallbacks.
pub struct Command {
    /// Tried in this order, the next where the one before is not installed or does not know its options.
    pub variants: Vec<Variant>,
    /// Whether it may be run.
    pub gate: Option<Gate>,
    /// What it may take.
    pub time: Duration,
    /// What is kept of its output.
    pub cap: Cap,
    /// Exit codes besides 0 that mean an answer.
    pub answers: &'static [i32],
    /// What is taken out of its output.
    pub edit: Option<Edit>,
    /// Whether no output, to others than root, means that there is something they may not see.
    pub hidden_when_empty: bool,
    /// Whether the rules in its output are counted while it is read, and under which name.
    pub count_rules: Option<&'static str>,
}

/// One way to run a command.
pub struct Variant {
    /// Program name and arguments.
    pub argv: Vec<String>,
    /// Where its output lies below the node's folder.
    pub path: &'static str,
}

/// One file.
pub struct File {
    /// Where it lies on the host: the first of these that is there.
    pub sources: Vec<&'static str>,
    /// Where it goes below the node's folder.
    pub path: &'static str,
    /// What is kept of it.
    pub cap: Cap,
    /// What is taken out of it.
    pub edit: Option<Edit>,
}

/// Files found by name.
pub struct Files {
    /// Files, or folders with a pattern of names behind them: `/etc/ufw/ufw.conf`, `/etc/sysctl.d/*.conf`.
    pub patterns: Vec<&'static str>,
    /// Where a file goes below the node's folder, from its path on the host.
    pub place: fn(&str) -> String,
    /// How many are taken at most.
    pub at_most: usize,
    /// What is kept of each.
    pub cap: Cap,
    /// What is taken out of each.
    pub edit: Option<Edit>,
}

impl NodeItem {
    /// The line of the plan.
    pub fn line(&self, scope: &Scope) -> PlanLine {
        PlanLine::new(self.id, scope.clone(), self.what.clone(), self.cost, self.bound.clone())
    }

    /// Costs more than a trivial item.
    pub fn moderate(mut self) -> Self {
        self.cost = Cost::Moderate;
        self
    }

    /// Costs what a busy host feels.
    pub fn heavy(mut self) -> Self {
        self.cost = Cost::Heavy;
        self
    }

    /// May take this long.
    pub fn within(mut self, seconds: u64) -> Self {
        if let Gather::Command(command) = &mut self.gather {
            command.time = Duration::from_secs(seconds);
        }
        self.rebound()
    }

    /// Keeps this much.
    pub fn keeping(mut self, cap: Cap) -> Self {
        match &mut self.gather {
            Gather::Command(command) => command.cap = cap,
            Gather::File(file) => file.cap = cap,
            Gather::Files(files) => files.cap = cap,
            Gather::Document(..) | Gather::Own(_) => {}
        }
        self.rebound()
    }

    /// Is asked for only where the gate says so; `when` is the same for people, behind "only where".
    pub fn only_where(mut self, when: &str, gate: Gate) -> Self {
        self.what = format!("{} (only where {when})", self.what);
        if let Gather::Command(command) = &mut self.gather {
            command.gate = Some(gate);
        }
        self
    }

    /// Passes its text through this before it is kept.
    pub fn edited(mut self, edit: Edit) -> Self {
        match &mut self.gather {
            Gather::Command(command) => command.edit = Some(edit),
            Gather::File(file) => file.edit = Some(edit),
            Gather::Files(files) => files.edit = Some(edit),
            Gather::Document(..) | Gather::Own(_) => {}
        }
        self
    }

    /// These exit codes are answers too.
    pub fn answering(mut self, codes: &'static [i32]) -> Self {
        if let Gather::Command(command) = &mut self.gather {
            command.answers = codes;
        }
        self
    }

    /// Without root's rights an empty answer hides something.
    pub fn hidden_when_empty(mut self) -> Self {
        if let Gather::Command(command) = &mut self.gather {
            command.hidden_when_empty = true;
        }
        self
    }

    /// Another command where the ones before are not there or do not know their options.
    pub fn or(mut self, path: &'static str, argv: &[&str]) -> Self {
        if let Gather::Command(command) = &mut self.gather {
            command.variants.push(Variant { argv: owned(argv), path });
            self.what = format!("{}, else {}", self.what, argv.join(" "));
        }
        self
    }

    /// The rules in its output are counted under this name.
    pub fn counting_rules(mut self, name: &'static str) -> Self {
        if let Gather::Command(command) = &mut self.gather {
            command.count_rules = Some(name);
        }
        self
    }

    /// Bounded as the sentence says, for items that have their own way.
    pub fn bounded(mut self, bound: &str) -> Self {
        bound.clone_into(&mut self.bound);
        self
    }

    fn rebound(mut self) -> Self {
        self.bound = match &self.gather {
            Gather::Command(command) => format!("{} s, {}", command.time.as_secs(), megabytes(command.cap)),
            Gather::File(file) => megabytes(file.cap),
            Gather::Files(files) => format!("{} files, {} each", files.at_most, megabytes(files.cap)),
            Gather::Document(..) | Gather::Own(_) => self.bound,
        };
        self
    }
}

/// A command whose output goes to `path`.
pub fn command(id: &'static str, path: &'static str, argv: &[&str]) -> NodeItem {
    let command = Command {
        variants: vec![Variant { argv: owned(argv), path }],
        gate: None,
        time: COMMAND_TIME,
        cap: Cap::DEFAULT,
        answers: &[],
        edit: None,
        hidden_when_empty: false,
        count_rules: None,
    };
    item(id, argv.join(" "), Gather::Command(command)).rebound()
}

/// A file that goes to `path`.
pub fn file(id: &'static str, path: &'static str, source: &'static str) -> NodeItem {
    first_file(id, path, &[source])
}

/// The first of these files that is there.
pub fn first_file(id: &'static str, path: &'static str, sources: &[&'static str]) -> NodeItem {
    let file = File { sources: sources.to_vec(), path, cap: Cap::DEFAULT, edit: None };
    item(id, sources.join(", else "), Gather::File(file)).rebound()
}

/// Files found by name, each with a record of its own.
pub fn files(id: &'static str, patterns: &[&'static str], at_most: usize, place: fn(&str) -> String) -> NodeItem {
    let files = Files { patterns: patterns.to_vec(), place, at_most, cap: Cap::DEFAULT, edit: None };
    item(id, patterns.join(" "), Gather::Files(files)).rebound()
}

/// A document that the collector computes from what `what` names.
pub fn document(id: &'static str, path: &'static str, what: &str, compute: Compute) -> NodeItem {
    item(id, what.to_owned(), Gather::Document(path, compute)).bounded("10.0 MB")
}

/// An item that makes its records itself.
pub fn own(id: &'static str, what: &str, gather: fn(&Context<'_>, &PlanLine) -> anyhow::Result<()>) -> NodeItem {
    item(id, what.to_owned(), Gather::Own(gather))
}

fn item(id: &'static str, what: String, gather: Gather) -> NodeItem {
    NodeItem { id, what, cost: Cost::Trivial, bound: String::new(), gather }
}

fn owned(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&argument| argument.to_owned()).collect()
}

fn megabytes(cap: Cap) -> String {
    format!("{:.1} MB", cap.total() as f64 / 1e6)
}

//! Gathers one item: runs its command or reads its files, and says in its record what came of it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use bundle::manifest::{ItemStatus, Source};
use bundle::{ItemDraft, ItemEnd};
use jiff::Timestamp;

use super::Context;
use super::ending::{end_of, option_unknown, truncated};
use super::item::{Command, File, Files, Gather, NodeItem, Variant};
use super::root::{Opened, Refusal};
use crate::plan::PlanLine;
use crate::run::capped::{Cap, Capped};
use crate::run::command::{CommandError, find_program, run};
use crate::run::enter_root;
use crate::run::lazy::LazyItem;

/// Gathers an item. An error means that the bundle cannot be written; all else is said in records.
pub fn gather(context: &Context<'_>, item: &NodeItem) -> anyhow::Result<()> {
    let line = item.line(&context.scope);
    match &item.gather {
        Gather::Command(command) => by_command(context, &line, command),
        Gather::File(file) => by_file(context, &line, file),
        Gather::Files(files) => by_files(context, &line, files),
        Gather::Document(path, compute) => {
            let started = Timestamp::now();
            let draft = context.run.draft(&line, Source::Computed(line.what.clone()));
            match compute(context) {
                Ok(document) => {
                    let mut item = LazyItem::new(context.run, draft, context.path(path)).asked_at(started);
                    item.write_all(&document.bytes)?;
                    Ok(item.end(document.end)?)
                }
                Err(end) => {
                    context.run.record(draft, end, started);
                    Ok(())
                }
            }
        }
        Gather::Own(gather) => gather(context, &line),
    }
}

/// Writes content that is held whole.
pub fn put(context: &Context<'_>, draft: ItemDraft, path: &str, bytes: &[u8], end: ItemEnd) -> anyhow::Result<()> {
    let mut item = LazyItem::new(context.run, draft, context.path(path));
    item.write_all(bytes)?;
    Ok(item.end(end)?)
}

fn by_command(context: &Context<'_>, line: &PlanLine, command: &Command) -> anyhow::Result<()> {
    let started = Timestamp::now();
    let mut end = command.gate.map_or(Ok(()), |gate| gate(context.host)).err();
    let mut source = command.variants.first().map(|variant| variant.argv.clone()).unwrap_or_default();
    if end.is_none() {
        for variant in &command.variants {
            match by_variant(context, line, command, variant)? {
                None => return Ok(()),
                Some(why) => end = Some(why),
            }
            source.clone_from(&variant.argv);
        }
    }
    let end = end.unwrap_or_else(|| ItemEnd::because(ItemStatus::Error, "there is no way to ask for it"));
    context.run.record(context.run.draft(line, Source::Argv(source)), end, started);
    Ok(())
}

/// Runs one variant. `None` where it gave a record; otherwise why the next one is to be tried.
fn by_variant(
    context: &Context<'_>,
    line: &PlanLine,
    command: &Command,
    variant: &Variant,
) -> anyhow::Result<Option<ItemEnd>> {
    let argv = match runnable(context, &variant.argv) {
        Ok(argv) => argv,
        Err(end) => return Ok(Some(end)),
    };
    let draft = context.run.draft(line, Source::Argv(variant.argv.clone()));
    let item = LazyItem::new(context.run, draft, context.path(variant.path));
    let time = context.run.time_for(command.time);
    let cap = context.run.limits().cap(command.cap);
    let stopped = || context.run.stopped().is_some();

    let mut counted = command.count_rules.map(|_| super::iptables_counts::Counter::default());
    let (mut item, dropped, outcome) = if let Some(edit) = command.edit {
        let mut capped = Capped::new(Vec::new(), cap);
        let outcome = run(&argv, time, &stopped, &mut capped);
        let (bytes, dropped) = capped.finish()?;
        let mut item = item;
        match edit(&String::from_utf8_lossy(&bytes)) {
            Ok(text) => item.write_all(text.as_bytes())?,
            Err(why) => {
                item.end(ItemEnd::because(ItemStatus::Withheld, why))?;
                return Ok(None);
            }
        }
        (item, dropped, outcome)
    } else {
        let mut sink = Counting { out: Capped::new(item, cap), counter: counted.as_mut() };
        let outcome = run(&argv, time, &stopped, &mut sink);
        let (item, dropped) = sink.out.finish()?;
        (item, dropped, outcome)
    };
    let report = match outcome {
        Ok(report) => report,
        Err(CommandError::Start { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(tool_missing(&variant.argv)));
        }
        Err(CommandError::Start { program, source }) => {
            let status = super::root::status_of(&source);
            item.end(ItemEnd::because(status, format!("cannot start {program}: {source}")))?;
            return Ok(None);
        }
        Err(error @ CommandError::Output { .. }) => return Err(error.into()),
    };
    if !item.has_content() && option_unknown(&report) {
        let _ = item.give_up();
        let stderr = report.stderr_tail.unwrap_or_default();
        return Ok(Some(ItemEnd::because(
            ItemStatus::Unsupported,
            format!("this {} does not know it: {stderr}", variant.argv.join(" ")),
        )));
    }
    let mut end = end_of(context, &report, command.answers, item.has_content(), dropped);
    if command.hidden_when_empty && !context.host.privileged && end.status == ItemStatus::Ok && !item.has_content() {
        end = ItemEnd::because(ItemStatus::Forbidden, "it answers root alone, and others with nothing");
    }
    if let (Some(name), Some(counter)) = (command.count_rules, counted.take()) {
        context.counts().insert(name, counter.finish(end.status == ItemStatus::Ok || dropped > 0));
    }
    item.flush()?;
    item.end(end)?;
    Ok(None)
}

/// The argument vector that runs a tool of the host: its absolute path, below the host's root where that is not ours.
pub fn runnable(context: &Context<'_>, argv: &[String]) -> Result<Vec<String>, ItemEnd> {
    let root = &context.host.root;
    let [name, arguments @ ..] = argv else { return Err(tool_missing(argv)) };
    let program =
        if name.starts_with('/') { root.exists(name).then(|| name.clone()) } else { find_program(root.dir(), name) };
    let program = program.ok_or_else(|| tool_missing(argv))?;
    let mut runnable = Vec::new();
    if !root.is_own() {
        let dir = root.dir().to_string_lossy().into_owned();
        runnable.extend(["/proc/self/exe".to_owned(), enter_root::ARGUMENT.to_owned(), dir]);
    }
    runnable.push(program);
    runnable.extend_from_slice(arguments);
    Ok(runnable)
}

fn tool_missing(argv: &[String]) -> ItemEnd {
    let name = argv.first().map_or("", String::as_str);
    ItemEnd::because(ItemStatus::ToolMissing, format!("{name} is not installed on this host"))
}

fn by_file(context: &Context<'_>, line: &PlanLine, file: &File) -> anyhow::Result<()> {
    let mut missing = None;
    for source in &file.sources {
        match context.host.root.open(source) {
            Ok(opened) => {
                let draft = context.run.draft(line, Source::File((*source).to_owned()));
                return copy(context, draft, file.path, opened, file.cap, file.edit);
            }
            Err(refusal) => {
                let end = refusal.end();
                let absent = end.status == ItemStatus::Absent;
                missing.get_or_insert((*source, end.clone()));
                if !absent {
                    missing = Some((source, end));
                    break;
                }
            }
        }
    }
    if let Some((source, end)) = missing {
        context.run.record(context.run.draft(line, Source::File(source.to_owned())), end, Timestamp::now());
    }
    Ok(())
}

/// Copies an opened file into the bundle: head and tail where it is longer than its cap.
pub fn copy(
    context: &Context<'_>,
    draft: ItemDraft,
    path: &str,
    opened: Opened,
    cap: Cap,
    edit: Option<super::item::Edit>,
) -> anyhow::Result<()> {
    let link_target = opened.link_target.clone();
    let cap = context.run.limits().cap(cap);
    let mut item = LazyItem::new(context.run, draft, context.path(path));
    let read = match edit {
        None => {
            let mut capped = Capped::new(item, cap);
            let read = stream(opened, cap, &mut capped);
            let (inner, dropped) = capped.finish()?;
            item = inner;
            read.map(|()| dropped)
        }
        Some(edit) => {
            let mut capped = Capped::new(Vec::new(), cap);
            let read = stream(opened, cap, &mut capped);
            let (bytes, dropped) = capped.finish()?;
            match edit(&String::from_utf8_lossy(&bytes)) {
                Ok(text) => item.write_all(text.as_bytes())?,
                Err(why) => return Ok(item.end(ItemEnd::because(ItemStatus::Withheld, why))?),
            }
            read.map(|()| dropped)
        }
    };
    let mut end = match read {
        Ok(0) => ItemEnd::new(ItemStatus::Ok),
        Ok(dropped) => truncated(dropped),
        Err(Copying::Read(error)) => {
            ItemEnd::because(super::root::status_of(&error), format!("it could not be read: {error}"))
        }
        Err(Copying::Write(error)) => return Err(error.into()),
    };
    end.link_target = link_target;
    Ok(item.end(end)?)
}

/// What stopped a copy.
enum Copying {
    Read(io::Error),
    Write(io::Error),
}

/// Streams a file through a cap. The middle of a file that is far longer is skipped unread.
fn stream<W: Write>(mut opened: Opened, cap: Cap, out: &mut Capped<W>) -> Result<(), Copying> {
    let mut buffer = vec![0; 1 << 16];
    let mut position = 0_u64;
    let mut skipped = false;
    // A file that grows while it is read must end too.
    let until = opened.size.saturating_add(2 * cap.total());
    while position < until {
        let tail_begins = opened.size.saturating_sub(cap.tail);
        if !skipped && position >= cap.head && tail_begins > position {
            opened.file.seek(SeekFrom::Start(tail_begins)).map_err(Copying::Read)?;
            out.skip(tail_begins - position);
            position = tail_begins;
            skipped = true;
        }
        let n = match opened.file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Copying::Read(error)),
        };
        position += n as u64;
        out.write_all(buffer.get(..n).unwrap_or_default()).map_err(Copying::Write)?;
    }
    Ok(())
}

fn by_files(context: &Context<'_>, line: &PlanLine, files: &Files) -> anyhow::Result<()> {
    let started = Timestamp::now();
    let found = find(context, &files.patterns);
    let mut recorded = 0;
    for source in found.paths.iter().take(files.at_most) {
        if context.run.stopped().is_some() {
            break;
        }
        let draft = context.run.draft(line, Source::File(source.clone()));
        match context.host.root.open(source) {
            Ok(opened) => copy(context, draft, &(files.place)(source), opened, files.cap, files.edit)?,
            // A name that pointed at a folder is no file of ours; everything else is told.
            Err(Refusal::Special { kind: "a folder", .. }) => continue,
            Err(refusal) => context.run.record(draft, refusal.end(), Timestamp::now()),
        }
        recorded += 1;
    }
    for refusal in found.refused {
        let draft = context.run.draft(line, Source::File(refusal.0));
        context.run.record(draft, refusal.1, started);
        recorded += 1;
    }
    let left = found.paths.len().saturating_sub(files.at_most);
    if left > 0 {
        context.run.note_limit(line.id.as_str(), files.at_most.to_string(), format!("{left} more files were not read"));
    }
    if recorded == 0 && context.run.stopped().is_none() {
        let end = ItemEnd::because(ItemStatus::Absent, "none of these files is there");
        context.run.record(context.run.draft(line, Source::File(files.patterns.join(" "))), end, started);
    }
    Ok(())
}

/// What a list of patterns led to.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths of the host, in the patterns' order, each folder's sorted.
    pub paths: Vec<String>,
    /// Folders that could not be listed, but for those that are not there.
    pub refused: Vec<(String, ItemEnd)>,
}

/// Looks up patterns: a path as it is where it is there, or a folder and a `*` pattern of names in it.
pub fn find(context: &Context<'_>, patterns: &[&str]) -> Found {
    let mut found = Found::default();
    for pattern in patterns {
        let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        match context.host.root.names(if folder.is_empty() { "/" } else { folder }) {
            Ok(names) => {
                let matching = names.iter().filter(|candidate| matches(name, candidate));
                found.paths.extend(matching.map(|candidate| format!("{folder}/{candidate}")));
            }
            Err(refusal) => {
                let end = refusal.end();
                if end.status != ItemStatus::Absent && !found.refused.iter().any(|(path, _)| path == folder) {
                    found.refused.push((folder.to_owned(), end));
                }
            }
        }
    }
    found
}

/// Whether a name matches a pattern in which `*` stands for any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| matches(after, rest))
}

/// Shows everything to a counter before the cap sees it.
struct Counting<'a, W> {
    out: Capped<W>,
    counter: Option<&'a mut super::iptables_counts::Counter>,
}

impl<W: Write> Write for Counting<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(counter) = &mut self.counter {
            counter.push(bytes);
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

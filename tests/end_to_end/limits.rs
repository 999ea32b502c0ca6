//! Limits on a real host: what each cuts, what it says then, and that the host is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bundle::manifest::{Ended, ItemRecord, ItemStatus};
use bundle::{Bundle, Limits};
use tests::host::{Files, Host};
use tests::require;
use tests::require::{Missing, namespaces, program};

use super::host::Namespace;

/// A folder of its own with a bundle, on a small disk of its own where that is asked for.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `dossier-collect node` where `ip` is a script, and the bundle is written to a disk made by `disk`, a command
    /// of mount(8) without its target; the disk is copied to `disk/` when the run has ended.
    fn collect(&self, disk: &str, script: &str, arguments: &[&str]) -> Result<Output, Missing> {
        namespaces()?;
        let ip = program("ip")?;
        let slow = self.path("ip");
        fs::write(&slow, format!("#!/bin/sh\n{script}\n")).unwrap();
        let target = self.path("target");
        fs::create_dir(&target).unwrap();
        fs::create_dir(self.path("disk")).unwrap();
        let shell = format!(
            r#"chmod 755 "$1" && mount --bind "$1" "$2" && {disk} "$3" && shift 3 && export disk="$1" && shift; "$@"; code=$?
               cp -a {}/. "$disk"/ ; exit $code"#,
            target.display()
        );
        let mut command = Command::new(program("unshare")?);
        command.args(["--mount", "sh", "-c", &shell, "sh"]).args([&slow, &ip, &target]).arg(self.path("disk"));
        command.arg(tests::product::collector().get_program()).args(["node", "--node-name", "n1", "--out"]);
        command.arg(target.join("bundle.zip")).args(arguments).stdin(Stdio::null());
        Ok(command.output().unwrap())
    }

    fn bundle(&self) -> Bundle {
        let bundle = Bundle::open(&self.path("disk/bundle.zip"), Limits::default()).unwrap();
        assert_eq!(bundle::verify::verify(&bundle), []);
        assert_eq!(self.left(), ["bundle.zip"], "something was left beside the bundle");
        bundle
    }

    /// The names of what is left on the disk.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("disk")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const DISK: &str = "mount -t tmpfs -o size=300m dossier-test";
const LINK: &str = "node.ip.link";

fn item<'a>(bundle: &'a Bundle, id: &str) -> &'a ItemRecord {
    bundle.manifest().items.iter().find(|item| item.id == id).unwrap_or_else(|| panic!("no record of {id}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_disk_without_room_is_not_begun_on() {
    let place = Place::new();
    let output = require!(place.collect("mount -t tmpfs -o size=90m dossier-test", "echo '[]'", &[]));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    for word in ["target/bundle.zip", "--keep-free-mb", "--out"] {
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn a_disk_with_little_room_is_told_in_manifest_and_report() {
    let place = Place::new();
    let output = require!(place.collect("mount -t tmpfs -o size=190m dossier-test", "echo '[]'", &[]));
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    let bundle = place.bundle();
    assert_eq!(bundle.manifest().ended, Ended::Done);
    let hit = bundle.manifest().limits.iter().find(|hit| hit.limit == "keep-free-mb").expect("space is spoken of");
    let free: u64 = hit.value.split("only ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((150_000_000..200_000_000).contains(&free), "{hit:?}");
    let report = place.path("report");
    let mut analyzer = tests::product::analyzer();
    let analyzed = analyzer.arg("analyze").arg(place.path("disk/bundle.zip")).arg("--out").arg(&report);
    assert!(matches!(analyzed.output().unwrap().status.code(), Some(0..=2)));
    for file in ["report.md", "report.html", "findings.json"] {
        let text = fs::read_to_string(report.join(file)).unwrap();
        assert!(text.contains(&format!("only {free} were free when the run began")), "{file}");
    }
}

#[test]
fn a_disk_that_somebody_fills_ends_the_run_and_not_the_bundle() {
    let place = Place::new();
    // While one item is gathered, another program takes the room.
    let fill = format!("head -c 250m /dev/zero > {}/filler; echo '[]'", place.path("target").display());
    let output = require!(place.collect(DISK, &fill, &[]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    fs::remove_file(place.path("disk/filler")).unwrap();
    let bundle = place.bundle();
    assert_eq!(bundle.manifest().ended, Ended::Space);
    assert!(bundle.manifest().limits.iter().any(|hit| hit.limit == "keep-free-mb"), "{:?}", bundle.manifest().limits);
    let missing = bundle.manifest().items.iter().filter(|item| item.status == ItemStatus::NotReached);
    assert!(missing.count() > 20);
}

#[test]
fn a_full_disk_still_holds_a_valid_bundle() {
    let place = Place::new();
    let disk = "mount -t tmpfs -o size=3m dossier-test";
    // Eight megabytes that do not compress.
    let output = require!(place.collect(disk, "head -c 8m /dev/urandom | base64", &["--keep-free-mb", "0"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let bundle = place.bundle();
    assert_eq!(bundle.manifest().ended, Ended::Space);
    let link = item(&bundle, LINK);
    assert_eq!(link.status, ItemStatus::Error, "{link:?}");
    assert!(link.reason.as_ref().is_some_and(|reason| reason.contains("No space left")), "{link:?}");
    assert!(bundle.manifest().items.iter().any(|item| item.status == ItemStatus::Ok));
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let place = Place::new();
    let output = require!(place.collect("mount -t tmpfs -o size=300m,ro dossier-test", "echo '[]'", &[]));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    for word in ["target/bundle.zip", "Read-only", "--out"] {
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn each_limit_says_what_it_cut() {
    let noise = "head -c 3m /dev/zero | tr '\\0' x | fold -w 100";
    let place = Place::new();
    let output = require!(place.collect(DISK, noise, &["--item-mb", "1"]));
    let bundle = place.bundle();
    let link = item(&bundle, LINK);
    assert_eq!(link.status, ItemStatus::Truncated, "{link:?}");
    assert!((990_000..1_001_000).contains(&link.bytes) && link.bytes_dropped > 2_000_000, "{link:?}");
    assert!(matches!(output.status.code(), Some(0 | 2)));

    let place = Place::new();
    let output = require!(place.collect(DISK, noise, &["--node-mb", "5"]));
    let bundle = place.bundle();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(bundle.manifest().ended, Ended::Done, "the run goes on where there is more than a node");
    assert!(bundle.manifest().limits.iter().any(|hit| hit.limit == "node-mb"), "{:?}", bundle.manifest().limits);
    let items = &bundle.manifest().items;
    let kept: u64 = items.iter().map(|item| item.bytes).sum();
    assert!((5_000_000..20_000_000).contains(&kept), "{kept}");
    let cut = items.iter().filter(|item| item.reason.as_ref().is_some_and(|reason| reason.contains("--node-mb")));
    assert!(cut.count() > 20);

    let place = Place::new();
    let output = require!(place.collect(DISK, "head -c 3m /dev/urandom | base64", &["--bundle-mb", "2"]));
    let bundle = place.bundle();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(bundle.manifest().ended, Ended::Space);
    assert!(bundle.manifest().limits.iter().any(|hit| hit.limit == "bundle-mb"), "{:?}", bundle.manifest().limits);

    let place = Place::new();
    let output = require!(place.collect(DISK, "echo '[]'; exec sleep 61.0471", &["--item-seconds", "1"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let bundle = place.bundle();
    assert_eq!(item(&bundle, LINK).status, ItemStatus::Timeout, "{:?}", item(&bundle, LINK));
    assert_eq!(item(&bundle, "node.system.uname").status, ItemStatus::Ok);
}

#[test]
fn commands_run_behind_everything_else() {
    let place = Place::new();
    require!(program("ionice"));
    let script = "echo nice $(cut -d' ' -f19 /proc/$$/stat) >&2; ionice -p $$ >&2; exit 7";
    require!(place.collect(DISK, script, &[]));
    let bundle = place.bundle();
    let said = item(&bundle, LINK).stderr_tail.clone().unwrap_or_default();
    assert_eq!(said, "nice 19\nidle");
}

#[test]
fn heavy_items_come_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let plan = |arguments: &[&str]| {
        let output = tests::product::collector().args(["node", "--plan"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(plan(&[]).contains(" 0 heavy") && plan(&["--deep"]).contains(" 5 heavy"), "{}", plan(&["--deep"]));
    let path = folder.path().join("deep.zip");
    let run = tests::product::collector().args(["node", "--deep", "--out"]).arg(&path).output().unwrap();
    assert!(matches!(run.status.code(), Some(0 | 2)), "{run:?}");
    let bundle = Bundle::open(&path, Limits::default()).unwrap();
    assert_eq!(bundle::verify::verify(&bundle), []);
    for id in ["conntrack.table", "sock.ss", "ip.link-statistics", "system.sysctl-all", "log.journal-boot"] {
        let item = item(&bundle, &format!("node.{id}"));
        assert!(item.path.is_some() || item.reason.is_some() || item.status == ItemStatus::Empty, "{item:?}");
        assert!(!item.reason.as_deref().unwrap_or_default().contains("a defect"), "{item:?}");
    }
}

/// What a host is, as far as a collector could change it: files with size, mode, owner and time, modules, units, processes.
fn state(host: &Host) -> BTreeMap<String, Vec<u8>> {
    let find = "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -path /var/log -prune -o \
                -path /run/systemd/journal -prune -o -path /run/log -prune -o -path /root/out -prune -o -printf '%p %y %m %U %G %s %T@ %l\\n' | sort";
    let all_of_run = "find /run /etc /usr /var /tmp -not -path '/var/log/*' -not -path '/run/systemd/journal/*' -not -path '/run/log/*' -printf '%p %y %m %s\\n' | sort";
    let commands = [
        ("files", find),
        ("files of all mounts", all_of_run),
        ("modules", "cut -d' ' -f1,3 /proc/modules | sort"),
        ("tables", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names"),
        ("units", "systemctl list-units --all --plain --no-legend --no-pager | awk '{print $1, $2, $3, $4}' | sort"),
        ("unit files", "systemctl list-unit-files --no-legend --no-pager"),
        ("processes", "ps -eo pid,comm | grep -v -e ' ps$' -e ' sh$' -e ' grep$' -e ' sort$'"),
        ("sockets", "cat /proc/net/unix | awk '{print $8}' | sort -u"),
        ("links", "ip -o link; ip -o addr; ip route show table all; ip rule"),
        (
            "settings",
            "sysctl -a 2>/dev/null | grep -v -e random -e nr -e count -e last_pid -e stat -e epoch -e 'fs.*state' -e used | sort",
        ),
    ];
    commands
        .into_iter()
        .map(|(name, command)| (name.to_owned(), host.output(&["sh", "-c", command]).unwrap_or_default()))
        .collect()
}

#[test]
fn the_host_is_as_it_was() {
    let image = require!(Host::image());
    let network = Namespace::create("as-it-was");
    let files = Files::new("as-it-was").unwrap();
    files.copy(Path::new(tests::product::collector().get_program()), "usr/local/bin/dossier-collect").unwrap();
    let host = Host::boot("as-it-was", &network.0, &image, files).unwrap();
    host.output(&["mkdir", "/root/out"]).unwrap();
    // ufw makes this empty file whenever anybody asks it for its status; here nobody has since the host was started.
    host.output(&["ufw", "status"]).unwrap();
    // What only the first look changes (caches, units that come up) is no doing of the collector.
    state(&host);
    let before = state(&host);
    let run = host.command("dossier-collect").args(["node", "--out", "/root/out/bundle.zip"]).output().unwrap();
    assert!(matches!(run.status.code(), Some(0 | 2)), "{run:?}");
    let after = state(&host);
    let mut changed = Vec::new();
    for (what, before) in &before {
        let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(&after[what]));
        assert!(!before.is_empty() || what == "modules" || what == "tables", "{what} tells nothing");
        let gone: Vec<&str> = before.lines().filter(|line| !after.lines().any(|other| other == *line)).collect();
        let new: Vec<&str> = after.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
        if !gone.is_empty() || !new.is_empty() {
            changed.push(format!("{what}\n- {gone:?}\n+ {new:?}"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    assert_eq!(host.output(&["ls", "-A", "/root/out"]).unwrap(), b"bundle.zip\n");
}

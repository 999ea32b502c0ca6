//! Items of system/: identity, clocks, load, kernel settings, processes, units.

use bundle::ItemEnd;
use bundle::manifest::{Clock, Host as HostNote, ItemStatus};
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::host::Host;
use super::item::{Document, NodeItem, command, document, file, own};
use super::units::systemd;
use super::{Context, json, kubelet, secrets, sys_class_net, sysctl, units};

/// Programs that keep a clock right, as the kernel cuts their names.
const TIME_KEEPERS: [&str; 8] =
    ["chronyd", "ntpd", "ntpd-rs", "openntpd", "systemd-timesyn", "ptp4l", "phc2sys", "VBoxService"];

/// The items.
pub fn items() -> Vec<NodeItem> {
    let mut items = identity();
    items.extend(clocks());
    items.extend(pressure());
    items.extend([
        document(
            "node.sysctl",
            "system/sysctl.txt",
            "/proc/sys/net/**, and settings of kernel, vm, fs, user that bear on networking",
            sysctl::settings,
        )
        .bounded("200000 settings"),
        document(
            "node.sysctl-files.index",
            "system/sysctl-files.json",
            "names in /etc/sysctl.d, /run/sysctl.d, /usr/local/lib/sysctl.d, /usr/lib/sysctl.d, /lib/sysctl.d",
            sysctl::index,
        ),
        own(
            "node.sysctl-files",
            "/etc/sysctl.conf, /etc/ufw/sysctl.conf, {/etc,/run,/usr/local/lib,/usr/lib,/lib}/sysctl.d/*.conf",
            sysctl::files,
        )
        .bounded("300 files, 10.0 MB each"),
        // No arguments: they hold secrets.
        command("node.ps", "system/ps.txt", &["ps", "-eo", "pid,ppid,user,nice,stat,rss,vsz,etimes,wchan:20,comm"]),
        document("node.ps.executables", "system/executables.json", "/proc/PID/exe", executables),
    ]);
    items.extend(units::items());
    items
}

fn identity() -> Vec<NodeItem> {
    vec![
        file("node.system.os-release", "system/os-release", "/etc/os-release"),
        file("node.system.proc-version", "system/proc-version", "/proc/version"),
        command("node.system.uname", "system/uname.txt", &["uname", "-a"]),
        file("node.system.cmdline", "system/cmdline", "/proc/cmdline")
            .edited(|text| Ok(secrets::mask_arguments(text.trim_end().split(' ')).join(" ") + "\n")),
        file("node.system.hostname", "system/hostname", "/proc/sys/kernel/hostname"),
        file("node.system.etc-hostname", "system/etc-hostname", "/etc/hostname"),
        document("node.system.machine-id", "system/machine-id.json", "SHA-256 of /etc/machine-id", |context| {
            let sha256 = machine_id(context.host)?;
            Ok(json(&serde_json::json!({ "sha256": sha256 }), None))
        }),
        file("node.system.modules", "system/modules", "/proc/modules"),
    ]
}

fn clocks() -> Vec<NodeItem> {
    vec![
        document("node.time.clock", "system/clock.json", "the clocks, /etc/localtime", clock),
        command("node.time.timedatectl", "system/timedatectl.txt", &["timedatectl", "show", "--no-pager"])
            .only_where("systemd-timedated runs", timedated),
        command("node.time.chrony", "system/chrony.txt", &["chronyc", "-n", "tracking"])
            .only_where("chronyd runs", chronyd),
    ]
}

fn pressure() -> Vec<NodeItem> {
    let mut items = vec![];
    for (id, path, source) in [
        ("node.system.uptime", "system/uptime", "/proc/uptime"),
        ("node.system.loadavg", "system/loadavg", "/proc/loadavg"),
        ("node.system.meminfo", "system/meminfo", "/proc/meminfo"),
        ("node.system.stat", "system/stat", "/proc/stat"),
        ("node.system.vmstat", "system/vmstat", "/proc/vmstat"),
        ("node.system.interrupts", "system/interrupts", "/proc/interrupts"),
        ("node.system.softirqs", "system/softirqs", "/proc/softirqs"),
        ("node.system.pressure-cpu", "system/pressure-cpu", "/proc/pressure/cpu"),
        ("node.system.pressure-io", "system/pressure-io", "/proc/pressure/io"),
        ("node.system.pressure-memory", "system/pressure-memory", "/proc/pressure/memory"),
    ] {
        items.push(file(id, path, source));
    }
    items.extend([
        // Local file systems alone: a dead NFS server would hold df(1) in the kernel. 1: one of them could not be read.
        command("node.system.df", "system/df.txt", &["df", "-P", "-l"]).within(5).answering(&[1]),
        command("node.system.df-inodes", "system/df-inodes.txt", &["df", "-i", "-P", "-l"]).within(5).answering(&[1]),
    ]);
    items
}

/// timedatectl asks over D-Bus, which would start systemd-timedated; system/clock.json tells most of what it knows.
fn timedated(host: &Host) -> Result<(), ItemEnd> {
    systemd(host)?;
    // The kernel cuts the name to 15 bytes.
    if host.runs("systemd-timedat") {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Absent, "systemd-timedated does not run, and asking would start it"))
}

fn chronyd(host: &Host) -> Result<(), ItemEnd> {
    if host.runs("chronyd") {
        return Ok(());
    }
    Err(ItemEnd::because(ItemStatus::Absent, "chronyd does not run on this host"))
}

/// The machine-id itself is confidential (machine-id(5)); its hash serves to know the machine again.
fn machine_id(host: &Host) -> Result<String, ItemEnd> {
    let id = host.root.read("/etc/machine-id", 100).map_err(|refusal| refusal.end())?;
    match id.trim() {
        "" | "uninitialized" => Err(ItemEnd::because(ItemStatus::Empty, "/etc/machine-id holds no id")),
        id => Ok(bundle::sha256(id.as_bytes())),
    }
}

/// system/clock.json.
fn clock(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let now = jiff::Zoned::now();
    let zone = std::fs::read_link(context.host.root.at("/etc/localtime")).ok();
    let zone = zone.and_then(|link| link.to_str()?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned()));
    let root = &context.host.root;
    // systemd-timesyncd(8) touches this file whenever it has set the clock.
    let synchronized = std::fs::metadata(root.at("/run/systemd/timesync/synchronized"));
    let synchronized = synchronized.and_then(|meta| meta.modified()).ok().and_then(|at| Timestamp::try_from(at).ok());
    let keepers: Vec<&str> = TIME_KEEPERS.into_iter().filter(|comm| context.host.runs(comm)).collect();
    let whole = serde_json::json!({
        "timesyncd_synchronized": synchronized.map(|at| at.to_string()),
        "time_keepers": keepers,
        "utc": Timestamp::now().to_string(),
        "boottime_seconds": seconds(ClockId::Boottime),
        "monotonic_seconds": seconds(ClockId::Monotonic),
        "utc_offset_seconds": now.offset().seconds(),
        "time_zone": zone,
    });
    Ok(json(&whole, None))
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// system/executables.json: programs by which security software is known.
fn executables(context: &Context<'_>) -> Result<Document, ItemEnd> {
    let programs: Vec<_> = context
        .host
        .processes()
        .iter()
        .filter_map(|process| {
            let exe = kubelet::exe(&context.host.root, process.pid)?;
            Some(serde_json::json!({ "pid": process.pid, "comm": process.comm, "exe": exe }))
        })
        .collect();
    if programs.is_empty() {
        return Err(ItemEnd::because(
            ItemStatus::Forbidden,
            "the programs of other users' processes are hidden from us",
        ));
    }
    let reason = (!context.host.privileged).then(|| "programs of other users' processes are hidden from us".to_owned());
    Ok(json(&programs, reason))
}

/// What the manifest says of the host itself.
pub fn note(context: &Context<'_>) {
    let uname = rustix::system::uname();
    let architecture = match uname.machine().to_string_lossy().as_ref() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    context.run.note_host(HostNote {
        node: context.host.name.clone(),
        hostname: uname.nodename().to_string_lossy().into_owned(),
        machine_id_sha256: machine_id(context.host).ok(),
        addresses: sys_class_net::addresses(&context.host.root),
        platform: format!("linux/{architecture}"),
        privileged: context.host.privileged,
    });
    context.run.note_clock(Clock {
        scope: context.scope.clone(),
        utc: Timestamp::now(),
        ahead_seconds: None,
        uncertainty_seconds: None,
        boot_seconds: Some(seconds(ClockId::Boottime)),
    });
}

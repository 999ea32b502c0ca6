//! firewalld: what `firewall-cmd --list-all-zones` prints.

use std::sync::Arc;

use crate::source::{Cited, Origin, numbered_lines};

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: Box<str>,
    /// Whether an interface or a source is bound to it.
    pub active: bool,
    /// Its settings in order: name, values, and where they stand.
    pub settings: Vec<Setting>,
    /// Where the zone begins.
    pub cited: Cited,
}

/// One setting of a zone, such as `ports: 10250/tcp 8472/udp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: Box<str>,
    /// Its values; of `rich rules` and `forward-ports`, one each line.
    pub values: Vec<Box<str>>,
    /// Where it stands.
    pub cited: Cited,
}

impl Zone {
    /// The values of a setting.
    pub fn values(&self, name: &str) -> &[Box<str>] {
        self.settings.iter().find(|setting| &*setting.name == name).map(|s| s.values.as_slice()).unwrap_or_default()
    }

    /// What happens to packets that nothing allows: `default`, `ACCEPT`, `%%REJECT%%`, `DROP`.
    pub fn target(&self) -> Option<&str> {
        self.values("target").first().map(|target| &**target)
    }
}

/// Reads the zones; a message such as `FirewallD is not running` gives none.
pub fn parse_zones(file: &str, bytes: &[u8]) -> Vec<Zone> {
    let file: Arc<str> = Arc::from(file);
    let mut zones: Vec<Zone> = Vec::new();
    for (number, line) in numbered_lines(&String::from_utf8_lossy(bytes)) {
        let cited = || Cited { origin: Origin::line(&file, number), text: line.to_owned() };
        if line.trim().is_empty() {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            // A zone's name stands alone, with or without a remark in parentheses.
            let (name, remark) = line.split_once(' ').unwrap_or((line, ""));
            if remark.is_empty() || remark.starts_with('(') {
                let active = remark.contains("active");
                zones.push(Zone { name: name.into(), active, settings: Vec::new(), cited: cited() });
            }
            continue;
        }
        let Some(zone) = zones.last_mut() else { continue };
        match line.trim().split_once(':').filter(|_| !line.starts_with('\t')) {
            Some((name, values)) => {
                let values = values.split_whitespace().map(Box::from).collect();
                zone.settings.push(Setting { name: name.into(), values, cited: cited() });
            }
            // Long values go on in lines of their own.
            None => {
                if let Some(setting) = zone.settings.last_mut() {
                    setting.values.push(line.trim().into());
                }
            }
        }
    }
    zones
}

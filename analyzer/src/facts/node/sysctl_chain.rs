//! The sysctl.d chain as rule expressions see it.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use super::sysctl_files::{Assignment, Standing, SysctlFiles};
use super::{cited_line, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// The fact of a node's chain. `complete` says whether every file of the listing could be read.
pub fn value(chain: &Arc<SysctlFiles>, citation: Citation, complete: bool) -> Value {
    let file = |(file, standing): &(super::sysctl_files::ConfFile, Standing)| {
        let path: Arc<str> = file.path.clone().unwrap_or_else(|| citation.path.clone());
        let text = format!("{}: {}", file.host_path, describe(standing));
        Record::cited(Citation::whole(&path, &text))
            .with("path", file.host_path.as_str())
            .with("link", opt(file.link.clone()))
            .with("read", *standing == Standing::Read)
            .with("standing", describe(standing))
            .into_value()
    };
    let files: Vec<Value> = chain.files.iter().map(file).collect();
    Record::cited(citation.clone())
        .with("at_boot", Value::from_object(Settings { chain: chain.clone(), by: By::Boot }))
        .with("by_procps", Value::from_object(Settings { chain: chain.clone(), by: By::Procps }))
        .with("files", files)
        .with("unreadable", chain.unreadable.iter().map(cited_line).collect::<Vec<_>>())
        .with("complete", complete)
        .into_value()
}

fn describe(standing: &Standing) -> String {
    match standing {
        Standing::Read => "read at boot".to_owned(),
        Standing::Replaced(by) => format!("replaced by {by}"),
        Standing::Mask => "masks files of its name".to_owned(),
        Standing::Linked(link) => format!("read at boot through {link}"),
        Standing::Ufw => "written by ufw when it starts, after the others".to_owned(),
        Standing::NotAtBoot => "not read at boot, only by sysctl --system or sysctl -p".to_owned(),
        Standing::NotConf => "not read, its name does not end in .conf".to_owned(),
    }
}

#[derive(Debug, Clone, Copy)]
enum By {
    Boot,
    Procps,
}

/// The map `key -> setting`; a setting is worked out when it is asked for, because a glob may set any key.
#[derive(Debug)]
struct Settings {
    chain: Arc<SysctlFiles>,
    by: By,
}

impl Object for Settings {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let deciding = match self.by {
            By::Boot => self.chain.at_boot(key),
            By::Procps => self.chain.by_procps(key),
        }?;
        Some(setting(&self.chain, key, deciding))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

fn setting(chain: &SysctlFiles, key: &str, deciding: &Assignment) -> Value {
    let others = chain.assignments_of(key).into_iter().filter(|other| other.citation != deciding.citation);
    let value = deciding.value.clone().unwrap_or_default();
    Record::cited(deciding.citation.clone())
        .with("key", key)
        .with("number", opt(value.parse::<i64>().ok()))
        .with("value", value)
        .with("file", deciding.file.as_str())
        .with("line", opt(deciding.citation.line))
        .with("glob", deciding.is_glob())
        .with("others", others.map(|other| cited_line(&other.citation)).collect::<Vec<_>>())
        .into_value()
}

/// The fields of a setting.
pub static SETTING: RecordShape = RecordShape {
    name: "sysctl setting",
    doc: "What the files of the chain give a sysctl, and the line that decides it.",
    fields: &[
        Field { name: "key", shape: Shape::Scalar, doc: "The sysctl's name." },
        Field { name: "value", shape: Shape::Scalar, doc: "The value, as text." },
        Field {
            name: "number",
            shape: Shape::Scalar,
            doc: "The value, where it is one whole number; otherwise undefined.",
        },
        Field { name: "file", shape: Shape::Scalar, doc: "The file on the host." },
        Field { name: "line", shape: Shape::Scalar, doc: "The line in it." },
        Field { name: "glob", shape: Shape::Scalar, doc: "Whether the line sets it through a glob." },
        Field {
            name: "others",
            shape: Shape::List(&Shape::Record(&super::CITED_LINE)),
            doc: "Other lines that would set it, and lose.",
        },
    ],
};

/// The fields of a file of the chain.
pub static SYSCTL_FILE: RecordShape = RecordShape {
    name: "sysctl file",
    doc: "A file of the sysctl.d chain.",
    fields: &[
        Field { name: "path", shape: Shape::Scalar, doc: "Its path on the host." },
        Field { name: "link", shape: Shape::Scalar, doc: "Where it leads, where it is a symbolic link." },
        Field { name: "read", shape: Shape::Scalar, doc: "Whether systemd-sysctl reads it at boot." },
        Field { name: "standing", shape: Shape::Scalar, doc: "What becomes of it, in words." },
    ],
};

/// The fields of the chain.
pub static SYSCTL_FILES: RecordShape = RecordShape {
    name: "sysctl files",
    doc: "The sysctl.d chain of a node, computed in the order of systemd-sysctl.",
    fields: &[
        Field {
            name: "at_boot",
            shape: Shape::Map(&Shape::Record(&SETTING)),
            doc: "By sysctl name: what systemd-sysctl sets at boot. net.ipv4.ip_forward and net.ipv4.conf.all.forwarding are one.",
        },
        Field {
            name: "by_procps",
            shape: Shape::Map(&Shape::Record(&SETTING)),
            doc: "By sysctl name: what `sysctl --system` would set, which reads /etc/sysctl.conf too.",
        },
        Field {
            name: "files",
            shape: Shape::List(&Shape::Record(&SYSCTL_FILE)),
            doc: "All files, those that are read first.",
        },
        Field {
            name: "unreadable",
            shape: Shape::List(&Shape::Record(&super::CITED_LINE)),
            doc: "Lines that are no assignment.",
        },
        Field { name: "complete", shape: Shape::Scalar, doc: "Whether every file of the chain could be read." },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;
    use crate::facts::node::sysctl_files::{ConfFile, chain};

    #[test]
    fn a_setting_names_its_line_and_the_lines_that_lose() {
        let file = |host_path: &str, text: &str| ConfFile {
            host_path: host_path.into(),
            link: None,
            path: Some(Arc::from(host_path)),
            bytes: text.as_bytes().to_vec(),
        };
        let files = vec![
            file("/etc/sysctl.d/10-k8s.conf", "# for kubernetes\nnet.ipv4.ip_forward = 1\nodd line\n"),
            file("/etc/sysctl.d/60-cis.conf", "net.ipv4.ip_forward = 0\n"),
        ];
        let fact = value(&Arc::new(chain(files, false)), Citation::whole(&"index".into(), ""), true);
        let at_boot = fact.get_attr("at_boot").unwrap();
        let setting = at_boot.get_item(&Value::from("net.ipv4.ip_forward")).unwrap();
        assert_eq!(setting.get_attr("number").unwrap(), Value::from(0));
        assert_eq!(setting.get_attr("file").unwrap(), Value::from("/etc/sysctl.d/60-cis.conf"));
        let others = setting.get_attr("others").unwrap();
        assert_eq!(crate::fact::citations(&others)[0].line, Some(2));
        assert!(at_boot.get_item(&Value::from("net.core.somaxconn")).unwrap().is_undefined());
        assert_shape(&setting, &Shape::Record(&SETTING));
        for list in ["files", "unreadable"] {
            let shape = SYSCTL_FILES.field(list).unwrap().shape;
            assert_shape(&fact.get_attr(list).unwrap(), &shape);
        }
        let names: Vec<String> = fact.try_iter().unwrap().map(|name| name.to_string()).collect();
        assert_eq!(names, SYSCTL_FILES.fields.iter().map(|field| field.name).collect::<Vec<_>>());
    }
}

//! What the sender says is broken, as a command line gives it: `from=…,to=…,error=…`, or `@FILE`.
//!
//! Both programs take it in this form. A field ends where the next one begins, so that the text of an error keeps its
//! commas and its lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use crate::manifest::Symptom;

/// The fields, each with what it says, in the order in which they are shown.
pub const FIELDS: [(&str, &str); 11] = [
    ("from", "where the traffic comes from: pod/NS/NAME, node/NAME, an address"),
    ("to", "where it should arrive: pod/NS/NAME:PORT, service/NS/NAME:PORT, a name or an address with its port"),
    ("error", "the error's text as it was seen, the whole of it"),
    ("class", "what kind of thing fails: dns, pod-to-pod, egress, ingress, logs-exec, sandbox"),
    ("since", "since when"),
    ("frequency", "always, sometimes, how often"),
    ("change", "what was changed last"),
    ("provider", "whose Kubernetes it is"),
    ("cluster", "which cluster, as its provider names it"),
    ("port", "the port and protocol, where `to` does not say"),
    ("note", "anything else"),
];

/// The longest file that is read.
const LONGEST: u64 = 64 << 10;

/// Why what was given is no symptom.
#[derive(Debug, thiserror::Error)]
pub enum SymptomError {
    /// It does not begin with a field.
    #[error(
        "`{0}` does not begin with a field: write FIELD=TEXT, or @FILE with such lines; the fields are {fields}",
        fields = names()
    )]
    NoField(String),
    /// A name or an address has a comma in it.
    #[error("`{field}={value}` has a comma: one of {fields} should follow it", fields = names())]
    Comma {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A field stands there twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system said, or what is wrong with it.
        reason: String,
    },
}

fn names() -> String {
    FIELDS.map(|(name, _)| name).join(", ")
}

impl Symptom {
    /// Reads what a command line gives: fields, or `@` and the name of a file of fields.
    pub fn from_argument(argument: &str) -> Result<Symptom, SymptomError> {
        match argument.strip_prefix('@') {
            Some(path) => Symptom::in_file(&read(path)?),
            None => Symptom::inline(argument),
        }
    }

    /// Reads `field=text,field=text`. A comma ends a text where the name of a field and `=` follow it.
    pub fn inline(text: &str) -> Result<Symptom, SymptomError> {
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        for part in text.split(',') {
            let begins = field(part, &['=']);
            if let Some((name, value)) = begins.filter(|(name, _)| is_new(&fields, name)) {
                fields.push((name, value.to_owned()));
                continue;
            }
            match (begins, fields.last_mut()) {
                (Some((name, _)), Some((last, _))) if *last != "error" => return Err(SymptomError::Twice(name)),
                (_, Some((_, value))) => {
                    value.push(',');
                    value.push_str(part);
                }
                (_, None) => return Err(SymptomError::NoField(clipped(text))),
            }
        }
        Symptom::of(fields)
    }

    /// Reads lines `field=text` or `field: text`. A line that begins with no new field continues the text before it;
    /// lines before the first field that are empty or begin with `#` are passed over.
    pub fn in_file(text: &str) -> Result<Symptom, SymptomError> {
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            if let Some((name, value)) = field(line, &['=', ':']).filter(|(name, _)| is_new(&fields, name)) {
                fields.push((name, value.to_owned()));
                continue;
            }
            match fields.last_mut() {
                Some((_, value)) => {
                    value.push('\n');
                    value.push_str(line);
                }
                None if line.trim().is_empty() || line.starts_with('#') => {}
                None => return Err(SymptomError::NoField(clipped(line))),
            }
        }
        match fields.is_empty() {
            true => Err(SymptomError::NoField(String::new())),
            false => Symptom::of(fields),
        }
    }

    fn of(fields: Vec<(&'static str, String)>) -> Result<Symptom, SymptomError> {
        let mut symptom = Symptom::default();
        for (name, value) in fields {
            let value = value.trim().to_owned();
            match name {
                "from" | "to" if value.contains(',') => return Err(SymptomError::Comma { field: name, value }),
                _ if value.is_empty() => {}
                "from" => symptom.from = Some(value),
                "to" => symptom.to = Some(value),
                "error" => symptom.error = Some(value),
                _ => {
                    symptom.other.insert(name.to_owned(), value);
                }
            }
        }
        Ok(symptom)
    }

    /// The fields that were given, in the order of [`FIELDS`], then those that only another version knows.
    pub fn fields(&self) -> Vec<(&str, &str)> {
        let mut rest: BTreeMap<&str, &str> = self.other.iter().map(|(name, text)| (&**name, &**text)).collect();
        let main = [("from", &self.from), ("to", &self.to), ("error", &self.error)];
        let mut fields: Vec<(&str, &str)> =
            main.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).collect();
        fields.extend(FIELDS.iter().filter_map(|(name, _)| Some((*name, rest.remove(name)?))));
        fields.extend(rest);
        fields
    }
}

fn is_new(fields: &[(&'static str, String)], name: &str) -> bool {
    fields.iter().all(|(known, _)| *known != name)
}

/// The field with which a piece begins, and the text behind its sign.
fn field<'t>(piece: &'t str, signs: &[char]) -> Option<(&'static str, &'t str)> {
    let piece = piece.trim_start();
    let (name, _) = FIELDS
        .iter()
        .find(|(name, _)| piece.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(signs)))?;
    let rest = piece.strip_prefix(name)?.trim_start();
    Some((name, rest.get(1..)?))
}

fn read(path: &str) -> Result<String, SymptomError> {
    let failed = |reason: String| SymptomError::File { path: path.to_owned(), reason };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(failed(format!("it is longer than {} KiB; keep the lines that say what fails", LONGEST >> 10)));
    }
    Ok(text)
}

fn clipped(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_commas() {
        let symptom = Symptom::inline(
            "from=pod/shop/web-1, to = service/shop/db:5432,error=dial tcp 10.0.0.9:5432: i/o timeout, after 3 tries,since=09:10, UTC",
        )
        .unwrap();
        assert_eq!(symptom.from.as_deref(), Some("pod/shop/web-1"));
        assert_eq!(symptom.to.as_deref(), Some("service/shop/db:5432"));
        assert_eq!(symptom.error.as_deref(), Some("dial tcp 10.0.0.9:5432: i/o timeout, after 3 tries"));
        assert_eq!(symptom.other.get("since").map(String::as_str), Some("09:10, UTC"));
        let names: Vec<&str> = symptom.fields().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["from", "to", "error", "since"]);
    }

    #[test]
    fn what_is_no_field_is_said() {
        let said = |text: &str| Symptom::inline(text).unwrap_err().to_string();
        assert!(said("eror=x").contains("does not begin with a field"), "{}", said("eror=x"));
        assert!(said("from=a,eror=x").contains("has a comma"), "{}", said("from=a,eror=x"));
        assert!(said("from=a,from=b").contains("given twice"));
        assert!(said("").contains("does not begin"));
    }

    #[test]
    fn a_file_has_a_field_a_line_and_texts_of_several_lines() {
        let text =
            "# what we see\n\nfrom: node/n1\nerror=Error from server:\nerror: dialing backend, EOF\n\nsince: now\n";
        let symptom = Symptom::in_file(text).unwrap();
        assert_eq!(symptom.from.as_deref(), Some("node/n1"));
        assert_eq!(symptom.error.as_deref(), Some("Error from server:\nerror: dialing backend, EOF"));
        assert_eq!(symptom.other.get("since").map(String::as_str), Some("now"));
        assert!(Symptom::in_file("it does not work").is_err());
        assert!(Symptom::in_file("# nothing\n").is_err());
    }

    #[test]
    fn files_are_bounded_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        std::fs::write(&path, "error=".to_owned() + &"x".repeat(70_000)).unwrap();
        let argument = format!("@{}", path.display());
        let said = Symptom::from_argument(&argument).unwrap_err().to_string();
        assert!(said.contains("64 KiB") && said.contains("long"), "{said}");
        assert!(Symptom::from_argument("@/no/such").unwrap_err().to_string().contains("/no/such"));
    }
}

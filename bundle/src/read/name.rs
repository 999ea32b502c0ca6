//! Which names an entry may have. A bundle is never extracted by this program, but others unpack it, and a name that
//! means two things to two programs is a lie.

use crate::limits::Limits;

/// Says what is wrong with the name of an entry, `/` between its folders.
pub(crate) fn check(name: &str, limits: &Limits) -> Result<(), String> {
    if name.len() > limits.name {
        return Err(format!("has a name of {} bytes; the bound is {}", name.len(), limits.name));
    }
    if let Some(bad) = name.chars().find(|c| c.is_control()) {
        return Err(format!("has the control character U+{:04X} in its name", u32::from(bad)));
    }
    if name.contains('\\') {
        return Err("has a backslash in its name, which some systems take for a folder".to_owned());
    }
    if name.starts_with('/') {
        return Err("has an absolute path for a name".to_owned());
    }
    if is_drive(name) {
        return Err("has a drive letter in its name".to_owned());
    }
    let components: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('/').collect();
    if components.iter().any(|part| part.is_empty() || matches!(*part, "." | "..")) {
        return Err("has an empty, `.` or `..` component in its name".to_owned());
    }
    let folders = components.len() - 1;
    if folders > limits.nesting {
        return Err(format!("lies below {folders} folders; the bound is {}", limits.nesting));
    }
    Ok(())
}

fn is_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// What archivers and file managers of desktop systems add by themselves when a person packs a folder again.
pub(crate) fn is_desktop_litter(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || matches!(last, ".DS_Store" | "Thumbs.db" | "desktop.ini") || last.starts_with("._")
}

/// Names that only differ in case are one file on many systems.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["README.txt", "nodes/n1/net/link.json", "logs/", "ab:c", "nodes/größe.txt", "cluster/a..b"] {
            assert_eq!(check(name, &Limits::default()), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_escape_or_deceive_do_not() {
        let names =
            ["../x", "a/../x", "/etc/passwd", "C:x", "c:\\x", "a\\b", "a\0b", "a\nb", "a\u{85}b", "a//b", "./a", ""];
        for name in names {
            assert!(check(name, &Limits::default()).is_err(), "{name:?}");
        }
        assert!(check(&"d/".repeat(18), &Limits::default()).is_err());
        assert!(check(&"x".repeat(1025), &Limits::default()).is_err());
    }

    #[test]
    fn litter_is_known() {
        assert!(is_desktop_litter("__MACOSX/b/._manifest.json"));
        assert!(is_desktop_litter("b/.DS_Store"));
        assert!(!is_desktop_litter("manifest.json"));
    }
}

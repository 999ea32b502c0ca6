//! The time that a log line begins with.

use jiff::Timestamp;

/// The time at the beginning of a line, where it is written in one of the forms that logs in a bundle have:
/// RFC 3339 (the kubelet's prefix of container logs), `short-iso-precise` of journalctl (no colon in the offset), and
/// `iso` of dmesg (a comma before the fraction).
pub fn of_line(line: &str) -> Option<Timestamp> {
    let word = line.trim_start_matches('[').split([' ', '\t', ']']).next()?;
    if !word.starts_with(|c: char| c.is_ascii_digit()) || word.len() < 20 {
        return None;
    }
    word.parse().ok().or_else(|| word.replacen(',', ".", 1).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::of_line;

    fn shown(line: &str) -> Option<String> {
        of_line(line).map(|time| time.to_string())
    }

    #[test]
    fn the_forms_of_times() {
        let expected = Some("2026-11-21T10:00:00.5Z".to_owned());
        assert_eq!(shown("2026-11-21T10:00:00.500000000Z stdout F x"), expected);
        assert_eq!(shown("2026-11-21T11:00:00.500000+0100 n1 kubelet[1]: x"), expected);
        assert_eq!(shown("2026-11-21T10:00:00,500000+00:00 nf_conntrack: x"), expected);
        assert_eq!(shown("[    12.345] nf_conntrack: x"), None);
        assert_eq!(shown("x"), None);
        assert_eq!(shown(""), None);
    }
}

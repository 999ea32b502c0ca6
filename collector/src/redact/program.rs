//! Programs that take a password behind a short flag, in lists of processes, histories and scripts.

use super::key_name::Secret;
use super::scan::{Hit, More, Scan};
use super::value::{self, Until};

/// How a program takes its password.
struct Flags {
    programs: &'static [&'static str],
    /// The password is the next word.
    apart: &'static [&'static str],
    /// The password follows in the same word.
    joined: &'static [&'static str],
    /// The password follows in the next word, behind this.
    behind: &'static [(&'static str, u8)],
}

const FLAGS: &[Flags] = &[
    Flags {
        programs: &["mysql", "mysqldump", "mysqladmin", "mysqlcheck", "mysqlsh", "mariadb", "mariadb-dump"],
        apart: &[],
        joined: &["-p"],
        behind: &[],
    },
    Flags { programs: &["sshpass"], apart: &["-p"], joined: &["-p"], behind: &[] },
    Flags { programs: &["redis-cli"], apart: &["-a"], joined: &[], behind: &[] },
    Flags {
        programs: &["curl"],
        apart: &[],
        joined: &[],
        behind: &[("-u", b':'), ("--user", b':'), ("-U", b':'), ("--proxy-user", b':')],
    },
    Flags {
        programs: &[
            "docker login",
            "podman login",
            "nerdctl login",
            "helm registry login",
            "az login",
            "oc login",
            "mongo",
            "mongosh",
            "mongodump",
        ],
        apart: &["-p"],
        joined: &[],
        behind: &[],
    },
    Flags {
        programs: &["crictl", "skopeo", "ctr "],
        apart: &[],
        joined: &[],
        behind: &[("--creds", b':'), ("--user", b':'), ("-u", b':')],
    },
    Flags {
        programs: &["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"],
        apart: &["-w"],
        joined: &[],
        behind: &[],
    },
    Flags { programs: &["smbclient"], apart: &[], joined: &[], behind: &[("-U", b'%')] },
    Flags { programs: &["snmpwalk", "snmpget"], apart: &["-c", "-A", "-X"], joined: &[], behind: &[] },
    Flags { programs: &["mosquitto_pub", "mosquitto_sub", "ipmitool"], apart: &["-P"], joined: &[], behind: &[] },
];

/// All names, as they are looked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().flat_map(|flags| flags.programs).copied()
}

/// How much of a command line is read.
const READ: usize = 1_000;

/// Masks the passwords among a program's arguments, which are separated by blanks, by NUL, or as the elements of an array.
pub fn arguments(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    scan.need(hit.to, READ)?;
    let name = scan.text.get(hit.from..hit.to).unwrap_or_default();
    let before = hit.from.checked_sub(1).and_then(|at| scan.byte(at));
    let begins = before.is_none_or(|byte| {
        byte.is_ascii_whitespace() || matches!(byte, 0 | b'/' | b'"' | b'\'' | b'[' | b'(' | b';' | b'|' | b'&')
    });
    let separated = name.ends_with(b" ") || matches!(scan.byte(hit.to), Some(b' ' | b'"' | 0));
    let flags =
        FLAGS.iter().find(|flags| flags.programs.iter().any(|program| program.as_bytes().eq_ignore_ascii_case(name)));
    let (true, true, Some(flags)) = (begins, separated, flags) else { return Ok(hit.to) };
    let rest = scan.rest(hit.to);
    let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len()).min(READ);
    let end = hit.to + line;
    let mut words = Words { at: hit.to, end };
    while let Some((from, to)) = words.next(scan.text) {
        let word = scan.text.get(from..to).unwrap_or_default();
        let is = |list: &[&str]| list.iter().any(|flag| flag.as_bytes() == word);
        if is(flags.apart) {
            let Some((from, to)) = words.next(scan.text) else { break };
            scan.mask_value(from, to, Secret::Password);
        } else if let Some(flag) =
            flags.joined.iter().find(|flag| word.len() > flag.len() && word.starts_with(flag.as_bytes()))
        {
            scan.mask_value(from + flag.len(), to, Secret::Password);
        } else if let Some((_, behind)) = flags.behind.iter().find(|(flag, _)| flag.as_bytes() == word) {
            let Some((from, to)) = words.next(scan.text) else { break };
            let at = scan.text.get(from..to).unwrap_or_default().iter().position(|byte| byte == behind);
            if let Some(at) = at {
                scan.mask_value(from + at + 1, to, Secret::Password);
            }
        } else if word.starts_with(b"--") || word.contains(&b'=') || word.contains(&b':') {
            // Long flags, headers and URLs are told by what is in them.
            break;
        }
    }
    Ok(scan.free().max(hit.to))
}

struct Words {
    at: usize,
    end: usize,
}

impl Words {
    fn next(&mut self, text: &[u8]) -> Option<(usize, usize)> {
        let separates =
            |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b',' | b'\\' | b'[' | b']' | 0 | b'\r');
        let line = text.get(self.at..self.end)?;
        let from = self.at + line.iter().position(|byte| !separates(byte))?;
        let word = text.get(from..self.end)?;
        let to = from + word.iter().position(|byte| separates(byte) && *byte != b',').unwrap_or(word.len());
        self.at = to;
        Some((from, to))
    }
}

/// Words that begin with `-p` and are no password of it.
const OTHER_FLAGS: &[&[u8]] =
    &[b"-path", b"-port", b"-pid", b"-proto", b"-prefix", b"-profile", b"-policy", b"-print", b"-pass", b"-pwd"];

/// `-pPASSWORD` of a program that is not known.
pub fn short_flag(scan: &mut Scan<'_>, hit: Hit) -> Result<usize, More> {
    if scan.byte(hit.to).is_some_and(|next| !next.is_ascii_graphic() || next == b'-') {
        return Ok(hit.to);
    }
    scan.need(hit.to, 128)?;
    let end = scan.end(hit.to, Until::Word, "password")?;
    let end = value::trim(scan.text, hit.to, end);
    let word = scan.text.get(hit.to..end).unwrap_or_default();
    let flag = scan.text.get(hit.to - 2..end).unwrap_or_default();
    let other =
        OTHER_FLAGS.iter().any(|other| flag.get(..other.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(other)));
    let of_path = word.contains(&b'/') || word.contains(&b':');
    if !other && !of_path && value::looks_secret(word) {
        scan.mask_value(hit.to, end, Secret::Password);
        return Ok(end);
    }
    Ok(hit.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_looked_for() {
        let listed: Vec<&str> = FLAGS.iter().flat_map(|flags| flags.programs).copied().collect();
        let names: Vec<&str> = names().collect();
        assert_eq!(listed.len(), names.len());
        assert!(listed.iter().all(|program| names.contains(program)));
    }
}

//! Secrets that are known by their own look, wherever they stand: tokens with a prefix, and hashes of passwords.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern;

/// A format: the letters it is found by, its kind, and the whole of it from those letters on.
pub struct Format {
    /// What it begins with (found in any case; the pattern tells).
    pub begins: &'static str,
    /// Its kind, as masks and reports name it.
    pub kind: &'static str,
    pattern: &'static str,
}

const fn format(begins: &'static str, kind: &'static str, pattern: &'static str) -> Format {
    Format { begins, kind, pattern }
}

/// The part named `secret` is masked where there is one, else the whole. Sources: the vendors' pages on how their tokens
/// look (GitHub "About authentication", GitLab "Token overview", Slack "Token types", AWS IAM "Unique identifiers",
/// Vault "Tokens", …) and crypt(5).
pub const FORMATS: &[Format] = &[
    format("akia", "cloud-key", r"AKIA[A-Z0-9]{16}\b"),
    format("asia", "cloud-key", r"ASIA[A-Z0-9]{16}\b"),
    format("ltai", "cloud-key", r"LTAI[A-Za-z0-9]{12,24}\b"),
    format("akid", "cloud-key", r"AKID[A-Za-z0-9]{32}\b"),
    format("aiza", "cloud-key", r"AIza[A-Za-z0-9_-]{35}"),
    format("ya29.", "cloud-key", r"ya29\.[A-Za-z0-9_-]{20,}"),
    format("gocspx-", "cloud-key", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    format("q~", "cloud-key", r"Q~[A-Za-z0-9_.~-]{31,34}"),
    format("dop_v1_", "cloud-key", r"dop_v1_[a-f0-9]{64}"),
    format("doo_v1_", "cloud-key", r"doo_v1_[a-f0-9]{64}"),
    format("ghp_", "token", r"ghp_[A-Za-z0-9]{30,}"),
    format("gho_", "token", r"gho_[A-Za-z0-9]{30,}"),
    format("ghu_", "token", r"ghu_[A-Za-z0-9]{30,}"),
    format("ghs_", "token", r"ghs_[A-Za-z0-9]{30,}"),
    format("ghr_", "token", r"ghr_[A-Za-z0-9]{30,}"),
    format("github_pat_", "token", r"github_pat_[A-Za-z0-9_]{30,}"),
    format("glpat-", "token", r"glpat-[A-Za-z0-9_.-]{20,}"),
    format("gldt-", "token", r"gldt-[A-Za-z0-9_-]{20,}"),
    format("glrt-", "token", r"glrt-[A-Za-z0-9_.-]{20,}"),
    format("xox", "token", r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}"),
    format("xapp-", "token", r"xapp-[0-9]-[A-Za-z0-9-]{20,}"),
    format(
        "hooks.slack.com",
        "webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{8,})",
    ),
    format("discord.com", "webhook", r"discord\.com/api/(?:v[0-9]+/)?webhooks/(?P<secret>[0-9]+/[A-Za-z0-9_-]{20,})"),
    format("webhook.office.com", "webhook", r"webhook\.office\.com/webhookb2/(?P<secret>[A-Za-z0-9@/-]{20,})"),
    format("sk_live_", "token", r"sk_live_[A-Za-z0-9]{10,}"),
    format("rk_live_", "token", r"rk_live_[A-Za-z0-9]{10,}"),
    format("sk_test_", "token", r"sk_test_[A-Za-z0-9]{10,}"),
    format("whsec_", "token", r"whsec_[A-Za-z0-9+/=]{20,}"),
    format("sg.", "token", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    format("npm_", "token", r"npm_[A-Za-z0-9]{36}"),
    format("pypi-", "token", r"pypi-AgE[A-Za-z0-9_-]{30,}"),
    format("dckr_pat_", "token", r"dckr_pat_[A-Za-z0-9_-]{20,}"),
    format("hvs.", "token", r"hvs\.[A-Za-z0-9_-]{20,}"),
    format("hvb.", "token", r"hvb\.[A-Za-z0-9_-]{20,}"),
    format(".atlasv1.", "token", r"\.atlasv1\.(?P<secret>[A-Za-z0-9_=-]{40,})"),
    format("age-secret-key-1", "private-key", r"(?i)AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    format("sk-ant-", "token", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    format("sk-proj-", "token", r"sk-proj-[A-Za-z0-9_-]{20,}"),
    format("glsa_", "token", r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
    format("glc_", "token", r"glc_eyJ[A-Za-z0-9+/=]{20,}"),
    format("nrak-", "token", r"NRAK-[A-Z0-9]{27}"),
    format("shpat_", "token", r"shpat_[a-fA-F0-9]{32}"),
    format("dapi", "token", r"dapi[a-f0-9]{32}(?:-[0-9])?\b"),
    format("atatt3", "token", r"ATATT3[A-Za-z0-9_=-]{40,}"),
    format("hf_", "token", r"hf_[A-Za-z0-9]{30,}"),
    format("akcp", "token", r"AKCp[A-Za-z0-9]{50,}"),
    format("::server:", "token", r"::server:(?P<secret>[A-Za-z0-9.]{6,})"),
    format("::node:", "token", r"::node:(?P<secret>[A-Za-z0-9.]{6,})"),
    format(":aa", "token", r":AA[A-Za-z0-9_-]{33}\b"),
    format("$1$", "password-hash", r"\$1\$[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{22}"),
    format("$5$", "password-hash", r"\$5\$(?:rounds=[0-9]+\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{43}"),
    format("$6$", "password-hash", r"\$6\$(?:rounds=[0-9]+\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{86}"),
    format("$y$", "password-hash", r"\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}"),
    format("$apr1$", "password-hash", r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"),
    format("$2a$", "password-hash", r"\$2a\$[0-9]{2}\$[./A-Za-z0-9]{53}"),
    format("$2b$", "password-hash", r"\$2b\$[0-9]{2}\$[./A-Za-z0-9]{53}"),
    format("$2y$", "password-hash", r"\$2y\$[0-9]{2}\$[./A-Za-z0-9]{53}"),
    format("$argon2", "password-hash", r"\$argon2(?:id|i|d)\$[A-Za-z0-9=,$+/]{30,}"),
];

/// The longest token that is looked for; longer ones are cut there, which leaves nothing of use.
pub const LONGEST: usize = 2_048;

static PATTERNS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMATS.iter().map(|format| pattern(&format!("(?-u)^(?:{})", format.pattern))).collect());

/// The secret of this format at the beginning of `text`: where it begins and ends.
pub fn find(format: usize, text: &[u8]) -> Option<(usize, usize)> {
    let captures = PATTERNS.get(format)?.captures(text.get(..LONGEST).unwrap_or(text))?;
    let found = captures.name("secret").or_else(|| captures.get(0))?;
    Some((found.start(), found.end()))
}

/// A JSON Web Token (RFC 7519), signed or encrypted.
static JWT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)^eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,2}"));

/// The length of the JWT at the beginning of `text`.
pub fn jwt(text: &[u8]) -> Option<usize> {
    JWT.find(text).map(|found| found.end())
}

/// Whether the `.` at this place is within a kubeadm bootstrap token, `abcdef.0123456789abcdef`: gives its beginning.
/// An event's name is its object's and its time in hexadecimal (`node01.18a1b2c3d4e5f678`), and is none.
pub fn bootstrap_token(text: &[u8], dot: usize) -> Option<usize> {
    let begins = dot.checked_sub(6)?;
    let of_token = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let around = |byte: Option<&u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'@'))
    };
    let id = text.get(begins..dot)?;
    if around(begins.checked_sub(1).and_then(|at| text.get(at))) || !id.iter().all(of_token) {
        return None;
    }
    let secret = text.get(dot + 1..dot + 17)?;
    if !secret.iter().all(of_token) || around(text.get(dot + 17)) {
        return None;
    }
    let digits = secret.iter().any(u8::is_ascii_digit);
    let letters = secret.iter().any(u8::is_ascii_lowercase);
    let event = secret.starts_with(b"1") && secret.iter().all(u8::is_ascii_hexdigit);
    (digits && letters && !event).then_some(begins)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_format_compiles_and_begins_with_its_letters() {
        for (n, format) in FORMATS.iter().enumerate() {
            assert!(find(n, b"nothing").is_none(), "{}", format.begins);
            assert_eq!(format.begins, format.begins.to_ascii_lowercase());
        }
    }

    #[test]
    fn events_are_no_bootstrap_tokens() {
        let find = |text: &str| bootstrap_token(text.as_bytes(), text.find('.').unwrap());
        assert_eq!(find("abcdef.0123456789abcdef"), Some(0));
        assert_eq!(find("x 9vr73a.a8uxyaju799qwdjv, y"), Some(2));
        for none in [
            "node01.18a1b2c3d4e5f678",
            "a-node01.a8uxyaju799qwdjv",
            "worker.internalcompany",
            "coredn.a8uxyaju799qwdjv.svc",
        ] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}

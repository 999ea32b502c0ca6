//! Takes secrets out of the few configuration texts that are read at all: values of keys whose name sounds like one,
//! passwords in URLs, and key blocks. What is taken is decided by allow-lists elsewhere; this is the second line.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands in the place of a secret.
pub const MASKED: &str = "[masked]";

/// Names that sound like a secret, in any spelling.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)(passw|secret|token|credential|private|api[-_]?key|access[-_]?key|key[-_]?data|auth$|^auth|psk|header)")
});

/// `key = value` and `key: value` lines of TOML, YAML, environment files and units, also behind `Environment="`.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?m)(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)(?P<quote>["']?)(?P<between>[ \t]*[=:][ \t]*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"',][^\n"']*)"#,
    )
});

/// A key within a mapping that is written on one line.
static KEY: LazyLock<Regex> = LazyLock::new(|| regex(r#"([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*[=:]"#));

/// `user:password@` in a URL.
static USER_INFO: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/@\s"']+@"#));

/// A PEM block with a key in it, also where it is cut off.
static KEY_BLOCK: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)"));

/// Values that tell nothing secret whatever the key is called: switches, numbers, durations, and paths below the
/// folders where configuration lies.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^["']?(true|false|null|~|[0-9.]+[a-z]*|\[\]|\{\}|/(etc|var|run|usr|opt|srv)/[A-Za-z0-9._/-]*)?["']?[,;\\]?$"#,
    )
});

/// The patterns are constants, compiled by the tests; a wrong one would end the program at its first use there.
fn regex(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

/// Whether a key, a flag or a field of this name holds a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    // The kubelet's flags that name how somebody is let in, not with what.
    let lower = name.to_ascii_lowercase();
    let setting = ["authentication-", "authorization-", "anonymous-auth"].iter().any(|flag| lower.starts_with(flag));
    SECRET_NAME.is_match(name) && !setting
}

/// Whether a value cannot be a secret.
pub fn harmless(value: &str) -> bool {
    HARMLESS.is_match(value.trim())
}

/// Masks a text of lines: TOML, YAML, environment files, systemd units.
pub fn mask_text(text: &str) -> String {
    let text = KEY_BLOCK.replace_all(text, MASKED);
    let text = USER_INFO.replace_all(&text, format!("${{scheme}}{MASKED}@"));
    ASSIGNMENT
        .replace_all(&text, |found: &Captures<'_>| {
            let part = |name| found.name(name).map_or("", |part| part.as_str());
            let (key, value) = (part("key"), part("value"));
            // A mapping written on one line: its own keys say whether something in it is secret.
            if value.starts_with('{') && !KEY.captures_iter(value).any(|inner| sounds_secret(&inner[1])) {
                return found[0].to_owned();
            }
            if value.starts_with('{') {
                return format!("{key}{}{}{MASKED}", part("quote"), part("between"));
            }
            if sounds_secret(key) && !harmless(value) {
                return format!("{key}{}{}{MASKED}", part("quote"), part("between"));
            }
            // A value may hold assignments of its own: `KUBELET_ARGS=--token=…`, `Environment="X=…"`.
            let masked = mask_arguments(value.split(' ')).join(" ");
            format!("{key}{}{}{masked}", part("quote"), part("between"))
        })
        .into_owned()
}

/// Masks the values of flags that sound like a secret, in both spellings: `--token=x` and `--token x`.
pub fn mask_arguments<'a>(arguments: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut next_is_secret = false;
    for argument in arguments {
        let secret = std::mem::take(&mut next_is_secret) && !argument.starts_with('-') && !harmless(argument);
        if secret {
            masked.push(MASKED.to_owned());
            continue;
        }
        let quote = argument.trim_start_matches(['"', '\'']);
        match quote.split_once('=') {
            Some((name, value)) if is_name(name) && sounds_secret(name) && !harmless(value) => {
                masked.push(format!("{}{name}={MASKED}", &argument[..argument.len() - quote.len()]));
            }
            _ => {
                next_is_secret = argument.starts_with('-') && !argument.contains('=') && sounds_secret(argument);
                masked.push(USER_INFO.replace_all(argument, format!("${{scheme}}{MASKED}@")).into_owned());
            }
        }
    }
    masked
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Masks the values of fields that sound like a secret, at any depth. Returns how many.
pub fn mask_json(value: &mut Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(name, field)| match field {
                Value::String(text) if sounds_secret(name) && !harmless(text) => {
                    MASKED.clone_into(text);
                    1
                }
                Value::String(text) => {
                    let masked = KEY_BLOCK.replace_all(text, MASKED);
                    let masked = USER_INFO.replace_all(&masked, format!("${{scheme}}{MASKED}@")).into_owned();
                    let changed = usize::from(masked != *text);
                    *text = masked;
                    changed
                }
                other => mask_json(other),
            })
            .sum(),
        Value::Array(elements) => elements.iter_mut().map(mask_json).sum(),
        _ => 0,
    }
}

/// Masks a file that should be JSON: as it is where there is nothing to mask, printed anew where there is, and as a text
/// of lines where it is not JSON after all.
pub fn mask_json_text(text: &str) -> Result<String, String> {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return Ok(mask_text(text)) };
    if mask_json(&mut value) == 0 {
        return Ok(text.to_owned());
    }
    serde_json::to_string_pretty(&value)
        .map_err(|error| format!("it could not be printed without its secrets: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn registry_credentials_leave_containerd_config() {
        let text = "[plugins.cri.registry.configs.\"r.example\".auth]\n  username = \"u\"\n  password = \"hunter2\"\n  \
                    auth = \"dTpw\"\n  identitytoken=\"abc\"\n[plugins.cri.cni]\n  bin_dir = \"/opt/cni/bin\"\n";
        let masked = mask_text(text);
        for secret in ["hunter2", "dTpw", "abc\""] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.contains("bin_dir = \"/opt/cni/bin\"") && masked.contains("username = \"u\""), "{masked}");
    }

    #[test]
    fn settings_that_only_sound_like_secrets_stay() {
        let text = "authentication:\n  anonymous:\n    enabled: false\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n\
                    authorization:\n  mode: Webhook\ntlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key\n\
                    clusterDNS:\n- 10.96.0.10\nresolvConf: /run/systemd/resolve/resolv.conf\n";
        assert_eq!(mask_text(text), text);
    }

    #[test]
    fn a_mapping_on_one_line_is_looked_into() {
        assert_eq!(mask_text("authorization: {mode: Webhook}\n"), "authorization: {mode: Webhook}\n");
        assert!(!mask_text("auth: {username: u, password: hunter2}\n").contains("hunter2"));
        assert!(!mask_text("x: {tokens: [hunter2]}\n").contains("hunter2"));
    }

    #[test]
    fn a_header_that_carries_a_token_is_masked() {
        let masked = mask_text("staticPodURLHeader:\n  Authorization: Bearer abc.def\n  X-Token: q\n");
        assert!(!masked.contains("abc.def") && !masked.contains(" q\n"), "{masked}");
    }

    #[test]
    fn units_and_environment_files_lose_proxy_passwords_and_flags() {
        let text = "Environment=\"HTTPS_PROXY=http://me:pw@proxy.example:3128\"\n\
                    KUBELET_EXTRA_ARGS=--node-ip=10.0.0.5 --bootstrap-token=abc --max-pods=30\n";
        let masked = mask_text(text);
        assert!(masked.contains("http://[masked]@proxy.example:3128"), "{masked}");
        assert!(masked.contains("--node-ip=10.0.0.5 --bootstrap-token=[masked] --max-pods=30"), "{masked}");
    }

    #[test]
    fn arguments_are_masked_in_both_spellings() {
        let arguments = ["kubelet", "--token", "abc", "--client-secret=x", "--config=/var/lib/kubelet/config.yaml"];
        let masked = mask_arguments(arguments.into_iter());
        let expected =
            ["kubelet", "--token", MASKED, "--client-secret=[masked]", "--config=/var/lib/kubelet/config.yaml"];
        assert_eq!(masked, expected);
    }

    #[test]
    fn key_blocks_never_stay_even_when_cut() {
        let key = "a: 1\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb: 2\n";
        assert_eq!(mask_text(key), format!("a: 1\n{MASKED}\nb: 2\n"));
        assert_eq!(mask_text("-----BEGIN PRIVATE KEY-----\nMIIE"), MASKED);
    }

    #[test]
    fn json_without_secrets_keeps_its_bytes() {
        let conf = "{ \"name\":\"cbr0\",  \"plugins\":[] }\n";
        assert_eq!(mask_json_text(conf).unwrap(), conf);
        let masked = mask_json_text(r#"{"etcd": {"password": "pw", "url": "http://a:b@h"}}"#).unwrap();
        assert!(!masked.contains("pw") && !masked.contains("a:b"), "{masked}");
    }
}

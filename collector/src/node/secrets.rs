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

/// A key before `=` or `:`, in TOML, YAML, environment files and units, wherever in a line.
static KEY: LazyLock<Regex> = LazyLock::new(|| regex(r#"([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*[=:]"#));

/// A flag with a value behind `=` or a space.
static FLAG: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?P<flag>--?[A-Za-z][A-Za-z0-9-]*)(?:=(?P<joined>"[^"\n]*"|'[^'\n]*'|[^\s"']+)|[ \t]+(?P<apart>"[^"\n]*"|'[^'\n]*'|[^\s"'-][^\s"']*))"#,
    )
});

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

/// Masks a text of lines: TOML, YAML, environment files, systemd units. Where a key sounds like a secret, the rest of
/// its line goes, and with it the lines of a list or block that it opens; of flags the value alone goes.
pub fn mask_text(text: &str) -> String {
    let text = KEY_BLOCK.replace_all(text, MASKED);
    let text = USER_INFO.replace_all(&text, format!("${{scheme}}{MASKED}@"));
    let mut masked = String::with_capacity(text.len());
    let mut open = Open::Nothing;
    let mut secret_section = false;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let end = line.get(body.len()..).unwrap_or_default();
        let trimmed = body.trim();
        let indent = body.len() - body.trim_start().len();
        match open {
            Open::List => {
                masked.push_str(&format!("{MASKED}{end}"));
                open = if trimmed.contains(']') { Open::Nothing } else { Open::List };
                continue;
            }
            Open::Block(above) if !trimmed.is_empty() => {
                if indent > above || (indent == above && trimmed.starts_with("- ")) {
                    masked.push_str(&format!("{:indent$}{MASKED}{end}", ""));
                    continue;
                }
                open = Open::Nothing;
            }
            Open::Block(_) | Open::Nothing => {}
        }
        if trimmed.starts_with('[') && trimmed.ends_with(']') {
            let name = trimmed.trim_matches(['[', ']']);
            secret_section = sounds_secret(name.rsplit('.').next().unwrap_or(name).trim_matches('"'));
            masked.push_str(line);
            continue;
        }
        let (kept, opens) = mask_line(body, indent, secret_section);
        masked.push_str(&kept);
        masked.push_str(end);
        open = opens;
    }
    masked
}

/// What a line leaves open for those below it.
enum Open {
    Nothing,
    /// A secret list, up to the line with its bracket.
    List,
    /// A secret block, of all lines that are indented further than this.
    Block(usize),
}

fn mask_line(line: &str, indent: usize, secret_section: bool) -> (String, Open) {
    let line = FLAG.replace_all(line, |found: &Captures<'_>| {
        let value = found.name("joined").or_else(|| found.name("apart")).map_or("", |value| value.as_str());
        if !sounds_secret(&found["flag"]) || harmless(value) {
            return found[0].to_owned();
        }
        let before = found[0].strip_suffix(value).unwrap_or_default();
        format!("{before}{MASKED}")
    });
    for found in KEY.captures_iter(&line) {
        let (Some(whole), Some(key)) = (found.get(0), found.get(1)) else { continue };
        let is_flag = line.get(..key.start()).is_some_and(|before| before.ends_with('-'));
        if is_flag || !(secret_section || sounds_secret(key.as_str())) {
            continue;
        }
        let value = line.get(whole.end()..).unwrap_or_default().trim();
        // The kubelet's configuration says below these how somebody is let in, not with what.
        let how = ["authentication", "authorization"].contains(&key.as_str());
        if (how && (value.is_empty() || value.starts_with('{'))) || (!value.is_empty() && harmless(value)) {
            continue;
        }
        if value.is_empty() {
            return (line.into_owned(), Open::Block(indent));
        }
        let kept = line.get(..whole.end()).unwrap_or_default();
        let open = if value.starts_with('[') && !value.contains(']') { Open::List } else { Open::Nothing };
        return (format!("{kept} {MASKED}"), open);
    }
    (line.into_owned(), Open::Nothing)
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

/// Masks the values of fields that sound like a secret, and everything below them, at any depth. Returns how many.
pub fn mask_json(value: &mut Value) -> usize {
    mask_below(value, false)
}

fn mask_below(value: &mut Value, secret: bool) -> usize {
    match value {
        Value::Object(fields) => {
            let each = fields.iter_mut().map(|(name, field)| {
                let how = ["authentication", "authorization"].contains(&name.as_str()) && field.is_object();
                mask_below(field, secret || (sounds_secret(name) && !how))
            });
            each.sum()
        }
        Value::Array(elements) => elements.iter_mut().map(|element| mask_below(element, secret)).sum(),
        Value::String(text) if secret && !harmless(text) => {
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
        _ => 0,
    }
}

/// Masks a file that should be JSON: as it is where there is nothing to mask, printed anew where there is, and as a text
/// of lines where it is not JSON after all.
pub fn mask_json_text(text: &str) -> Result<String, String> {
    mask_parsed(text, serde_json::from_str(text).ok())
}

/// The same for a file that should be YAML; what is printed anew is JSON, which every YAML parser reads.
pub fn mask_yaml_text(text: &str) -> Result<String, String> {
    mask_parsed(text, serde_saphyr::from_str(text).ok())
}

fn mask_parsed(text: &str, parsed: Option<Value>) -> Result<String, String> {
    let Some(mut value) = parsed.filter(|value| value.is_object() || value.is_array()) else {
        return Ok(mask_text(text));
    };
    if mask_json(&mut value) == 0 {
        // Comments are no part of what was parsed, and may hold anything.
        return Ok(mask_text(text));
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
        let text = "[plugins.cri.registry.configs.\"r.example\".auth]\n  username = \"hush0\"\n  password = \"hush1\"\n\
                    [plugins.cri.registry]\n  auth = \"hush2\"\n  identitytoken=\"hush3\"\n\
                    [plugins.cri.registry.headers]\n  X-Custom = [\"hush4\"]\n  Y = [\n    \"hush5\",\n    \"hush6\"\n  ]\n\
                    [plugins.cri.cni]\n  bin_dir = \"/opt/cni/bin\"\n  max_conf_num = 1\n";
        let masked = mask_text(text);
        assert!(!masked.contains("hush"), "{masked}");
        assert!(masked.ends_with("[plugins.cri.cni]\n  bin_dir = \"/opt/cni/bin\"\n  max_conf_num = 1\n"), "{masked}");
    }

    #[test]
    fn settings_that_only_sound_like_secrets_stay() {
        let text = "authentication:\n  anonymous:\n    enabled: false\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n\
                    authorization:\n  mode: Webhook\ntlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key\n\
                    clusterDNS:\n- 10.96.0.10\nresolvConf: /run/systemd/resolve/resolv.conf\n";
        assert_eq!(mask_text(text), text);
    }

    #[test]
    fn mappings_and_lists_below_a_secret_go_with_it() {
        for text in [
            "staticPodURLHeader: {X: [hush]}\nv: 1\n",
            "staticPodURLHeader:\n  X:\n  - hush\n  - Bearer hush\nv: 1\n",
            "tokens:\n- hush\nv: 1\n",
            "auth: {username: u, password: hush}\nv: 1\n",
            "x: {tokens: [hush, hush]}\nv: 1\n",
            "Authorization: Bearer hush\nv: 1\n",
        ] {
            let lines = mask_text(text);
            assert!(!lines.contains("hush") && lines.contains("v: 1"), "{lines}");
            let parsed = mask_yaml_text(text).unwrap();
            assert!(!parsed.contains("hush") && parsed.contains('v'), "{parsed}");
        }
        let how = "authorization: {mode: Webhook}\nauthentication:\n  webhook: {enabled: true}\n";
        assert_eq!(mask_text(how), how);
        assert_eq!(mask_yaml_text(how).unwrap(), how);
    }

    #[test]
    fn units_and_environment_files_lose_proxy_passwords_and_flags() {
        let text = "ExecStart=/usr/bin/k --token hush --v 2\nEnvironment=\"HTTPS_PROXY=http://me:pw@proxy.example:3128\"\n\
                    KUBELET_EXTRA_ARGS=--node-ip=10.0.0.5 --bootstrap-token=abc --max-pods=30\n";
        let masked = mask_text(text);
        assert!(masked.contains("/usr/bin/k --token [masked] --v 2"), "{masked}");
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

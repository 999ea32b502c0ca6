//! Whether the name of a key, a flag or a variable says that its value is a secret.
//!
//! A name is cut into words (`dbPassword`, `DB_PASSWORD`, `db-password`), and the last one decides: `tokenFile` is a file,
//! `secretName` a name. In the names of environment variables what follows may be a stage (`DB_PASSWORD_PROD`), so there any
//! word counts unless the last one is of something that is no secret.

/// What kind of secret a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// A password: masked whatever it looks like, numbers included.
    Password,
    /// A token.
    Token,
    /// A secret of another name, or credentials.
    Other,
    /// A key, where the words before say which one.
    Key,
    /// A key that may as well be something harmless (`auth`, `server.key`): masked where it looks like one.
    PerhapsKey,
    /// `Authorization`, which has a scheme before it.
    Authorization,
    /// Cookies.
    Cookie,
    /// A signature that lets its bearer in (`sig=` of a URL).
    Signature,
}

impl Secret {
    /// The kind, as masks and reports name it.
    pub fn kind(self) -> &'static str {
        match self {
            Secret::Password => "password",
            Secret::Token => "token",
            Secret::Other => "secret",
            Secret::Key | Secret::PerhapsKey => "key",
            Secret::Authorization => "authorization",
            Secret::Cookie => "cookie",
            Secret::Signature => "signature",
        }
    }
}

/// Last words that make of a secret's name the name of something else.
const NEUTRAL: &[&str] = &[
    "access",
    "account",
    "accounts",
    "age",
    "alg",
    "algorithm",
    "at",
    "attempts",
    "attributes",
    "audience",
    "audiences",
    "auth",
    "authentication",
    "cache",
    "change",
    "changed",
    "check",
    "class",
    "cleaner",
    "config",
    "configmap",
    "controller",
    "count",
    "created",
    "date",
    "days",
    "dir",
    "directory",
    "disabled",
    "driver",
    "enabled",
    "endpoint",
    "env",
    "error",
    "errors",
    "expiration",
    "expires",
    "expiry",
    "field",
    "fields",
    "file",
    "filename",
    "files",
    "format",
    "group",
    "hint",
    "hours",
    "id",
    "ids",
    "info",
    "interval",
    "issuer",
    "key",
    "keys",
    "kind",
    "len",
    "length",
    "limit",
    "location",
    "lookup",
    "manager",
    "max",
    "message",
    "method",
    "min",
    "minutes",
    "mode",
    "mount",
    "mounts",
    "name",
    "names",
    "namespace",
    "number",
    "path",
    "paths",
    "period",
    "plugin",
    "policy",
    "prefix",
    "prompt",
    "provider",
    "quota",
    "reason",
    "ref",
    "reference",
    "refs",
    "request",
    "requests",
    "required",
    "reset",
    "retries",
    "review",
    "reviews",
    "rotate",
    "rotation",
    "seconds",
    "selector",
    "service",
    "size",
    "source",
    "state",
    "status",
    "storage",
    "store",
    "time",
    "timeout",
    "timestamp",
    "ttl",
    "type",
    "uri",
    "url",
    "usage",
    "user",
    "username",
    "validation",
    "verification",
    "verify",
    "version",
    "volume",
    "volumes",
];

/// Words before `key` that say that it is one to keep.
const KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "auth",
    "certificate",
    "encryption",
    "fastopen",
    "license",
    "master",
    "private",
    "secret",
    "shared",
    "signing",
    "storage",
    "subscription",
    "instrumentation",
    "function",
    "deploy",
    "preshared",
    "identity",
];

/// Words before `key` that leave open whether it is one.
const PERHAPS_KEYS: &[&str] =
    &["app", "ca", "client", "host", "id", "registration", "server", "session", "ssh", "tls", "webhook", "session"];

/// The longest name that is looked at.
pub const LONGEST: usize = 80;
/// The most words of a name.
const WORDS: usize = 12;

/// What a name says of its value. Leading dashes of a flag are skipped.
pub fn judge(name: &[u8]) -> Option<Secret> {
    let mut lower = [0u8; LONGEST];
    let mut ends = [0usize; WORDS];
    let (words, capitals) = split(name, &mut lower, &mut ends)?;
    let word = |n: usize| -> &[u8] {
        let from = if n == 0 { 0 } else { ends[n - 1] };
        lower.get(from..ends[n]).unwrap_or_default()
    };
    let last = word(words - 1);
    let before = words.checked_sub(2).map(word).unwrap_or_default();
    if last == b"authorization" {
        return Some(Secret::Authorization);
    }
    if let Some(secret) = pair(before, last).or_else(|| one(last)) {
        return Some(secret);
    }
    // Outside of capitals, `pass` within a name is rather to let pass.
    let long = |n: usize| capitals || word(n).len() >= 6;
    let any =
        |n: usize| one(word(n)).filter(|_| long(n)).or_else(|| n.checked_sub(1).and_then(|m| pair(word(m), word(n))));
    let found = (0..words - 1).rev().find_map(any)?;
    // `PASSWORD_2` and `password1` are passwords; a hash of one can be tried against a dictionary.
    let neutral = NEUTRAL.iter().any(|neutral| neutral.as_bytes() == last);
    let counted = last.iter().all(u8::is_ascii_digit)
        || matches!(last, b"hash" | b"value" | b"data" | b"string" | b"base" | b"old" | b"new");
    let public = last == b"hash" && found != Secret::Password;
    let whole = capitals || counted || found == Secret::Password;
    (whole && !neutral && !public).then_some(found)
}

fn one(word: &[u8]) -> Option<Secret> {
    let word = word.strip_suffix(b"s").filter(|rest| rest.len() > 4 && !word.ends_with(b"ss")).unwrap_or(word);
    let ends = |with: &[&str]| with.iter().any(|end| word.ends_with(end.as_bytes()));
    Some(match word {
        b"pass" | b"pwd" | b"psk" | b"passcode" | b"masterauth" | b"requirepass" | b"sshpass" => Secret::Password,
        b"jwt" | b"bearer" => Secret::Token,
        b"credential" | b"cred" | b"creds" => Secret::Other,
        b"cookie" | b"sessionid" | b"jsessionid" | b"phpsessid" | b"sessid" => Secret::Cookie,
        b"sig" | b"signature" => Secret::Signature,
        b"auth" => Secret::PerhapsKey,
        _ if ends(&["password", "passwd", "passphrase"]) => Secret::Password,
        _ if ends(&["token"]) => Secret::Token,
        _ if ends(&["secret"]) => Secret::Other,
        _ if ends(&[
            "apikey",
            "accesskey",
            "accountkey",
            "authkey",
            "encryptionkey",
            "masterkey",
            "privatekey",
            "secretkey",
            "sharedkey",
            "signingkey",
            "storagekey",
            "licensekey",
            "presharedkey",
        ]) =>
        {
            Secret::Key
        }
        _ => return None,
    })
}

fn pair(before: &[u8], last: &[u8]) -> Option<Secret> {
    let is = |list: &[&str]| list.iter().any(|word| word.as_bytes() == before);
    match last {
        b"key" | b"keys" if is(KEYS) => Some(Secret::Key),
        b"key" if is(PERHAPS_KEYS) => Some(Secret::PerhapsKey),
        b"data" if before == b"key" => Some(Secret::Key),
        b"id" if before == b"session" => Some(Secret::Cookie),
        b"sid" if before == b"connect" => Some(Secret::Cookie),
        _ => None,
    }
}

/// Cuts a name into words in lower case. Gives how many, and whether the name is written in capitals.
fn split(name: &[u8], lower: &mut [u8; LONGEST], ends: &mut [usize; WORDS]) -> Option<(usize, bool)> {
    let (mut at, mut words) = (0, 0);
    let mut begins = 0;
    let capitals = !name.iter().any(u8::is_ascii_lowercase);
    for (n, &byte) in name.iter().enumerate() {
        let separates = !byte.is_ascii_alphanumeric();
        let before = n.checked_sub(1).and_then(|m| name.get(m)).copied().unwrap_or(b'_');
        let next_is_lower = name.get(n + 1).is_some_and(u8::is_ascii_lowercase);
        let humps = byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || (before.is_ascii_uppercase() && next_is_lower));
        let digits = byte.is_ascii_digit() && before.is_ascii_alphabetic();
        if (separates || humps || digits) && at > begins {
            *ends.get_mut(words)? = at;
            words += 1;
            begins = at;
        }
        if !separates {
            *lower.get_mut(at)? = byte.to_ascii_lowercase();
            at += 1;
        }
    }
    if at > begins {
        *ends.get_mut(words)? = at;
        words += 1;
    }
    (words > 0).then_some((words, capitals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_decides() {
        for (name, expected) in [
            ("password", Some(Secret::Password)),
            ("DB_PASSWORD_PROD", Some(Secret::Password)),
            ("dbPassword2", Some(Secret::Password)),
            ("--db-password", Some(Secret::Password)),
            ("requirepass", Some(Secret::Password)),
            ("mypasswd", Some(Secret::Password)),
            ("accessToken", Some(Secret::Token)),
            ("tokens", Some(Secret::Token)),
            ("AWS_SECRET_ACCESS_KEY", Some(Secret::Key)),
            ("SECRET_KEY_BASE", Some(Secret::Key)),
            ("client-key-data", Some(Secret::Key)),
            ("aadClientSecret", Some(Secret::Other)),
            ("tls.key", Some(Secret::PerhapsKey)),
            ("Proxy-Authorization", Some(Secret::Authorization)),
            ("Set-Cookie", Some(Secret::Cookie)),
            ("net.ipv6.conf.all.stable_secret", Some(Secret::Other)),
            ("secretName", None),
            ("tokenFile", None),
            ("tls-private-key-file", None),
            ("discovery-token-ca-cert-hash", None),
            ("authorization-mode", None),
            ("sessionAffinity", None),
            ("TOKEN_TTL", None),
            ("PASSWORD_FILE", None),
            ("tokenExpirationSeconds", None),
            ("imagePullSecretRef", None),
            ("my-secret-app", None),
            ("key", None),
            ("compass", None),
            ("bypass", None),
            ("net.bridge.bridge-nf-pass-vlan-input-dev", None),
        ] {
            assert_eq!(judge(name.as_bytes()), expected, "{name}");
        }
    }
}

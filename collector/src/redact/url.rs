//! Credentials within URLs, and within the data source names of Go's MySQL driver.

/// What of a URL is a secret: the password, or the user where there is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
}

/// The longest user name and password together.
const LONGEST: usize = 2_048;

/// Looks for `user:password@` behind the `://` that ends at `from`.
pub fn user_info(text: &[u8], from: usize) -> Option<Credentials> {
    let rest = text.get(from..).unwrap_or_default();
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let ends = |byte: &u8| {
        byte.is_ascii_whitespace()
            || byte.is_ascii_control()
            || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'|')
    };
    let authority = rest.iter().position(ends).unwrap_or(rest.len());
    let at = rest.get(..authority)?.iter().rposition(|&byte| byte == b'@')?;
    credentials(rest.get(..at)?, from)
}

/// Looks for `user:password` before the `@tcp(` that begins at `at`, no further back than `floor`.
pub fn before_address(text: &[u8], floor: usize, at: usize) -> Option<Credentials> {
    let before = text.get(floor..at)?;
    let begins = before.iter().rposition(|byte| {
        byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'=' | b'(' | b'<' | b'>' | b',' | b'\\')
    });
    let from = floor + begins.map_or(0, |n| n + 1);
    let found = credentials(text.get(from..at)?, from)?;
    // A user alone is no secret here.
    text.get(from..at)?.contains(&b':').then_some(found)
}

fn credentials(info: &[u8], from: usize) -> Option<Credentials> {
    let to = from + info.len();
    match info.iter().position(|&byte| byte == b':') {
        // A user name that is rather a token goes with what it was given instead of a password (`ghp_…:x-oauth-basic@`).
        Some(colon) if colon > 0 && !is_name(info.get(..colon)?) => Some(Credentials { from, to }),
        Some(colon) if colon + 1 < info.len() => Some(Credentials { from: from + colon + 1, to }),
        Some(_) => None,
        None if info.is_empty() || is_name(info) => None,
        None => Some(Credentials { from, to }),
    }
}

/// Whether a user name tells nothing but a name.
fn is_name(user: &[u8]) -> bool {
    let digits = user.iter().filter(|byte| byte.is_ascii_digit()).count();
    user.len() <= 32
        && digits <= 4
        && user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-$({})".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<&str> {
        let at = text.find("://")? + 3;
        user_info(text.as_bytes(), at).map(|found| &text[found.from..found.to])
    }

    #[test]
    fn a_password_goes_and_the_host_stays() {
        assert_eq!(secret("postgres://app:hunter2@db:5432/x"), Some("hunter2"));
        assert_eq!(secret("redis://:hunter2@cache:6379"), Some("hunter2"));
        assert_eq!(secret("https://a:p@ss@host/"), Some("p@ss"));
        assert_eq!(
            secret("https://0123456789abcdef0123456789abcdef@sentry.example/1"),
            Some("0123456789abcdef0123456789abcdef")
        );
        assert_eq!(secret("ssh://git@example.com/x"), None);
        assert_eq!(secret("https://example.com/a@b"), None);
        assert_eq!(secret("https://10.0.0.1:6443"), None);
    }
}

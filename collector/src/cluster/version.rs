//! The server's version, as far as it decides how lists are asked for.

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(u32, u32);

impl ServerVersion {
    /// Reads `gitVersion` of `/version`: `v1.34.4`, `v1.33.2-gke.1240000`, `v1.30+`.
    pub fn parse(git_version: &str) -> Option<ServerVersion> {
        let mut numbers = git_version.trim_start_matches('v').split('.');
        let digits =
            |part: &str| part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
        Some(ServerVersion(digits(numbers.next()?)?, digits(numbers.next()?)?))
    }

    /// Since 1.33 a list is encoded object by object (StreamingCollectionEncodingToJSON), so that a whole list costs the
    /// server no more memory than a page.
    pub fn streams_lists_from_cache(self) -> bool {
        self >= ServerVersion(1, 33)
    }

    /// Endpoints are deprecated since 1.33 (KEP-4974).
    pub fn deprecates_endpoints(self) -> bool {
        self >= ServerVersion(1, 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_vendors_are_read() {
        assert_eq!(ServerVersion::parse("v1.34.4"), Some(ServerVersion(1, 34)));
        assert_eq!(ServerVersion::parse("v1.33.2-gke.1240000"), Some(ServerVersion(1, 33)));
        assert_eq!(ServerVersion::parse("v1.30+"), Some(ServerVersion(1, 30)));
        assert_eq!(ServerVersion::parse("unknown"), None);
        assert!(ServerVersion(1, 32) < ServerVersion(1, 33));
    }
}

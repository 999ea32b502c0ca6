//! The queries by which a list is asked for: whole from the watch cache, or page by page.

/// How a list is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Whole, from the server's watch cache. `resourceVersion=0` with `NotOlderThan` asks for whatever the cache holds:
    /// etcd is not asked, so it works behind a broken one, and costs next to nothing behind a sound one.
    FromCache,
    /// In pages, which the server reads from etcd or from a snapshot of its cache.
    Pages,
    /// Whole, without a version; for servers behind the API server.
    Plain,
}

/// Objects a page.
pub const PAGE: u32 = 500;

/// One page's query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The whole list from the watch cache.
    FromCache,
    /// The whole list without a version.
    Plain,
    /// The first page.
    First,
    /// The whole list, or its first page, at a version.
    Exactly {
        /// The resourceVersion.
        version: String,
        /// Whether it is a page.
        paged: bool,
    },
    /// A further page.
    Continued(String),
}

impl Page {
    /// The first request for a list.
    pub fn first(shape: Shape) -> Page {
        match shape {
            Shape::FromCache => Page::FromCache,
            Shape::Pages => Page::First,
            Shape::Plain => Page::Plain,
        }
    }

    /// The page behind a token.
    pub fn continued(token: String) -> Page {
        Page::Continued(token)
    }

    /// The same page once more, holding the same objects; none where nothing would promise that.
    pub fn again(&self, version: Option<&str>) -> Option<Page> {
        match self {
            Page::Plain => None,
            Page::FromCache => version.map(|version| Page::Exactly { version: version.to_owned(), paged: false }),
            Page::First => version.map(|version| Page::Exactly { version: version.to_owned(), paged: true }),
            Page::Exactly { .. } | Page::Continued(_) => Some(self.clone()),
        }
    }

    /// The page of the table that holds the same objects.
    pub fn for_table(&self, version: Option<&str>) -> Page {
        self.again(version).unwrap_or_else(|| self.clone())
    }

    /// The query for objects.
    pub fn query(&self) -> String {
        match self {
            Page::FromCache => "?resourceVersion=0&resourceVersionMatch=NotOlderThan".to_owned(),
            Page::Plain => String::new(),
            Page::First => format!("?limit={PAGE}"),
            Page::Exactly { version, paged } => {
                let limit = if *paged { format!("limit={PAGE}&") } else { String::new() };
                format!("?{limit}resourceVersion={}&resourceVersionMatch=Exact", escaped(version))
            }
            Page::Continued(token) => format!("?limit={PAGE}&continue={}", escaped(token)),
        }
    }

    /// The query for the table, without objects but with their names where no version ties it to the objects.
    pub fn table_query(&self) -> String {
        let query = self.query();
        let (joint, include) = match self {
            Page::Plain => ("?", "Metadata"),
            Page::FromCache | Page::First => ("&", "Metadata"),
            Page::Exactly { .. } | Page::Continued(_) => ("&", "None"),
        };
        format!("{query}{joint}includeObject={include}")
    }
}

/// A text as the value of a query (RFC 3986: what is not unreserved is escaped).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_asked_for_at_the_version_of_its_objects() {
        let table = Page::first(Shape::FromCache).for_table(Some("17"));
        assert_eq!(table.table_query(), "?resourceVersion=17&resourceVersionMatch=Exact&includeObject=None");
        let table = Page::first(Shape::Pages).for_table(Some("17"));
        assert_eq!(table.table_query(), "?limit=500&resourceVersion=17&resourceVersionMatch=Exact&includeObject=None");
        assert_eq!(Page::Plain.for_table(None).table_query(), "?includeObject=Metadata");
    }

    #[test]
    fn tokens_are_escaped() {
        assert_eq!(Page::continued("ey+J/=".to_owned()).query(), "?limit=500&continue=ey%2BJ%2F%3D");
    }
}

//! A strict walk over one JSON value that is held whole.

/// How deep values may lie in one another. Kubernetes objects stay below 40; the bound keeps a hostile object from
/// using up the stack.
const DEPTH: usize = 128;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {expected}")]
pub struct Malformed {
    /// Offset in the text.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// A place in a JSON text. What has been passed is known to be valid, but for UTF-8, which the caller checks.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// The name of an object's member, found before its value.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The name as it stands in the text, between its quotes.
    pub key: &'a [u8],
    /// Offset of the name's first quote.
    pub start: usize,
    /// Offset of the comma before it; its own start where it is the first member.
    pub comma: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// A cursor at an offset of `text`.
    pub fn at_offset(text: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { text, at }
    }

    /// The offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space.
    pub fn peek(&mut self) -> Result<u8, Malformed> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(self.malformed("the text ends here"))
    }

    /// Passes over `{` or `[`.
    pub fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        if self.peek()? != bracket {
            return Err(self.malformed("an object or array was expected"));
        }
        self.at += 1;
        Ok(())
    }

    /// The next member of an object, its value not yet passed; none behind the closing brace.
    pub fn member(&mut self, first: bool) -> Result<Option<Member<'a>>, Malformed> {
        let next = self.peek()?;
        if next == b'}' {
            self.at += 1;
            return Ok(None);
        }
        let mut comma = self.at;
        if !first {
            if next != b',' {
                return Err(self.malformed("a comma or closing brace was expected"));
            }
            comma = self.at;
            self.at += 1;
            self.peek()?;
        }
        let start = self.at;
        let key = self.string()?;
        if self.peek()? != b':' {
            return Err(self.malformed("a colon was expected"));
        }
        self.at += 1;
        self.peek()?;
        Ok(Some(Member { key, start, comma }))
    }

    /// Whether an array has another element, which then is next; false behind the closing bracket.
    pub fn element(&mut self, first: bool) -> Result<bool, Malformed> {
        match self.peek()? {
            b']' => {
                self.at += 1;
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                if self.peek()? == b']' {
                    return Err(self.malformed("a value was expected"));
                }
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(self.malformed("a comma or closing bracket was expected")),
        }
    }

    /// Passes over a string and gives what stands between its quotes, escapes and all.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        if self.peek()? != b'"' {
            return Err(self.malformed("a string was expected"));
        }
        self.at += 1;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(run) = rest.iter().position(|&byte| STOPS_STRING[usize::from(byte)]) else {
                self.at = self.text.len();
                return Err(self.malformed("a string does not end"));
            };
            self.at += run;
            match rest.get(run) {
                Some(b'"') => {
                    let content = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(content);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.malformed("a control character in a string")),
            }
        }
    }

    /// Passes over any value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_nested(DEPTH)
    }

    /// Passes over a number, `true`, `false` or `null`.
    pub fn scalar(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    /// Holds where nothing but white space is left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        if self.peek().is_ok() { Err(self.malformed("the text goes on behind its value")) } else { Ok(()) }
    }

    /// An error at this place.
    pub fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), Malformed> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.malformed("values lie too deep in one another"));
        };
        match self.peek()? {
            b'{' => {
                self.at += 1;
                let mut first = true;
                while self.member(first)?.is_some() {
                    first = false;
                    self.skip_nested(depth)?;
                }
                Ok(())
            }
            b'[' => {
                self.at += 1;
                let mut first = true;
                while self.element(first)? {
                    first = false;
                    self.skip_nested(depth)?;
                }
                Ok(())
            }
            b'"' => self.string().map(|_| ()),
            _ => self.scalar(),
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let length = match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.malformed("four hexadecimal digits were expected"));
                }
                6
            }
            _ => return Err(self.malformed("an unknown escape in a string")),
        };
        self.at += length;
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let found = self.text.get(self.at..).unwrap_or_default();
        if !found.starts_with(word) {
            return Err(self.malformed("a value was expected"));
        }
        self.at += word.len();
        Ok(())
    }

    /// RFC 8259, section 6.
    fn number(&mut self) -> Result<(), Malformed> {
        if self.next_is(|byte| byte == b'-') {
            self.at += 1;
        }
        let leading_zero = self.next_is(|byte| byte == b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(self.malformed("a number begins with a zero"));
        }
        if self.next_is(|byte| byte == b'.') {
            self.at += 1;
            self.digits()?;
        }
        if self.next_is(|byte| matches!(byte, b'e' | b'E')) {
            self.at += 1;
            if self.next_is(|byte| matches!(byte, b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, Malformed> {
        let start = self.at;
        while self.next_is(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed("a value was expected")) } else { Ok(self.at - start) }
    }

    fn next_is(&self, wanted: impl Fn(u8) -> bool) -> bool {
        self.text.get(self.at).is_some_and(|&byte| wanted(byte))
    }
}

/// The bytes at which a string ends, escapes or is broken.
static STOPS_STRING: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

/// The raw text of the string at a path of member names, where there is one: `["metadata", "namespace"]`.
pub fn string_at<'a>(text: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(text);
    for name in path {
        cursor.open(b'{').ok()?;
        let mut first = true;
        loop {
            let member = cursor.member(first).ok()??;
            first = false;
            if member.key == name.as_bytes() {
                break;
            }
            cursor.skip().ok()?;
        }
    }
    cursor.string().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn holds(text: &str) -> bool {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip().and_then(|()| cursor.end()).is_ok()
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        for text in [r#"{"a":[1,-0.5e+3,{"b":null}],"c":"x\u00e9\n"}"#, " [ ] ", "0", "\"\"", "{}", "[[],{}]"] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "nul",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "{a:1}",
            "[1 2]",
            "1 2",
            "{\"a\" 1}",
            "[,1]",
        ] {
            assert!(!holds(text), "{text}");
        }
        assert!(!holds(&"[".repeat(100_000)));
    }

    #[test]
    fn a_string_is_found_by_its_path() {
        let pod = br#"{"metadata":{"name":"a","namespace":"kube-system"},"spec":{}}"#;
        assert_eq!(string_at(pod, &["metadata", "namespace"]), Some(b"kube-system".as_slice()));
        assert_eq!(string_at(pod, &["metadata", "labels"]), None);
        assert_eq!(string_at(b"{\"metadata\":", &["metadata", "name"]), None);
    }

    proptest! {
        /// The walk and serde_json agree on what is JSON (serde_json refuses lone surrogates only when it decodes).
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{},:"0-9.eE+\-a\\utrfalsn ]{0,24}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(holds(&text), theirs, "{}", text);
        }
    }
}

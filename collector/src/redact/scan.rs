//! One pass over a window of text: finds the places where secrets begin, and says what is to be put in their stead.
//!
//! An automaton finds letters that secrets come with (`password`, `-----BEGIN`, `AKIA`, `://`); a function for each kind
//! then reads what stands there. Whatever cannot be told before more text comes asks for it ([`More`]).

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use super::block::Open;
use super::key_name::Secret;
use super::value::{self, End, Until};
use super::{assignment, block, encoded, format, pem, program, secret_object, url};

/// More text is needed to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More;

/// What is put in the place of a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// A mask.
    Mask,
    /// A mask within quotes that have so many backslashes before them, for a number in JSON.
    Quoted(usize),
    /// A mask of a value that was counted before: the next line of a key.
    Again,
    /// Nothing: the rest of a value whose mask is written.
    Nothing,
}

/// A piece of the text and its replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// What kind of secret it is.
    pub kind: &'static str,
    /// What takes its place.
    pub instead: Instead,
}

/// A place that was found.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Where its letters begin.
    pub from: usize,
    /// Where they end.
    pub to: usize,
}

/// What was found at a place.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    /// A word of a secret's name.
    Word,
    /// The key of a value whose name stands beside it: `{"name": "DB_PASSWORD", "value": "…"}`.
    Value,
    /// `data` of what may be a Secret.
    Data,
    /// The end of a URL's scheme.
    Url,
    /// The address of Go's MySQL driver, behind the password.
    MySqlAddress,
    /// The first line of PEM.
    Pem,
    /// `eyJ`, base64 of `{"`.
    Json,
    /// A word's spelling within base64.
    Encoded(usize),
    /// A token of a known format.
    Format(usize),
    /// `Bearer ` or `Basic `, wherever they stand.
    Scheme,
    /// `IDENTIFIED BY` of SQL.
    Identified,
    /// A program that takes a password behind a short flag.
    Program,
    /// `-p` directly before a password.
    ShortFlag,
    /// The collector's own mark of dropped bytes.
    Gap,
}

const WORDS: &[&str] = &[
    "pass",
    "pwd",
    "psk",
    "secret",
    "token",
    "credential",
    "creds",
    "jwt",
    "bearer:",
    "bearer=",
    "bearer\"",
    "auth",
    "cookie",
    "sessionid",
    "session_id",
    "session-id",
    "sessid",
    "connect.sid",
    "sig=",
    "signature",
    "apikey",
    "api_key",
    "api-key",
    "api key",
    "accesskey",
    "access_key",
    "access-key",
    "accountkey",
    "account_key",
    "account-key",
    "sharedkey",
    "shared_key",
    "sharedaccesskey",
    "authkey",
    "encryptionkey",
    "encryption_key",
    "encryption-key",
    "masterkey",
    "master_key",
    "master-key",
    "privatekey",
    "private_key",
    "private-key",
    "signingkey",
    "signing_key",
    "signing-key",
    "storagekey",
    "storage_key",
    "licensekey",
    "license_key",
    "presharedkey",
    "preshared_key",
    "certificate-key",
    "certificatekey",
    "key-data",
    "keydata",
    "tls.key",
    "ca.key",
    "server.key",
    "client.key",
    "client-key",
    "app_key",
    "appkey",
    "fastopen_key",
    "subscription-key",
    "subscriptionkey",
    "instrumentationkey",
    "function_key",
    "function-key",
    "functionkey",
    "deploy_key",
    "deploykey",
    "identitykey",
    "session_key",
    "sessionkey",
    "webhook_key",
    "host_key",
];

struct Anchors {
    automaton: AhoCorasick,
    meanings: Vec<Anchor>,
    spellings: Vec<String>,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    let spellings = encoded::spellings();
    let mut all: Vec<(String, Anchor)> = WORDS.iter().map(|word| ((*word).to_owned(), Anchor::Word)).collect();
    for (letters, anchor) in [
        ("value", Anchor::Value),
        ("\"data", Anchor::Data),
        ("\ndata:", Anchor::Data),
        (" data:", Anchor::Data),
        ("stringdata", Anchor::Data),
        ("://", Anchor::Url),
        ("@tcp(", Anchor::MySqlAddress),
        ("@tcp6(", Anchor::MySqlAddress),
        ("@unix(", Anchor::MySqlAddress),
        ("-----begin", Anchor::Pem),
        ("eyj", Anchor::Json),
        ("bearer ", Anchor::Scheme),
        ("basic ", Anchor::Scheme),
        ("identified by", Anchor::Identified),
        (" -p", Anchor::ShortFlag),
        ("\0-p", Anchor::ShortFlag),
        ("\"-p", Anchor::ShortFlag),
        ("[dossier: ", Anchor::Gap),
    ] {
        all.push((letters.to_owned(), anchor));
    }
    all.extend(program::NAMES.iter().map(|name| ((*name).to_owned(), Anchor::Program)));
    all.extend(format::FORMATS.iter().enumerate().map(|(n, format)| (format.begins.to_owned(), Anchor::Format(n))));
    all.extend(spellings.iter().enumerate().map(|(n, spelling)| (spelling.clone(), Anchor::Encoded(n))));
    let automaton = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .build(all.iter().map(|(letters, _)| letters));
    let automaton = match automaton {
        Ok(automaton) => automaton,
        // The letters are constants; that they fit an automaton is tried by every test.
        Err(error) => unreachable!("{error}"),
    };
    Anchors { automaton, meanings: all.into_iter().map(|(_, anchor)| anchor).collect(), spellings }
});

/// The longest letters of an anchor.
const LONGEST_ANCHOR: usize = 32;
/// How often base64 within base64 is decoded.
const DEPTH: usize = 3;
/// What of a long run of base64 is decoded at most.
const DECODED: usize = 1 << 20;

/// A window of the text, and what was found in it.
pub struct Scan<'a> {
    /// What came last before the window, and the window.
    pub text: &'a [u8],
    /// Whether nothing comes behind the text.
    pub whole: bool,
    /// What is to be replaced, in order.
    pub edits: Vec<Edit>,
    /// What is still open at the place where the pass ended.
    pub open: Open,
    /// How the last value would have ended that the text's end cut off.
    pub unfinished: Option<(Until, &'static str)>,
    /// Where the window begins.
    pub floor: usize,
    depth: usize,
}

impl<'a> Scan<'a> {
    /// A pass over `text` from `floor` on.
    pub fn new(text: &'a [u8], floor: usize, whole: bool, open: Open) -> Scan<'a> {
        Scan { text, whole, edits: Vec::new(), open, unfinished: None, floor, depth: 0 }
    }

    /// Passes over what begins before `until`. Gives how far everything is told, which may be less, or more.
    pub fn run(&mut self, until: usize) -> usize {
        let mut at = self.floor;
        while at < until {
            let edits = self.edits.len();
            let step = match self.open {
                Open::Nothing => self.anchors(at, until),
                _ => self.line(at),
            };
            match step {
                Ok(next) => at = next,
                Err((told, More)) => {
                    self.edits.truncate(edits.max(self.told_edits(told)));
                    return told;
                }
            }
        }
        at
    }

    fn told_edits(&self, told: usize) -> usize {
        self.edits.iter().take_while(|edit| edit.to <= told).count()
    }

    /// Looks for anchors up to `until`, or until one leaves something open.
    pub(super) fn anchors(&mut self, from: usize, until: usize) -> Result<usize, (usize, More)> {
        let anchors = &*ANCHORS;
        let mut at = from;
        while at < until && matches!(self.open, Open::Nothing) {
            let end = self.text.len().min(until + LONGEST_ANCHOR);
            let found = anchors.automaton.find(Input::new(self.text).span(at..end));
            let found = found.filter(|found| found.start() < until);
            let quiet = found.as_ref().map_or(until.min(self.text.len()), |found| found.start());
            if let Some(next) = self.bootstrap_tokens(at, quiet) {
                at = next;
                continue;
            }
            let Some(found) = found else { return Ok(until.max(at)) };
            let hit = Hit { from: found.start(), to: found.end() };
            let Some(&anchor) = anchors.meanings.get(found.pattern().as_usize()) else { return Ok(until) };
            let edits = self.edits.len();
            match self.look(anchor, hit) {
                Ok(next) => at = next.max(hit.from + 1),
                Err(More) => {
                    self.edits.truncate(edits);
                    return Err((hit.from.max(at), More));
                }
            }
        }
        Ok(at)
    }

    fn look(&mut self, anchor: Anchor, hit: Hit) -> Result<usize, More> {
        match anchor {
            Anchor::Word => assignment::of_word(self, hit),
            Anchor::Value => assignment::of_pair(self, hit),
            Anchor::Scheme => assignment::of_scheme(self, hit),
            Anchor::Identified => assignment::of_sql(self, hit),
            Anchor::Data => secret_object::data(self, hit),
            Anchor::Url => self.credentials(hit),
            Anchor::MySqlAddress => {
                let found = url::before_address(self.text, self.free(), hit.from);
                if let Some(found) = found {
                    self.mask(found.from, found.to, "password");
                }
                Ok(hit.to)
            }
            Anchor::Pem => pem::begin(self, hit),
            Anchor::Json => self.json(hit),
            Anchor::Encoded(n) => {
                let spelling = ANCHORS.spellings.get(n).map(String::as_bytes);
                if self.text.get(hit.from..hit.to) != spelling { Ok(hit.from + 1) } else { self.base64(hit) }
            }
            Anchor::Format(n) => self.format(n, hit),
            Anchor::Program => program::arguments(self, hit),
            Anchor::ShortFlag => program::short_flag(self, hit),
            Anchor::Gap => {
                let end = self.text.get(hit.to..).unwrap_or_default().iter().position(|&byte| byte == b'\n');
                if let Some(end) = end {
                    self.open = Open::Headless;
                    return Ok(hit.to + end + 1);
                }
                Ok(hit.to)
            }
        }
    }

    /// Masks a piece of the text.
    pub(super) fn mask(&mut self, from: usize, to: usize, kind: &'static str) {
        self.replace(from, to, kind, Instead::Mask);
    }

    /// Replaces a piece of the text that lies behind all others.
    pub(super) fn replace(&mut self, from: usize, to: usize, kind: &'static str, instead: Instead) {
        let from = from.max(self.free());
        if from < to && !value::is_mask(self.text.get(from..to).unwrap_or_default()) {
            self.edits.push(Edit { from, to, kind, instead });
        }
    }

    /// Where what is not replaced yet begins.
    pub(super) fn free(&self) -> usize {
        self.edits.last().map_or(self.floor, |edit| edit.to.max(self.floor))
    }

    /// Masks a value unless it can be no secret.
    pub(super) fn mask_value(&mut self, from: usize, to: usize, secret: Secret) {
        let value = self.text.get(from..to).unwrap_or_default();
        if !value::harmless(value, secret) {
            self.mask(from, to, secret.kind());
        }
    }

    /// Where a value ends that begins at `from`.
    pub(super) fn end(&mut self, from: usize, until: Until, kind: &'static str) -> Result<usize, More> {
        match value::end(self.text, from, until) {
            End::At(at) => Ok(at),
            End::Beyond if self.whole => {
                self.unfinished = Some((until, kind));
                Ok(self.text.len())
            }
            End::Beyond => Err(More),
        }
    }

    /// The byte at a place.
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The text from a place on.
    pub(super) fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// Asks for so many bytes behind a place, unless the text ends before.
    pub(super) fn need(&self, at: usize, bytes: usize) -> Result<(), More> {
        if self.whole || at + bytes <= self.text.len() { Ok(()) } else { Err(More) }
    }

    /// Where the line begins in which a place lies, as far back as the text goes.
    pub(super) fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1)
    }

    fn bootstrap_tokens(&mut self, from: usize, to: usize) -> Option<usize> {
        let quiet = self.text.get(from..to)?;
        for dot in memchr::memchr_iter(b'.', quiet) {
            if let Some(begins) = format::bootstrap_token(self.text, from + dot)
                && begins >= self.free()
            {
                let to = from + dot + 17;
                self.mask(begins, to, "bootstrap-token");
                return Some(to);
            }
        }
        None
    }

    fn credentials(&mut self, hit: Hit) -> Result<usize, More> {
        self.need(hit.to, 600)?;
        if let Some(found) = url::user_info(self.text, hit.to) {
            let value = self.text.get(found.from..found.to).unwrap_or_default();
            if !value::harmless(value, Secret::Password) {
                self.mask(found.from, found.to, "password");
                return Ok(found.to);
            }
        }
        Ok(hit.to)
    }

    fn format(&mut self, n: usize, hit: Hit) -> Result<usize, More> {
        let before = hit.from.checked_sub(1).and_then(|at| self.byte(at));
        let first = self.byte(hit.from).unwrap_or(b' ');
        // A token that begins with a letter begins a word; one letter may be the `n` of a written line end.
        let escaped = before == Some(b'n') && hit.from >= 2 && self.byte(hit.from - 2) == Some(b'\\');
        let joins =
            first.is_ascii_alphanumeric() && before.is_some_and(|byte| byte.is_ascii_alphanumeric()) && !escaped;
        let Some(shape) = format::FORMATS.get(n) else { return Ok(hit.to) };
        if joins && shape.begins != "q~" {
            return Ok(hit.from + 1);
        }
        self.need(hit.from, 512)?;
        let Some((from, to)) = format::find(n, self.rest(hit.from)) else { return Ok(hit.from + 1) };
        let (mut from, to) = (hit.from + from, hit.from + to);
        // What these have before their letters is a part of them: Azure's `abc8Q~…`, Telegram's `123456789:AA…`, Terraform's.
        if matches!(shape.begins, "q~" | ":aa" | ".atlasv1.") {
            let own = self.text.get(self.free()..hit.from).unwrap_or_default();
            let before = own
                .iter()
                .rev()
                .take(14)
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
                .count();
            if shape.begins == ":aa" && !(8..=12).contains(&before) {
                return Ok(hit.to);
            }
            from = if shape.begins == ".atlasv1." { hit.from - before } else { from - before };
        }
        if !self.rest(from).starts_with(b"MASKED-") {
            self.mask(from, to, shape.kind);
        }
        Ok(to)
    }

    /// A JSON Web Token, or JSON in base64.
    fn json(&mut self, hit: Hit) -> Result<usize, More> {
        let starts = hit
            .from
            .checked_sub(1)
            .and_then(|at| self.byte(at))
            .is_none_or(|b| !value::is_base64(b) || matches!(b, b'=' | b'/' | b'-'));
        let escaped = hit.from >= 2 && self.text.get(hit.from - 2..hit.from) == Some(b"\\n");
        if self.text.get(hit.from..hit.to) != Some(b"eyJ") || !(starts || escaped) {
            return Ok(hit.from + 1);
        }
        let end = self.end(hit.from, Until::Base64, "jwt")?;
        if self.byte(end) == Some(b'.') {
            let second = self.end(end + 1, Until::Base64, "jwt")?;
            if self.byte(second) == Some(b'.') {
                let third = self.end(second + 1, Until::Base64, "jwt")?;
                self.need(third, 1)?;
            }
            if let Some(length) = format::jwt(self.rest(hit.from)) {
                self.mask(hit.from, hit.from + length, "jwt");
                return Ok(hit.from + length);
            }
        }
        self.run_of_base64(hit.from, end)
    }

    /// A word within base64: the run around it is decoded.
    fn base64(&mut self, hit: Hit) -> Result<usize, More> {
        let before = self.text.get(self.free()..hit.from).unwrap_or_default();
        let mut from =
            hit.from - before.iter().rev().take_while(|&&byte| value::is_base64(byte) && byte != b'=').count();
        if from >= 1 && self.byte(from - 1) == Some(b'\\') && self.byte(from) == Some(b'n') {
            from += 1;
        }
        let end = self.end(hit.to, Until::Base64, "encoded")?;
        self.run_of_base64(from, end)
    }

    fn run_of_base64(&mut self, from: usize, end: usize) -> Result<usize, More> {
        let run = self.text.get(from..end.min(from + DECODED)).unwrap_or_default();
        if self.depth >= DEPTH || !holds_secret(run, self.depth) {
            return Ok(end);
        }
        self.mask(from, end, "encoded");
        let width = end - from;
        if matches!(self.byte(end), Some(b'\n' | b'\r')) && block::WIDTHS.contains(&width) {
            self.open = Open::Encoded { width };
            let newline = self.rest(end).iter().position(|&byte| byte == b'\n').unwrap_or(0);
            return Ok(end + newline + 1);
        }
        Ok(end)
    }
}

/// Whether a run of base64 holds a secret. A path or an identifier that happens to be base64 decodes to noise, in which
/// nothing is found.
fn holds_secret(run: &[u8], depth: usize) -> bool {
    let mut run = run;
    // A path before the run belongs to it as far as its letters go; what is behind the last slash may decode.
    loop {
        let Some(decoded) = encoded::decode(run) else { return false };
        let mut scan = Scan::new(&decoded, 0, true, Open::Nothing);
        scan.depth = depth + 1;
        scan.run(decoded.len());
        let key = decoded.windows(11).any(|part| part == b"PRIVATE KEY");
        if key || !scan.edits.is_empty() {
            return true;
        }
        // `name=` and the like before a run are no base64 of its own.
        let Some(cut) =
            run.iter().take(run.len().saturating_sub(4)).position(|byte| matches!(byte, b'=' | b'/' | b'-' | b'_'))
        else {
            return false;
        };
        run = run.get(cut + 1..).unwrap_or_default();
    }
}

//! The letters that secrets come with, all in one automaton.

use std::sync::LazyLock;

use aho_corasick::dfa::DFA;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{encoded, format, program};

/// What was found at a place.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
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

/// Words of names.
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

/// The longest letters.
pub const LONGEST: usize = 32;

/// The automata, what each of their words means, and the spellings within base64.
pub struct Anchors {
    /// Finds them.
    pub automaton: AhoCorasick,
    /// Says where any of them ends; no state of it is special but those.
    pub ends: DFA,
    /// By the number of a word.
    pub meanings: Vec<Anchor>,
    /// By the number of [`Anchor::Encoded`].
    pub spellings: Vec<String>,
}

/// Built when it is first needed.
pub static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
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
    all.extend(program::names().map(|name| (name.to_owned(), Anchor::Program)));
    all.extend(format::FORMATS.iter().enumerate().map(|(n, format)| (format.begins.to_owned(), Anchor::Format(n))));
    all.extend(spellings.iter().enumerate().map(|(n, spelling)| (spelling.clone(), Anchor::Encoded(n))));
    let letters = || all.iter().map(|(letters, _)| letters);
    let automaton = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .build(letters());
    let ends = DFA::builder().ascii_case_insensitive(true).prefilter(false).build(letters());
    let (automaton, ends) = match (automaton, ends) {
        (Ok(automaton), Ok(ends)) => (automaton, ends),
        // The letters are constants; that they fit an automaton is tried by every test.
        (Err(error), _) | (_, Err(error)) => unreachable!("{error}"),
    };
    Anchors { automaton, ends, meanings: all.into_iter().map(|(_, anchor)| anchor).collect(), spellings }
});

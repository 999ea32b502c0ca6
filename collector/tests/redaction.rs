//! Redaction against a corpus of the ways in which secrets are written, and against text in which nothing is to be masked.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Bundle, ItemFilter, Limits};
use collector::redact::Redaction;
use proptest::prelude::*;
use regex::{Captures, Regex};

/// Redacts a text that comes in pieces of this size.
fn in_pieces(redaction: &Redaction, text: &[u8], size: usize) -> (Vec<u8>, BTreeMap<String, u64>) {
    let mut redactor = redaction.redactor();
    let mut out = Vec::new();
    for piece in text.chunks(size) {
        redactor.push(piece, &mut out).unwrap();
    }
    let masked = redactor.finish(&mut out).unwrap();
    (out, masked)
}

fn redact(text: &[u8]) -> Vec<u8> {
    in_pieces(&Redaction::new(), text, 1 << 20).0
}

fn redact_text(text: &str) -> String {
    String::from_utf8(redact(text.as_bytes())).unwrap()
}

/// Numbers the masks of a text in the order in which they first appear.
fn in_order(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let masks = Regex::new(r"MASKED-([a-z-]+)-([0-9]+)").unwrap();
    let numbered = masks.replace_all(text, |found: &Captures<'_>| {
        let number = found[2].to_owned();
        let place = seen.iter().position(|other| *other == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        format!("MASKED-{}-{}", &found[1], place + 1)
    });
    numbered.into_owned()
}

struct Case {
    name: String,
    input: String,
    expected: String,
}

/// Letters of an alphabet, each by its place: no token that anybody owns.
fn letters(alphabet: &str, count: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    (0..count).map(|n| alphabet[(n * 7 + 3) % alphabet.len()]).collect()
}

fn made(text: &str) -> String {
    const ALNUM: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let count = Regex::new(r"\{\{(alnum|hex|upper|digits) ([0-9]+)\}\}").unwrap();
    let text = count.replace_all(text, |found: &Captures<'_>| {
        let alphabet = match &found[1] {
            "alnum" => ALNUM,
            "hex" => "0123456789abcdef",
            "upper" => "ABCDEFGHJKLMNPQRSTUVWXYZ234567",
            _ => "1234567890",
        };
        letters(alphabet, found[2].parse().unwrap())
    });
    let text = text.into_owned();
    // One in a line, up to its last braces.
    let encoded = Regex::new(r"\{\{(base64|twice|wrapped) (.*)\}\}").unwrap();
    let text = encoded.replace_all(&text, |found: &Captures<'_>| {
        let letters = STANDARD.encode(&found[2]);
        match &found[1] {
            "twice" => STANDARD.encode(letters),
            "wrapped" => {
                let lines: Vec<&str> =
                    letters.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
                lines.join("\n")
            }
            _ => letters,
        }
    });
    text.into_owned()
}

fn corpus() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redaction");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    files.sort();
    let cases = Regex::new(r"(?m)^## (.+)\n```in\n((?s:.*?))^```\n```out\n((?s:.*?))^```$").unwrap();
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let headings = text.lines().filter(|line| line.starts_with("## ")).count();
        let before = found.len();
        found.extend(cases.captures_iter(&text).map(|case| Case {
            name: case[1].to_owned(),
            input: made(&case[2]),
            expected: made(&case[3]),
        }));
        assert_eq!(found.len() - before, headings, "a case of {} is not written as one", file.display());
    }
    found
}

#[test]
fn every_shape_is_masked() {
    let cases = corpus();
    let mut wrong = Vec::new();
    let mut masks = 0;
    for case in &cases {
        let redacted = redact_text(&case.input);
        masks += redacted.matches("MASKED-").count();
        if in_order(&redacted) != case.expected {
            wrong.push(format!("## {}\nexpected:\n{}\ngot:\n{}", case.name, case.expected, in_order(&redacted)));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(masks >= 150, "{masks}");
}

#[test]
fn masked_text_is_not_masked_again() {
    for case in corpus() {
        let once = redact_text(&case.input);
        assert_eq!(redact_text(&once), once, "{}", case.name);
    }
}

#[test]
fn it_does_not_matter_in_which_pieces_text_comes() {
    let redaction = Redaction::new();
    let corpus: Vec<String> = corpus().into_iter().map(|case| case.input).collect();
    // Longer than several windows, so that cuts fall everywhere; a filler of odd length moves them.
    let mut text = String::new();
    for n in 0..40 {
        for case in &corpus {
            text.push_str(case);
            text.push_str(&format!("filler {:n$}\n", n, n = n * 3 + 1));
        }
    }
    let whole = in_pieces(&redaction, text.as_bytes(), usize::MAX);
    for size in [1_000, 4_093, 65_536] {
        assert_eq!(in_pieces(&redaction, text.as_bytes(), size), whole, "{size}");
    }
    let one_by_one = in_pieces(&redaction, &text.as_bytes()[..200_000], 1);
    assert_eq!(one_by_one, in_pieces(&redaction, &text.as_bytes()[..200_000], usize::MAX));
    // Every case comes out of the middle of a long text as it does alone.
    let whole = String::from_utf8(whole.0).unwrap();
    for case in &corpus {
        let alone = String::from_utf8(in_pieces(&redaction, case.as_bytes(), usize::MAX).0).unwrap();
        let found = whole.matches(&alone).count();
        assert!(found >= 39, "{found} of 40: a cut lets pass what alone becomes:\n{alone}");
    }
}

#[test]
fn lines_may_end_in_crlf_or_not_at_all() {
    for case in corpus() {
        let crlf = case.input.replace('\n', "\r\n");
        let redacted = redact_text(&crlf);
        assert_eq!(in_order(&redacted), case.expected.replace('\n', "\r\n"), "{}", case.name);
        let cut = case.input.trim_end_matches('\n');
        assert_eq!(in_order(&redact_text(cut)), case.expected.trim_end_matches('\n'), "{}", case.name);
    }
}

#[test]
fn nul_bytes_separate_and_stay() {
    let environment = b"PATH=/bin\0DB_PASSWORD=hush\0--token\0hush2\0HOME=/root\0";
    let redacted = String::from_utf8(redact(environment)).unwrap();
    assert_eq!(in_order(&redacted), "PATH=/bin\0DB_PASSWORD=MASKED-password-1\0--token\0MASKED-token-2\0HOME=/root\0");
    let binary: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    assert_eq!(redact(&binary), binary, "what holds no secret is the same to the byte");
}

#[test]
fn a_line_of_fifty_megabytes_is_redacted_in_bounded_memory() {
    let redaction = Redaction::new();
    let mut redactor = redaction.redactor();
    let (mut out, mut length, mut held, mut taken) = (Vec::new(), 0usize, 0usize, 0usize);
    let record = br#"{"name":"x","note":"nothing to see","password":"hush","list":[1,2,3]},"#;
    let mut all_masks = 0;
    redactor.push(b"[", &mut out).unwrap();
    for _ in 0..50_000_000 / record.len() {
        redactor.push(record, &mut out).unwrap();
        taken += record.len();
        all_masks += out.windows(16).filter(|part| *part == b"MASKED-password-").count();
        assert!(!out.windows(6).any(|part| part == b"\"hush\""));
        length += out.len();
        out.clear();
        held = held.max(taken.saturating_sub(length));
    }
    redactor.finish(&mut out).unwrap();
    // A mask is longer than its value here, so what is held is more than what is missing of the length; both are small.
    assert!(held < 4 << 20, "{held} bytes were held");
    assert!(all_masks > 700_000);

    // One value of fifty megabytes is one mask.
    let mut redactor = redaction.redactor();
    let mut out = Vec::new();
    redactor.push(br#"{"password":""#, &mut out).unwrap();
    for _ in 0..50 {
        redactor.push(&vec![b'x'; 1_000_000], &mut out).unwrap();
    }
    redactor.push(b"\",\"next\":1}\n", &mut out).unwrap();
    redactor.finish(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(in_order(&out), "{\"password\":\"MASKED-password-1\",\"next\":1}\n");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut text).unwrap();
    text
}

#[test]
fn gzip_is_looked_into_and_stays_gzip() {
    let log = b"line\npassword=hush\n".repeat(10_000);
    let packed = redact(&gzip(&log));
    let text = String::from_utf8(gunzip(&packed)).unwrap();
    assert!(!text.contains("hush") && text.lines().count() == 20_000);
    let nested = redact(&gzip(&gzip(&log)));
    assert!(!String::from_utf8(gunzip(&gunzip(&nested))).unwrap().contains("hush"));
    // Two files behind one another are one, as gzip has it; one that was cut off is read as far as it goes.
    let two = [gzip(b"token=hush1 x\n"), gzip(b"token=hush2 x\n")].concat();
    assert_eq!(String::from_utf8(gunzip(&redact(&two))).unwrap().matches("MASKED-token-").count(), 2);
    let whole = gzip(&log);
    let cut = gunzip(&redact(&whole[..whole.len() - 9]));
    assert!(cut.starts_with(b"line\npassword=MASKED-") && !cut.windows(4).any(|part| part == b"hush"));
}

#[test]
fn what_cannot_be_looked_into_is_withheld() {
    let zip = b"PK\x03\x04and so on".repeat(100);
    let mut tar = vec![b'x'; 2_000];
    tar[257..262].copy_from_slice(b"ustar");
    for refused in [
        &zip[..],
        b"\xfd7zXZ\0",
        b"BZh91AY",
        b"\x28\xb5\x2f\xfd....",
        &tar,
        &gzip(&zip),
        b"\x1f\x8b\x08damaged beyond repair",
    ] {
        let mut redactor = Redaction::new().redactor();
        let mut out = Vec::new();
        let pushed = redactor.push(refused, &mut out);
        assert!(pushed.is_err() || redactor.finish(&mut out).is_err(), "{refused:?}");
    }
}

#[test]
fn text_of_windows_becomes_utf_8() {
    let text = "Name: x\r\nPassword: hush\r\nOrt: Łódź 🙂\r\n";
    for big in [false, true] {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let redacted = String::from_utf8(in_pieces(&Redaction::new(), &bytes, 3).0).unwrap();
        assert_eq!(in_order(&redacted), "Name: x\r\nPassword: MASKED-password-1\r\nOrt: Łódź 🙂\r\n");
    }
}

#[test]
fn what_was_masked_is_counted_by_kind() {
    let (_, masked) = in_pieces(
        &Redaction::new(),
        b"password=a\npassword=a\ntoken=b\n-----BEGIN PRIVATE KEY-----\nabc\ndef\n-----END PRIVATE KEY-----\n",
        7,
    );
    let expected = [("password", 2), ("token", 1), ("private-key", 1)];
    assert_eq!(masked, expected.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect());
}

/// What redaction changes in the samples' members; each line was looked at, and masks what it should.
const REVIEWED: &[(&str, &str)] = &[];

#[test]
fn nothing_in_the_samples_is_masked_that_should_not_be() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let mut changed = Vec::new();
    let mut members = 0;
    for entry in fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zip") {
            continue;
        }
        let bundle = Bundle::open(&path, Limits::default()).unwrap();
        for item in bundle.manifest().items.iter().filter_map(|item| item.path.as_deref()) {
            let content = bundle.read(item).unwrap();
            members += 1;
            let redacted = redact(&content);
            if redacted == content {
                continue;
            }
            let (before, after) = (String::from_utf8_lossy(&content), String::from_utf8_lossy(&redacted));
            for (before, after) in before.lines().zip(after.lines()).filter(|(before, after)| before != after) {
                let reviewed = REVIEWED.iter().any(|(path, line)| item.ends_with(path) && before.contains(line));
                if !reviewed {
                    changed.push(format!("{}: {item}\n- {before:.600}\n+ {after:.600}", path.display()));
                }
            }
        }
    }
    assert!(members > 2_000, "{members}");
    assert!(changed.is_empty(), "{}\n{}", changed.len(), changed.join("\n"));
}

/// Text that has much of what secrets are written with.
fn secretive() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "password",
        "\"",
        "\\\"",
        "\\\\",
        "\\n",
        "\\",
        ":",
        "=",
        " ",
        "token",
        "secret",
        "api_key",
        "Bearer ",
        "Basic ",
        "://u:p@h/",
        "eyJhbGciOiJ9.eyJh.c2ln",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "MIIEvQ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "value",
        "name",
        "data",
        "kind",
        "Secret",
        "12345",
        "true",
        "null",
        "hush",
        "--password",
        "|",
        ">",
        "- ",
        "&",
        ";",
        "\\u0026",
        "<password>",
        "</",
        "ghp_",
        "AKIA",
        "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
        "abcdef.0123456789abcdef",
        "é",
        "authorization",
        "set-cookie",
        "sig=",
        "mysql -phush ",
        "curl -u a:b ",
        "stringData",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let key = prop_oneof![
        prop::sample::select(vec![
            "password",
            "token",
            "name",
            "value",
            "data",
            "kind",
            "auth",
            "Authorization",
            "secret",
            "x",
            "tokens",
            "client-key-data"
        ])
        .prop_map(str::to_owned),
        secretive(),
    ];
    let leaf = prop_oneof![
        secretive().prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(Value::String("Secret".to_owned())),
        Just(Value::String("DB_PASSWORD".to_owned())),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Whether two values have the same shape: the same members in the same places.
fn same_shape(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (a, b) {
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b)),
        // A name that is itself a token has become a mask.
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_none_or(|b| same_shape(a, b)))
        }
        (Array(_) | Object(_), _) | (_, Array(_) | Object(_)) => false,
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn json_stays_json(value in json(), depth in 0usize..3, pretty: bool) {
        let mut text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        for _ in 0..depth {
            text = serde_json::json!({ "log": text, "n": 1 }).to_string();
        }
        let redacted = redact_text(&text);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&redacted);
        prop_assert!(parsed.is_ok(), "{}\n{}", text, redacted);
        let before: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert!(same_shape(&before, &parsed.unwrap()), "{}\n{}", text, redacted);
    }

    #[test]
    fn lines_stay_lines(parts in prop::collection::vec(secretive(), 0..30), crlf: bool) {
        let text = parts.join(if crlf { "\r\n" } else { "\n" });
        let redacted = redact_text(&text);
        prop_assert_eq!(redacted.matches('\n').count(), text.matches('\n').count(), "{}\n{}", text, redacted);
        prop_assert_eq!(redact_text(&redacted).matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn any_bytes_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..3_000), text in secretive(), size in 1usize..400) {
        let redaction = Redaction::new();
        let all = [&bytes[..], text.as_bytes(), &bytes].concat();
        // What cannot be looked into is refused, however it comes.
        let mut redactor = redaction.redactor();
        let mut out = Vec::new();
        let pushed = all.chunks(size).try_for_each(|piece| redactor.push(piece, &mut out));
        let whole = redaction.copy(&mut &all[..], &mut std::io::sink());
        prop_assert_eq!(pushed.is_ok() && redactor.finish(&mut out).is_ok(), whole.is_ok());
    }
}

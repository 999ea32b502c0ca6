//! What a text is wrapped in: gzip is unpacked, redacted and packed again, UTF-16 becomes UTF-8, and an archive that cannot
//! be looked into is refused.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};

use super::number::Numbers;
use super::stream::Stream;

/// Bytes from which the kind of a file is told.
const HEAD: usize = 262;
/// How often gzip may lie within gzip.
const NESTING: usize = 3;
/// What gzip may unpack to; more is no log that anybody reads.
const UNPACKED: u64 = 4_000_000_000;

/// Containers that hide what is in them: what they begin with, and what they are called.
const REFUSED: &[(usize, &[u8], &str)] = &[
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\xfd7zXZ\0", "compressed with xz"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document"),
    (257, b"ustar", "a tar archive"),
];

/// Redacts a file by its kind.
pub struct Container {
    numbers: Numbers,
    nesting: usize,
    state: State,
}

enum State {
    /// Too little has come to tell.
    Begin(Vec<u8>),
    Text(Box<Stream>),
    Utf16(Box<Utf16>),
    Gzip(Box<Gzip>),
    /// What is wrong with it.
    Refused(String),
}

impl Container {
    /// A file of which nothing is known.
    pub fn new(numbers: Numbers) -> Container {
        Container { numbers, nesting: 0, state: State::Begin(Vec::new()) }
    }

    /// Takes bytes and gives what may be written.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if let State::Begin(head) = &mut self.state {
            head.extend_from_slice(bytes);
            if head.len() < HEAD {
                return Ok(());
            }
            let head = std::mem::take(head);
            self.state = self.kind(&head);
            return self.go_on(&head, out);
        }
        self.go_on(bytes, out)
    }

    fn go_on(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.state {
            State::Text(stream) => stream.push(bytes, out),
            State::Utf16(utf16) => utf16.push(bytes, out),
            State::Gzip(gzip) => gzip.push(bytes, out)?,
            State::Refused(why) => return Err(io::Error::other(why.clone())),
            State::Begin(_) => {}
        }
        Ok(())
    }

    /// Gives the rest, and how many values were masked, by kind.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        if let State::Begin(head) = &mut self.state {
            let head = std::mem::take(head);
            self.state = self.kind(&head);
            self.go_on(&head, out)?;
        }
        match &mut self.state {
            State::Text(stream) => Ok(stream.finish(out)),
            State::Utf16(utf16) => Ok(utf16.stream.finish(out)),
            State::Gzip(gzip) => gzip.finish(out),
            State::Refused(why) => Err(io::Error::other(why.clone())),
            State::Begin(_) => Ok(BTreeMap::new()),
        }
    }

    fn kind(&self, head: &[u8]) -> State {
        for (at, magic, name) in REFUSED {
            if head.get(*at..).is_some_and(|head| head.starts_with(magic)) {
                return State::Refused(format!(
                    "it is {name}, which is not looked into; unpack it and attach the files"
                ));
            }
        }
        if head.starts_with(b"\x1f\x8b\x08") {
            if self.nesting >= NESTING {
                return State::Refused("it is gzip within gzip within gzip".to_owned());
            }
            let inner =
                Container { numbers: self.numbers.clone(), nesting: self.nesting + 1, state: State::Begin(Vec::new()) };
            return State::Gzip(Box::new(Gzip::new(inner)));
        }
        let stream = Box::new(Stream::new(self.numbers.clone()));
        match head {
            [0xff, 0xfe, ..] => State::Utf16(Box::new(Utf16 {
                stream: *stream,
                big: false,
                held: Vec::new(),
                high: None,
                begins: true,
            })),
            [0xfe, 0xff, ..] => {
                State::Utf16(Box::new(Utf16 { stream: *stream, big: true, held: Vec::new(), high: None, begins: true }))
            }
            _ => State::Text(stream),
        }
    }
}

/// Text of Windows, whose PowerShell writes it where it is redirected into a file.
struct Utf16 {
    stream: Stream,
    big: bool,
    held: Vec<u8>,
    high: Option<u16>,
    begins: bool,
}

impl Utf16 {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        let even = self.held.len() & !1;
        let mut text = String::with_capacity(even);
        for pair in self.held.get(..even).unwrap_or_default().chunks_exact(2) {
            let pair = [pair[0], pair[1]];
            let unit = if self.big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            if std::mem::take(&mut self.begins) && unit == 0xfeff {
                continue;
            }
            if (0xd800..0xdc00).contains(&unit) {
                self.high = Some(unit);
                continue;
            }
            let units = self.high.take().into_iter().chain([unit]);
            text.extend(char::decode_utf16(units).map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
        self.held.drain(..even);
        self.stream.push(text.as_bytes(), out);
    }
}

/// A compressed log.
struct Gzip {
    decoder: MultiGzDecoder<Inner>,
}

/// Redacts what is unpacked, and packs it again.
struct Inner {
    container: Container,
    encoder: GzEncoder<Vec<u8>>,
    redacted: Vec<u8>,
    unpacked: u64,
}

impl Write for Inner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unpacked += bytes.len() as u64;
        if self.unpacked > UNPACKED {
            return Err(io::Error::other(format!("it unpacks to more than {UNPACKED} bytes")));
        }
        self.redacted.clear();
        self.container.push(bytes, &mut self.redacted)?;
        self.encoder.write_all(&self.redacted)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gzip {
    fn new(container: Container) -> Gzip {
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        Gzip { decoder: MultiGzDecoder::new(Inner { container, encoder, redacted: Vec::new(), unpacked: 0 }) }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.decoder.write_all(bytes).map_err(damaged)?;
        out.append(self.decoder.get_mut().encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<BTreeMap<String, u64>> {
        // A log that was cut off is as good as far as it goes; what could not be unpacked is not kept.
        let cut_off = self.decoder.try_finish().err();
        let inner = self.decoder.get_mut();
        if let Some(error) = cut_off.filter(|_| inner.unpacked == 0) {
            return Err(damaged(error));
        }
        inner.redacted.clear();
        let masked = inner.container.finish(&mut inner.redacted)?;
        inner.encoder.write_all(&inner.redacted)?;
        inner.encoder.try_finish()?;
        out.append(inner.encoder.get_mut());
        Ok(masked)
    }
}

fn damaged(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("its compressed content cannot be read: {error}"))
}

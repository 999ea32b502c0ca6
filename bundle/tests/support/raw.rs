//! Zips made byte by byte, so that they can lie.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::io::Write;

/// One entry; header and directory say the same unless a test changes one of them.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub local_name: Vec<u8>,
    pub method: u16,
    pub local_method: u16,
    pub flags: u16,
    pub local_flags: u16,
    pub crc: u32,
    pub local_crc: u32,
    pub compressed: u32,
    pub local_compressed: u32,
    pub bytes: u32,
    pub local_bytes: u32,
    pub mode: u32,
    pub extra: Vec<u8>,
    pub local_extra: Vec<u8>,
    pub data: Vec<u8>,
    /// Where the directory says that the header lies, instead of where it lies.
    pub offset: Option<u32>,
}

pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn crc(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

impl Entry {
    pub fn new(name: &str, content: &[u8]) -> Entry {
        let data = deflate(content);
        let (crc, compressed, bytes) = (crc(content), data.len() as u32, content.len() as u32);
        Entry {
            name: name.into(),
            local_name: name.into(),
            method: 8,
            local_method: 8,
            flags: 0x800,
            local_flags: 0x800,
            crc,
            local_crc: crc,
            compressed,
            local_compressed: compressed,
            bytes,
            local_bytes: bytes,
            mode: 0o100_600,
            extra: Vec::new(),
            local_extra: Vec::new(),
            data,
            offset: None,
        }
    }

    /// An entry that announces other than it holds, in header and directory alike.
    pub fn announcing(mut self, bytes: u32) -> Entry {
        (self.bytes, self.local_bytes) = (bytes, bytes);
        self
    }
}

fn le16(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

fn le32(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

/// A zip of these entries; `count` is how many its end announces.
pub fn archive_announcing(entries: &[Entry], count: Option<u16>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = entry.offset.unwrap_or(out.len() as u32);
        out.extend(b"PK\x03\x04");
        le16(&mut out, &[20, entry.local_flags, entry.local_method, 0, 0x21]);
        le32(&mut out, &[entry.local_crc, entry.local_compressed, entry.local_bytes]);
        le16(&mut out, &[entry.local_name.len() as u16, entry.local_extra.len() as u16]);
        out.extend(&entry.local_name);
        out.extend(&entry.local_extra);
        out.extend(&entry.data);
        directory.extend(b"PK\x01\x02");
        le16(&mut directory, &[3 << 8 | 20, 20, entry.flags, entry.method, 0, 0x21]);
        le32(&mut directory, &[entry.crc, entry.compressed, entry.bytes]);
        le16(&mut directory, &[entry.name.len() as u16, entry.extra.len() as u16, 0, 0, 0]);
        le32(&mut directory, &[entry.mode << 16, offset]);
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06");
    let count = count.unwrap_or(entries.len() as u16);
    le16(&mut out, &[0, 0, count, count]);
    le32(&mut out, &[directory.len() as u32, start]);
    le16(&mut out, &[0]);
    out
}

pub fn archive(entries: &[Entry]) -> Vec<u8> {
    archive_announcing(entries, None)
}

/// An honest manifest, to begin with.
pub fn manifest_entry() -> Entry {
    let manifest = super::manifest(bundle::manifest::RunKind::Node);
    Entry::new("manifest.json", &serde_json::to_vec(&manifest).unwrap())
}

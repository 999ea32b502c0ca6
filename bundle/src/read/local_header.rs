//! The header in front of each entry of a zip (APPNOTE 6.3.10, 4.3.7). The directory at the end is what this program
//! reads; where the two disagree, two programs would see two different bundles.

use zip::read::ZipFileEntry;

const SIGNATURE: &[u8] = b"PK\x03\x04";
const FIXED: usize = 30;
const ENCRYPTED: u16 = 1;
const DATA_DESCRIPTOR: u16 = 1 << 3;
const ZIP64: u16 = 0x0001;

/// Where the compressed bytes of an entry begin, where its header agrees with the directory; else the disagreement.
pub(crate) fn data_start(archive: &[u8], entry: &ZipFileEntry<'_>, method: u16) -> Result<u64, String> {
    let cut = || "has a header outside of the file".to_owned();
    let start = usize::try_from(entry.header_start()).map_err(|_| cut())?;
    let header = archive.get(start..).and_then(|rest| rest.get(..FIXED)).ok_or_else(cut)?;
    if !header.starts_with(SIGNATURE) {
        return Err("has no header where the directory says".to_owned());
    }
    let flags = u16_at(header, 6);
    let name_length = usize::from(u16_at(header, 26));
    let extra_length = usize::from(u16_at(header, 28));
    let name_start = start + FIXED;
    let name = archive.get(name_start..name_start + name_length).ok_or_else(cut)?;
    let extra_start = name_start + name_length;
    let extra = archive.get(extra_start..extra_start + extra_length).ok_or_else(cut)?;

    // A Unicode Path field may rename an entry in the directory; a plain reader would still see the header's name.
    if name != entry.name_raw() {
        return Err(format!("is named {:?} in its own header", String::from_utf8_lossy(name)));
    }
    if u16_at(header, 8) != method {
        return Err("has another compression method in its own header".to_owned());
    }
    if (flags & ENCRYPTED != 0) != entry.encrypted() {
        return Err("is encrypted in only one of header and directory".to_owned());
    }
    let sizes = (u64::from(u32_at(header, 18)), u64::from(u32_at(header, 22)));
    let (compressed, bytes) = zip64_sizes(extra, sizes);
    // With a data descriptor the header was written before the size was known, and says zero.
    let may_be_unknown = flags & DATA_DESCRIPTOR != 0;
    let agrees = |local: u64, central: u64| local == central || (may_be_unknown && local == 0);
    if !agrees(compressed, entry.compressed_size()) || !agrees(bytes, entry.size()) {
        return Err(format!("has other sizes in its own header ({compressed} and {bytes} bytes)"));
    }
    if !agrees(u64::from(u32_at(header, 14)), u64::from(entry.crc32())) {
        return Err("has another checksum in its own header".to_owned());
    }
    Ok((extra_start + extra_length) as u64)
}

/// Compressed and uncompressed size, from the zip64 field where the plain fields refer to it (APPNOTE 4.5.3: in this
/// header it holds both, the uncompressed size first).
fn zip64_sizes(mut extra: &[u8], plain: (u64, u64)) -> (u64, u64) {
    const ELSEWHERE: u64 = u32::MAX as u64;
    if plain.0 != ELSEWHERE && plain.1 != ELSEWHERE {
        return plain;
    }
    while let Some((field, rest)) = extra.split_at_checked(4) {
        let length = usize::from(u16_at(field, 2));
        let Some((body, rest)) = rest.split_at_checked(length) else { break };
        if u16_at(field, 0) == ZIP64 && length >= 16 {
            return (u64_at(body, 8), u64_at(body, 0));
        }
        extra = rest;
    }
    plain
}

/// Little-endian numbers; zero where the slice is too short, which no caller lets happen.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

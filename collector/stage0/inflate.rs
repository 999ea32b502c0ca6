//! Inflates a raw deflate stream (RFC 1951) with 32 KiB of window and no allocation.
//!
//! The libraries that do this want an allocator or a build of their own beside the program, and stage0 is one file that
//! rustc compiles by itself. Tests (`collector/src/reach/stage0.rs`) hold it against the library that the rest uses.

/// Where compressed bytes come from.
pub trait Source {
    /// The next byte; none at the end.
    fn byte(&mut self) -> Option<u8>;
}

/// Why nothing more came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The input ended in the middle.
    Cut,
    /// The input is no deflate stream.
    Damaged,
    /// The output was refused.
    Output,
}

/// How far back a match may reach.
const WINDOW: usize = 32 << 10;

/// The window, which is emptied into `sink` whenever it is full.
pub struct Room<F> {
    window: [u8; WINDOW],
    /// Bytes that came in so far.
    total: usize,
    sink: F,
}

impl<F: FnMut(&[u8]) -> Result<(), Problem>> Room<F> {
    /// An empty window.
    pub fn new(sink: F) -> Room<F> {
        Room { window: [0; WINDOW], total: 0, sink }
    }

    fn put(&mut self, byte: u8) -> Result<(), Problem> {
        if let Some(place) = self.window.get_mut(self.total % WINDOW) {
            *place = byte;
        }
        self.total += 1;
        if self.total.is_multiple_of(WINDOW) { (self.sink)(&self.window) } else { Ok(()) }
    }

    fn repeat(&mut self, distance: usize, length: usize) -> Result<(), Problem> {
        if distance == 0 || distance > WINDOW || distance > self.total {
            return Err(Problem::Damaged);
        }
        for _ in 0..length {
            let byte = self.window.get((self.total - distance) % WINDOW).copied().unwrap_or_default();
            self.put(byte)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Problem> {
        (self.sink)(self.window.get(..self.total % WINDOW).unwrap_or_default())
    }
}

/// Bits, least significant first.
struct Bits<'a, S> {
    source: &'a mut S,
    held: u32,
    count: u32,
}

impl<S: Source> Bits<'_, S> {
    fn take(&mut self, count: u32) -> Result<u32, Problem> {
        while self.count < count {
            self.held |= u32::from(self.source.byte().ok_or(Problem::Cut)?) << self.count;
            self.count += 8;
        }
        let value = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(value)
    }

    /// Drops what is left of the current byte.
    fn align(&mut self) {
        (self.held, self.count) = (0, 0);
    }
}

/// The longest code.
const LONGEST: usize = 15;

/// A canonical Huffman code: how many codes there are of each length, and the symbols in the order of their codes.
struct Code<const N: usize> {
    counts: [u16; LONGEST + 1],
    symbols: [u16; N],
}

impl<const N: usize> Code<N> {
    fn of(lengths: &[u8]) -> Code<N> {
        let mut code = Code { counts: [0; LONGEST + 1], symbols: [0; N] };
        for &length in lengths {
            if let Some(count) = code.counts.get_mut(usize::from(length)) {
                *count += 1;
            }
        }
        let mut next = [0usize; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = next[length] + usize::from(code.counts[length]);
        }
        for (symbol, &length) in (0..).zip(lengths) {
            if length > 0
                && let Some(place) = next.get_mut(usize::from(length))
            {
                if let Some(slot) = code.symbols.get_mut(*place) {
                    *slot = symbol;
                }
                *place += 1;
            }
        }
        code
    }

    fn read(&self, bits: &mut Bits<'_, impl Source>) -> Result<usize, Problem> {
        let (mut code, mut first, mut index) = (0usize, 0usize, 0usize);
        for &count in self.counts.iter().skip(1) {
            let count = usize::from(count);
            code |= bits.take(1)? as usize;
            if code < first + count {
                return self
                    .symbols
                    .get(index + code - first)
                    .map(|&symbol| usize::from(symbol))
                    .ok_or(Problem::Damaged);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Problem::Damaged)
    }
}

/// Inflates one stream to its end.
pub fn inflate<F>(source: &mut impl Source, room: &mut Room<F>) -> Result<(), Problem>
where
    F: FnMut(&[u8]) -> Result<(), Problem>,
{
    let mut bits = Bits { source, held: 0, count: 0 };
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, room)?,
            1 => {
                let (literals, distances) = fixed();
                block(&mut bits, room, &literals, &distances)?;
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits)?;
                block(&mut bits, room, &literals, &distances)?;
            }
            _ => return Err(Problem::Damaged),
        }
        if last {
            return room.finish();
        }
    }
}

fn stored<F>(bits: &mut Bits<'_, impl Source>, room: &mut Room<F>) -> Result<(), Problem>
where
    F: FnMut(&[u8]) -> Result<(), Problem>,
{
    bits.align();
    let (length, complement) = (bits.take(16)?, bits.take(16)?);
    if length != complement ^ 0xffff {
        return Err(Problem::Damaged);
    }
    for _ in 0..length {
        room.put(bits.source.byte().ok_or(Problem::Cut)?)?;
    }
    Ok(())
}

type Literals = Code<288>;
type Distances = Code<32>;

/// RFC 1951, 3.2.6.
fn fixed() -> (Literals, Distances) {
    let mut lengths = [8u8; 288];
    for (symbol, length) in lengths.iter_mut().enumerate() {
        *length = match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        };
    }
    (Code::of(&lengths), Code::of(&[5; 30]))
}

/// RFC 1951, 3.2.7.
fn dynamic(bits: &mut Bits<'_, impl Source>) -> Result<(Literals, Distances), Problem> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let given = bits.take(4)? as usize + 4;
    let mut of_lengths = [0u8; 19];
    for &place in ORDER.iter().take(given) {
        of_lengths[place] = bits.take(3)? as u8;
    }
    let code: Code<19> = Code::of(&of_lengths);
    let mut lengths = [0u8; 288 + 32];
    let mut at = 0;
    while at < literals + distances {
        let (length, times) = match code.read(bits)? {
            16 => {
                let before = at.checked_sub(1).and_then(|at| lengths.get(at)).copied().ok_or(Problem::Damaged)?;
                (before, bits.take(2)? + 3)
            }
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            length => (length as u8, 1),
        };
        for _ in 0..times {
            *lengths.get_mut(at).ok_or(Problem::Damaged)? = length;
            at += 1;
        }
    }
    let (of_literals, rest) = lengths.split_at(literals.min(288));
    Ok((Code::of(of_literals), Code::of(rest.get(..distances).unwrap_or_default())))
}

/// RFC 1951, 3.2.5.
fn block<F>(
    bits: &mut Bits<'_, impl Source>,
    room: &mut Room<F>,
    literals: &Literals,
    distances: &Distances,
) -> Result<(), Problem>
where
    F: FnMut(&[u8]) -> Result<(), Problem>,
{
    loop {
        match literals.read(bits)? {
            symbol @ 0..256 => room.put(symbol as u8)?,
            256 => return Ok(()),
            symbol @ 257..286 => {
                let length = length(symbol - 257, bits)?;
                let symbol = distances.read(bits)?;
                if symbol >= 30 {
                    return Err(Problem::Damaged);
                }
                let distance = scaled(symbol, 1, bits)? + 1;
                room.repeat(distance, length)?;
            }
            _ => return Err(Problem::Damaged),
        }
    }
}

fn length(symbol: usize, bits: &mut Bits<'_, impl Source>) -> Result<usize, Problem> {
    if symbol == 28 { Ok(258) } else { Ok(scaled(symbol, 2, bits)? + 3) }
}

/// The ranges of lengths double after every fourth symbol (`steps` 2), those of distances after every second (1).
fn scaled(symbol: usize, steps: u32, bits: &mut Bits<'_, impl Source>) -> Result<usize, Problem> {
    let group = symbol >> steps;
    if group < 2 {
        return Ok(symbol);
    }
    let extra = group as u32 - 1;
    let base = ((1 << steps) + (symbol & ((1 << steps) - 1))) << extra;
    Ok(base + bits.take(extra)? as usize)
}

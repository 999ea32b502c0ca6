//! The first program in a pod of `dossier-collect --nodes`: a few kilobytes without libc that fit into a ConfigMap.
//!
//! The pod's image is whatever the node already has, perhaps nothing but `pause`, so that neither a shell nor `cat` is
//! there. This program stands in for both:
//!
//! ```text
//! stage0 wait SECONDS              holds the pod until an exec comes, and ends by itself
//! stage0 run -      TARGET ARG…    inflates standard input into TARGET and becomes it
//! stage0 run FOLDER TARGET ARG…    the same from FOLDER/000, FOLDER/001 …, the pieces of a mounted ConfigMap
//! ```
//!
//! `run -` prints a line first: whoever streams the program in must know that somebody is there to take it.
//! `collector/build.rs` compiles this file alone, with rustc. It is the one place of the project that talks to the
//! kernel without a library in between, which takes `unsafe`: in [`system_call`], and where the kernel hands over the
//! arguments.
#![no_std]
#![no_main]

mod inflate;

use core::arch::{asm, global_asm};
use inflate::{Problem, Room};

/// What is printed when standard input can be taken; `collector/src/reach/exec.rs` waits for it.
const READY: &[u8] = b"dossier stage0\n";

const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const NANOSLEEP: usize = 35;
    pub const EXECVE: usize = 59;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const EXIT_GROUP: usize = 94;
    pub const NANOSLEEP: usize = 101;
    pub const EXECVE: usize = 221;
}

// The kernel starts a program with the stack pointer at argc, argv and envp above it (System V ABI, 3.4.1; for arm64
// linux/arch/arm64/include/asm/elf.h), and a stack that a function may not return from.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {main}", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x0, sp", "b {main}", main = sym main);

/// Asks the kernel; negative is an error number.
fn system_call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the calls of `number` read and write nothing but what their arguments point to, which the callers below
    // take from slices and from the vectors that the kernel itself handed over.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _);
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d);
    }
    result
}

fn exit(code: usize) -> ! {
    loop {
        system_call(number::EXIT_GROUP, code, 0, 0, 0);
    }
}

fn fail(words: &[&[u8]]) -> ! {
    let _ = write(STDERR, b"stage0: ");
    for word in words {
        let _ = write(STDERR, word);
    }
    let _ = write(STDERR, b"\n");
    exit(125)
}

fn write(file: usize, mut bytes: &[u8]) -> Result<(), Problem> {
    while !bytes.is_empty() {
        let n = system_call(number::WRITE, file, bytes.as_ptr() as usize, bytes.len(), 0);
        let written = usize::try_from(n).map_err(|_| Problem::Output)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Opens a path that ends in a zero byte.
fn open(path: usize, flags: usize, mode: usize) -> Option<usize> {
    const AT_FDCWD: usize = -100isize as usize;
    usize::try_from(system_call(number::OPENAT, AT_FDCWD, path, flags, mode)).ok()
}

/// The compressed program: standard input, or the pieces of a folder one after the other.
struct Source {
    file: usize,
    /// The folder of the pieces, and how many were opened.
    folder: Option<(&'static [u8], usize)>,
    buffer: [u8; 32 << 10],
    at: usize,
    end: usize,
}

impl Source {
    fn new(from: &'static [u8]) -> Source {
        let folder = (from != b"-").then_some((from, 0));
        let mut source = Source { file: STDIN, folder, buffer: [0; 32 << 10], at: 0, end: 0 };
        if folder.is_some() && !source.next_piece() {
            fail(&[b"cannot open the first piece in ", from]);
        }
        source
    }

    fn next_piece(&mut self) -> bool {
        let Some((folder, piece)) = self.folder else { return false };
        let mut path = [0u8; 256];
        let digits = [piece / 100 % 10, piece / 10 % 10, piece % 10].map(|digit| b'0' + digit as u8);
        let end = folder.len() + 5;
        let Some(room) = path.get_mut(..end) else { fail(&[b"the folder's name is too long"]) };
        let name = folder.iter().chain(b"/").chain(&digits).chain(b"\0");
        room.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        if piece > 0 {
            system_call(number::CLOSE, self.file, 0, 0, 0);
        }
        let Some(file) = open(path.as_ptr() as usize, 0, 0) else { return false };
        self.file = file;
        self.folder = Some((folder, piece + 1));
        true
    }
}

impl inflate::Source for Source {
    fn byte(&mut self) -> Option<u8> {
        while self.at == self.end {
            let n = system_call(number::READ, self.file, self.buffer.as_mut_ptr() as usize, self.buffer.len(), 0);
            (self.at, self.end) = (0, usize::try_from(n).ok()?);
            if self.end == 0 && !self.next_piece() {
                return None;
            }
        }
        let byte = self.buffer.get(self.at).copied();
        self.at += 1;
        byte
    }
}

/// A word of the command line, without its zero byte.
fn word(argv: &'static [usize], index: usize) -> Option<&'static [u8]> {
    let start = *argv.get(index)? as *const u8;
    // SAFETY: the kernel lays the arguments out as strings that end in a zero byte, and they stay for the whole life of
    // the process.
    unsafe { Some(core::ffi::CStr::from_ptr(start.cast()).to_bytes()) }
}

extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: at `stack` lie argc, that many pointers, a null, and the environment's pointers with a null.
    let argv: &'static [usize] = unsafe { core::slice::from_raw_parts(stack.add(1), *stack) };
    // SAFETY: as above; the environment begins behind the arguments' null.
    let environment = unsafe { stack.add(argv.len() + 2) } as usize;
    match word(argv, 1) {
        Some(b"wait") => {
            let digits = word(argv, 2).unwrap_or_default().iter();
            let seconds = digits.fold(0usize, |n, digit| n * 10 + usize::from(digit.wrapping_sub(b'0')) % 10);
            let time = [seconds, 0];
            system_call(number::NANOSLEEP, time.as_ptr() as usize, 0, 0, 0);
            exit(0)
        }
        Some(b"run") if argv.len() > 3 => run(argv, environment),
        _ => fail(&[b"wait SECONDS, or run -|FOLDER TARGET ARG..."]),
    }
}

fn run(argv: &'static [usize], environment: usize) -> ! {
    const WRITE_CREATE_TRUNCATE: usize = 0o1 | 0o100 | 0o1000;
    let (from, to) = (word(argv, 2).unwrap_or_default(), word(argv, 3).unwrap_or_default());
    let path = argv.get(3).copied().unwrap_or_default();
    let Some(target) = open(path, WRITE_CREATE_TRUNCATE, 0o700) else { fail(&[b"cannot create ", to]) };
    if from == b"-" && write(STDOUT, READY).is_err() {
        exit(125);
    }
    let mut room = Room::new(|bytes: &[u8]| write(target, bytes));
    match inflate::inflate(&mut Source::new(from), &mut room) {
        Ok(()) => {}
        Err(Problem::Output) => fail(&[b"cannot write ", to]),
        Err(Problem::Cut) => fail(&[b"the program from ", from, b" ended early"]),
        Err(Problem::Damaged) => fail(&[b"the program from ", from, b" is damaged"]),
    }
    system_call(number::CLOSE, target, 0, 0, 0);
    // The new program's own name and arguments are those from TARGET on, up to the null behind them.
    let arguments = argv.get(3..).unwrap_or_default().as_ptr() as usize;
    system_call(number::EXECVE, path, arguments, environment, 0);
    fail(&[b"cannot start ", to])
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// Named by core's tables for unwinding, which nothing reads in a program that ends when it panics.
// SAFETY: no other object of the program defines the name.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the compiler calls for copies; there is no libc that has them. The bodies must not be recognized as what they
/// are, or the compiler makes them call themselves.
mod memory {
    /// Copies `n` bytes that do not overlap.
    // SAFETY: the contract is the caller's, as in C.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        for i in 0..n {
            // SAFETY: both lie within the caller's ranges of n bytes.
            unsafe { to.add(i).write_volatile(*from.add(i)) };
        }
        to
    }

    /// Sets `n` bytes.
    // SAFETY: the contract is the caller's, as in C.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
        for i in 0..n {
            // SAFETY: within the caller's range of n bytes.
            unsafe { to.add(i).write_volatile(byte as u8) };
        }
        to
    }

    /// Compares `n` bytes.
    // SAFETY: the contract is the caller's, as in C.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        for i in 0..n {
            // SAFETY: both lie within the caller's ranges of n bytes.
            let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }

    /// As memcmp, where only equality is asked.
    // SAFETY: the contract is the caller's, as in C.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        // SAFETY: the same contract.
        unsafe { memcmp(a, b, n) }
    }

    /// The length of a string that ends in a zero byte.
    // SAFETY: the contract is the caller's, as in C.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut n = 0;
        // SAFETY: up to the zero byte the string is the caller's.
        while unsafe { text.add(n).read_volatile() } != 0 {
            n += 1;
        }
        n
    }
}

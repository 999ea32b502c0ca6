//! What the threads that write items spend their processor time on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of all threads for one kind of work.
#[derive(Debug, Default)]
pub struct Spent(AtomicU64);

impl Spent {
    /// Does work and adds the time that the calling thread's processor spent on it; waiting costs nothing.
    pub fn on<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = thread_time();
        let done = work();
        let spent = thread_time().saturating_sub(before);
        self.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        done
    }

    /// The sum.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// What is spent on the content of items.
#[derive(Debug, Default)]
pub struct ContentCosts {
    /// Filtering it.
    pub filter: Spent,
    /// Hashing it.
    pub hash: Spent,
    /// Deflating it, and its checksum.
    pub deflate: Spent,
}

/// Does work, and notes what it cost where that is wanted: looking at the clock is a system call, which many small pieces
/// of content would feel.
pub fn noted<T>(spent: Option<&Spent>, work: impl FnOnce() -> T) -> T {
    match spent {
        Some(spent) => spent.on(work),
        None => work(),
    }
}

/// The time that the calling thread has had of a processor (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID).
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_and_waiting_is_not() {
        let spent = Spent::default();
        let sum = spent.on(|| (0..3_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
        let worked = spent.time();
        assert!(sum < u64::MAX && worked > Duration::from_micros(100), "{worked:?}");
        spent.on(|| std::thread::sleep(Duration::from_millis(300)));
        assert!(spent.time() - worked < Duration::from_millis(100), "{:?}", spent.time());
    }
}

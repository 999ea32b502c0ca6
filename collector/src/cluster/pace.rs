//! How fast the API server is asked: so many requests a second on the average, and a few seconds' worth at once.
//!
//! The server's own protection (API Priority and Fairness) gives a client of no special rank a share of its seats and lets
//! the rest wait; a collector that stays below is no burden to others. client-go and kubectl bound themselves the same way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::run::Run;

/// The requests of so many seconds may go at once when none went before: all lists and tables of a cluster fit in, so that
/// only what is asked of many pods and nodes is paced.
pub const AT_ONCE_SECONDS: u32 = 4;

/// A token bucket. Clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    per_second: u32,
    bucket: Mutex<Bucket>,
    asked: AtomicU64,
    waited: AtomicU64,
}

/// What is left, below nothing where turns were given that have not come yet.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// What the pace meant for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paced {
    /// Requests that were sent.
    pub asked: u64,
    /// How many of them waited for their turn.
    pub waited: u64,
}

impl Pace {
    /// A pace of so many requests a second, at least one.
    pub fn new(per_second: u32) -> Pace {
        let per_second = per_second.max(1);
        let bucket = Bucket { tokens: full(per_second), at: Instant::now() };
        Pace {
            shared: Arc::new(Shared {
                per_second,
                bucket: Mutex::new(bucket),
                asked: AtomicU64::new(0),
                waited: AtomicU64::new(0),
            }),
        }
    }

    /// Requests a second.
    pub fn per_second(&self) -> u32 {
        self.shared.per_second
    }

    /// Waits until one request may be sent. Turns come in the order in which they were asked for.
    pub async fn turn(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// What it meant so far.
    pub fn paced(&self) -> Paced {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Paced { asked: count(&self.shared.asked), waited: count(&self.shared.waited) }
    }

    /// Says in the manifest what the pace cost, where anybody could feel it: a run took longer, and nothing is missing.
    pub fn note(&self, run: &Run) {
        let Paced { asked, waited } = self.paced();
        let per_second = self.per_second();
        // While some wait, one goes in each turn.
        let seconds = waited / u64::from(per_second);
        if seconds == 0 {
            return;
        }
        let effect =
            format!("nothing is missing; {waited} of {asked} requests waited for their turn, for {seconds} s in all");
        run.note_limit("qps", format!("{per_second} requests a second"), effect);
    }

    /// Takes a token and says how long it takes until it is there.
    fn take(&self, now: Instant) -> Duration {
        let Shared { per_second, bucket, asked, waited } = &*self.shared;
        let rate = f64::from(*per_second);
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * rate).min(full(*per_second)) - 1.0;
        bucket.at = bucket.at.max(now);
        asked.fetch_add(1, Ordering::Relaxed);
        if bucket.tokens >= 0.0 {
            return Duration::ZERO;
        }
        let wait = Duration::from_secs_f64(-bucket.tokens / rate);
        waited.fetch_add(1, Ordering::Relaxed);
        wait
    }
}

fn full(per_second: u32) -> f64 {
    f64::from(per_second) * f64::from(AT_ONCE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_first_seconds_worth_comes_one_by_one() {
        let pace = Pace::new(10);
        let began = pace.shared.bucket.lock().map(|bucket| bucket.at).unwrap_or_else(|_| Instant::now());
        let waits: Vec<u128> = (0..45).map(|_| pace.take(began).as_millis()).collect();
        assert!(waits[..40].iter().all(|&wait| wait == 0));
        assert_eq!(waits[40..], [100, 200, 300, 400, 500]);
        // Half a second later those five have had their turns, and the next waits as long as ever.
        assert_eq!(pace.take(began + Duration::from_millis(500)).as_millis(), 100);
        assert_eq!(pace.paced(), Paced { asked: 46, waited: 6 });
    }

    #[test]
    fn time_fills_the_bucket_up_to_its_brim() {
        let pace = Pace::new(5);
        let later = Instant::now() + Duration::from_secs(3600);
        assert!((0..20).all(|_| pace.take(later).is_zero()));
        assert_eq!(pace.take(later).as_millis(), 200);
    }

    #[tokio::test]
    async fn whoever_has_no_turn_waits() {
        let pace = Pace::new(25);
        let began = Instant::now();
        for _ in 0..101 {
            pace.turn().await;
        }
        // The turn after the first hundred; a busy machine only makes it later.
        assert!(began.elapsed() >= Duration::from_millis(35), "{:?}", began.elapsed());
        assert_eq!(pace.paced().asked, 101);
    }
}

//! What a run may take of the systems that it looks at, and of the disk that it writes to. Every bound can be set.

use std::time::Duration;

use super::capped::Cap;

const MB: u64 = 1_000_000;

/// The bounds of a run. Sizes are in megabytes of 10^6 bytes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Seconds that one command or request may take, instead of what --plan says of each
    #[arg(long, value_name = "SECONDS")]
    item_seconds: Option<u64>,
    /// What is kept of one command, file or log: its beginning and its end
    #[arg(long, value_name = "MB", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    item_mb: u64,
    /// What is kept of one node in all, before compression
    #[arg(long, value_name = "MB", default_value_t = 100)]
    node_mb: u64,
    /// What the bundle may grow to
    #[arg(long, value_name = "MB", default_value_t = 1_000)]
    bundle_mb: u64,
    /// What stays free on the disk that the bundle is written to
    #[arg(long, value_name = "MB", default_value_t = 100)]
    keep_free_mb: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { item_seconds: None, item_mb: 10, node_mb: 100, bundle_mb: 1_000, keep_free_mb: 100 }
    }
}

impl Limits {
    /// The options that give a collector on a node the same bounds. What the bundle and its disk may have is decided here.
    pub fn of_node(&self) -> Vec<String> {
        let seconds = self.item_seconds.map(|seconds| ["--item-seconds".to_owned(), seconds.to_string()]);
        let sizes =
            [["--item-mb".to_owned(), self.item_mb.to_string()], ["--node-mb".to_owned(), self.node_mb.to_string()]];
        seconds.into_iter().chain(sizes).flatten().collect()
    }

    /// The time of an item that asks for so much.
    pub fn time(&self, item: Duration) -> Duration {
        self.item_seconds.map_or(item, Duration::from_secs)
    }

    /// What is kept of an item of which so much would be kept: no more than the bound, in the same proportion.
    pub fn cap(&self, cap: Cap) -> Cap {
        let most = self.item_mb * MB;
        let usual = Cap::DEFAULT.total();
        // An item that is kept shorter than others stays so; one that is usually kept whole grows with the bound.
        let total = if cap.total() >= usual { most } else { cap.total().min(most) };
        let head = u64::try_from(u128::from(cap.head) * u128::from(total) / u128::from(cap.total().max(1)));
        let head = head.unwrap_or(total);
        Cap { head, tail: total - head }
    }

    /// Bytes that are kept of one log.
    pub fn item_bytes(&self) -> u64 {
        self.item_mb * MB
    }

    /// Bytes that are kept of a node.
    pub fn node_bytes(&self) -> u64 {
        self.node_mb * MB
    }

    /// Bytes that the bundle may have.
    pub fn bundle_bytes(&self) -> u64 {
        self.bundle_mb * MB
    }

    /// Bytes that stay free.
    pub fn keep_free_bytes(&self) -> u64 {
        self.keep_free_mb * MB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_item_follows_the_bound() {
        let of = |item_mb| Limits { item_mb, ..Limits::default() };
        assert_eq!(of(10).cap(Cap::DEFAULT), Cap::DEFAULT);
        assert_eq!(of(20).cap(Cap::DEFAULT), Cap { head: 2_000_000, tail: 18_000_000 });
        assert_eq!(of(1).cap(Cap::tail(10_000_000)), Cap::tail(1_000_000));
        assert_eq!(of(20).cap(Cap::tail(2_000_000)), Cap::tail(2_000_000));
    }
}

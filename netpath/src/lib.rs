//! Would this packet pass, and if not, which line stops it? Knows nothing of bundles.

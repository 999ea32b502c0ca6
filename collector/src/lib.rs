//! The collector: from a cluster or a host to one bundle.

//! What never reaches the disk: a filter over each object between the API server and the bundle.
//!
//! The rules go by member names at any depth, not by paths, because pod templates, probes and CA bundles turn up inside
//! custom resources that nobody listed here. Allow-lists say what stays; where a value has a shape that was not foreseen,
//! the stricter reading counts. What is not touched keeps its bytes: order of fields, numbers and escapes are the server's.

mod annotations;
mod arguments;
mod walk;

use super::json::Malformed;
use super::json::cursor::string_at;
use super::namespace;

/// What stands where a value was taken out.
pub const STRIPPED: &str = "[stripped]";

/// Which further rules apply to the objects of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The rules that apply to all.
    Plain,
    /// ConfigMaps in general: the values of `data` go, its keys stay.
    ConfigMapNames,
    /// A ConfigMap by allow-list: its text stays, its binary values go.
    ConfigMapText,
    /// Workloads: `spec.template` goes outside of the system's namespaces.
    Workload,
    /// CustomResourceDefinitions: the versions' schemas go.
    CustomResourceDefinition,
}

/// Strips objects one after another into a buffer of its own.
#[derive(Debug)]
pub struct Stripper {
    profile: Profile,
    out: Vec<u8>,
}

impl Stripper {
    /// A filter for the objects of one resource.
    pub fn new(profile: Profile) -> Stripper {
        Stripper { profile, out: Vec::new() }
    }

    /// Strips one object, which is held whole. An error means that nothing of it may be written.
    pub fn strip(&mut self, object: &[u8]) -> Result<&[u8], Malformed> {
        self.out.clear();
        if std::str::from_utf8(object).is_err() {
            return Err(Malformed { at: 0, expected: "text in UTF-8 was expected" });
        }
        let drops_template = self.profile == Profile::Workload
            && !string_at(object, &["metadata", "namespace"]).is_some_and(namespace::is_of_the_system);
        walk::strip(object, walk::Rules { profile: self.profile, drops_template }, &mut self.out)?;
        Ok(&self.out)
    }
}

#[cfg(test)]
mod tests;

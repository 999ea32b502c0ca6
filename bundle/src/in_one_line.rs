//! An error with its causes in one line, for a terminal, a log, or a reason in the manifest.
//!
//! Our own error types say in their text what the system said, so that the text is whole by itself; the errors of
//! libraries mostly leave it to their source. Printing the chain blindly would say some things twice.

use std::error::Error;
use std::iter::successors;

/// The chain of causes, outermost first, separated by colons. A cause that the words before it already quote is not
/// said again. Line feeds become spaces.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    for cause in successors(Some(error), |error| (*error).source()).map(ToString::to_string) {
        if said.contains(&cause) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&cause);
    }
    said.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write x: {source}")]
    struct Whole {
        source: std::io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the bundle\nis lost")]
    struct Outer(#[source] Whole);

    #[test]
    fn nothing_is_said_twice() {
        let error = Outer(Whole { source: std::io::Error::other("disk full") });
        assert_eq!(in_one_line(&error), "the bundle is lost: cannot write x: disk full");
    }
}

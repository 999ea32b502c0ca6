//! A bound on the work that filters do inside one evaluation. minijinja's fuel counts instructions of its machine and
//! not what happens inside a filter, so that `pods | where(…)` in a loop would be unbounded without this.

use std::cell::Cell;

use minijinja::{Error, ErrorKind};

/// How many list elements the filters of one evaluation may look at.
pub const ELEMENTS: u64 = 5_000_000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(ELEMENTS) };
}

/// Runs an evaluation with the whole bound before it, and gives back what an outer evaluation had left.
pub fn fresh<T>(evaluate: impl FnOnce() -> T) -> T {
    let outer = LEFT.replace(ELEMENTS);
    let result = evaluate();
    LEFT.set(outer);
    result
}

/// Spends work; fails where none is left.
pub fn spend(elements: u64) -> Result<(), Error> {
    let left = LEFT.get();
    if left < elements {
        let detail = format!("filters looked at more than {ELEMENTS} elements; range over a smaller list");
        return Err(Error::new(ErrorKind::OutOfFuel, detail));
    }
    LEFT.set(left - elements);
    Ok(())
}

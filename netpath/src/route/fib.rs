//! Routes by table and prefix, so that a lookup costs the number of prefix lengths and not the number of routes.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Route;
use crate::address::{Family, bits};

/// The routes of a node, indexed.
#[derive(Clone, Debug, Default)]
pub struct Fib {
    routes: Vec<Route>,
    tables: HashMap<(Box<str>, Family), Table>,
}

/// Longest prefixes first; in each, the routes by their network's bits.
type Table = Vec<(u8, HashMap<u128, Vec<usize>>)>;

impl Fib {
    /// Indexes routes.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut fib = Self::default();
        for (at, route) in routes.iter().enumerate() {
            let family = route.destination.family();
            let length = route.destination.prefix_len().unwrap_or_default();
            let table = fib.tables.entry((route.table.clone(), family)).or_default();
            let slot = match table.binary_search_by(|(known, _)| length.cmp(known)) {
                Ok(slot) => slot,
                Err(slot) => {
                    table.insert(slot, (length, HashMap::new()));
                    slot
                }
            };
            if let Some((_, networks)) = table.get_mut(slot) {
                networks.entry(bits(route.destination.first())).or_default().push(at);
            }
        }
        fib.routes = routes;
        fib
    }

    /// All routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether the table of that family holds anything.
    pub fn has_table(&self, table: &str, family: Family) -> bool {
        self.tables.contains_key(&(table.into(), family))
    }

    /// The routes of a table that cover an address, longest prefix first.
    pub(crate) fn covering(&self, table: &str, addr: IpAddr) -> impl Iterator<Item = &Route> {
        let family = Family::of(addr);
        let table = self.tables.get(&(table.into(), family)).map(Vec::as_slice).unwrap_or_default();
        table
            .iter()
            .filter_map(move |(length, networks)| networks.get(&(bits(addr) & family.prefix_mask(*length))))
            .flatten()
            .filter_map(|at| self.routes.get(*at))
    }
}

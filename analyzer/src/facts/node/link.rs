//! Links, addresses and routes of a node, as `ip -j` lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use minijinja::Value;
use serde_json::Value as Json;

use super::{json, opt};
use crate::citation::Citation;
use crate::fact::Record;
use crate::shape::{Field, RecordShape, Shape};

/// A network interface.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// `bridge`, `vxlan`, `veth` …; none for a physical device.
    pub kind: Option<String>,
    /// Whether it is set up.
    pub up: bool,
    /// `UP`, `DOWN`, `LOWERLAYERDOWN`, `UNKNOWN` …
    pub operstate: Option<String>,
    /// Its MTU in bytes.
    pub mtu: Option<u64>,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<String>,
    /// Addresses with their prefix lengths; link-local ones too.
    pub addresses: Vec<IpNet>,
    /// Its place.
    pub citation: Citation,
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// The destination; `default` as it is written.
    pub destination: String,
    /// The gateway.
    pub gateway: Option<String>,
    /// The interface.
    pub interface: Option<String>,
    /// The table's name or number; `main` where none is written.
    pub table: String,
    /// `unicast` where none is written; `blackhole`, `local`, `unreachable` …
    pub kind: String,
    /// Its place.
    pub citation: Citation,
}

/// Reads `ip -j -d link`.
pub fn parse_links(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<Link>, serde_json::Error> {
    let list: Vec<Json> = serde_json::from_slice(bytes)?;
    Ok(list.iter().enumerate().filter_map(|(index, link)| parse_link(path, index, link)).collect())
}

fn parse_link(path: &Arc<str>, index: usize, link: &Json) -> Option<Link> {
    let name = json::text(link, "ifname")?.to_owned();
    let up = json::items(link, "flags").any(|(_, flag)| flag.as_str() == Some("UP"));
    let mtu = link.get("mtu").and_then(Json::as_u64);
    let operstate = json::text(link, "operstate").map(str::to_owned);
    let kind = link.get("linkinfo").and_then(|info| json::text(info, "info_kind")).map(str::to_owned);
    let shown = format!(
        "{name}: {} mtu {} {}",
        kind.as_deref().unwrap_or("device"),
        mtu.map_or("?".to_owned(), |mtu| mtu.to_string()),
        if up { "UP" } else { "DOWN" }
    );
    Some(Link {
        name,
        kind,
        up,
        operstate,
        mtu,
        master: json::text(link, "master").map(str::to_owned),
        addresses: Vec::new(),
        citation: Citation::pointer(path, format!("/{index}"), &shown),
    })
}

/// Reads `ip -j addr` of one family: addresses by interface.
pub fn parse_addresses(bytes: &[u8]) -> Result<BTreeMap<String, Vec<IpNet>>, serde_json::Error> {
    let list: Vec<Json> = serde_json::from_slice(bytes)?;
    let mut by_name: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for link in &list {
        let Some(name) = json::text(link, "ifname") else { continue };
        for (_, info) in json::items(link, "addr_info") {
            let prefix = info.get("prefixlen").and_then(Json::as_u64).and_then(|length| u8::try_from(length).ok());
            let address = json::text(info, "local").and_then(|text| text.parse().ok());
            if let (Some(address), Some(prefix)) = (address, prefix)
                && let Ok(net) = IpNet::new(address, prefix)
            {
                by_name.entry(name.to_owned()).or_default().push(net);
            }
        }
    }
    Ok(by_name)
}

/// Reads `ip -j route show table all` of one family.
pub fn parse_routes(path: &Arc<str>, bytes: &[u8]) -> Result<Vec<Route>, serde_json::Error> {
    let list: Vec<Json> = serde_json::from_slice(bytes)?;
    let route = |(index, route): (usize, &Json)| {
        let field = |name: &str| json::text(route, name).map(str::to_owned);
        Some(Route {
            destination: field("dst")?,
            gateway: field("gateway"),
            interface: field("dev"),
            table: field("table").unwrap_or_else(|| "main".to_owned()),
            kind: field("type").unwrap_or_else(|| "unicast".to_owned()),
            citation: Citation::pointer(path, format!("/{index}"), &route.to_string()),
        })
    };
    Ok(list.iter().enumerate().filter_map(route).collect())
}

impl Link {
    /// The fact, as expressions see it.
    pub fn value(&self) -> Value {
        let addresses: Vec<String> = self.addresses.iter().map(IpNet::to_string).collect();
        Record::cited(self.citation.clone())
            .with("name", self.name.as_str())
            .with("kind", opt(self.kind.clone()))
            .with("up", self.up)
            .with("operstate", opt(self.operstate.clone()))
            .with("mtu", opt(self.mtu))
            .with("master", opt(self.master.clone()))
            .with("addresses", addresses)
            .into_value()
    }
}

impl Route {
    /// The fact, as expressions see it.
    pub fn value(&self) -> Value {
        Record::cited(self.citation.clone())
            .with("destination", self.destination.as_str())
            .with("gateway", opt(self.gateway.clone()))
            .with("interface", opt(self.interface.clone()))
            .with("table", self.table.as_str())
            .with("kind", self.kind.as_str())
            .into_value()
    }
}

/// The fields of a link.
pub static LINK: RecordShape = RecordShape {
    name: "link",
    doc: "A network interface of a node.",
    fields: &[
        Field { name: "name", shape: Shape::Scalar, doc: "Its name." },
        Field { name: "kind", shape: Shape::Scalar, doc: "bridge, vxlan, veth …; undefined for a physical device." },
        Field { name: "up", shape: Shape::Scalar, doc: "Whether it is set up." },
        Field {
            name: "operstate", shape: Shape::Scalar, doc: "The kernel's word for its state: UP, DOWN, UNKNOWN …"
        },
        Field { name: "mtu", shape: Shape::Scalar, doc: "Its MTU in bytes." },
        Field { name: "master", shape: Shape::Scalar, doc: "The bridge, bond or VRF that it is a port of." },
        Field { name: "addresses", shape: Shape::List(&Shape::Scalar), doc: "Its addresses with prefix lengths." },
    ],
};

/// The fields of a route.
pub static ROUTE: RecordShape = RecordShape {
    name: "route",
    doc: "A route of a node, of any table.",
    fields: &[
        Field { name: "destination", shape: Shape::Scalar, doc: "A prefix, an address, or `default`." },
        Field { name: "gateway", shape: Shape::Scalar, doc: "The gateway; undefined without one." },
        Field { name: "interface", shape: Shape::Scalar, doc: "The interface; undefined without one." },
        Field {
            name: "table",
            shape: Shape::Scalar,
            doc: "The table: main, local, default, or another's name or number.",
        },
        Field { name: "kind", shape: Shape::Scalar, doc: "unicast, local, blackhole, unreachable, prohibit …" },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::node::shape_test::assert_shape;

    /// Of iproute2 6.1: a VXLAN device (without its statistics), its parent's addresses, and routes.
    const LINKS: &str = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"operstate":"UNKNOWN","link_type":"loopback"},
        {"ifindex":4,"link":"eth0","ifname":"flannel.1","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue","operstate":"UNKNOWN","linkinfo":{"info_kind":"vxlan","info_data":{"id":1,"local":"10.0.0.4","link":"eth0","port":8472,"learning":true}}},
        {"ifindex":5,"ifname":"veth1","flags":["BROADCAST"],"mtu":1500,"operstate":"DOWN","master":"cni0"}, {}]"#;
    const ADDRESSES: &str = r#"[{"ifindex":1,"ifname":"flannel.1","addr_info":[{"family":"inet","local":"10.244.1.0","prefixlen":32,"scope":"global"},{"local":"odd"}]}]"#;
    const ROUTES: &str = r#"[{"type":"blackhole","dst":"10.9.0.0/16","flags":[]},{"dst":"default","gateway":"10.0.0.1","dev":"eth0","flags":[]},
        {"type":"local","dst":"10.244.1.1","dev":"cni0","table":"local","protocol":"kernel","scope":"host","prefsrc":"10.244.1.1","flags":[]}]"#;

    #[test]
    fn links_give_kind_state_and_master() {
        let links = parse_links(&"l".into(), LINKS.as_bytes()).unwrap();
        assert_eq!(links.len(), 3, "an entry without a name is left out");
        assert_eq!((links[1].kind.as_deref(), links[1].mtu, links[1].up), (Some("vxlan"), Some(1450), true));
        assert_eq!((links[2].master.as_deref(), links[2].up), (Some("cni0"), false));
        assert_shape(&links[1].value(), &Shape::Record(&LINK));
    }

    #[test]
    fn addresses_and_routes_are_read() {
        let addresses = parse_addresses(ADDRESSES.as_bytes()).unwrap();
        assert_eq!(addresses["flannel.1"], ["10.244.1.0/32".parse().unwrap()]);
        let routes = parse_routes(&"r".into(), ROUTES.as_bytes()).unwrap();
        assert_eq!((routes[0].kind.as_str(), routes[0].table.as_str()), ("blackhole", "main"));
        assert_eq!((routes[1].gateway.as_deref(), routes[1].kind.as_str()), (Some("10.0.0.1"), "unicast"));
        assert_eq!(routes[2].table, "local");
        routes.iter().for_each(|route| assert_shape(&route.value(), &Shape::Record(&ROUTE)));
    }
}

//! What the sender says is broken, on its way into the manifest: a pasted error may hold a password or a token.

use std::io;

use bundle::manifest::Symptom;

use crate::redact::Redaction;

/// The symptom without its secrets. The manifest passes no filter, so that this is the place.
///
/// # Errors
/// Where a text cannot be looked through; nothing of it may be written then.
pub fn masked(symptom: &Symptom) -> io::Result<Symptom> {
    let redaction = Redaction::new();
    let masked = |text: &Option<String>| text.as_deref().map(|text| redaction.text(text)).transpose();
    let other = symptom.other.iter().map(|(name, text)| Ok((name.clone(), redaction.text(text)?)));
    Ok(Symptom {
        from: masked(&symptom.from)?,
        to: masked(&symptom.to)?,
        error: masked(&symptom.error)?,
        other: other.collect::<io::Result<_>>()?,
    })
}

/// The ends of a symptom, as far as they lead to nodes, which are then looked at first. An end may be what it says with
/// `node/`, `pod/` or `service/`, or any of these; a node too many looked at early is no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends(Vec<End>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    /// `node`, `pod` or `service`, where it says so.
    kind: Option<&'static str>,
    namespace: Option<String>,
    /// A name or an address.
    name: String,
}

impl Ends {
    /// The ends that were given.
    pub fn of(symptom: &Symptom) -> Ends {
        Ends([&symptom.from, &symptom.to].into_iter().flatten().filter_map(|text| End::read(text)).collect())
    }

    /// Whether one of them is this node, by its name or its address.
    pub fn has_node(&self, name: &str, address: Option<&str>) -> bool {
        let is = |end: &End| end.namespace.is_none() && (end.name == name || Some(end.name.as_str()) == address);
        self.of_kind("node").any(is)
    }

    /// Whether one of them is this pod, by its name or its address.
    pub fn has_pod(&self, namespace: &str, name: &str, address: Option<&str>) -> bool {
        self.of_kind("pod").any(|end| match &end.namespace {
            Some(of_end) => of_end == namespace && end.name == name,
            None => end.name == name || Some(end.name.as_str()) == address,
        })
    }

    /// The pods that are asked for: a namespace or none, and a name or an address.
    pub fn pods(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.of_kind("pod").map(|end| (end.namespace.as_deref(), end.name.as_str()))
    }

    /// The Services, by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        self.of_kind("service").filter_map(|end| Some((end.namespace.as_deref()?, end.name.as_str())))
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &End> {
        self.0.iter().filter(move |end| end.kind.is_none_or(|of_end| of_end == kind))
    }
}

impl End {
    fn read(text: &str) -> Option<End> {
        let text = text.trim();
        let is_url = text.contains("://");
        let text = text.split_once("://").map_or(text, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
        let text = match text.rsplit_once(':') {
            // More than one colon without brackets is an address of IPv6.
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !bare_ipv6(text) => host,
            _ => text,
        };
        let text = text.trim_start_matches('[').trim_end_matches(']');
        let mut parts: Vec<&str> = text.split('/').collect();
        let kind = match *parts.first()? {
            "node" | "nodes" => Some("node"),
            "pod" | "pods" => Some("pod"),
            "service" | "services" | "svc" => Some("service"),
            _ => None,
        };
        if kind.is_some() && parts.len() > 1 {
            parts.remove(0);
        }
        let end = |namespace: Option<&str>, name: &str, kind| {
            let is_safe = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:_".contains(&b));
            (!name.is_empty() && is_safe(name) && namespace.is_none_or(is_safe)).then(|| End {
                kind,
                namespace: namespace.map(str::to_owned),
                name: name.to_owned(),
            })
        };
        match parts[..] {
            // NAME.NAMESPACE.svc and what may follow it is the DNS name of a Service.
            [name] if name.contains(".svc") || (is_url && name.split('.').count() == 2) => {
                let mut labels = name.split('.');
                let (service, namespace) = (labels.next()?, labels.next());
                end(namespace, service, Some("service"))
            }
            [name] => end(None, name, kind),
            [namespace, name] => end(Some(namespace), name, kind),
            _ => None,
        }
    }
}

fn bare_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_secret_goes_and_addresses_stay() {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.{}", "eyJzdWIiOiJ4In0abcdefghij", "c2lnbmF0dXJlc2lnbmF0dXJl");
        let said = format!("error=GET 10.0.0.1:443 with Authorization: Bearer {token}: 401");
        let symptom = masked(&Symptom::inline(&said).unwrap()).unwrap();
        let error = symptom.error.unwrap_or_default();
        assert!(!error.contains(&token) && error.contains("10.0.0.1:443"), "{error}");
    }

    fn ends(said: &str) -> Ends {
        Ends::of(&Symptom::inline(said).unwrap())
    }

    #[test]
    fn the_nodes_of_a_symptom_are_known_by_name_and_address() {
        let symptom = ends("from=node/n1,to=https://10.0.0.5:10250/logs");
        assert!(symptom.has_node("n1", None) && symptom.has_node("n2", Some("10.0.0.5")));
        assert!(!symptom.has_node("n", Some("10.0.0.50")) && !symptom.has_node("n3", None));
        let symptom = ends("from=[fd00::4]:443,to=n4:10250");
        assert!(symptom.has_node("n4", None) && symptom.has_node("n5", Some("fd00::4")));
        assert!(ends("from=fd00::4").has_node("n5", Some("fd00::4")));
        assert!(!Ends::default().has_node("n1", Some("10.0.0.5")));
        assert!(!ends("from=pod/shop/n1").has_node("n1", None));
    }

    #[test]
    fn the_pods_and_services_of_a_symptom_are_known() {
        let symptom = ends("from=pod/shop/web-0,to=10.244.1.7:8080");
        assert!(symptom.has_pod("shop", "web-0", None) && symptom.has_pod("other", "x", Some("10.244.1.7")));
        assert!(!symptom.has_pod("other", "web-0", None) && !symptom.has_pod("shop", "web-00", Some("10.244.1.77")));
        assert_eq!(symptom.pods().collect::<Vec<_>>(), [(Some("shop"), "web-0"), (None, "10.244.1.7")]);
        assert!(ends("from=shop/web-0").has_pod("shop", "web-0", None));
        for to in [
            "service/shop/cart:80",
            "svc/shop/cart",
            "cart.shop.svc:80",
            "http://cart.shop.svc.cluster.local/x",
            "http://cart.shop/x",
        ] {
            assert_eq!(ends(&format!("to={to}")).services().collect::<Vec<_>>(), [("shop", "cart")], "{to}");
        }
        assert!(!ends("to=service/shop/cart").has_pod("shop", "cart", None));
        // What is no name goes into no request.
        assert_eq!(ends("to=pod/shop/a%2Fb?x").pods().count(), 0);
    }
}

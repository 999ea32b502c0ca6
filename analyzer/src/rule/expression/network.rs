//! Tests on addresses and CIDRs. A text that is not one is in no CIDR and overlaps nothing.

use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::work;

/// Whether the text is an IP address.
pub fn is_ip(value: &Value) -> bool {
    address(value).is_some()
}

/// Whether the address is within the CIDR, or within one of a list.
pub fn is_in_cidr(value: &Value, cidrs: &Value) -> Result<bool, Error> {
    let Some(address) = address(value) else { return Ok(false) };
    any_net(cidrs, |net| net.contains(&address))
}

/// Whether the CIDR shares addresses with the other, or with one of a list.
pub fn is_overlapping(value: &Value, cidrs: &Value) -> Result<bool, Error> {
    let Some(net) = net(value) else { return Ok(false) };
    any_net(cidrs, |other| net.contains(other) || other.contains(&net))
}

fn any_net(cidrs: &Value, holds: impl Fn(&IpNet) -> bool) -> Result<bool, Error> {
    if !matches!(cidrs.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(net(cidrs).is_some_and(|net| holds(&net)));
    }
    for cidr in cidrs.try_iter()? {
        work::spend(1)?;
        if net(&cidr).is_some_and(|net| holds(&net)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

/// A CIDR, or an address as the CIDR of itself.
fn net(value: &Value) -> Option<IpNet> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::super::Expression;

    fn holds(expression: &str) -> bool {
        let context = context!(cidrs => vec!["10.0.0.0/8", "fd00::/8", "nonsense"]);
        Expression::compile(expression).unwrap().evaluate(&context).unwrap().is_true()
    }

    #[test]
    fn addresses_and_families() {
        assert!(holds("'10.1.2.3' is in_cidr(cidrs)"));
        assert!(holds("'fd00::1' is in_cidr(cidrs)"));
        assert!(!holds("'192.168.0.1' is in_cidr(cidrs)"));
        assert!(!holds("'' is in_cidr(cidrs)"));
        assert!(holds("'10.244.0.0/16' is overlapping('10.0.0.0/8')"));
        assert!(holds("'10.0.0.0/8' is overlapping('10.244.0.0/16')"));
        assert!(!holds("'10.0.0.0/16' is overlapping('10.1.0.0/16')"));
        assert!(holds("'::1' is ip and not ('a.b' is ip)"));
    }
}

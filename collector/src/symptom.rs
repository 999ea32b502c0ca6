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

/// Whether the symptom has this node at one of its ends: by its name, with or without `node/`, or by its address, with or
/// without a port.
pub fn names_node(symptom: &Symptom, name: &str, address: Option<&str>) -> bool {
    let is = |end: &str| {
        let end = end.split_once("://").map_or(end, |(_, rest)| rest.split('/').next().unwrap_or(rest));
        let end = end.strip_prefix("node/").unwrap_or(end);
        let host = match end.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => end,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        [bare, end].into_iter().any(|text| text == name || Some(text) == address)
    };
    [&symptom.from, &symptom.to].into_iter().flatten().any(|end| is(end))
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

    #[test]
    fn the_nodes_of_a_symptom_are_known_by_name_and_address() {
        let symptom = Symptom::inline("from=node/n1,to=https://10.0.0.5:10250/logs").unwrap();
        assert!(names_node(&symptom, "n1", None) && names_node(&symptom, "n2", Some("10.0.0.5")));
        assert!(!names_node(&symptom, "n", Some("10.0.0.50")) && !names_node(&symptom, "n3", None));
        let symptom = Symptom::inline("from=[fd00::4]:443,to=n4:10250").unwrap();
        assert!(names_node(&symptom, "n4", None) && names_node(&symptom, "n5", Some("fd00::4")));
        assert!(!names_node(&Symptom::default(), "n1", Some("10.0.0.5")));
    }
}

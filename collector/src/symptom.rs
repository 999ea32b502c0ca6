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
    let mask = |text: &str| -> io::Result<String> {
        let mut out = Vec::new();
        redaction.copy(&mut text.as_bytes(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    };
    let masked = |text: &Option<String>| text.as_deref().map(mask).transpose();
    let other = symptom.other.iter().map(|(name, text)| Ok((name.clone(), mask(text)?)));
    Ok(Symptom {
        from: masked(&symptom.from)?,
        to: masked(&symptom.to)?,
        error: masked(&symptom.error)?,
        other: other.collect::<io::Result<_>>()?,
    })
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
}

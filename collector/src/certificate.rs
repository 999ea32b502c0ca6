//! What may leave the customer's side of an X.509 certificate: names, dates, uses and a hash. Both halves of the
//! collector describe certificates in this one form, CERT in bundle/EVIDENCE.md.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, KeyUsage};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

/// A certificate, described. The certificate itself, its key and its signature stay where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Subject, as RFC 4514 writes it.
    pub subject: String,
    /// Issuer, as RFC 4514 writes it.
    pub issuer: String,
    /// The first moment of validity; none where the date is outside of what can be written.
    pub not_before: Option<Timestamp>,
    /// The last moment of validity.
    pub not_after: Option<Timestamp>,
    /// DNS names among the subject's alternative names.
    pub dns_names: Vec<String>,
    /// Addresses among the subject's alternative names.
    pub ip_addresses: Vec<String>,
    /// Whether it may issue certificates (RFC 5280, 4.2.1.9).
    pub is_ca: bool,
    /// Key usages and extended key usages, by the names of RFC 5280.
    pub key_usages: Vec<String>,
    /// SHA-256 of its DER, in hexadecimal.
    pub sha256: String,
    /// Serial number, in hexadecimal with colons.
    pub serial: String,
}

/// Why a certificate could not be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The text holds no certificate block.
    #[error("it holds no PEM block of a certificate")]
    NoCertificate,
    /// A PEM block cannot be read.
    #[error("a PEM block in it is damaged: {0}")]
    Pem(String),
    /// The DER cannot be read.
    #[error("a certificate in it is damaged: {0}")]
    Der(String),
}

/// Describes one certificate in DER.
pub fn describe_der(der: &[u8]) -> Result<Description, CertificateError> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|error| CertificateError::Der(error.to_string()))?;
    let (dns_names, ip_addresses) = alternative_names(&certificate);
    Ok(Description {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        not_before: Timestamp::from_second(certificate.validity().not_before.timestamp()).ok(),
        not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok(),
        dns_names,
        ip_addresses,
        is_ca: certificate.is_ca(),
        key_usages: key_usages(&certificate),
        sha256: bundle::sha256(der),
        serial: certificate.raw_serial_as_string(),
    })
}

/// Describes every certificate in a PEM text; blocks of other kinds (keys) are passed over.
pub fn describe_pem(text: &[u8]) -> Result<Vec<Description>, CertificateError> {
    let mut described = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let block = block.map_err(|error| CertificateError::Pem(error.to_string()))?;
        if matches!(block.label.as_str(), "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE") {
            described.push(describe_der(&block.contents)?);
        }
    }
    if described.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(described) }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return (dns_names, addresses);
    };
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes).map(|ip| ip.to_string())),
            _ => {}
        }
    }
    (dns_names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut usages = Vec::new();
    if let Ok(Some(usage)) = certificate.key_usage() {
        usages.extend(plain_usages(usage.value));
    }
    if let Ok(Some(extended)) = certificate.extended_key_usage() {
        let extended = extended.value;
        let named = [
            (extended.any, "anyExtendedKeyUsage"),
            (extended.server_auth, "serverAuth"),
            (extended.client_auth, "clientAuth"),
            (extended.code_signing, "codeSigning"),
            (extended.email_protection, "emailProtection"),
            (extended.time_stamping, "timeStamping"),
            (extended.ocsp_signing, "OCSPSigning"),
        ];
        usages.extend(named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()));
    }
    usages
}

fn plain_usages(usage: &KeyUsage) -> impl Iterator<Item = String> {
    let named = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ];
    named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj
    /// /O=kubernetes/CN=webhook.example -addext subjectAltName=DNS:webhook.example.svc,IP:10.96.0.1,IP:fd00::1`,
    /// OpenSSL 3.0; its key was thrown away.
    pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIB7TCCAZOgAwIBAgIUMGiLn6G8SVqFAXLKz4ikinmZd78wCgYIKoZIzj0EAwIw\n\
        LzETMBEGA1UECgwKa3ViZXJuZXRlczEYMBYGA1UEAwwPd2ViaG9vay5leGFtcGxl\n\
        MB4XDTI2MTEyMTA4NDMxM1oXDTM2MTExODA4NDMxM1owLzETMBEGA1UECgwKa3Vi\n\
        ZXJuZXRlczEYMBYGA1UEAwwPd2ViaG9vay5leGFtcGxlMFkwEwYHKoZIzj0CAQYI\n\
        KoZIzj0DAQcDQgAEkDB/nn2cmBJbGjc26yc10qN/ppQzjjexU+F3CG7ZcQGN52pg\n\
        x+X2bi7SMoKfaVtCr7Vh5eEk3I0plS75ymOFj6OBjDCBiTAdBgNVHQ4EFgQUFCXj\n\
        NU9hFJDyC+m3+Rh6ZVwZ0RowHwYDVR0jBBgwFoAUFCXjNU9hFJDyC+m3+Rh6ZVwZ\n\
        0RowDwYDVR0TAQH/BAUwAwEB/zA2BgNVHREELzAtghN3ZWJob29rLmV4YW1wbGUu\n\
        c3ZjhwQKYAABhxD9AAAAAAAAAAAAAAAAAAABMAoGCCqGSM49BAMCA0gAMEUCIDWC\n\
        +/k6E0f3phkxLFaTVNMQHGdndRkBjLIyBapkPovIAiEAmKlHmVJ+Alum5R6rMHpV\n\
        umuPeFVyM0jf+cddukQtYKM=\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn a_certificate_is_described_by_names_and_dates() {
        let described = describe_pem(PEM.as_bytes()).unwrap();
        let [one] = described.as_slice() else { panic!("{described:?}") };
        assert_eq!(one.subject, "O=kubernetes, CN=webhook.example");
        assert_eq!(one.dns_names, ["webhook.example.svc"]);
        assert_eq!(one.ip_addresses, ["10.96.0.1", "fd00::1"]);
        assert!(one.is_ca);
        assert_eq!(one.not_after.unwrap().to_string(), "2036-11-18T08:43:13Z");
        assert_eq!(one.sha256, "8369c8fbe4df7f054ba79e96d3957014f306c268d2edbc45e5f967ab3fb4d141");
    }

    #[test]
    fn keys_are_passed_over_and_damage_is_named() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(describe_pem(key.as_bytes()), Err(CertificateError::NoCertificate));
        assert_eq!(describe_pem(format!("{key}{PEM}").as_bytes()).unwrap().len(), 1);
        let cut = PEM.replace("-----END CERTIFICATE-----", "");
        assert!(matches!(describe_pem(cut.as_bytes()), Err(CertificateError::Pem(_))));
        assert!(matches!(describe_der(b"\x30\x03\x02\x01\x01"), Err(CertificateError::Der(_))));
    }
}

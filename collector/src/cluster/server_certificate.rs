//! The certificates that the API server shows, read in a handshake of our own: no credentials are sent in it, so it may
//! go through where the chain is expired or not trusted, which is when it is needed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bundle::{ItemEnd, ItemStatus, Scope, Source, layout};
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::json;
use tokio::net::TcpStream;

use super::connection::{Connection, host};
use super::failure::Failure;
use super::health;
use crate::certificate;
use crate::plan::{Cost, PlanLine};
use crate::resolve::Resolver;
use crate::run::Run;

/// How long connecting and shaking hands may take.
const TIME: Duration = Duration::from_secs(15);

/// The line of the plan.
pub fn plan() -> PlanLine {
    let what = "TLS handshake with the API server, without credentials";
    PlanLine::new("api.health.certificate", Scope::Cluster, what, Cost::Trivial, format!("{} s", TIME.as_secs()))
}

/// Where the handshake goes.
#[derive(Debug, Clone)]
pub struct Server {
    host: String,
    port: u16,
    name: String,
    /// Why no handshake is tried.
    obstacle: Option<&'static str>,
}

impl Server {
    /// The server of a connection.
    pub fn of(connection: &Connection) -> Server {
        let host = host(&connection.server).to_owned();
        let obstacle = match connection.server.scheme_str() {
            Some("https") if connection.proxied => Some("a proxy stands between, whose own certificate would be seen"),
            Some("https") => None,
            _ => Some("the server is asked without TLS"),
        };
        Server {
            port: connection.server.port_u16().unwrap_or(443),
            name: connection.tls_server_name.clone().unwrap_or_else(|| host.clone()),
            host,
            obstacle,
        }
    }
}

/// Shakes hands and writes what was shown.
pub async fn gather(run: &Run, line: &PlanLine, server: &Server) {
    let started = Timestamp::now();
    let address = format!("{}:{}", server.host, server.port);
    let draft = run.draft(line, Source::Computed(format!("TLS handshake with {address} as {}", server.name)));
    if let Some(obstacle) = server.obstacle {
        run.record(draft, ItemEnd::because(ItemStatus::NotRequested, obstacle), started);
        return;
    }
    let chain = tokio::select! {
        chain = tokio::time::timeout(run.time_for(TIME), shake_hands(server)) => {
            chain.unwrap_or_else(|_| Err(Failure::timeout(format!("no handshake within {} s", TIME.as_secs()))))
        }
        ended = run.stop() => Err(Failure::stopped(ended)),
    };
    let chain = match chain {
        Ok(chain) => chain,
        Err(failure) => {
            run.record(draft, failure.end(), started);
            return;
        }
    };
    let certificates: Vec<_> = chain
        .iter()
        .map(|der| match certificate::describe_der(der) {
            Ok(described) => json!(described),
            Err(error) => json!({ "error": error.to_string() }),
        })
        .collect();
    let text = json!({ "server": address, "server_name": server.name, "certificates": certificates }).to_string();
    let item = run.begin(draft, layout::cluster_file("server-certificates.json"));
    health::write(run, item, text.as_bytes(), ItemEnd::new(ItemStatus::Ok));
}

async fn shake_hands(server: &Server) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let name = ServerName::try_from(server.name.clone())
        .map_err(|error| Failure::new(ItemStatus::Error, format!("{} is not a server's name: {error}", server.name)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let witness = Arc::new(Witness { provider: Arc::clone(&provider), seen: Mutex::default() });
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(ItemStatus::Error, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let addresses = Resolver::of_system().addresses(&server.host).await.map_err(|error| Failure::connection(&error))?;
    let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| SocketAddr::new(ip, server.port)).collect();
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| Failure::connection(&error))?;
    let shaken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
    match shaken {
        // A server that insists on a client certificate breaks off, but has shown its own by then.
        Err(error) if seen.is_empty() => Err(Failure::connection(&error)),
        _ => Ok(seen),
    }
}

/// Remembers what it is shown and finds nothing wrong with it. Nothing is sent over its connections.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

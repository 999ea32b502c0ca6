//! The HTTP client that requests go through: kube's, but that names are resolved by [`Resolver`].
//!
//! kube makes its client on hyper's own connector, which asks the C library for names and cannot be given another way. What
//! it puts around the connector (TLS, proxies, credentials, headers) is public and the same here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use percent_encoding::percent_decode_str;
use tower::ServiceBuilder;
use tower_http::decompression::DecompressionLayer;
use tower_service::Service;

use crate::resolve::Resolver;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What is read of a connection at once. hyper's own choice grows to 400 KiB for each of the connections, which is no faster.
const READ_BUFFER: usize = 64 << 10;

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The credentials or the proxy make no sense.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// A proxy of a kind that is not spoken.
    #[error("the proxy {0} is neither http, https nor socks5")]
    Proxy(Uri),
}

/// A client of the cluster that `config` describes. Runs the kubeconfig's credential plugin, and so blocks.
pub fn client(config: &kube::Config) -> Result<kube::Client, ClientError> {
    let mut direct = HttpConnector::new_with_resolver(Resolver::of_system());
    direct.enforce_http(false);
    let Some(proxy) = config.proxy_url.clone() else { return over(config, direct) };
    match proxy.scheme_str() {
        Some("socks5") => over(config, socks(&proxy, direct)),
        Some("http") => over(config, tunnel(&proxy, direct)),
        Some("https") => {
            let secured = config.rustls_https_connector_with_connector(direct)?;
            over(config, tunnel(&proxy, secured))
        }
        _ => Err(ClientError::Proxy(proxy)),
    }
}

/// A tunnel (CONNECT) through a proxy, with the credentials of its URL.
fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    match credentials(proxy).and_then(|(user, password)| basic(&user, &password)) {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

/// A connection through a SOCKS proxy (RFC 1928), with the credentials of its URL (RFC 1929).
fn socks<C>(proxy: &Uri, connector: C) -> SocksV5<C> {
    let socks = SocksV5::new(proxy.clone(), connector);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match credentials(proxy) {
        Some((user, password)) => socks.with_auth(text(user), text(password)),
        None => socks,
    }
}

/// User and password of a URL, which holds them escaped.
fn credentials(proxy: &Uri) -> Option<(Vec<u8>, Vec<u8>)> {
    let (user, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let unescaped = |text: &str| percent_decode_str(text).collect();
    Some((unescaped(user), unescaped(password)))
}

/// The header of a user and a password (RFC 7617).
fn basic(user: &[u8], password: &[u8]) -> Option<HeaderValue> {
    let both = [user, b":", password].concat();
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn over<C>(config: &kube::Config, connector: C) -> Result<kube::Client, ClientError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<Error> + std::error::Error + Send + Sync + 'static,
{
    let auth = config.auth_layer()?;
    let secured = config.rustls_https_connector_with_connector(connector)?;
    let mut bounded = TimeoutConnector::new(secured);
    bounded.set_connect_timeout(config.connect_timeout);
    bounded.set_read_timeout(config.read_timeout);
    bounded.set_write_timeout(config.write_timeout);
    let client: Client<_, Body> =
        Builder::new(TokioExecutor::new()).http1_read_buf_exact_size(READ_BUFFER).build(bounded);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new().gzip(!config.disable_compression))
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(Error::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn credentials_of_a_proxy_are_unescaped() {
        // RFC 7617, section 2: Aladdin with "open sesame", escaped as a URL has it.
        let (user, password) = credentials(&"http://Aladdin:open%20sesame@p:3128".parse().unwrap()).unwrap();
        let header = basic(&user, &password);
        assert_eq!(header.as_ref().map(HeaderValue::as_bytes), Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".as_slice()));
        assert_eq!(credentials(&"http://p:3128".parse().unwrap()), None);
    }
}

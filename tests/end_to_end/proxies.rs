//! A cluster behind a proxy: reached where kubectl reaches it, and directly where kubectl goes directly.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use bundle::{Bundle, ItemStatus, Limits};
use tempfile::TempDir;
use tests::{ApiServer, User, product, programs, require};

/// A name that the API server's certificate carries. Nobody but the proxies knows where that is.
const NAME: &str = "kubernetes.default.svc";
/// `me:p@ss` as a URL has it, and as the header has it (base64).
const USER: &str = "me:p%40ss";
const BASIC: &str = "Basic bWU6cEBzcw==";

/// What a proxy was asked for: the target, and the credentials that came with it.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A proxy on a port of its own, whose threads end with the test.
struct Proxy {
    port: u16,
    asked: Asked,
}

impl Proxy {
    fn start(serve: fn(TcpStream, &Asked) -> io::Result<()>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                // A client that goes away in the middle is none of the proxy's business.
                std::thread::spawn(move || drop(serve(client, &seen)));
            }
        });
        Proxy { port, asked }
    }

    fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// CONNECT (RFC 9110, section 9.3.6).
fn http(mut client: TcpStream, asked: &Asked) -> io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut credentials = String::new();
    for line in lines.by_ref() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((_, value)) =
            line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
        {
            value.clone_into(&mut credentials);
        }
    }
    asked.lock().unwrap().push((target.clone(), credentials.clone()));
    if !request.starts_with("CONNECT ") || !matches!(credentials.as_str(), "" | BASIC) {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let server = dial(&target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    join(client, server)
}

/// SOCKS 5 (RFC 1928) with a name as the target, without credentials or with those of RFC 1929.
fn socks(mut client: TcpStream, asked: &Asked) -> io::Result<()> {
    let mut two = [0; 2];
    client.read_exact(&mut two)?;
    let mut methods = vec![0; two[1].into()];
    client.read_exact(&mut methods)?;
    let method = if methods.contains(&2) { 2 } else { 0 };
    client.write_all(&[5, method])?;
    let mut credentials = String::new();
    if method == 2 {
        client.read_exact(&mut two[..1])?;
        credentials = [text(&mut client)?, text(&mut client)?].join(":");
        client.write_all(&[1, u8::from(credentials != "me:p@ss")])?;
    }
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    assert_eq!(head, [5, 1, 0, 3], "a connection to a name is asked for");
    let name = text(&mut client)?;
    client.read_exact(&mut two)?;
    let target = format!("{name}:{}", u16::from_be_bytes(two));
    asked.lock().unwrap().push((target.clone(), credentials));
    let server = dial(&target)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    join(client, server)
}

/// A text behind its length.
fn text(client: &mut TcpStream) -> io::Result<String> {
    let mut length = [0; 1];
    client.read_exact(&mut length)?;
    let mut text = vec![0; length[0].into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn dial(target: &str) -> io::Result<TcpStream> {
    let port = target.strip_prefix(NAME).and_then(|port| port.strip_prefix(':')).unwrap_or("0");
    TcpStream::connect(("127.0.0.1", port.parse().unwrap_or(0)))
}

fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

/// A folder with a kubeconfig that names the server by its name.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(server: &ApiServer) -> Site {
        let folder = TempDir::with_prefix("dossier-proxies-").unwrap();
        let kubeconfig = fs::read_to_string(server.kubeconfig(User::Admin)).unwrap();
        let by_name = kubeconfig.replace("127.0.0.1", NAME);
        assert_ne!(by_name, kubeconfig);
        fs::write(folder.path().join("kubeconfig"), by_name).unwrap();
        Site { folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn with_proxy_url(self, url: &str) -> Site {
        let text = fs::read_to_string(self.kubeconfig()).unwrap();
        let named = text.replace("server:", &format!("proxy-url: \"{url}\"\n    server:"));
        assert_ne!(named, text);
        fs::write(self.kubeconfig(), named).unwrap();
        self
    }

    fn run(&self, mut program: Command, environment: &[(&str, &str)]) -> Output {
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            program.env_remove(name);
        }
        program.arg("--kubeconfig").arg(self.kubeconfig()).envs(environment.iter().copied());
        program.stdin(Stdio::null()).output().unwrap()
    }

    fn kubectl(&self, environment: &[(&str, &str)]) -> Output {
        let mut kubectl = Command::new(programs::kubectl().unwrap());
        kubectl.args(["get", "--raw", "/version"]);
        self.run(kubectl, environment)
    }

    fn collect(&self, environment: &[(&str, &str)]) -> Output {
        let mut collector = product::collector();
        let zip = self.folder.path().join("b.zip");
        let _ = fs::remove_file(&zip);
        collector.arg("--out").arg(zip);
        self.run(collector, environment)
    }

    /// Collects, and has everything through the proxy.
    fn collects(&self, environment: &[(&str, &str)]) {
        let output = self.collect(environment);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", String::from_utf8_lossy(&output.stderr));
        let bundle = Bundle::open(&self.folder.path().join("b.zip"), Limits::default()).unwrap();
        for id in ["api.nodes", "api.namespaces", "api.pods"] {
            let item = bundle.manifest().items.iter().find(|item| item.id == id).unwrap();
            assert_eq!(item.status, ItemStatus::Ok, "{item:?}");
        }
    }
}

#[test]
fn a_proxy_of_the_kubeconfig_is_used_with_its_credentials() {
    let server = require!(ApiServer::shared());
    let (http, socks) = (Proxy::start(http), Proxy::start(socks));
    for (scheme, credentials, proxy, told) in [
        ("http", String::new(), &http, ""),
        ("http", format!("{USER}@"), &http, BASIC),
        ("socks5", String::new(), &socks, ""),
        ("socks5", format!("{USER}@"), &socks, "me:p@ss"),
    ] {
        let url = format!("{scheme}://{credentials}127.0.0.1:{}", proxy.port);
        Site::new(server).with_proxy_url(&url).collects(&[("NO_PROXY", "*")]);
        let asked = proxy.asked();
        let port = server.url().rsplit(':').next().unwrap();
        let all = (format!("{NAME}:{port}"), told.to_owned());
        assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == all), "{url}: {asked:?}");
    }
}

#[test]
fn a_proxy_that_wants_other_credentials_is_named_without_them() {
    let server = require!(ApiServer::shared());
    let proxy = Proxy::start(http);
    let site = Site::new(server).with_proxy_url(&format!("http://me:hush-hush@127.0.0.1:{}", proxy.port));
    let output = site.collect(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("proxy auth") && !said.contains("hush"), "{said}");
    let bundle = fs::read(site.folder.path().join("b.zip")).unwrap();
    assert!(!bundle.windows(4).any(|part| part == b"hush"));
}

#[test]
fn the_environments_proxy_is_used_where_kubectl_uses_it() {
    require!(programs::kubectl());
    let server = require!(ApiServer::shared());
    let proxy = Proxy::start(http);
    let address = format!("127.0.0.1:{}", proxy.port);
    let port = server.url().rsplit(':').next().unwrap();
    let site = Site::new(server);
    let mut used = Vec::new();
    for (variable, of_proxy, without) in [
        ("HTTPS_PROXY", format!("http://{address}"), String::new()),
        ("https_proxy", address.clone(), String::new()),
        ("HTTP_PROXY", format!("http://{address}"), String::new()),
        ("HTTPS_PROXY", format!("http://{address}"), "localhost,127.0.0.1,".to_owned()),
        ("HTTPS_PROXY", format!("http://{address}"), "localhost,.svc".to_owned()),
        ("HTTPS_PROXY", format!("http://{address}"), " default.svc, 10.0.0.0/8".to_owned()),
        ("HTTPS_PROXY", format!("http://{address}"), format!("a,,{NAME}:{port}")),
        ("HTTPS_PROXY", format!("http://{address}"), format!("{NAME}:1,*.{NAME},ernetes.default.svc,10.96.0.0")),
        ("HTTPS_PROXY", format!("http://{address}"), "*".to_owned()),
    ] {
        let environment = [(variable, of_proxy.as_str()), ("NO_PROXY", &without)];
        let by_kubectl = site.kubectl(&environment);
        let expected = !proxy.asked().is_empty();
        assert_eq!(by_kubectl.status.success(), expected, "{environment:?}: {by_kubectl:?}");
        let output = site.collect(&environment);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(!proxy.asked().is_empty(), expected, "{environment:?}: {said}");
        assert_eq!(matches!(output.status.code(), Some(0 | 2)), expected, "{environment:?}: {said}");
        used.push(expected);
    }
    // What kubectl did is what the cases were made for.
    assert_eq!(used, [true, true, false, true, false, false, false, true, false]);
}

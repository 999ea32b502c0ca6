//! A proxy before a real API server that spoils chosen answers: refuses, delays, breaks off, or answers in the server's
//! place. What is not spoilt is the real server's own.
//!
//! It speaks plain HTTP to the program under test and to `kubectl proxy` behind it, which holds the credentials, so that
//! the bytes can be handled here without TLS. A connection serves one request, so that each can be spoilt by itself.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::api_server::{ApiServer, User};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, with these further header lines (each ended by `\r\n`) and this body.
    Answer(u16, &'static str, String),
    /// No answer, and the connection stays open.
    Hang,
    /// The connection is reset before the answer.
    Reset,
    /// The connection is reset after this many bytes of the real answer, head included.
    CutAfter(usize),
    /// The real answer, a byte in a tenth of a second.
    Drip,
    /// The real answer, later.
    Delay(Duration),
}

/// A request as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method, path and query.
    pub line: String,
    /// The head as it was sent.
    pub head: String,
}

/// The proxy, ended when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    state: Arc<Mutex<State>>,
    kubectl: Child,
    port: u16,
    folder: TempDir,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Spoilt>,
    seen: Vec<Seen>,
    in_flight: usize,
    most_in_flight: usize,
}

/// Requests that are spoilt.
#[derive(Debug)]
struct Spoilt {
    /// Part of their lines.
    part: String,
    fault: Fault,
    /// How many more.
    times: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl FaultProxy {
    /// Starts a proxy that asks `server` as `user`.
    pub fn start(server: &ApiServer, user: User) -> Result<FaultProxy> {
        let mut kubectl = server.kubectl(user);
        kubectl.args(["proxy", "--port=0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut kubectl = kubectl.spawn().context("cannot run kubectl proxy")?;
        let stdout = kubectl.stdout.take().context("kubectl has no standard output")?;
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said)?;
        let Some(upstream) = said.trim().rsplit(':').next().and_then(|port| port.parse().ok()) else {
            let _ = kubectl.kill();
            bail!("kubectl proxy does not start: {said}");
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is none of the proxy's business.
                std::thread::spawn(move || drop(serve(client, upstream, &shared)));
            }
        });
        let folder = TempDir::with_prefix("dossier-fault-proxy-")?;
        let proxy = FaultProxy { state, kubectl, port, folder };
        fs::write(proxy.kubeconfig(), proxy.kubeconfig_text())?;
        Ok(proxy)
    }

    /// Spoils the next `times` requests whose line (`GET /api/v1/pods?limit=1`) holds this text.
    pub fn spoil(&self, line: &str, fault: Fault, times: usize) {
        self.lock().faults.push(Spoilt { part: line.to_owned(), fault, times, in_flight: 0, most_in_flight: 0 });
    }

    /// The kubeconfig that leads to the proxy.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The most requests that were under way at one time.
    pub fn most_in_flight(&self) -> usize {
        self.lock().most_in_flight
    }

    /// The most requests that were under way at one time of those that were spoilt by this text.
    pub fn most_in_flight_of(&self, line: &str) -> usize {
        self.lock().faults.iter().filter(|spoilt| spoilt.part == line).map(|spoilt| spoilt.most_in_flight).sum()
    }

    fn kubeconfig_text(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: spoilt, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: spoilt, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n",
            self.port
        )
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Spoilt {
    fn begin(&mut self) -> Fault {
        self.times -= 1;
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        self.fault.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut client: TcpStream, upstream: u16, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let fault = {
        let mut state = lock(state);
        state.seen.push(Seen { line: line.clone(), head: head.clone() });
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        let spoilt = state.faults.iter_mut().position(|one| one.times > 0 && line.contains(one.part.as_str()));
        spoilt.and_then(|index| state.faults.get_mut(index).map(|one| (index, one.begin())))
    };
    let (index, fault) = fault.unzip();
    // A request is under way until its answer begins; a client that has it all may ask again before this thread ends.
    let begins = || {
        let mut state = lock(state);
        state.in_flight -= 1;
        if let Some(spoilt) = index.and_then(|index| state.faults.get_mut(index)) {
            spoilt.in_flight -= 1;
        }
    };
    answer(&mut client, &mut reader, &head, fault, upstream, begins)
}

fn answer(
    client: &mut TcpStream,
    reader: &mut BufReader<TcpStream>,
    head: &str,
    fault: Option<Fault>,
    upstream: u16,
    begins: impl FnOnce(),
) -> io::Result<()> {
    if let Some(Fault::Delay(time)) = &fault {
        std::thread::sleep(*time);
    }
    if matches!(fault, Some(Fault::Hang)) {
        // Until the client gives up.
        let _ = reader.read(&mut [0; 1]);
    }
    begins();
    match fault {
        Some(Fault::Answer(status, headers, body)) => {
            write!(
                client,
                "HTTP/1.1 {status} Spoilt\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
                body.len()
            )
        }
        Some(Fault::Hang) => Ok(()),
        Some(Fault::Reset) => reset(client),
        Some(Fault::CutAfter(bytes)) => {
            let mut real = io::Read::take(ask(reader, head, upstream)?, bytes as u64);
            io::copy(&mut real, client)?;
            reset(client)
        }
        Some(Fault::Drip) => {
            let mut real = ask(reader, head, upstream)?;
            let mut byte = [0; 1];
            // Until it is all, or the client has had enough.
            while real.read(&mut byte)? > 0 {
                client.write_all(&byte)?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        Some(Fault::Delay(_)) | None => io::copy(&mut ask(reader, head, upstream)?, client).map(|_| ()),
    }
}

/// Passes a request on and gives the answer to be read.
fn ask(reader: &mut BufReader<TcpStream>, head: &str, upstream: u16) -> io::Result<TcpStream> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let head: Vec<&str> =
        head.trim_end().split("\r\n").filter(|line| !line.to_lowercase().starts_with("connection:")).collect();
    write!(server, "{}\r\nConnection: close\r\n\r\n", head.join("\r\n"))?;
    server.write_all(&body)?;
    Ok(server)
}

/// Ends a connection by RST: with a zero linger time the kernel throws away what was not sent and resets.
fn reset(client: &mut TcpStream) -> io::Result<()> {
    client.flush()?;
    // What was written must be on its way before the reset overtakes it.
    std::thread::sleep(Duration::from_millis(100));
    rustix::net::sockopt::set_socket_linger(&*client, Some(Duration::ZERO))?;
    client.shutdown(std::net::Shutdown::Read)?;
    Ok(())
}

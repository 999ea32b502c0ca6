//! Asks the debug endpoints that CNI daemons serve on loopback, only where something listens there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bundle::ItemEnd;
use bundle::manifest::{ItemStatus, Source};
use jiff::Timestamp;

use super::gather::put;
use super::item::Edit;
use super::{Context, sockets};
use crate::plan::PlanLine;

/// What one question may take.
const TIME: Duration = Duration::from_secs(5);
/// What is kept of an answer.
const BODY_AT_MOST: u64 = 10_000_000;
/// The longest header of an answer that is believed.
const HEADER_AT_MOST: usize = 64 * 1024;

/// One question to a daemon on loopback.
pub struct Question {
    /// The port.
    pub port: u16,
    /// Path of the URL.
    pub url_path: &'static str,
    /// A JSON body to POST; GET without one.
    pub body: Option<&'static str>,
    /// Where the answer lies below the node's folder.
    pub path: &'static str,
    /// What is taken out of the answer.
    pub edit: Option<Edit>,
}

/// Asks, and records what came of it.
pub fn ask(context: &Context<'_>, line: &PlanLine, question: &Question) -> anyhow::Result<()> {
    let started = Timestamp::now();
    let method = if question.body.is_some() { "POST" } else { "GET" };
    let url = format!("{method} http://127.0.0.1:{}{}", question.port, question.url_path);
    let draft = context.run.draft(line, Source::Request(url));
    if !sockets::listens_on_loopback(&context.host.root, question.port) {
        let end = ItemEnd::because(ItemStatus::Absent, format!("nothing listens on 127.0.0.1:{}", question.port));
        context.run.record(draft, end, started);
        return Ok(());
    }
    match exchange(question, context.run.time_for(TIME)) {
        Ok(answer) => {
            let body = match question.edit {
                None => Ok(answer.body),
                Some(edit) => edit(&String::from_utf8_lossy(&answer.body)).map(String::into_bytes),
            };
            let mut end = match answer.status {
                200..=299 => ItemEnd::new(ItemStatus::Ok),
                401 | 403 => ItemEnd::because(ItemStatus::Forbidden, format!("HTTP status {}", answer.status)),
                404 => ItemEnd::because(ItemStatus::Absent, "this version does not serve it (HTTP status 404)"),
                other => ItemEnd::because(ItemStatus::Error, format!("HTTP status {other}")),
            };
            end.exit_code = Some(i32::from(answer.status));
            match body {
                Ok(body) => put(context, draft, question.path, &body, end),
                Err(why) => put(context, draft, question.path, b"", ItemEnd::because(ItemStatus::Withheld, why)),
            }
        }
        Err(error) => {
            let status = match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => ItemStatus::Timeout,
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => ItemStatus::Unreachable,
                _ => ItemStatus::Error,
            };
            context.run.record(draft, ItemEnd::because(status, error.to_string()), started);
            Ok(())
        }
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// One HTTP/1.0 exchange: the version in which an answer ends with the connection and is never chunked, so that no
/// client library is needed for it.
fn exchange(question: &Question, time: Duration) -> std::io::Result<Answer> {
    let deadline = Instant::now() + time;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, question.port));
    let mut stream = TcpStream::connect_timeout(&address, time.max(Duration::from_millis(1)))?;
    stream.set_write_timeout(Some(TIME))?;
    let agent = concat!("dossier-collect/", env!("CARGO_PKG_VERSION"));
    let host = format!("Host: 127.0.0.1:{}\r\nUser-Agent: {agent}\r\nAccept: */*", question.port);
    let request = match question.body {
        None => format!("GET {} HTTP/1.0\r\n{host}\r\n\r\n", question.url_path),
        Some(body) => format!(
            "POST {} HTTP/1.0\r\n{host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            question.url_path,
            body.len()
        ),
    };
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1 << 16];
    while (answer.len() as u64) < BODY_AT_MOST + HEADER_AT_MOST as u64 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            n => answer.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
    parse(answer).ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(answer: Vec<u8>) -> Option<Answer> {
    let end = answer.windows(4).take(HEADER_AT_MOST).position(|window| window == b"\r\n\r\n")?;
    let header = String::from_utf8_lossy(answer.get(..end)?);
    let mut words = header.lines().next()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    Some(Answer { status, body: answer.get(end + 4..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    fn serve(answer: &'static str, linger: Duration) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            std::thread::sleep(linger);
        });
        port
    }

    fn question(port: u16) -> Question {
        Question { port, url_path: "/debug/ipaddresses", body: Some("{}"), path: "ipam/x.json", edit: None }
    }

    #[test]
    fn status_and_body_are_told_apart() {
        let port = serve("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":\r\n\r\n1}", Duration::ZERO);
        let answer = exchange(&question(port), TIME).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{\"a\":\r\n\r\n1}".as_slice()));
    }

    #[test]
    fn an_answer_that_never_ends_is_given_up() {
        let port = serve("HTTP/1.0 200 OK\r\n\r\npart", Duration::from_secs(3));
        let error = exchange(&question(port), Duration::from_millis(200)).err().unwrap();
        assert!(matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock), "{error}");
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        let port = serve("SSH-2.0-OpenSSH_9.2\r\n\r\n", Duration::ZERO);
        assert_eq!(exchange(&question(port), TIME).err().unwrap().kind(), std::io::ErrorKind::InvalidData);
    }
}

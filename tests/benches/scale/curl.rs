//! Requests by curl: the floor that the collector is held against, and the way in which the server is filled.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::ApiServer;

/// To a client that calls itself curl the server sends indented JSON, twice as long.
const NAME: &str = "raw-fetch/1";

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    headers: Vec<String>,
    body: Option<Value>,
    agent: String,
    output: PathBuf,
}

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Request {
        Request {
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
            agent: NAME.to_owned(),
            output: PathBuf::from("/dev/null"),
        }
    }

    /// The request of a list or a table, as the collector's manifest has it; nothing where it is of another kind.
    pub fn of_list(path: &str) -> Option<Request> {
        let is_table = path.contains("includeObject=");
        if !is_table && !path.contains("resourceVersion=") && !path.contains("limit=500") {
            return None;
        }
        let mut request = Request::get(path);
        if is_table {
            request.headers.push("Accept: application/json;as=Table;v=v1;g=meta.k8s.io".to_owned());
        }
        Some(request)
    }

    /// The creation of an object, or the setting of its status, by the component that does it in a real cluster: its name
    /// becomes the field's manager.
    pub fn write(method: &'static str, path: String, body: Value, writer: &str) -> Request {
        let kind = if method == "POST" { "application/json" } else { "application/strategic-merge-patch+json" };
        let headers = vec![format!("Content-Type: {kind}")];
        let agent = format!("{writer}/v1.34.4 (linux/amd64) kubernetes/bench");
        Request { method, path, headers, body: Some(body), agent, output: PathBuf::from("/dev/null") }
    }

    /// An object that is made or changed to what is said (server-side apply).
    pub fn apply(path: String, body: Value) -> Request {
        let path = format!("{path}?fieldManager=bench&force=true");
        let mut request = Request::write("PATCH", path, body, "kubectl");
        request.headers = vec!["Content-Type: application/apply-patch+yaml".to_owned()];
        request
    }

    /// The same, with the answer in a file of this folder.
    pub fn into(self, folder: &Path) -> Request {
        let name: String =
            self.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(200).collect();
        Request { output: folder.join(name), ..self }
    }
}

/// curl with the administrator's certificate.
pub struct Curl {
    url: String,
    identity: String,
}

impl Curl {
    /// For this server.
    pub fn new(server: &ApiServer) -> Curl {
        let authority = server.authority();
        let identity = ["cacert|ca.crt", "cert|admin.crt", "key|admin.key"].map(|part| {
            let (option, file) = part.split_once('|').unwrap();
            format!("{option} = \"{}\"\n", authority.path(file).display())
        });
        Curl { url: server.url().to_owned(), identity: identity.concat() }
    }

    /// Writes curl's configuration for these requests; bodies become files beside it.
    pub fn prepare(&self, requests: &[Request], file: &Path) {
        let mut text = String::new();
        for (number, request) in requests.iter().enumerate() {
            let between = if number > 0 { "next\n" } else { "" };
            write!(text, "{between}{}http1.1\nfail\n", self.identity).unwrap();
            writeln!(text, "url = \"{}{}\"\noutput = \"{}\"", self.url, request.path, request.output.display())
                .unwrap();
            writeln!(text, "request = {}\nuser-agent = \"{}\"", request.method, request.agent).unwrap();
            for header in &request.headers {
                writeln!(text, "header = \"{header}\"").unwrap();
            }
            if let Some(body) = &request.body {
                let place = file.with_extension(format!("{number}.json"));
                std::fs::write(&place, body.to_string()).unwrap();
                writeln!(text, "data-binary = \"@{}\"", place.display()).unwrap();
            }
        }
        std::fs::write(file, text).unwrap();
    }

    /// Sends them all, twelve at a time and a few hundred a process, since curl reads all bodies first.
    pub fn send(&self, requests: &[Request]) {
        let folder = tempfile::tempdir().unwrap();
        for some in requests.chunks(500) {
            let file = folder.path().join("requests");
            self.prepare(some, &file);
            let mut curl = Command::new("curl");
            curl.args(["--no-progress-meter", "--parallel", "--parallel-max", "12", "--config"]).arg(&file);
            let output = curl.stdin(Stdio::null()).stdout(Stdio::null()).output().expect("curl can be run");
            assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

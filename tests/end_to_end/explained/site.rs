//! A host with pods, and beside it a peer that stands for the other nodes and for their pods.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio, id};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::host::{Files, Host};
use tests::product::{analyzer, collector};
use tests::require::Missing;

/// The host's address.
pub const HOST: &str = "10.240.0.12";
/// The peer's.
pub const PEER: &str = "10.240.0.13";
/// A pod of the peer's.
pub const REMOTE_POD: &str = "10.244.2.2";
/// The pods' network of the host is 10.244.1.0/24; its pods get addresses from here on.
pub const FIRST_POD: &str = "10.244.1.2";

/// Seconds that a client waits.
const PATIENCE: &str = "2";
/// Longer than a server takes to come up on a busy machine.
const UP: Duration = Duration::from_secs(20);

/// What a client saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Connected,
    Timeout,
    Error,
}

/// The host and its peer. Dropped, all of it ends.
pub struct Site {
    servers: Vec<Child>,
    host: Host,
    folder: tempfile::TempDir,
    /// The peer's network namespace.
    pub peer: String,
    own: String,
}

impl Site {
    /// Boots the host `n1` and makes the peer.
    pub fn boot(name: &str) -> Result<Self, Missing> {
        Site::boot_with(name, &[])
    }

    /// The same, with more programs in the host's `/usr/local/bin`: their files, and their names there.
    pub fn boot_with(name: &str, programs: &[(&Path, &str)]) -> Result<Self, Missing> {
        let image = Host::image()?;
        let (own, peer) = (format!("dex{name}{}h", id()), format!("dex{name}{}p", id()));
        ip(&["netns", "add", &own]);
        ip(&["netns", "add", &peer]);
        ip(&["-n", &own, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &peer]);
        for (namespace, address, other, pods) in
            [(&own, HOST, PEER, "10.244.2.0/24"), (&peer, PEER, HOST, "10.244.1.0/24")]
        {
            ip(&["-n", namespace, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            ip(&["-n", namespace, "link", "set", "eth0", "up"]);
            ip(&["-n", namespace, "route", "add", pods, "via", other]);
            ip(&["-n", namespace, "route", "add", "default", "via", other]);
        }
        ip(&["-n", &peer, "addr", "add", &format!("{REMOTE_POD}/32"), "dev", "lo"]);
        let files = Files::new("n1").unwrap();
        files.copy(collector().get_program().as_ref(), "usr/local/bin/dossier-collect").unwrap();
        for (file, name) in programs {
            files.copy(file, &format!("usr/local/bin/{name}")).unwrap();
        }
        let host = Host::boot("n1", &own, &image, files).unwrap();
        host.output(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]).unwrap();
        Ok(Site { servers: Vec::new(), host, folder: tempfile::tempdir().unwrap(), peer, own })
    }

    /// Runs a script on the host, as its administrator would, and returns what it printed.
    pub fn on_host(&self, script: &str) -> String {
        String::from_utf8_lossy(&self.host.output(&["bash", "-euc", script]).unwrap()).into_owned()
    }

    /// Writes a file on the host.
    pub fn write(&self, path: &str, content: &[u8]) {
        let mut tee = self.host.command("tee");
        let mut child = tee.arg(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        assert!(child.wait().unwrap().success(), "{path} cannot be written");
    }

    /// Gives the host a pod through the real CNI plugins; its address is the next of the range.
    pub fn pod(&self, name: &str) {
        let configuration = r#"{"cniVersion": "0.3.1", "name": "cbr0", "type": "bridge", "bridge": "cni0", "isGateway": true,
            "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "10.244.0.0/16"}]}}"#;
        let script = format!(
            "ip netns add {name}\n\
             export CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin CNI_CONTAINERID={name} CNI_NETNS=/run/netns/{name}\n\
             /opt/cni/bin/bridge <<'C'\n{configuration}\nC"
        );
        self.on_host(&script);
    }

    /// Makes a pod the one that the API server knows by this uid, as far as its node's processes tell.
    pub fn sandbox(&self, name: &str, uid: &str) {
        self.on_host(&tests::scenario::pause(name, uid));
    }

    /// A server that accepts TCP connections on the host, in a pod's namespace where one is named.
    pub fn serve(&mut self, pod: Option<&str>, port: u16) {
        let program = format!(
            "import socket\nserver = socket.create_server(('', {port}))\nwhile True: server.accept()[0].close()\n"
        );
        self.run_server(pod, port, &program, "-Hltn");
    }

    /// A server that answers every datagram with itself, in a pod.
    pub fn answer(&mut self, pod: &str, port: u16) {
        let program = format!(
            "import socket\nserver = socket.socket(type=socket.SOCK_DGRAM)\nserver.bind(('', {port}))\n\
             while True: server.sendto(*server.recvfrom(512))\n"
        );
        self.run_server(Some(pod), port, &program, "-Hlun");
    }

    fn run_server(&mut self, pod: Option<&str>, port: u16, program: &str, sockets: &str) {
        let mut command = match pod {
            Some(pod) => {
                let mut command = self.host.command("ip");
                command.args(["netns", "exec", pod, "python3"]);
                command
            }
            None => self.host.command("python3"),
        };
        command.args(["-c", program]).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn().unwrap());
        let wanted = format!(":{port} ");
        let deadline = Instant::now() + UP;
        let listens = || {
            let inside = ["ip", "netns", "exec", pod.unwrap_or_default(), "ss", sockets];
            let argv = if pod.is_some() { &inside[..] } else { &inside[4..] };
            String::from_utf8_lossy(&self.host.output(argv).unwrap()).contains(&wanted)
        };
        while !listens() {
            assert!(Instant::now() < deadline, "nothing listens on {port}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Connects from the peer, by the address given of those it has.
    pub fn connect(&self, from: &str, to: &str, port: u16) -> Seen {
        let mut client = Command::new("ip");
        client.args(["netns", "exec", &self.peer]).args(client_of(from, to, port));
        seen(&client.output().unwrap())
    }

    /// Connects from a pod of the host over `tcp`, or sends a datagram over `udp` and awaits the answer.
    pub fn connect_from_pod(&self, pod: &str, to: &str, port: u16, protocol: &str) -> Seen {
        let mut client = self.host.command("ip");
        client.args(["netns", "exec", pod]);
        match protocol {
            "udp" => client.args(["python3", "-c", &asks(to, port)]),
            _ => client.args(client_of("", to, port)),
        };
        seen(&client.output().unwrap())
    }

    /// Has the collector write the host's file and returns its path.
    pub fn collect(&self) -> PathBuf {
        self.collect_with("dossier-collect node --node-name n1")
    }

    /// The same with a command of the test's own, to which the file's place is added.
    pub fn collect_with(&self, command: &str) -> PathBuf {
        self.on_host(&format!(
            "code=0; {command} --out /root/n1.zip >/dev/null 2>&1 || code=$?; [ $code = 0 ] || [ $code = 2 ]"
        ));
        let path = self.folder.path().join("n1.zip");
        std::fs::write(&path, self.host.output(&["cat", "/root/n1.zip"]).unwrap()).unwrap();
        path
    }

    /// What `dossier path` answers about a packet that comes into the host.
    pub fn path(&self, bundle: &Path, interface: &str, from: &str, to: &str) -> Value {
        self.ask(bundle, &["--via", "node/n1", "--in", interface, "--from", from, "--to", to])
    }

    /// What `dossier path` answers.
    pub fn ask(&self, bundle: &Path, arguments: &[&str]) -> Value {
        let mut ask = analyzer();
        ask.arg("path").arg(bundle).args(arguments).arg("--json");
        let output = ask.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The finding of a rule about the host.
    pub fn finding(&self, bundle: &Path, rule: &str) -> Value {
        let out = self.folder.path().join("report");
        let output = analyzer().args(["analyze", "--format", "json", "--out"]).arg(&out).arg(bundle).output().unwrap();
        let findings = std::fs::read(out.join("findings.json"));
        let findings: Value = serde_json::from_slice(&findings.unwrap_or_else(|_| panic!("{output:?}"))).unwrap();
        let all = findings["findings"].as_array().unwrap();
        let found = all.iter().find(|finding| finding["rule"] == rule);
        found.unwrap_or_else(|| panic!("{rule} found nothing; there are {all:#?}")).clone()
    }

    /// Applies the changes of an answer on the host, as they are printed.
    pub fn apply(&self, answer: &Value) {
        let changes = answer["fix"]["changes"].as_array().unwrap_or_else(|| panic!("no change in {answer:#}"));
        assert!(!changes.is_empty(), "{answer:#}");
        for change in changes {
            self.on_host(change["command"].as_str().unwrap());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for namespace in [&self.own, &self.peer] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
    }
}

/// A client that says by its exit code what it saw: 0 connected, 1 an error, 2 nothing in time.
fn client_of(from: &str, to: &str, port: u16) -> [String; 3] {
    let program = format!(
        "import socket, sys\n\
         try: socket.create_connection(('{to}', {port}), {PATIENCE}, ('{from}', 0))\n\
         except TimeoutError: sys.exit(2)\n\
         except OSError as error: print(error); sys.exit(1)\n"
    );
    ["python3".into(), "-c".into(), program]
}

/// The same for a datagram that is to be answered.
fn asks(to: &str, port: u16) -> String {
    format!(
        "import socket, sys\n\
         client = socket.socket(type=socket.SOCK_DGRAM)\nclient.settimeout({PATIENCE})\n\
         try: client.connect(('{to}', {port})); client.send(b'?'); client.recv(512)\n\
         except TimeoutError: sys.exit(2)\n\
         except OSError as error: print(error); sys.exit(1)\n"
    )
}

fn seen(output: &Output) -> Seen {
    match output.status.code() {
        Some(0) => Seen::Connected,
        Some(2) => Seen::Timeout,
        _ => Seen::Error,
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

//! The static collector in a root folder that holds nothing: names become addresses all the same.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use bundle::{Bundle, ItemStatus, Limits};
use tempfile::TempDir;
use tests::{ApiServer, User, product, require};

/// A name that the API server's certificate carries.
const NAME: &str = "kubernetes.default.svc";

/// A root folder with the program, a kubeconfig that names the server by name, and these files in /etc.
struct Root {
    folder: TempDir,
}

impl Root {
    fn new(server: &ApiServer, etc: &[(&str, &str)]) -> Root {
        let folder = TempDir::with_prefix("dossier-root-").unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::copy(product::static_collector().get_program(), path("dossier-collect")).unwrap();
        fs::set_permissions(path("dossier-collect"), fs::Permissions::from_mode(0o755)).unwrap();
        let kubeconfig = fs::read_to_string(server.kubeconfig(User::Admin)).unwrap();
        let by_name = kubeconfig.replace("127.0.0.1", NAME);
        assert_ne!(by_name, kubeconfig);
        fs::write(path("kubeconfig"), by_name).unwrap();
        fs::create_dir(path("etc")).unwrap();
        // Whoever asked the C library for a name, or for a user's home, would look for this module and not find it.
        fs::write(path("etc/nsswitch.conf"), "hosts: nosuch\npasswd: nosuch\n").unwrap();
        for (name, text) in etc {
            fs::write(path("etc").join(name), text).unwrap();
        }
        Root { folder }
    }

    fn collect(&self) -> Output {
        let mut chroot = Command::new("chroot");
        chroot.arg(self.folder.path()).args(["/dossier-collect", "--kubeconfig", "/kubeconfig", "--out", "/b.zip"]);
        chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).output().unwrap()
    }

    fn bundle(&self) -> Bundle {
        Bundle::open(&self.folder.path().join("b.zip"), Limits::default()).unwrap()
    }
}

fn reaches_the_server(root: &Root) {
    let output = root.collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{said}");
    let bundle = root.bundle();
    let named = bundle.manifest().cluster.as_ref().and_then(|cluster| cluster.server.clone()).unwrap();
    assert!(named.starts_with(&format!("https://{NAME}:")), "{named}");
    for id in ["api.nodes", "api.namespaces", "api.health.certificate"] {
        let item = bundle.manifest().items.iter().find(|item| item.id == id).unwrap();
        assert_eq!(item.status, ItemStatus::Ok, "{item:?}");
    }
}

#[test]
fn the_static_program_finds_the_server_by_its_name_in_hosts() {
    require!(require::namespaces());
    let server = require!(ApiServer::shared());
    reaches_the_server(&Root::new(server, &[("hosts", &format!("127.0.0.1 {NAME}\n"))]));
}

#[test]
fn the_static_program_asks_the_dns_server_of_resolv_conf() {
    require!(require::namespaces());
    let server = require!(ApiServer::shared());
    // An address of its own, because a server of the machine may have the port at another one.
    let dns = UdpSocket::bind("127.53.10.1:53").unwrap();
    std::thread::spawn(move || answer(&dns));
    // The first server is not there, and the name needs the search domain.
    let conf = "nameserver 127.53.10.2\nnameserver 127.53.10.1\nsearch default.svc\noptions ndots:2\n";
    let root = Root::new(server, &[("resolv.conf", conf)]);
    let kubeconfig = root.folder.path().join("kubeconfig");
    let text = fs::read_to_string(&kubeconfig).unwrap();
    // The certificate carries the long name, which the search finds; the short one is what is asked for.
    let short = text.replace(&format!("https://{NAME}"), "https://kubernetes");
    let short = short.replace("server:", &format!("tls-server-name: {NAME}\n    server:"));
    fs::write(&kubeconfig, short).unwrap();
    let output = root.collect();
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", String::from_utf8_lossy(&output.stderr));
    let bundle = root.bundle();
    let nodes = bundle.manifest().items.iter().find(|item| item.id == "api.nodes").unwrap();
    assert_eq!(nodes.status, ItemStatus::Ok, "{nodes:?}");
}

#[test]
fn a_name_that_nobody_knows_is_said_in_the_bundle() {
    require!(require::namespaces());
    let server = require!(ApiServer::shared());
    let root = Root::new(server, &[("resolv.conf", "nameserver 127.53.10.3\n")]);
    let output = root.collect();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let bundle = root.bundle();
    let nodes = bundle.manifest().items.iter().find(|item| item.id == "api.nodes").unwrap();
    assert_eq!(nodes.status, ItemStatus::Unreachable);
    let reason = nodes.reason.clone().unwrap();
    assert!(reason.contains("the DNS server 127.53.10.3:53 cannot be reached: Connection refused"), "{reason}");
}

/// Answers each question for an IPv4 address of [`NAME`] with the loopback address (RFC 1035), and knows nothing else.
fn answer(socket: &UdpSocket) {
    let mut room = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut room) {
        let mut reply = room[..length].to_vec();
        let asked = &room[12..length - 4];
        let labels: Vec<u8> =
            NAME.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        let is_name = asked.strip_suffix(b"\0") == Some(labels.as_slice());
        let wants_v4 = room[length - 4..length] == [0, 1, 0, 1];
        // A response, recursion available; NXDOMAIN where the name is another.
        (reply[2], reply[3]) = (0x81, if is_name { 0x80 } else { 0x83 });
        if is_name && wants_v4 {
            reply[7] = 1;
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        socket.send_to(&reply, from).unwrap();
    }
}

//! A real kube-apiserver on a real etcd, on free ports of the loopback interface.
//!
//! Both are children of a supervising shell that waits for the end of its standard input: when the process that started
//! them is gone, by whatever way, the kernel closes that pipe, and the shell ends both by process id and removes their
//! folder. A test that panics, or is killed, leaves nothing behind.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::pki::{ALWAYS, Authority};
use crate::programs::{self, Program};
use crate::require::{self, Missing};

/// Longer than a cold start on a busy machine of two cores takes; a start that fails earlier is noticed at once.
const START: Duration = Duration::from_secs(240);

/// Who asks: each has a kubeconfig with a client certificate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A member of `system:masters`.
    Admin,
    /// A user to whom nothing is granted but what every authenticated user may do.
    Stranger,
    /// A user of the group `support`, to which a test may grant what it likes.
    Viewer,
}

impl User {
    const ALL: [User; 3] = [User::Admin, User::Stranger, User::Viewer];

    fn name(self) -> &'static str {
        match self {
            User::Admin => "admin",
            User::Stranger => "stranger",
            User::Viewer => "viewer",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            User::Admin => "/O=system:masters/CN=admin",
            User::Stranger => "/CN=stranger",
            User::Viewer => "/O=support/CN=viewer",
        }
    }
}

/// What differs from one server to another.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to serve on, which kubeconfigs name; the loopback address unless a namespace has its own.
    pub address: Ipv4Addr,
    /// The port, or nothing for a free one.
    pub port: Option<u16>,
    /// The network namespace that it runs in, which `ip netns` knows; none for this process's own.
    pub netns: Option<String>,
    /// The cluster's name in kubeconfigs.
    pub cluster: String,
    /// The controllers of kube-controller-manager to run, such as `endpointslice-controller`; none starts no manager.
    ///
    /// Without the service account controller no namespace has a default account, so that admission check is off then.
    pub controllers: Vec<String>,
    /// Whether the scheduler binds pods to nodes.
    pub scheduler: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (address, cluster) = (Ipv4Addr::LOCALHOST, "example".into());
        Options { address, port: None, netns: None, cluster, controllers: Vec::new(), scheduler: false }
    }
}

/// A running API server, ended when dropped.
#[derive(Debug)]
pub struct ApiServer {
    supervisor: Child,
    folder: PathBuf,
    url: String,
    netns: Option<String>,
    kubectl: PathBuf,
}

impl ApiServer {
    /// Starts a server of its own for one test.
    ///
    /// # Errors
    ///
    /// [`Missing`] where the programs can neither be found nor built.
    ///
    /// # Panics
    ///
    /// Where the programs are there and the server does not come up: that is a failure, not a missing prerequisite.
    pub fn start(options: &Options) -> Result<ApiServer, Missing> {
        let programs = Programs::find(options)?;
        let started = Self::try_start(options, &programs);
        // A port found free may be taken by another test before the server binds it, so one failure proves nothing.
        let started = started.or_else(|_| Self::try_start(options, &programs));
        Ok(started.unwrap_or_else(|e| panic!("the API server does not come up: {e:#}")))
    }

    /// The server that all tests of this binary share; each test works in namespaces of its own.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::start`].
    pub fn shared() -> Result<&'static ApiServer, Missing> {
        static SHARED: OnceLock<Result<ApiServer, Missing>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&Options::default())).as_ref().map_err(Missing::clone)
    }

    /// The server's address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder.join("pki").join(format!("{}.conf", user.name()))
    }

    /// The authority that signed the server's certificate and its users'.
    pub fn authority(&self) -> Authority {
        Authority::open(&self.folder.join("pki"))
    }

    /// A real kubectl that speaks to this server as `user`, ready for its arguments.
    pub fn kubectl(&self, user: User) -> Command {
        let mut command = within(self.netns.as_deref(), &self.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig(user)).arg("--cache-dir").arg(self.folder.join("kubectl"));
        command.env_remove("KUBECONFIG").stdin(Stdio::null());
        command
    }

    /// Creates the objects of a YAML or JSON manifest as administrator, and then, where they have a status, sets it: the
    /// server drops the status of most objects when they are created, as it does for the real writers.
    ///
    /// Custom resource definitions go in a manifest of their own, which is waited for until it is served.
    pub fn load(&self, manifest: &str) -> Result<()> {
        self.apply(manifest, &["create", "--save-config=false", "-f", "-"])?;
        if manifest.contains("kind: CustomResourceDefinition") {
            self.apply(manifest, &["wait", "--for=condition=Established", "--timeout=60s", "-f", "-"])?;
            return Ok(());
        }
        let with_status: Vec<&str> = manifest.split("\n---").filter(|object| has_status(object)).collect();
        if with_status.is_empty() {
            return Ok(());
        }
        self.apply(&with_status.join("\n---"), &["replace", "--subresource=status", "-f", "-"])
    }

    /// Writes a kubeconfig with a token of a service account, as whoever runs a program in its name has one.
    pub fn account_kubeconfig(&self, namespace: &str, account: &str, path: &Path) -> Result<()> {
        let output = self.kubectl(User::Admin).args(["create", "token", account, "-n", namespace]).output()?;
        if !output.status.success() {
            bail!("no token of {namespace}/{account}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let token = String::from_utf8(output.stdout)?;
        let authority = self.folder.join("pki/ca.crt");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"{}\", certificate-authority: \"{}\"}}}}]\n\
             users: [{{name: u, user: {{token: \"{}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u, namespace: {namespace}}}}}]\n",
            self.url,
            authority.display(),
            token.trim()
        );
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn apply(&self, manifest: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.kubectl(User::Admin);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run kubectl")?;
        child.stdin.take().context("kubectl has no standard input")?.write_all(manifest.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn try_start(options: &Options, programs: &Programs) -> Result<ApiServer> {
        let folder = TempDir::with_prefix("dossier-apiserver-")?;
        fs::create_dir(folder.path().join("pki"))?;
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let url = format!("https://{}:{port}", options.address);
        certificates(&folder.path().join("pki"), options, &url)?;
        let netns = options.netns.clone();
        let script = script(folder.path(), options, port, programs)?;
        let supervisor = supervise(folder.path(), netns.as_deref(), &script)?;
        // From here on the supervisor removes the folder.
        let folder = folder.keep();
        let mut server = ApiServer { supervisor, folder, url, netns, kubectl: programs.kubectl.clone() };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let mut ready = self.kubectl(User::Admin);
            ready.args(["get", "--raw", "/readyz", "--request-timeout=5s"]);
            if ready.output().context("cannot run kubectl")?.status.success() {
                return Ok(());
            }
            if self.supervisor.try_wait()?.is_some() || self.folder.join("failed").exists() {
                bail!("one of its processes ended: {}", self.log_tail());
            }
            if Instant::now() > deadline {
                bail!("not ready after {} s: {}", START.as_secs(), self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The last lines that its processes wrote.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// The programs a server needs, found before anything is started.
struct Programs {
    etcd: Program,
    apiserver: Program,
    controllers: Option<Program>,
    scheduler: Option<Program>,
    kubectl: PathBuf,
}

impl Programs {
    fn find(options: &Options) -> Result<Self, Missing> {
        require::program("openssl")?;
        let wanted = |wanted: bool, name: &str| wanted.then(|| programs::kube(name)).transpose();
        Ok(Programs {
            apiserver: programs::kube("kube-apiserver")?,
            controllers: wanted(!options.controllers.is_empty(), "kube-controller-manager")?,
            scheduler: wanted(options.scheduler, "kube-scheduler")?,
            etcd: programs::etcd()?,
            kubectl: programs::kubectl()?,
        })
    }
}

fn has_status(object: &str) -> bool {
    object.lines().any(|line| line.starts_with("status:"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn certificates(folder: &Path, options: &Options, url: &str) -> Result<()> {
    let authority = Authority::create(folder)?;
    let names = format!("DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:{}", options.address);
    authority.issue("apiserver", "/CN=kube-apiserver", &names, ALWAYS)?;
    for user in User::ALL {
        authority.issue(user.name(), user.subject(), "", ALWAYS)?;
        authority.kubeconfig(user.name(), &options.cluster, url)?;
    }
    for (name, subject) in
        [("controllers", "/CN=system:kube-controller-manager"), ("scheduler", "/CN=system:kube-scheduler")]
    {
        authority.issue(name, subject, "", ALWAYS)?;
        authority.kubeconfig(name, &options.cluster, url)?;
    }
    Ok(())
}

/// One line of shell per process: `exec` in a subshell, so that `$!` is the process itself.
fn script(folder: &Path, options: &Options, port: u16, programs: &Programs) -> Result<String> {
    let etcd_url = format!("http://127.0.0.1:{}", free_port()?);
    let peer_url = format!("http://127.0.0.1:{}", free_port()?);
    let mut etcd = programs.etcd.command();
    etcd.args(["--name=tests", "--unsafe-no-fsync", "--log-level=warn", "--data-dir=etcd"]);
    etcd.args([format!("--listen-client-urls={etcd_url}"), format!("--advertise-client-urls={etcd_url}")]);
    etcd.args([format!("--listen-peer-urls={peer_url}"), format!("--initial-advertise-peer-urls={peer_url}")]);
    etcd.arg(format!("--initial-cluster=tests={peer_url}"));

    let mut apiserver = programs.apiserver.command();
    apiserver.args([format!("--etcd-servers={etcd_url}"), format!("--secure-port={port}")]);
    apiserver
        .args([format!("--bind-address={0}", options.address), format!("--advertise-address={0}", options.address)]);
    apiserver.args(["--authorization-mode=Node,RBAC", "--allow-privileged", "--event-ttl=87600h"]);
    apiserver.arg("--kubelet-preferred-address-types=InternalIP,Hostname");
    apiserver.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16"]);
    apiserver.args(["--client-ca-file=pki/ca.crt", "--tls-cert-file=pki/apiserver.crt"]);
    apiserver.args(["--tls-private-key-file=pki/apiserver.key", "--service-account-key-file=pki/apiserver.key"]);
    apiserver.args(["--service-account-issuer=https://kubernetes.default.svc"]);
    apiserver.args(["--service-account-signing-key-file=pki/apiserver.key"]);
    if programs.controllers.is_none() {
        apiserver.arg("--disable-admission-plugins=ServiceAccount");
    }

    let mut script = format!("cd {} || exit 1\n", quoted(&folder.display().to_string()));
    script.push_str(&kept_running("etcd", &etcd, "touch failed; break"));
    script.push_str(&kept_running("apiserver", &apiserver, "touch failed; break"));
    if let Some(program) = &programs.controllers {
        let mut manager = program.command();
        manager.args(["--kubeconfig=pki/controllers.conf", "--use-service-account-credentials=true"]);
        manager.args(["--leader-elect=false", "--service-account-private-key-file=pki/apiserver.key"]);
        manager.args(["--root-ca-file=pki/ca.crt", "--secure-port=0"]);
        manager.arg(format!("--controllers={}", options.controllers.join(",")));
        // It gives up while the server is not there yet, so it is started again until it is.
        script.push_str(&kept_running("controllers", &manager, "sleep 0.5"));
    }
    if let Some(program) = &programs.scheduler {
        let mut scheduler = program.command();
        scheduler.args(["--kubeconfig=pki/scheduler.conf", "--leader-elect=false", "--secure-port=0"]);
        script.push_str(&kept_running("scheduler", &scheduler, "sleep 0.5"));
    }
    // `read` returns when the pipe is closed, which the kernel does when the process that started this shell is gone.
    script.push_str("read -r _\ntouch stop\nkill -KILL $(cat *.pid)\nwait\ncd /\nrm -rf ");
    script.push_str(&quoted(&folder.display().to_string()));
    Ok(script)
}

/// Shell that runs a command in the background, notes its process id, and says what to do when it ends too early.
fn kept_running(name: &str, command: &Command, when_ended: &str) -> String {
    let line = command_line(command);
    format!(
        "while [ ! -e stop ]; do {line} </dev/null >>log 2>&1 & echo $! >{name}.pid; wait; \
         [ -e stop ] || {{ {when_ended}; }}; done &\n"
    )
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command of a program in a network namespace.
fn within(netns: Option<&str>, program: &Path) -> Command {
    let Some(netns) = netns else { return Command::new(program) };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{netns}")).arg(program);
    command
}

fn supervise(folder: &Path, netns: Option<&str>, script: &str) -> Result<Child> {
    let log = fs::File::create(folder.join("supervisor.log"))?;
    within(netns, Path::new("sh"))
        .args(["-c", script])
        // A group of its own keeps the terminal's Ctrl-C away from it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("cannot start a shell")
}

//! Certificates and kubeconfigs of a test cluster, made with the openssl command so that no crate is needed for them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::programs::run;

/// How long a certificate is valid, as openssl writes moments: `YYYYMMDDHHMMSSZ`.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// The first moment.
    pub from: &'static str,
    /// The last moment.
    pub until: &'static str,
}

/// Valid whenever the tests run.
pub const ALWAYS: Validity = Validity { from: "20240101000000Z", until: "20491231235959Z" };

/// A certificate authority in a folder of its own; every certificate it issues lies beside it.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes an authority named `kubernetes`, as kubeadm names it, in `folder`, which must exist and be empty.
    pub fn create(folder: &Path) -> Result<Self> {
        let authority = Authority { folder: folder.to_owned() };
        fs::write(authority.path("openssl.cnf"), CONFIGURATION)?;
        fs::write(authority.path("index.txt"), "")?;
        authority.key("ca")?;
        let mut request = authority.openssl();
        request.args(["req", "-x509", "-new", "-config", "openssl.cnf", "-extensions", "authority"]);
        request.args(["-key", "ca.key", "-subj", "/CN=kubernetes", "-days", "3650", "-out", "ca.crt"]);
        run(&mut request)?;
        Ok(authority)
    }

    /// The authority that [`Authority::create`] made in this folder.
    pub fn open(folder: &Path) -> Self {
        Authority { folder: folder.to_owned() }
    }

    /// Issues `<name>.crt` and `<name>.key`.
    ///
    /// `subject` is written `/O=system:masters/CN=admin`; `names` is a subjectAltName such as `DNS:localhost,IP:127.0.0.1`,
    /// or nothing for a client.
    pub fn issue(&self, name: &str, subject: &str, names: &str, validity: Validity) -> Result<()> {
        self.key(name)?;
        let mut request = self.openssl();
        request.args(["req", "-new", "-config", "openssl.cnf", "-subj", subject]);
        request.args(["-key", &format!("{name}.key"), "-out", &format!("{name}.csr")]);
        run(&mut request)?;
        let mut extensions = String::from("keyUsage=critical,digitalSignature,keyEncipherment\n");
        extensions.push_str("extendedKeyUsage=serverAuth,clientAuth\n");
        if !names.is_empty() {
            writeln!(extensions, "subjectAltName={names}")?;
        }
        fs::write(self.path(&format!("{name}.ext")), extensions)?;
        let mut sign = self.openssl();
        sign.args(["ca", "-batch", "-notext", "-config", "openssl.cnf"]);
        sign.args(["-in", &format!("{name}.csr"), "-out", &format!("{name}.crt"), "-extfile", &format!("{name}.ext")]);
        sign.args(["-startdate", validity.from, "-enddate", validity.until]);
        run(&mut sign)
    }

    /// Writes `<name>.conf`, a kubeconfig with which the certificate `name` speaks to `server` as a user of `cluster`.
    pub fn kubeconfig(&self, name: &str, cluster: &str, server: &str) -> Result<PathBuf> {
        let mut text = String::from("apiVersion: v1\nkind: Config\n");
        let authority = self.base64("ca.crt")?;
        let (certificate, key) = (self.base64(&format!("{name}.crt"))?, self.base64(&format!("{name}.key"))?);
        writeln!(text, "clusters:\n- name: {cluster}\n  cluster:\n    server: {server}")?;
        writeln!(text, "    certificate-authority-data: {authority}")?;
        writeln!(text, "users:\n- name: {name}\n  user:\n    client-certificate-data: {certificate}")?;
        writeln!(text, "    client-key-data: {key}")?;
        writeln!(text, "contexts:\n- name: {cluster}\n  context: {{cluster: {cluster}, user: {name}}}")?;
        writeln!(text, "current-context: {cluster}")?;
        let path = self.path(&format!("{name}.conf"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The file `name` in the authority's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn key(&self, name: &str) -> Result<()> {
        let mut key = self.openssl();
        key.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &format!("{name}.key")]);
        run(&mut key)
    }

    fn base64(&self, name: &str) -> Result<String> {
        let mut encode = self.openssl();
        encode.args(["base64", "-A", "-in", name]);
        let output = encode.output().context("cannot run openssl")?;
        if !output.status.success() {
            bail!("openssl base64 of {name} ended with {}", output.status);
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

/// `openssl ca` signs with a start date of its own, which `openssl x509` of OpenSSL 3.0 cannot; it wants a configuration.
const CONFIGURATION: &str = "\
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
policy = anything
unique_subject = no
rand_serial = yes
[anything]
organizationName = optional
commonName = supplied
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
";

//! `dossier path`: would this packet pass, and if not, which line stops it?

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::facts::Facts;
use crate::way::endpoint::Endpoint;
use crate::way::{self, Protocol, Question, World, battery, drawing};

/// Would this packet pass, and if not, which line stops it?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends: pod/NAMESPACE/NAME:PORT, service/NAMESPACE/NAME:PORT, node/NAME:PORT, IP:PORT, [IPv6]:PORT
Exit codes: 0 answered, 2 could not

Examples:
  dossier path bundle.zip --from node/master-1 --to node/worker-1:10250
  dossier path bundle.zip --from pod/shop/web-0 --to service/kube-system/kube-dns:53 --proto udp
  dossier path bundle.zip --all
  dossier path host.zip --from 10.0.0.9 --to 10.0.0.4:10250 --via node/worker-1")]
pub struct Path {
    /// The bundle: a zip file or an unpacked folder.
    bundle: PathBuf,
    /// Who sends: pod/NS/NAME, node/NAME, IP[:PORT], [IPv6][:PORT].
    #[arg(long, value_name = "END", required_unless_present = "all")]
    from: Option<Endpoint>,
    /// Whom it is for: pod/NS/NAME:PORT, service/NS/NAME:PORT, node/NAME:PORT, IP:PORT, [IPv6]:PORT; icmp takes no port.
    #[arg(long, value_name = "END", required_unless_present = "all")]
    to: Option<Endpoint>,
    /// The protocol [default: the Service's, else tcp].
    #[arg(long, value_name = "PROTOCOL")]
    proto: Option<Protocol>,
    /// Walk this node alone: a packet that enters it, for it or forwarded by it.
    #[arg(long, value_name = "node/NAME")]
    via: Option<String>,
    /// The interface by which the packet enters [default: the one by which the node would answer].
    #[arg(long = "in", value_name = "IFACE")]
    interface: Option<String>,
    /// Walk the packets that every cluster lives by, over the whole bundle: the kubelets' port, overlays, the API
    /// server, cluster DNS, NodePorts, health checks, webhooks.
    #[arg(long, conflicts_with_all = ["from", "to", "proto", "via", "interface", "steps"])]
    all: bool,
    /// The answer as JSON (schemas/path.schema.json; with --all schemas/path-all.schema.json).
    #[arg(long)]
    json: bool,
    /// Draw every step, also those that change nothing.
    #[arg(long)]
    steps: bool,
}

impl Path {
    /// Prints the answer.
    ///
    /// # Errors
    /// Where the bundle cannot be opened, or the question cannot be answered from it.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        // The process ends with the answer: millions of rules need not be given back one by one before.
        let facts = ManuallyDrop::new(Facts::new(super::open(&self.bundle)?));
        let world = World::new(&facts);
        let (Some(from), Some(to)) = (&self.from, &self.to) else { return self.battery(&world) };
        let question = Question {
            from: from.clone(),
            to: to.clone(),
            protocol: self.proto,
            via: self.via.clone(),
            interface: self.interface.clone(),
        };
        let answer = way::answer(&world, &question)?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&answer).context("the answer cannot be written as JSON")? + "\n",
            false => drawing::draw(&answer, self.steps),
        };
        super::print(|out| out.write_all(text.as_bytes()))?;
        Ok(super::FINE)
    }

    fn battery(&self, world: &World<'_>) -> anyhow::Result<ExitCode> {
        let battery = battery::run(world);
        let text = match self.json {
            true => serde_json::to_string_pretty(&battery).context("the answers cannot be written as JSON")? + "\n",
            false => drawing::table(&battery),
        };
        super::print(|out| out.write_all(text.as_bytes()))?;
        Ok(super::FINE)
    }
}

//! Between whom something is said to be broken: the ends of the symptom, found in the bundle.
//!
//! ```text
//! endpoint.rs   ends as `dossier path` takes them
//! intake.rs     ends as people write them into a form
//! target.rs     what stands at the symptom's far end, behind a Service's address
//! ```

pub mod endpoint;
pub mod intake;
pub mod target;

use endpoint::{Endpoint, Port, Who};

use super::Facts;

/// The ends that a symptom names. Each is none where it was not given; an error says why it cannot be found.
#[derive(Debug, Default)]
pub struct Ends {
    /// Who sends.
    pub from: Option<Result<Endpoint, String>>,
    /// To whom.
    pub to: Option<Result<Endpoint, String>>,
    /// `TCP`, `UDP`, `SCTP`, where it was said.
    pub protocol: Option<&'static str>,
    /// The place of the Service that stands at `to`: by its name, by an address of it, or by its port on a node.
    pub service: Option<u32>,
}

impl Ends {
    /// Finds them.
    pub(super) fn read(facts: &Facts) -> Ends {
        let Some(symptom) = facts.symptom() else { return Ends::default() };
        let end = |text: &Option<String>| text.as_deref().map(|text| intake::end(text, facts));
        let port = symptom.other.get("port").map(|text| intake::port_field(text));
        let (number, protocol) = port.unwrap_or_default();
        let mut to = end(&symptom.to);
        if let Some(Ok(to)) = &mut to {
            to.port = to.port.take().or(number.map(Port::Number)).or_else(|| intake::only_port(&to.who, facts));
        }
        let receiver = to.as_ref().and_then(|to| to.as_ref().ok());
        let service = receiver.and_then(|receiver| target::service_of(facts, receiver));
        Ends { from: end(&symptom.from), service, to, protocol }
    }

    /// Who sends, where that was found.
    pub fn sender(&self) -> Option<&Who> {
        self.from.as_ref()?.as_ref().ok().map(|end| &end.who)
    }

    /// Who is to receive, where that was found.
    pub fn receiver(&self) -> Option<&Endpoint> {
        self.to.as_ref()?.as_ref().ok()
    }

    /// Why the sender is not known.
    pub fn lacks_sender(&self) -> Option<&str> {
        match &self.from {
            None => Some("no symptom says who fails to connect"),
            Some(Err(reason)) => Some(reason),
            Some(Ok(_)) => None,
        }
    }
}

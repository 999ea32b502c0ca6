//! What went wrong with credentials, in words that quote nothing of them.
//!
//! A parser's message shows the line in which it failed, a plugin's error what the plugin printed: either may be a token. So of
//! a text with credentials only the place is told, and of a plugin how it ended and what it said on its standard error, masked.

use std::error::Error;
use std::iter::successors;

use kube::client::AuthError;
use kube::config::KubeconfigError;

use crate::redact;

/// Bytes of what a plugin said that are told.
const SAID: usize = 600;

/// Why a kubeconfig cannot be used.
pub fn of_kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => format!("it is not the YAML of a kubeconfig{}", place(error)),
        other => redact::message(&bundle::in_one_line(other)),
    }
}

/// Why credentials could not be had, where that is among the causes of an error.
pub fn of_cause(error: &(dyn Error + 'static)) -> Option<String> {
    successors(Some(error), |error| (*error).source())
        .find_map(|cause| cause.downcast_ref::<AuthError>())
        .map(of_plugin)
}

fn of_plugin(error: &AuthError) -> String {
    match error {
        // The command is not told: with it come the variables that the kubeconfig sets for it.
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = redact::message(said.trim());
            let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SAID).collect();
            let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
            format!("the kubeconfig's credential plugin ended with {}: {said}", out.status)
        }
        AuthError::AuthExecParse(error) => {
            format!("what the kubeconfig's credential plugin printed is no ExecCredential{}", place(error))
        }
        AuthError::ParseTokenKey(error) => {
            format!("what the kubeconfig's credential plugin printed is no JSON (line {})", error.line())
        }
        // The bytes that are no text are among its words.
        AuthError::AuthExec(words) if words.contains("not a string") => {
            "what the kubeconfig's credential plugin printed is no text".to_owned()
        }
        other => redact::message(&bundle::in_one_line(other)),
    }
}

fn place(error: &serde_saphyr::Error) -> String {
    let place = error.location().map(|place| format!(" (line {}, column {})", place.line(), place.column()));
    place.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_not_quoted() {
        for text in [
            "users:\n- name: u\n  user:\n    token: [hush1, hush2]\n",
            "users:\n- name: u\n  user: {token: hush1\nclusters: hush2: hush3\n",
            "users: hush1\n",
            "users:\n- name: u\n  user:\n\ttoken: hush1\n",
            "current-context: \"hush1\n",
            "clusters:\n- name: c\n  cluster: {insecure-skip-tls-verify: hush1}\n",
            "hush1",
        ] {
            let Err(error) = Kubeconfig::from_yaml(text) else { panic!("{text} is a kubeconfig") };
            let said = of_kubeconfig(&error);
            assert!(!said.contains("hush") && said.starts_with("it is not the YAML of a kubeconfig"), "{said}");
        }
    }

    #[test]
    fn the_place_is_told() {
        let error = Kubeconfig::from_yaml("apiVersion: v1\nusers:\n- name: u\n  user: {token: [a]}\n").err().unwrap();
        assert!(of_kubeconfig(&error).contains("(line 4, column "), "{}", of_kubeconfig(&error));
    }
}

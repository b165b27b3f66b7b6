//! Which exit code an error has; the table of them is in `graft_wire::error`.

use crate::config::ConfigError;
use crate::daemon::StartError;
use crate::web::ClientError;
use graft_backbone::{BackboneError, admission::Refusal, fetch::FetchError};
use graft_learn::LearnError;
use graft_wire::error::{self, Exit};
use serde_json::{Value, json};
use std::io;

/// A usage error. Exit code 2, as clap's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A head, manifest or digest that does not hold. Exit code 7.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotVerified(pub String);

/// Something named is not there. Exit code 5.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotFound(pub String);

/// The answer is no, and everything has been said already. Exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct Silent;

/// The codes for the help.
pub fn codes_help() -> String {
    let listed: Vec<_> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.meaning())).collect();
    format!("Exit codes: {}", listed.join("; "))
}

/// The exit code of an error: that of the innermost cause that has one.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    exit_of_error(error).code()
}

fn exit_of_error(error: &anyhow::Error) -> Exit {
    error.chain().rev().find_map(exit_of).unwrap_or(Exit::Failed)
}

/// Of an error of the connection, or one that the daemon answered.
fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } => Exit::NoDaemon,
        ClientError::Refused { error, .. } => error.code.row().exit,
        ClientError::Broken(_) => Exit::Failed,
        ClientError::TimedOut(_) => Exit::TryAgain,
    }
}

fn exit_of(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if cause.is::<Usage>() {
        return Some(Exit::UsageError);
    }
    if cause.is::<NotFound>() {
        return Some(Exit::NotFound);
    }
    if cause.is::<NotVerified>() {
        return Some(Exit::NotVerified);
    }
    if cause.is::<ConfigError>() {
        return Some(Exit::Config);
    }
    if let Some(error) = cause.downcast_ref::<StartError>() {
        return Some(match error {
            StartError::Config(_) => Exit::Config,
            StartError::Io(_) => Exit::Io,
        });
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(of_client(error));
    }
    if let Some(error) = cause.downcast_ref::<error::Error>() {
        return Some(error.code.row().exit);
    }
    if let Some(error) = cause.downcast_ref::<BackboneError>() {
        // What is in its file is judged here; that it cannot be read is for the cause below to say.
        return matches!(error, BackboneError::Digest { .. }).then_some(Exit::NotVerified);
    }
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return (refusal.reason == "digest_mismatch").then_some(Exit::NotVerified);
    }
    if let Some(error) = cause.downcast_ref::<FetchError>() {
        return match error {
            FetchError::NoDigest { .. } | FetchError::WrongDigest { .. } => Some(Exit::NotVerified),
            FetchError::Failed { .. } => Some(Exit::TryAgain),
            _ => None,
        };
    }
    if let Some(LearnError::NotEnough { .. }) = cause.downcast_ref::<LearnError>() {
        return Some(Exit::NotEnough);
    }
    cause.downcast_ref::<io::Error>().map(|error| match error.kind() {
        // The reader of our output has seen enough.
        io::ErrorKind::BrokenPipe => Exit::Done,
        io::ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Io,
    })
}

/// The error as `--json` prints it: as the daemon answers, with the exit code.
pub fn json(error: &anyhow::Error) -> Value {
    let exit = exit_of_error(error);
    let told = match error.chain().rev().find_map(of_daemon) {
        Some(found) => json!(found),
        None => {
            let again = matches!(exit, Exit::NoDaemon | Exit::Unavailable | Exit::TryAgain);
            json!({"code": <&str>::from(exit), "message": text(error), "retryable": again})
        }
    };
    json!({"status": "error", "error": told, "exit": exit.code()})
}

fn of_daemon<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a error::Error> {
    match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { error, .. }) => Some(error),
        _ => cause.downcast_ref(),
    }
}

/// The error and its causes in one line; a cause that the line above already tells is left out.
pub fn text(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !told.iter().any(|earlier| earlier.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use graft_wire::{Code, Error};

    fn io(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    #[test]
    fn every_kind_of_error_has_its_code() {
        let cases: [(anyhow::Error, u8); 20] = [
            (anyhow!("something"), 1),
            (Silent.into(), 1),
            (Usage("x".into()).into(), 2),
            (NotFound("x".into()).into(), 5),
            (NotVerified("x".into()).into(), 7),
            (LearnError::NotEnough { samples: 1, classes: 1 }.into(), 6),
            (LearnError::Cancelled.into(), 1),
            (Error::new(Code::Busy, "x").into(), 4),
            (Error::new(Code::Camera, "x").into(), 69),
            (Error::new(Code::Denied, "x").into(), 77),
            (io(io::ErrorKind::NotFound).into(), 74),
            (io(io::ErrorKind::PermissionDenied).into(), 77),
            (io(io::ErrorKind::BrokenPipe).into(), 0),
            (ConfigError { problems: Vec::new() }.into(), 78),
            (Err::<(), _>(Usage("x".into())).context("outer").unwrap_err(), 2),
            (BackboneError::Digest { expected: "a".into(), found: "b".into() }.into(), 7),
            (BackboneError::Read { path: "x".into(), source: io(io::ErrorKind::NotFound) }.into(), 74),
            (StartError::Config("x".into()).into(), 78),
            (StartError::Io("x".into()).into(), 74),
            (FetchError::NoDigest { name: "x".into() }.into(), 7),
        ];
        for (error, code) in cases {
            assert_eq!(exit_code(&error), code, "{error:?}");
            assert!(Exit::ALL.iter().any(|known| known.code() == code));
        }
    }

    #[test]
    fn json_tells_an_error_as_the_daemon_does() {
        let refused = Error::new(Code::Busy, "job 3 is running").with("job", "3");
        let told = json(&Err::<(), _>(refused.clone()).context("outer").unwrap_err());
        assert_eq!(told, json!({"status": "error", "error": refused, "exit": 4}));
        let told = json(&Usage("give a class".into()).into());
        let own = json!({"code": "usage_error", "message": "give a class", "retryable": false});
        assert_eq!(told, json!({"status": "error", "error": own, "exit": 2}));
    }

    #[test]
    fn causes_are_told_once() {
        let error = Err::<(), _>(Usage("b".into())).context("a: b; do c").unwrap_err();
        assert_eq!(text(&error), "a: b; do c");
        let error = Err::<(), _>(Usage("why".into())).context("cannot").unwrap_err();
        assert_eq!(text(&error), "cannot: why");
    }
}

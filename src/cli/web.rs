//! `graft web`: who may use the page, and how it proves that it is this board's.

use super::Common;
use crate::config::{self, Settings};
use crate::web::{Role, certificate_of, forget_tokens, make_token};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

/// The page: tokens and certificate
#[derive(Subcommand, Clone, Debug)]
pub enum WebCommand {
    /// Make a new token for the page and show it, once; the one before ends, and who logged in with it
    Token(TokenArgs),
    /// Show the fingerprint of the page's certificate; make one where there is none
    Cert,
}

/// Which token.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// For somebody who may look and change nothing
    #[arg(long, conflicts_with = "forget")]
    viewer: bool,
    /// Forget all tokens: then nobody has to log in, and the page is served to this machine alone
    #[arg(long)]
    forget: bool,
}

pub fn run(command: &WebCommand, common: &Common) -> Result<()> {
    let settings = config::load(&common.sources())?;
    match command {
        WebCommand::Token(args) => token(args, &settings, common),
        WebCommand::Cert => cert(&settings, common),
    }
}

fn token(args: &TokenArgs, settings: &Settings, common: &Common) -> Result<()> {
    let state = &settings.store.dir;
    let cannot = || format!("the tokens in {} cannot be changed; use sudo", state.display());
    if args.forget {
        forget_tokens(state).with_context(cannot)?;
        return common.output().show(&json!({"forgotten": true}), |_| "no tokens any more".to_owned());
    }
    let role = if args.viewer { Role::Viewer } else { Role::Admin };
    let token = make_token(state, role).with_context(cannot)?;
    common.output().show(&json!({"role": role, "token": token}), |_| token.clone())
}

fn cert(settings: &Settings, common: &Common) -> Result<()> {
    let (certificate, path) = certificate_of(
        &settings.store.dir,
        settings.web.cert_file.clone().zip(settings.web.key_file.clone()),
        &settings.web.hosts,
    );
    let fingerprint = certificate.load()?.fingerprint();
    common.output().show(&json!({"sha256": fingerprint, "path": path}), |_| {
        format!("SHA-256 {fingerprint}\n{}", path.display())
    })
}

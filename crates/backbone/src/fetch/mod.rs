//! Fetches a backbone by its card: several addresses for one digest, resumed, verified, put in place whole.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use graft_base::http::agent;
use graft_base::whole_file;
use graft_wire::digest::hex;
use sha2::{Digest, Sha256};

use super::card::Card;
use super::scan::Limits;

/// Interrupted transfers from one address are taken up again this often, as long as each brings something.
const RESUMES: usize = 8;

/// Why a backbone was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The card has no digest.
    #[error("the card of `{name}` has no sha256, so nothing fetched could be trusted: add it to the card")]
    NoDigest { name: String },
    /// The card has no address.
    #[error("the card of `{name}` has no urls: copy the file here by hand and check it with sha256sum")]
    NoAddress { name: String },
    /// A file here could not be written or read.
    #[error("{}: {source}; choose a folder that can be written and has room", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Every address gave something else.
    #[error(
        "what was fetched for `{name}` has the SHA-256 {found}, not {expected}; it was deleted. The file upstream changed or the connection is tampered with"
    )]
    WrongDigest {
        name: String,
        expected: String,
        /// The last one seen.
        found: String,
    },
    /// No address gave the file.
    #[error("`{name}` could not be fetched:{}\nTry again (it resumes), or copy the file here by hand", reasons.iter().map(|r| format!("\n  {r}")).collect::<String>())]
    Failed {
        name: String,
        /// One line for each address.
        reasons: Vec<String>,
    },
}

/// Why one address did not give the file.
enum Failure {
    /// The transfer broke off; what came is kept.
    Interrupted(String),
    /// This address is of no use.
    Useless(String),
    /// It gave another file.
    Digest(String),
    /// It does not resume where asked; start over.
    Restart,
    Here(FetchError),
}

/// A file that is to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: &'a str,
    /// Its length in bytes; 0 when unknown.
    pub bytes: u64,
    /// Where it can be fetched, tried in this order.
    pub urls: &'a [String],
    /// Bearer token for all of them.
    pub token: Option<&'a str>,
    /// Certificates (PEM) that https addresses are checked against; `None`: those of the public authorities.
    pub ca_file: Option<&'a Path>,
}

/// Fetches the file of a card to `dest`. What has arrived lies in `dest.part` and is resumed by the next call.
/// A file already at `dest` with the right digest is left alone. `progress` gets bytes done and in all (0: unknown).
///
/// # Errors
/// When no address gave the file with the card's digest, or it cannot be written.
pub fn fetch(card: &Card, dest: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), FetchError> {
    if card.sha256.len() != 64 {
        return Err(FetchError::NoDigest { name: card.name.clone() });
    }
    if card.urls.is_empty() {
        return Err(FetchError::NoAddress { name: card.name.clone() });
    }
    let wanted = Wanted {
        name: &card.name,
        sha256: &card.sha256,
        bytes: card.bytes,
        urls: &card.urls,
        token: None,
        ca_file: None,
    };
    fetch_file(&wanted, dest, progress)
}

/// As [`fetch`], without a card.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_file(
    wanted: &Wanted<'_>,
    dest: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), FetchError> {
    let here = |path: &Path| {
        let path = path.to_path_buf();
        move |source| FetchError::File { path, source }
    };
    if dest.is_file() && digest_of(dest).map_err(here(dest))? == wanted.sha256 {
        progress(wanted.bytes, wanted.bytes);
        return Ok(());
    }
    let mut part = dest.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&part)
        .map_err(here(&part))?;
    let (mut reasons, mut wrong) = (Vec::new(), None);
    for url in wanted.urls {
        match from_address(wanted, url, &part, &mut file, progress) {
            Ok(()) => {
                return file.sync_all().and_then(|()| whole_file::place(&part, dest)).map_err(here(dest));
            }
            Err(Failure::Here(error)) => return Err(error),
            Err(Failure::Digest(found)) => {
                reasons.push(format!("{url}: another file (SHA-256 {found})"));
                wrong = Some(found);
            }
            Err(Failure::Interrupted(reason) | Failure::Useless(reason)) => {
                reasons.push(format!("{url}: {reason}"))
            }
            Err(Failure::Restart) => reasons.push(format!("{url}: it would neither resume nor start over")),
        }
    }
    if file.metadata().is_ok_and(|about| about.len() == 0) {
        // An empty remainder helps nobody; that it stays is no reason to fail differently.
        let _ = std::fs::remove_file(&part);
    }
    let (name, expected) = (wanted.name.to_owned(), wanted.sha256.to_owned());
    match wrong {
        Some(found) if reasons.len() == 1 || reasons.iter().all(|reason| reason.contains("another file")) => {
            Err(FetchError::WrongDigest { name, expected, found })
        }
        _ => Err(FetchError::Failed { name, reasons }),
    }
}

/// Everything that one address can give, resumes and one fresh start included.
fn from_address(
    wanted: &Wanted<'_>,
    url: &str,
    part: &Path,
    file: &mut File,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Failure> {
    let here = |source| Failure::Here(FetchError::File { path: part.into(), source });
    let mut fresh_starts = 0;
    for _ in 0..RESUMES {
        let have = file.metadata().map_err(here)?.len();
        let outcome = if wanted.bytes != 0 && have == wanted.bytes {
            Ok(())
        } else {
            transfer(wanted, url, part, file, have, progress)
        };
        match outcome {
            Ok(()) => {}
            Err(Failure::Interrupted(reason)) => {
                let now = file.metadata().map_err(here)?.len();
                if now > have {
                    continue;
                }
                return Err(Failure::Interrupted(reason));
            }
            Err(Failure::Restart) if fresh_starts == 0 => {
                fresh_starts += 1;
                file.set_len(0).map_err(here)?;
                continue;
            }
            Err(other) => return Err(other),
        }
        let found = digest_of(part).map_err(here)?;
        if found == wanted.sha256 {
            return Ok(());
        }
        file.set_len(0).map_err(here)?;
        // What was resumed may have begun with another file's bytes.
        if have > 0 && fresh_starts == 0 {
            fresh_starts += 1;
            continue;
        }
        return Err(Failure::Digest(found));
    }
    Err(Failure::Interrupted(format!("the transfer broke off {RESUMES} times")))
}

/// One request, from `have` bytes on.
fn transfer(
    wanted: &Wanted<'_>,
    url: &str,
    part: &Path,
    file: &mut File,
    have: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Failure> {
    let here = |source| Failure::Here(FetchError::File { path: part.into(), source });
    let limit = if wanted.bytes == 0 { Limits::default().file_bytes } else { wanted.bytes };
    if have > limit {
        return Err(Failure::Restart);
    }
    let mut request = agent(url, wanted.ca_file, wanted.token.is_some()).map_err(Failure::Useless)?.get(url);
    if let Some(token) = wanted.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|error| Failure::Useless(error.to_string()))?;
    let start = match response.status().as_u16() {
        200 => 0,
        206 if have > 0 => {
            let range = response.headers().get("Content-Range").and_then(|range| range.to_str().ok());
            let start =
                range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
            if start != Some(have) {
                return Err(Failure::Restart);
            }
            have
        }
        416 if have > 0 => return Err(Failure::Restart),
        404 | 410 => return Err(Failure::Useless("the file is not there (404)".into())),
        status => return Err(Failure::Useless(format!("the server answered {status}"))),
    };
    let announced = response.body().content_length().map(|length| start.saturating_add(length));
    let useless = |total: u64| Failure::Useless(format!("it sends {total} bytes, the card says {limit}"));
    if let Some(total) =
        announced.filter(|&total| total > limit || (wanted.bytes != 0 && total != wanted.bytes))
    {
        return Err(useless(total));
    }
    // A server that ignored the range sends everything again.
    file.set_len(start).map_err(here)?;
    file.seek(SeekFrom::Start(start)).map_err(here)?;
    let total = if wanted.bytes == 0 { announced.unwrap_or(0) } else { wanted.bytes };
    let mut done = start;
    progress(done, total);
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::Interrupted(format!(
                    "the transfer broke off after {done} bytes ({error})"
                )));
            }
        };
        done += count as u64;
        if done > limit {
            file.set_len(0).map_err(here)?;
            return Err(useless(done));
        }
        file.write_all(&buffer[..count]).map_err(here)?;
        progress(done, total);
    }
    if done < wanted.bytes {
        return Err(Failure::Interrupted(format!("it ended after {done} of {} bytes", wanted.bytes)));
    }
    Ok(())
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hex(&hasher.finalize()))
}

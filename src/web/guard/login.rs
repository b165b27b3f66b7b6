//! Who may do what: tokens that people were given, and the sessions that came of them. On disk there are only digests.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use graft_base::whole_file;
use graft_wire::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Random bytes of a token and of a session.
const BYTES: usize = 32;
/// Failures of one address in [`WINDOW`] after which it has to wait.
const FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered at most.
const ADDRESSES: usize = 1024;
/// A session that nobody uses ends after so many seconds.
const SESSION_S: u64 = 30 * 24 * 3600;
/// Sessions at a time: the oldest gives way.
const SESSIONS: usize = 64;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Look.
    Viewer,
}

/// SHA-256 of each role's token, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tokens {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    viewer: Option<String>,
}

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// SHA-256 of what the browser holds.
    digest: String,
    role: Role,
    /// The digest of the token that it came of: with the token it ends.
    token: String,
    /// Seconds since 1970.
    until: u64,
}

fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn random() -> io::Result<String> {
    let mut bytes = [0u8; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

fn tokens_file(state: &Path) -> PathBuf {
    state.join("web-tokens.json")
}

fn sessions_file(state: &Path) -> PathBuf {
    state.join("web-sessions.json")
}

/// Writes a file that its owner alone may read, and that belongs to whom the folder belongs: root may have asked for it.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value).map_err(io::Error::other)?;
    whole_file::write(path, &text, 0o600)?;
    let folder = fs::metadata(whole_file::folder(path))?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

fn read<T: Default + for<'de> Deserialize<'de>>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// Makes a new token of a role, in place of the one before, and gives it: it is on disk as a digest alone.
///
/// # Errors
/// The state folder cannot be written.
pub fn make_token(state: &Path, role: Role) -> io::Result<String> {
    let token = random()?;
    fs::create_dir_all(state)?;
    let mut tokens: Tokens = read(&tokens_file(state))?;
    let of_role = match role {
        Role::Admin => &mut tokens.admin,
        Role::Viewer => &mut tokens.viewer,
    };
    *of_role = Some(digest(&token));
    write(&tokens_file(state), &tokens)?;
    Ok(token)
}

/// Forgets all tokens, and with them all sessions.
///
/// # Errors
/// The state folder cannot be written.
pub fn forget_tokens(state: &Path) -> io::Result<()> {
    write(&tokens_file(state), &Tokens::default())
}

/// Whether there is a token of somebody who may do everything.
///
/// # Errors
/// The file of tokens cannot be read.
pub fn has_token(state: &Path) -> io::Result<bool> {
    Ok(read::<Tokens>(&tokens_file(state))?.admin.is_some())
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// There is no such token.
    Wrong,
    /// Too many were wrong.
    TooMany,
    /// It cannot be found out.
    Broken,
}

/// The logins of one page.
#[derive(Debug)]
pub struct Logins {
    state: PathBuf,
    /// Others than this machine can reach the page: without a token nobody comes in.
    always: bool,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    tokens: Tokens,
    /// Of the file that they were read from; `None`: it is to be read.
    stamp: Option<(SystemTime, u64, u64)>,
    sessions: Vec<Session>,
    failures: HashMap<IpAddr, Vec<Instant>>,
}

impl Inside {
    /// Reads the tokens again where the file is another one.
    fn refresh(&mut self, state: &Path) -> io::Result<()> {
        let path = tokens_file(state);
        let stamp = match fs::metadata(&path) {
            Ok(meta) => Some((meta.modified()?, meta.len(), meta.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if stamp.is_none() || stamp != self.stamp {
            self.tokens = read(&path)?;
            self.stamp = stamp;
        }
        Ok(())
    }

    fn role_of(&self, token: &str) -> Option<(Role, String)> {
        let digest = digest(token);
        let fits = |of: &Option<String>| of.as_ref().is_some_and(|of| same(of, &digest));
        // Both are compared, so that the time says nothing of which fits.
        let (admin, viewer) = (fits(&self.tokens.admin), fits(&self.tokens.viewer));
        let role = if admin { Some(Role::Admin) } else { viewer.then_some(Role::Viewer) };
        role.map(|role| (role, digest))
    }

    fn is_current(&self, session: &Session) -> bool {
        let token = match session.role {
            Role::Admin => &self.tokens.admin,
            Role::Viewer => &self.tokens.viewer,
        };
        token.as_ref().is_some_and(|token| *token == session.token) && session.until > now_s()
    }

    fn has_failed_often(&mut self, from: IpAddr, now: Instant) -> bool {
        let Some(times) = self.failures.get_mut(&from) else { return false };
        times.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        times.len() >= FAILURES
    }

    fn failed(&mut self, from: IpAddr, now: Instant) {
        if self.failures.len() >= ADDRESSES {
            self.failures.retain(|_, times| {
                times.last().is_some_and(|at| now.saturating_duration_since(*at) < WINDOW)
            });
        }
        if self.failures.len() < ADDRESSES || self.failures.contains_key(&from) {
            let times = self.failures.entry(from).or_default();
            times.push(now);
            // Only the newest count.
            if times.len() > FAILURES {
                times.remove(0);
            }
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Logins {
    /// With the sessions of earlier starts; `always`: everybody has to log in, even where no token was made.
    pub fn new(state: PathBuf, always: bool) -> Self {
        let sessions = read(&sessions_file(&state)).unwrap_or_default();
        Self { state, always, inside: Mutex::new(Inside { sessions, ..Inside::default() }) }
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody has to log in: a token was made.
    pub fn are_needed(&self) -> bool {
        let mut inside = self.inside();
        // What cannot be read is no reason to let everybody in.
        self.always || inside.refresh(&self.state).is_err() || inside.tokens != Tokens::default()
    }

    /// What whoever sends this token from there may do.
    ///
    /// # Errors
    /// See [`NotLetIn`].
    pub fn by_token(&self, token: &str, from: IpAddr, now: Instant) -> Result<Role, NotLetIn> {
        self.let_in(token, from, now).map(|(role, _)| role)
    }

    fn let_in(&self, token: &str, from: IpAddr, now: Instant) -> Result<(Role, String), NotLetIn> {
        let mut inside = self.inside();
        if inside.has_failed_often(from, now) {
            return Err(NotLetIn::TooMany);
        }
        if let Err(error) = inside.refresh(&self.state) {
            tracing::error!(%error, "the tokens of the page cannot be read");
            return Err(NotLetIn::Broken);
        }
        match inside.role_of(token) {
            Some(found) => {
                inside.failures.remove(&from);
                Ok(found)
            }
            None => {
                inside.failed(from, now);
                Err(NotLetIn::Wrong)
            }
        }
    }

    /// Begins a session of whoever sends this token: what the browser is to hold, and how many seconds.
    ///
    /// # Errors
    /// See [`NotLetIn`].
    pub fn begin(&self, token: &str, from: IpAddr, now: Instant) -> Result<(Role, String, u64), NotLetIn> {
        let (role, token) = self.let_in(token, from, now)?;
        let secret = random().map_err(|_| NotLetIn::Broken)?;
        let session = Session { digest: digest(&secret), role, token, until: now_s() + SESSION_S };
        self.change(|sessions| {
            if sessions.len() >= SESSIONS {
                sessions.remove(0);
            }
            sessions.push(session);
        });
        Ok((role, secret, SESSION_S))
    }

    /// What the holder of this session may do.
    pub fn by_session(&self, secret: &str) -> Option<Role> {
        let digest = digest(secret);
        let mut inside = self.inside();
        inside.refresh(&self.state).ok()?;
        let found = inside.sessions.iter().find(|session| same(&session.digest, &digest))?;
        inside.is_current(found).then_some(found.role)
    }

    /// Ends a session.
    pub fn end(&self, secret: &str) {
        let digest = digest(secret);
        self.change(|sessions| sessions.retain(|session| session.digest != digest));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Session>)) {
        let mut inside = self.inside();
        let mut sessions = std::mem::take(&mut inside.sessions);
        sessions.retain(|session| inside.is_current(session));
        change(&mut sessions);
        inside.sessions = sessions;
        if let Err(error) = write(&sessions_file(&self.state), &inside.sessions) {
            tracing::warn!(%error, "who has logged in at the page is not kept over a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_token_is_kept_as_a_digest_and_lets_its_role_in() {
        let dir = tempfile::tempdir().unwrap();
        let logins = Logins::new(dir.path().to_owned(), false);
        assert!(!logins.are_needed() && !has_token(dir.path()).unwrap());
        assert!(Logins::new(dir.path().to_owned(), true).are_needed());
        let admin = make_token(dir.path(), Role::Admin).unwrap();
        let viewer = make_token(dir.path(), Role::Viewer).unwrap();
        assert!(logins.are_needed() && has_token(dir.path()).unwrap());
        let file = fs::read_to_string(tokens_file(dir.path())).unwrap();
        assert!(!file.contains(&admin) && !file.contains(&viewer));
        assert_eq!(fs::metadata(tokens_file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        let now = Instant::now();
        assert_eq!(logins.by_token(&admin, HERE, now), Ok(Role::Admin));
        assert_eq!(logins.by_token(&viewer, HERE, now), Ok(Role::Viewer));
        for wrong in ["", "x", &admin[1..], &digest(&admin)] {
            assert_eq!(logins.by_token(wrong, HERE, now), Err(NotLetIn::Wrong), "{wrong}");
        }
    }

    #[test]
    fn a_session_outlives_a_restart_and_ends_with_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let token = make_token(dir.path(), Role::Viewer).unwrap();
        let logins = Logins::new(dir.path().to_owned(), false);
        let (role, secret, _) = logins.begin(&token, HERE, Instant::now()).unwrap();
        assert_eq!((role, logins.by_session(&secret)), (Role::Viewer, Some(Role::Viewer)));
        assert_eq!(logins.by_session(&token), None, "a token is no session");
        let again = Logins::new(dir.path().to_owned(), false);
        assert_eq!(again.by_session(&secret), Some(Role::Viewer));
        let (_, other, _) = again.begin(&token, HERE, Instant::now()).unwrap();
        again.end(&secret);
        assert_eq!((again.by_session(&secret), again.by_session(&other)), (None, Some(Role::Viewer)));
        make_token(dir.path(), Role::Viewer).unwrap();
        assert_eq!(again.by_session(&other), None);
        let full = Logins::new(dir.path().to_owned(), false);
        let token = make_token(dir.path(), Role::Admin).unwrap();
        for _ in 0..SESSIONS + 5 {
            full.begin(&token, HERE, Instant::now()).unwrap();
        }
        assert_eq!(full.inside().sessions.len(), SESSIONS);
    }

    #[test]
    fn whoever_guesses_has_to_wait_and_others_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let token = make_token(dir.path(), Role::Admin).unwrap();
        let logins = Logins::new(dir.path().to_owned(), false);
        let now = Instant::now();
        for _ in 0..FAILURES {
            assert_eq!(logins.by_token("guess", THERE, now), Err(NotLetIn::Wrong));
        }
        assert_eq!(logins.by_token("guess", THERE, now), Err(NotLetIn::TooMany));
        assert_eq!(logins.by_token(&token, THERE, now), Err(NotLetIn::TooMany), "even with the right one");
        assert_eq!(logins.by_token(&token, HERE, now), Ok(Role::Admin));
        assert_eq!(logins.by_token(&token, THERE, now + WINDOW), Ok(Role::Admin));
    }
}

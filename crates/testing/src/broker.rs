//! A mosquitto of our own on a loopback port, for `lab demo` and tests.

use graft_base::child::Child;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(10);

/// Why no broker could be started.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The program is not on this machine.
    #[error(
        "mosquitto is not installed: run `sudo apt install mosquitto`, or name a broker that runs already"
    )]
    NotInstalled,
    /// It ended, or did not begin to listen.
    #[error("mosquitto did not start: {0}")]
    NotStarted(String),
    /// Its folder could not be used.
    #[error("cannot write the broker's configuration to {path}: {error}")]
    Folder { path: PathBuf, error: io::Error },
}

/// What is different from a minimal broker.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Fixed port instead of a free one.
    pub port: Option<u16>,
    /// More lines of `mosquitto.conf`, after `listener`.
    pub lines: Vec<String>,
    /// Lines of `mosquitto.conf` that stand before `listener` (`per_listener_settings` and the like).
    pub first_lines: Vec<String>,
    /// Leaves out `allow_anonymous true`.
    pub no_anonymous: bool,
}

/// A running mosquitto; it is killed when this is dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    port: u16,
    dir: PathBuf,
}

/// Where mosquitto is, if anywhere: in `PATH`, or in Debian's `/usr/sbin`, which users' paths lack.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(sbin).map(|dir| dir.join("mosquitto")).find(|file| file.is_file())
}

impl Broker {
    /// Starts a broker without persistence that accepts anybody from this machine, with its files in `dir`.
    ///
    /// # Errors
    /// See [`BrokerError`]; the texts say what to do.
    pub fn start(dir: &Path) -> Result<Self, BrokerError> {
        Self::start_with(dir, &Options::default())
    }

    /// Starts a broker that differs from the minimal one.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn start_with(dir: &Path, options: &Options) -> Result<Self, BrokerError> {
        let program = find().ok_or(BrokerError::NotInstalled)?;
        // Between finding a free port and listening on it somebody else may take it.
        let mut attempts = if options.port.is_some() { 1 } else { 3 };
        loop {
            attempts -= 1;
            let port = match options.port {
                Some(port) => port,
                None => free_port().map_err(|error| BrokerError::NotStarted(error.to_string()))?,
            };
            match Self::attempt(&program, dir, port, options) {
                Err(BrokerError::NotStarted(_)) if attempts > 0 => {}
                other => return other,
            }
        }
    }

    fn attempt(program: &Path, dir: &Path, port: u16, options: &Options) -> Result<Self, BrokerError> {
        let folder = |error| BrokerError::Folder { path: dir.to_path_buf(), error };
        let config = dir.join("mosquitto.conf");
        let log = dir.join("mosquitto.log");
        File::create(&config)
            .and_then(|mut file| file.write_all(conf(port, options).as_bytes()))
            .map_err(folder)?;
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(File::create(&log).map_err(folder)?)
            .stderr(File::options().append(true).open(&log).map_err(folder)?);
        let child = Child::start_in_our_group(&mut command)
            .map_err(|error| BrokerError::NotStarted(error.to_string()))?;
        let mut broker = Self { child, port, dir: dir.to_path_buf() };
        let begun = Instant::now();
        while begun.elapsed() < START {
            if let Ok(Some(status)) = broker.child.try_wait() {
                return Err(BrokerError::NotStarted(format!("it ended with {status}{}", broker.last_line())));
            }
            if TcpStream::connect_timeout(&broker.address(), Duration::from_secs(1)).is_ok() {
                return Ok(broker);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(BrokerError::NotStarted(format!("it does not listen on port {port}{}", broker.last_line())))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The loopback address it listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("mosquitto.log")).unwrap_or_default()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
    }

    fn last_line(&self) -> String {
        let log = self.log();
        let line = log.lines().rev().find(|line| line.contains("Error")).or_else(|| log.lines().next_back());
        line.map(|line| format!(": {line}")).unwrap_or_default()
    }
}

fn conf(port: u16, options: &Options) -> String {
    let mut lines =
        vec!["persistence false".to_owned(), "set_tcp_nodelay true".into(), "log_dest stderr".into()];
    // Started by root it would become another user, who may not be able to read the folder.
    lines.push("user root".into());
    lines.extend(options.first_lines.iter().cloned());
    lines.push(format!("listener {port} 127.0.0.1"));
    if !options.no_anonymous {
        lines.push("allow_anonymous true".into());
    }
    lines.extend(options.lines.iter().cloned());
    lines.join("\n") + "\n"
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

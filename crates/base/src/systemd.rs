//! Notifications to systemd: ready, watchdog, status, reloading, stopping. Without systemd every call does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// The daemon serves: configuration read, backbone loaded, store open.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// The daemon makes progress. Call it only when it really does.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The configuration is being read again; [`ready`] says that it has been.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd was not told of the reload"),
    }
}

/// The daemon is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often [`alive`] is due: half of what the unit asks for; `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

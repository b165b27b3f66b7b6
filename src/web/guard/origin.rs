//! Names: which lead here, and which pages are ours.

use std::net::IpAddr;

/// The host of `host[:port]`, without the brackets of an IPv6 address; `None`: it is neither.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

/// Whether a request with this `Host` may be answered. A page that a stranger's name has brought to this address
/// (DNS rebinding) still sends that name: only names that are known are answered. An address is no name.
pub fn is_host_allowed(authority: &str, known: &[String]) -> bool {
    let Some(host) = host_of(authority) else { return false };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || known.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Whether a page of this `Origin` came from `authority`.
pub fn is_same(origin: &str, authority: &str) -> bool {
    let Some((scheme, of)) = origin.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && of.eq_ignore_ascii_case(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_lead_here() {
        let known = ["board".to_owned(), "board.local".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:8470",
            "[::1]:8470",
            "[::1]",
            "localhost",
            "LOCALHOST:1",
            "board:8470",
            "Board.local.",
            "192.168.1.7",
        ] {
            assert!(is_host_allowed(host, &known), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "board.evil",
            "127.0.0.1.evil",
            "localhost.evil:8470",
            "[::1",
            "[::1]x",
            "board:80a",
            "a b",
            "127.0.0.1@evil",
        ] {
            assert!(!is_host_allowed(host, &known), "{host}");
        }
    }
}

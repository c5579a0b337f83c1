//! Recognises this machine, in a request's `Host` and in an address to call.

use std::net::IpAddr;

use http::{Uri, uri::Authority};

/// Whether a `Host` is this machine's name or an IP address, so that it cannot be DNS rebinding. The port may differ, if it is
/// forwarded. An intake that listens on more than loopback (`--listen 0.0.0.0:9000`) shows the page to that network.
pub(crate) fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    // `host.docker.internal`: nobody can own a name under `internal`.
    let is_named = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".internal");
    !host.contains('@') && (is_named || address.parse::<IpAddr>().is_ok())
}

/// Whether an address is this machine's own.
pub(crate) fn is_this_machine(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_and_bare_addresses_are_answered() {
        for host in [
            "127.0.0.1:9000",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:9000",
            "192.168.1.5:9000",
            "host.docker.internal:9002",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:9000", "127.0.0.1.evil.example", "a@127.0.0.1", "x:y"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}

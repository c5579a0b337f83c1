//! The subcommands, one file or folder each.

pub mod claims;
pub mod completions;
pub mod doctor;
pub mod explain;
mod filter;
pub mod listen;
pub mod quarantine;
pub mod redrive;
pub mod register;
pub mod replay;
pub mod send;
pub mod start;
pub mod tail;
pub mod trace;

use hookgate_event::Event;
use serde_json::Value;

pub(crate) use filter::Filter;

/// A message's text, byte for byte, unless its payload is compressed: then the event with its payload opened.
pub(crate) fn opened(message: &str, event: &Event<'_>) -> String {
    let compressed =
        serde_json::from_str::<Value>(message).is_ok_and(|json| json["data"].get("payload_gzip").is_some());
    if compressed { event.to_json() } else { message.to_owned() }
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = terminate.recv() => {} }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

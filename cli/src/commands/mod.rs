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

pub(crate) use filter::Filter;

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

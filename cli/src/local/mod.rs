//! The local intake: the functions and the page behind one HTTP address.

pub(crate) mod crash;
pub mod engines;
mod gateway;
pub(crate) mod host;
pub mod journal;
pub mod page;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use crate::local::gateway::{LocalError, OnDelivery, SecretsFile};
use crate::{
    local::engines::{Engines, Resources},
    local::gateway::Functions,
};

/// The running local intake.
#[derive(Debug)]
pub struct Local {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Local {
    /// Starts every provider's function that has secrets. Port 0 picks a free one.
    ///
    /// # Errors
    /// The address cannot be bound, or a setting in the environment is unusable.
    pub async fn start(
        address: SocketAddr,
        engines: &Engines,
        resources: &Resources,
        secrets: &SecretsFile,
        on_delivery: OnDelivery,
    ) -> Result<Self, LocalError> {
        let functions = Arc::new(Functions::new(engines, resources, secrets, on_delivery)?);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            LocalError(match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    format!("port {} is taken: choose another with --listen", address.port())
                }
                _ => format!("cannot listen on {address} ({error}): choose another address with --listen"),
            })
        })?;
        let address = listener.local_addr().map_err(|error| LocalError(error.to_string()))?;
        let page = page::router(functions.clone(), engines, resources, secrets)?;
        let router = page.merge(Router::new().fallback(invoke).with_state(functions));
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
                // Without the word, as when this is dropped, it goes on.
                if ended.await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            let _ = serve.await;
        });
        Ok(Local { address, end, serving })
    }

    /// Takes no more deliveries, and has those answered that are under way, within a second.
    pub async fn end(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(Duration::from_secs(1), self.serving).await;
    }

    /// Where deliveries go: `{url}/webhooks/{provider}[/{account}]`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn invoke(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    functions.deliver(request, None).await.0
}

//! The local intake: the functions and the page behind one HTTP address.

pub(crate) mod crash;
pub mod engines;
mod gateway;
pub(crate) mod host;
pub mod journal;
pub mod page;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, oneshot},
    task::JoinHandle,
};

pub use crate::local::gateway::SecretsFile;
use crate::{
    local::engines::{Engines, Resources},
    local::gateway::Functions,
};

/// The running local intake.
pub struct Local {
    address: SocketAddr,
    functions: Arc<Functions>,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Local {
    /// Starts every provider's function that has secrets. Port 0 picks a free one.
    pub async fn start(
        address: SocketAddr,
        engines: &Engines,
        resources: &Resources,
        secrets: &SecretsFile,
    ) -> anyhow::Result<Self> {
        let functions = Arc::new(Functions::new(engines, resources, secrets)?);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}: choose another with --listen"))?;
        let address = listener.local_addr()?;
        let page = page::router(functions.clone(), engines, resources).await?;
        let router = page.merge(Router::new().fallback(invoke).with_state(functions.clone()));
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
                // If `Local` is dropped without `end`, the server goes on.
                if ended.await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            let _ = serve.await;
        });
        Ok(Local { address, functions, end, serving })
    }

    /// Stops taking deliveries, and waits up to a second for the answers to those in progress.
    pub async fn end(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(Duration::from_secs(1), self.serving).await;
    }

    /// Every delivery from now on, as JSON.
    pub(crate) fn deliveries(&self) -> broadcast::Receiver<String> {
        self.functions.journal.follow().1
    }

    /// The number of deliveries by outcome.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.functions.journal.outcomes()
    }

    /// The base of the addresses that take deliveries: `{url}/webhooks/{provider}[/{account}]`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn invoke(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    functions.deliver(request, None).await.0
}

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
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let page = page::router(functions.clone(), engines, resources, secrets)?;
        let router = page.merge(Router::new().fallback(invoke).with_state(functions.clone()));
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
        Ok(Local { address, functions, end, serving })
    }

    /// Takes no more deliveries, and has those answered that are under way, within a second.
    pub async fn end(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(Duration::from_secs(1), self.serving).await;
    }

    /// Word of every delivery from now on, as JSON.
    pub(crate) fn deliveries(&self) -> broadcast::Receiver<String> {
        self.functions.journal.follow().1
    }

    /// How often each outcome came about.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.functions.journal.outcomes()
    }

    /// Where deliveries go: `{url}/webhooks/{provider}[/{account}]`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn invoke(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    functions.deliver(request, None).await.0
}

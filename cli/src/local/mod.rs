//! The local intake: the functions and the page behind one HTTP address.

pub(crate) mod crash;
pub mod engines;
mod gateway;
pub(crate) mod host;
pub mod journal;
pub mod page;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

/// The local intake, running until dropped.
pub struct Local {
    url: String,
    functions: Arc<Functions>,
    /// Stops the server when it is dropped.
    running: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Local {
    /// Starts every provider's function that has secrets.
    pub async fn start(
        listener: TcpListener,
        engines: &Engines,
        resources: &Resources,
        secrets: &SecretsFile,
    ) -> anyhow::Result<Self> {
        let functions = Arc::new(Functions::new(engines, resources, secrets)?);
        let url = engines::url(&listener)?;
        let page = page::router(functions.clone(), engines, resources).await?;
        let router = page.merge(Router::new().fallback(invoke).with_state(functions.clone()));
        let (running, ended) = oneshot::channel();
        let serve = axum::serve(listener, router).with_graceful_shutdown(async {
            // The error is the signal: the sender is gone.
            let _ = ended.await;
        });
        let serving = tokio::spawn(serve.into_future());
        Ok(Local { url, functions, running, serving })
    }

    /// Stops taking deliveries, and waits up to a second for the answers to those in progress.
    pub async fn end(self) {
        drop(self.running);
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
        self.url.clone()
    }
}

async fn invoke(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    functions.deliver(request, None).await.0
}

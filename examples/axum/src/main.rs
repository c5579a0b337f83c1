//! Webhooks of Stripe and Shoppex, verified inside an axum server.

use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::Arc,
    time::SystemTime,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hookgate_verify::{
    Account, Delivery, Event, Provider, Secrets, Verifier,
    providers::{shoppex, stripe},
};
use tokio::net::TcpListener;

/// A larger body is answered 413.
const MAX_BODY_BYTES: usize = 1024 * 1024;

struct Webhook {
    verifier: Verifier,
    secrets: Secrets,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stripe = Webhook::new(&stripe::PROVIDER, "STRIPE_SECRET")?;
    let shoppex = Webhook::new(&shoppex::PROVIDER, "SHOPPEX_SECRET")?;
    let app = Router::new()
        .route("/webhooks/stripe", post(receive).with_state(stripe))
        .route("/webhooks/shoppex", post(receive).with_state(shoppex))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));

    let address = env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

impl Webhook {
    fn new(provider: &'static Provider, variable: &str) -> Result<Arc<Self>, Box<dyn Error>> {
        let secret = env::var(variable).map_err(|_| format!("set {variable} to the signing secret of {provider:?}"))?;
        let secrets = Secrets::parse(&secret).map_err(|error| format!("{variable}: {error}"))?;
        let verifier = Verifier::new(provider, |name| env::var(name).ok())?;
        Ok(Arc::new(Webhook { verifier, secrets }))
    }

    /// The same answer for every reason: it must not help whoever is guessing.
    fn rejected(&self) -> StatusCode {
        StatusCode::from_u16(self.verifier.provider().rejected_status).unwrap_or(StatusCode::UNAUTHORIZED)
    }
}

/// `Bytes` and not `Json`: the signature covers the exact bytes that were sent.
async fn receive(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let delivery =
        Delivery { headers, body: body.into(), account: Account::default(), received: SystemTime::now().into() };
    let authenticated = match webhook.verifier.authenticate(&delivery, &webhook.secrets) {
        Ok(authenticated) => authenticated,
        Err(rejection) => {
            eprintln!("rejected: {rejection}");
            return webhook.rejected();
        }
    };
    match authenticated.read() {
        Ok(reading) => match store(&reading.event) {
            Ok(()) => StatusCode::OK,
            Err(error) => {
                eprintln!("not stored: {error}");
                StatusCode::SERVICE_UNAVAILABLE
            }
        },
        Err(unreadable) => {
            eprintln!("verified, but not readable: {unreadable}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// Put your database or queue here. Only what is stored may be answered 2xx: everything else the platform sends again.
///
/// Platforms send an event again after it was accepted, too. `source` and `id` are then the same: make them a unique key
/// of the table, and return `Ok` for an event that is there already.
fn store(event: &Event<'_>) -> io::Result<()> {
    let subject = event.subject.as_deref().unwrap_or("-");
    writeln!(io::stdout(), "{} {subject} {} {}", event.event_type.as_str(), event.source, event.id)
}

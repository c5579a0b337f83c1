//! The parts of DynamoDB, SQS and Secrets Manager that a delivery needs, each on its own port, over TLS.
//!
//! `DynamoDB` remembers keys, so that duplicates work. Everything else is answered at once: the function is measured.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use hookgate_bench::SECRET;

/// The services, until they are dropped.
pub struct Aws {
    state: Arc<Mutex<State>>,
    folder: PathBuf,
    /// The environment by which a function finds them.
    pub environment: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    items: HashMap<String, Value>,
    calls: u64,
    connections: u64,
}

impl Aws {
    /// Starts the services, with a certificate authority that lives as long as they do.
    pub async fn start() -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let (acceptor, authority) = tls()?;
        let folder = std::env::temp_dir().join(format!("hookgate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let bundle = folder.join("authority.pem");
        std::fs::write(&bundle, authority)?;
        let mut environment = Vec::new();
        for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            environment.push((name.to_owned(), path_text(&bundle)?));
        }
        for service in ["DYNAMODB", "SQS", "SECRETS_MANAGER"] {
            let url = serve(acceptor.clone(), state.clone()).await?;
            if service == "SQS" {
                for (name, queue) in [("QUEUE_URL", "events"), ("QUARANTINE_QUEUE_URL", "quarantine")] {
                    environment.push((name.to_owned(), format!("{url}/123456789012/{queue}")));
                }
            }
            environment.push((format!("AWS_ENDPOINT_URL_{service}"), url));
        }
        Ok(Aws { state, folder, environment })
    }

    /// Calls answered so far.
    pub fn calls(&self) -> u64 {
        self.state.lock().expect("nobody panics").calls
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.lock().expect("nobody panics").connections
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // On failure the system cleans its temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn path_text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("the temporary folder's name is no text")?.to_owned())
}

/// A throw-away authority (as PEM), and a certificate of it for this machine.
fn tls() -> Result<(TlsAcceptor, String)> {
    let named = |name: &str, of: Vec<String>| -> Result<CertificateParams> {
        let mut parameters = CertificateParams::new(of)?;
        // OpenSSL takes a certificate whose subject is its issuer for self-signed.
        parameters.distinguished_name.push(DnType::CommonName, name);
        Ok(parameters)
    };
    let mut authority = named("hookgate-bench", Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut certificate = named("localhost", vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    certificate.use_authority_key_identifier_extension = true;
    let certificate = certificate.signed_by(&key, &authority)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

/// Starts one service and returns its address.
async fn serve(acceptor: TlsAcceptor, state: Arc<Mutex<State>>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            state.lock().expect("nobody panics").connections += 1;
            let (acceptor, state) = (acceptor.clone(), state.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(async |request| answer(request, &state).await);
                // Fails when the function is stopped, which is fine.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(format!("https://localhost:{port}"))
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Result<Response<Full<Bytes>>> {
    if request.uri().path() == "/ping" {
        return Ok(Response::new(Full::new("healthy".into())));
    }
    let target = request.headers().get("x-amz-target").context("not AWS JSON")?.to_str()?.to_owned();
    let body: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let mut state = state.lock().expect("nobody panics");
    state.calls += 1;
    let (status, answer) = match target.rsplit('.').next() {
        Some("PutItem") => put_item(&mut state.items, &body["Item"]),
        Some("UpdateItem" | "DeleteItem") => (200, json!({})),
        Some("SendMessage") => match body["MessageBody"].as_str() {
            Some(text) => {
                // SDKs compare it with their own.
                let md5 = format!("{:x}", Md5::digest(text));
                (200, json!({"MessageId": "11111111-2222-3333-4444-555555555555", "MD5OfMessageBody": md5}))
            }
            None => (400, json!({"__type": "com.amazonaws.sqs#MissingParameter", "message": "MessageBody"})),
        },
        Some("GetSecretValue") => {
            (200, json!({"Name": "hookgate", "VersionId": "1", "SecretString": format!(r#"["{SECRET}"]"#)}))
        }
        _ => (400, json!({"__type": "UnknownOperationException", "message": target})),
    };
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "b57c8a0e-54d0-4d1c-9a5e-6f1f6b5e8f9c")
        .body(Full::new(answer.to_string().into()))?)
}

/// Refuses a known key and returns its item, as if its event were on the queue.
fn put_item(items: &mut HashMap<String, Value>, item: &Value) -> (u16, Value) {
    // "id" is what Powertools calls it.
    let key = ["pk", "id"].iter().find_map(|name| item[name]["S"].as_str());
    let Some(key) = key else { return (400, json!({"__type": "ValidationException", "message": "no key"})) };
    if let Some(there) = items.get(key) {
        let name = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        return (400, json!({"__type": name, "message": "The conditional request failed", "Item": there}));
    }
    let mut item = item.clone();
    item["state"] = json!({"S": "queued"});
    items.insert(key.to_owned(), item);
    (200, json!({}))
}

//! The command's HTTP client, on the crates that the AWS SDK needs anyway: hyper, and rustls on ring.
//!
//! Reads the system's certificates only for `https`, so that the local intake can be used on a machine that has none.

use std::{env, fmt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use hookgate_verify::providers;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;

use crate::error::with_causes;

/// Longer than any intake needs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// More than the longest answer: ten messages of 1 MiB from SQS's journal, six times as long if JSON escapes every byte.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Sends requests to one address.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<bytes::Bytes>>,
    url: Uri,
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The outcome, if an intake answered.
    pub outcome: Option<String>,
    /// The event's id, if the intake read one.
    pub id: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// Whether the request may have arrived.
    pub sent: bool,
    pub why: String,
}

impl std::error::Error for NoAnswer {}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Poster {
    pub fn new(url: Uri) -> anyhow::Result<Self> {
        Self::trusting(url, None)
    }

    /// Trusts `roots` instead of the system's certificates.
    pub(crate) fn trusting(url: Uri, roots: Option<RootCertStore>) -> anyhow::Result<Self> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?;
        let tls = if let Some(roots) = roots {
            tls.with_root_certificates(roots)
        } else if url.scheme_str() == Some("https") {
            tls.with_native_roots().with_context(|| {
                format!("no certificates to verify {url}: install ca-certificates, or name a PEM file in SSL_CERT_FILE")
            })?
        } else {
            tls.with_root_certificates(RootCertStore::empty())
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Poster { client: Client::builder(TokioExecutor::new()).build(connector), url })
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// Sends a delivery and waits at most 30 s.
    pub async fn post(&self, outgoing: Outgoing) -> Result<Answer, String> {
        let answer = self.exchange(outgoing, TIMEOUT).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let json: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let known = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        Ok(Answer {
            status: head.status.as_u16(),
            outcome: text("outcome").filter(|_| known),
            id: text("id").filter(|_| known),
            retry_after,
        })
    }

    /// Posts a request and reads the answer; its body is None if it was cut off or is longer than 64 MiB. Follows no redirect:
    /// headers may hold a key that is for this address only.
    pub async fn exchange(
        &self,
        outgoing: Outgoing,
        patience: Duration,
    ) -> Result<Response<Option<bytes::Bytes>>, NoAnswer> {
        let mut request = Request::post(self.url.clone());
        for (name, value) in &outgoing.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(outgoing.body));
        self.send(request.map_err(|error| NoAnswer { sent: false, why: error.to_string() })?, patience).await
    }

    /// Gets JSON. Null if the answer is something else.
    pub(crate) async fn get(&self, patience: Duration) -> anyhow::Result<Value> {
        let request = Request::get(&self.url).body(Full::default())?;
        let answer = self.send(request, patience).await?;
        Ok(serde_json::from_slice(&answer.into_body().unwrap_or_default()).unwrap_or_default())
    }

    /// The same for any request to any address.
    pub async fn send(
        &self,
        request: Request<Full<bytes::Bytes>>,
        patience: Duration,
    ) -> Result<Response<Option<bytes::Bytes>>, NoAnswer> {
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| NoAnswer { sent: !error.is_connect(), why: with_causes(&error) })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            Ok(Response::from_parts(head, body.ok().map(http_body_util::Collected::to_bytes)))
        };
        tokio::time::timeout(patience, exchange)
            .await
            .unwrap_or_else(|_| Err(NoAnswer { sent: true, why: format!("no answer within {} s", patience.as_secs()) }))
    }
}

/// Whether a local intake answers at this address: only it has a catalogue.
pub(crate) async fn is_local_intake(url: &Uri) -> bool {
    let asked = async {
        let catalogue = Poster::new(at(url, "/api/catalogue")?)?.get(Duration::from_secs(5)).await?;
        let first = providers::ALL.first().map_or("", |provider| provider.name);
        anyhow::Ok(catalogue.as_array().is_some_and(|list| list.iter().any(|platform| platform["name"] == first)))
    };
    asked.await.unwrap_or(false)
}

/// Replaces path and query of an address.
pub(crate) fn at(url: &Uri, target: &str) -> anyhow::Result<Uri> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    Uri::from_parts(parts).with_context(|| format!("not a URL: {url} with path {target}"))
}

/// The certificates of `AWS_CA_BUNDLE`, as read and as parsed. They replace the system's, as with the AWS CLI. None if it is
/// not set.
pub(crate) fn ca_bundle() -> anyhow::Result<Option<(Vec<u8>, RootCertStore)>> {
    env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(|path| certificates(Path::new(&path))).transpose()
}

fn certificates(path: &Path) -> anyhow::Result<(Vec<u8>, RootCertStore)> {
    let unusable = |why: String| anyhow!("AWS_CA_BUNDLE names {}, which {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    // The client would panic on anything that is not a certificate.
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let sound = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        sound.ok_or_else(|| unusable("is not a list of PEM certificates".to_owned()))?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no PEM certificate".to_owned()));
    }
    Ok((pem, roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_of_certificates_is_read_before_it_is_trusted() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
        let store = |file: &str| certificates(&folder.join(file)).map(|(_, roots)| roots.len());
        assert_eq!(store("cert.pem").unwrap(), 1);
        assert!(store("key.pem").unwrap_err().to_string().ends_with("holds no PEM certificate"));
        assert!(store("none.pem").unwrap_err().to_string().contains("none.pem, which cannot be read"));
    }
}

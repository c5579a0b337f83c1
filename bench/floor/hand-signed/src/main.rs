//! The lower bound: `PutItem`, `SendMessage`, `UpdateItem`, signed by hand, over one kept connection per service. No SDK, no
//! retries, no timeouts, and neither verification nor a log line.

use std::{env::var, sync::Arc, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::TlsConnector;
// Only for its feature that leaves the runtime's traces out, as in the functions.
use tracing as _;

const ROOTS: &[u8] = include_bytes!("../../../../shared/intake/src/roots.pem");

/// One AWS service, and the connection to it.
struct Service {
    name: &'static str,
    content_type: &'static str,
    target: &'static str,
    authority: String,
    region: String,
    credentials: Credentials,
    connection: Mutex<SendRequest<Full<Bytes>>>,
}

impl Service {
    async fn open(
        tls: &Arc<ClientConfig>,
        name: &'static str,
        content_type: &'static str,
        target: &'static str,
    ) -> Result<Self, Error> {
        let region = var("AWS_REGION")?;
        let endpoint = var(format!("AWS_ENDPOINT_URL_{}", name.to_uppercase()))
            .unwrap_or_else(|_| format!("https://{name}.{region}.amazonaws.com"));
        let endpoint: http::Uri = endpoint.parse()?;
        let (host, port) = (endpoint.host().ok_or("no host")?.to_owned(), endpoint.port_u16().unwrap_or(443));
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(tls.clone()).connect(ServerName::try_from(host)?, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let session = var("AWS_SESSION_TOKEN").ok();
        let credentials =
            Credentials::new(var("AWS_ACCESS_KEY_ID")?, var("AWS_SECRET_ACCESS_KEY")?, session, None, "environment");
        let authority = endpoint.authority().ok_or("no host")?.to_string();
        Ok(Service { name, content_type, target, authority, region, credentials, connection: Mutex::new(sender) })
    }

    async fn call(&self, operation: &str, body: Value) -> Result<(), Error> {
        let body = Bytes::from(body.to_string());
        let target = format!("{}.{operation}", self.target);
        let headers =
            [("host", self.authority.as_str()), ("content-type", self.content_type), ("x-amz-target", &target)];
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let url = format!("https://{}/", self.authority);
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(&body))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let request =
            headers.into_iter().chain(signature.headers()).fold(http::Request::post("/"), |request, header| {
                let (name, value) = header;
                request.header(name, value)
            });
        let mut connection = self.connection.lock().await;
        connection.ready().await?;
        let answer = connection.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        let said: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
        if status.is_success() { Ok(()) } else { Err(format!("{operation}: {status} {said}").into()) }
    }
}

fn tls() -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ROOTS) {
        roots.add(root?)?;
    }
    if let Ok(bundle) = var("AWS_CA_BUNDLE") {
        for root in CertificateDer::pem_file_iter(bundle)? {
            roots.add(root?)?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    Ok(Arc::new(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let tls = tls()?;
    let (dynamodb, sqs) = tokio::try_join!(
        Service::open(&tls, "dynamodb", "application/x-amz-json-1.0", "DynamoDB_20120810"),
        Service::open(&tls, "sqs", "application/x-amz-json-1.0", "AmazonSQS"),
    )?;
    let (table, queue) = (&var("TABLE_NAME")?, &var("QUEUE_URL")?);
    let (dynamodb, sqs) = (&dynamodb, &sqs);
    run(service_fn(|request: Request| async move {
        let id = request.lambda_context().request_id;
        let body = String::from_utf8_lossy(request.body().as_ref());
        let item = json!({"pk": {"S": id}, "body": {"S": body}, "n": {"N": "1"}});
        let claim = json!({"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"});
        dynamodb.call("PutItem", claim).await?;
        sqs.call("SendMessage", json!({"QueueUrl": queue, "MessageBody": body})).await?;
        let settle = json!({
            "TableName": table,
            "Key": {"pk": {"S": id}},
            "UpdateExpression": "SET n = n + :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        dynamodb.call("UpdateItem", settle).await?;
        Ok::<_, Error>(Response::builder().status(202).body(Body::from(id))?)
    }))
    .await
}

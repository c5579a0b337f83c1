//! What becomes of connections: an execution environment that was frozen while its own went bad, TLS, and a secret's read that
//! meets a dead one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Json, Router, routing::post};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::support::{World, event::event, log_lines, order_paid, outcome, plain, project, secrets};

/// What becomes of the connections that are open at that moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoil {
    Nothing,
    /// The other side closes them, as AWS does with those that were idle.
    Closed,
    Reset,
    /// Nobody answers any more, as behind a gateway that forgot them.
    Silent,
}

/// Passes connections on, and spoils them on demand. Those that come later are sound.
struct Tunnel {
    url: String,
    spoil: watch::Sender<Spoil>,
}

impl Tunnel {
    async fn to(url: &str) -> Self {
        let upstream: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spoil = watch::Sender::new(Spoil::Nothing);
        let spoiled = spoil.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut spoiled = spoiled.subscribe();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                        _ = spoiled.changed() => {}
                    }
                    let how = *spoiled.borrow();
                    match how {
                        Spoil::Nothing | Spoil::Closed => {}
                        Spoil::Reset => client.set_zero_linger().unwrap(),
                        Spoil::Silent => sleep(Duration::from_mins(1)).await,
                    }
                });
            }
        });
        Tunnel { url, spoil }
    }
}

/// Lambda freezes an execution environment between two invocations. Its connections may be gone when it thaws.
#[tokio::test]
async fn a_frozen_environment_survives_its_connections() {
    for spoil in [Spoil::Closed, Spoil::Reset, Spoil::Silent] {
        let world = World::new().await;
        let dynamodb = Tunnel::to(&world.dynamodb_url()).await;
        let sqs = Tunnel::to(&world.engines.sqs_url()).await;
        let settings = [("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb.url), ("AWS_ENDPOINT_URL_SQS", &sqs.url)];
        let function = Arc::new(world.function(plain(), &settings).await);
        let deliver = |id| {
            let (function, event) = (Arc::clone(&function), order_paid(id, ""));
            async move { outcome(&function.invoke(event).await) }
        };
        assert_eq!(deliver("evt_warm").await, (200, "queued".to_owned()));

        function.signal("STOP").await;
        for tunnel in [&dynamodb, &sqs] {
            tunnel.spoil.send_replace(spoil);
        }
        let waiting = tokio::spawn(deliver("evt_cold"));
        sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished(), "{spoil:?}: it is not frozen");
        function.signal("CONT").await;
        assert_eq!(waiting.await.unwrap(), (200, "queued".to_owned()), "{spoil:?}");

        let ids: Vec<_> = world.events().await.into_iter().map(|event| event.id).collect();
        assert_eq!(ids, ["evt_warm", "evt_cold"], "{spoil:?}");
        let line = log_lines(&function, 2).await.remove(1);
        assert!(line["cleanup_error"].is_null(), "{spoil:?}: {line}");
    }
}

/// The same engine behind TLS. Gives its address.
async fn behind_tls(url: &str) -> String {
    let upstream: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let pem = |file: &str| std::fs::read(project().join("cli/tests/tls").join(file)).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(upstream).await.unwrap();
                // An error is a client that went away.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_delivery_goes_over_tls_to_who_has_a_certificate_of_the_bundle() {
    let world = World::new().await;
    let dynamodb = behind_tls(&world.dynamodb_url()).await;
    let sqs = behind_tls(&world.engines.sqs_url()).await;
    let bundle = project().join("cli/tests/tls/cert.pem").display().to_string();
    let settings = [("AWS_ENDPOINT_URL_DYNAMODB", &*dynamodb), ("AWS_ENDPOINT_URL_SQS", &sqs)];
    let delivery = order_paid("evt_1", "");

    // Without the bundle nobody is trusted but Amazon.
    let function = world.function(plain(), &settings).await;
    assert_eq!(outcome(&function.invoke(delivery.clone()).await), (503, "unavailable".to_owned()));
    let function = world.function(plain(), &[&settings[..], &[("AWS_CA_BUNDLE", &bundle)]].concat()).await;
    assert_eq!(outcome(&function.invoke(delivery.clone()).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "duplicate".to_owned()));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_secret_is_read_once_more_when_the_first_attempt_meets_a_dead_connection() {
    let secrets_manager = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", secrets_manager.local_addr().unwrap());
    let value = json!({"ARN": "a", "Name": "n", "SecretString": secrets(plain())});
    let router = Router::new().route("/", post(move || async move { Json(value) }));
    tokio::spawn(async move { axum::serve(secrets_manager, router).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // The first connection is accepted and never answered.
        let _dead = listener.accept().await.unwrap();
        let upstream: SocketAddr = upstream.strip_prefix("http://").unwrap().parse().unwrap();
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(upstream).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });

    let world = World::new().await;
    let settings = [("AWS_ENDPOINT_URL_SECRETS_MANAGER", &*url), ("WEBHOOK_SECRETS", ""), ("SECRET_ID", "secret")];
    let function = world.function(plain(), &settings).await;
    // Without the second attempt: unavailable, and for 30 s.
    let delivery = order_paid("evt_1", "");
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "queued".to_owned()));
    assert_eq!(outcome(&function.invoke(event(plain().name, None, &[], b"{}")).await).1, "rejected");
}

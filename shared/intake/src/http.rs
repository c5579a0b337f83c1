//! Turns an HTTP event of payload format 2.0 into a delivery. API Gateway's HTTP API and Function URLs both send it.
//!
//! Reads the event itself rather than a `lambda_http::Request`: building one panics on a query or host that any client can
//! send.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hookgate_verify::{Account, Delivery, Provider};
use time::OffsetDateTime;

use crate::{ApiGatewayV2httpRequest, outcome::Refusal};

/// The delivery in the event, its body decoded from base64 at most once.
pub(crate) fn delivery(
    event: ApiGatewayV2httpRequest,
    provider: &Provider,
    received: OffsetDateTime,
) -> Result<Delivery, Refusal> {
    if event.request_context.http.method != http::Method::POST {
        return Err(Refusal::Method);
    }
    let account = account(&event, provider).ok_or(Refusal::Address)?;
    let body = event.body.unwrap_or_default();
    let body =
        if event.is_base64_encoded { BASE64.decode(body).map_err(|_| Refusal::Body)? } else { body.into_bytes() };
    Ok(Delivery { headers: event.headers, body, account, received })
}

/// The account that the event's address names. Where the route has parameters, they decide. None where the address is not
/// this platform's.
fn account(event: &ApiGatewayV2httpRequest, provider: &Provider) -> Option<Account> {
    let parameter = |name| event.path_parameters.get(name).map(String::as_str);
    let path = event.raw_path.as_deref().unwrap_or_default();
    match (parameter("provider"), parameter("account")) {
        (Some(name), _) if name != provider.name => None,
        (_, Some(account)) => Account::parse(account),
        (Some(_), None) => Some(Account::default()),
        // A Function URL has only this function behind it.
        (None, None) if path.trim_matches('/').is_empty() => Some(Account::default()),
        (None, None) => Account::parse(address(path, provider.name)?),
    }
}

/// The account that a path names: what follows the last `webhooks/{provider}`, or `default` where nothing follows. A stage
/// or a custom domain's mapping may precede it, and a slash may follow. None for any other path.
///
/// The name is not checked: it may be one that is not allowed.
#[must_use]
pub fn address<'p>(path: &'p str, provider: &str) -> Option<&'p str> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let last = parts.windows(2).rposition(|pair| pair == ["webhooks", provider])?;
    match parts[last + 2..] {
        [] => Some("default"),
        [account] => Some(account),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hookgate_verify::providers;
    use serde_json::json;

    use super::*;

    fn read(mut changes: serde_json::Value) -> Result<Delivery, Refusal> {
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/webhooks/PLATFORM", "rawQueryString": "",
            "headers": {"x-a": "1"},
            "requestContext": {"http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": "x"}, "stage": "$default"},
            "body": "{}", "isBase64Encoded": false
        });
        if let Some(context) = changes.as_object_mut().unwrap().remove("requestContext") {
            for (name, value) in context.as_object().unwrap() {
                event["requestContext"][name] = value.clone();
            }
        }
        event.as_object_mut().unwrap().append(changes.as_object_mut().unwrap());
        // `PLATFORM` is replaced by the platform's name.
        let event = event.to_string().replace("PLATFORM", providers::ALL[0].name);
        delivery(serde_json::from_str(&event).unwrap(), providers::ALL[0], OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_body_is_decoded_once_to_exact_bytes() {
        let body = |changes| read(changes).map(|delivery| delivery.body);
        assert_eq!(body(json!({"body": "{\"a\":\"é\"}"})), Ok("{\"a\":\"é\"}".as_bytes().to_vec()));
        assert_eq!(body(json!({"body": "AP/+", "isBase64Encoded": true})), Ok(vec![0, 0xff, 0xfe]));
        // Base64 of base64 stays base64.
        assert_eq!(body(json!({"body": "QVAvKw==", "isBase64Encoded": true})), Ok(b"AP/+".to_vec()));
        assert_eq!(body(json!({"body": "*", "isBase64Encoded": true})), Err(Refusal::Body));
        assert_eq!(body(json!({"body": null})), Ok(vec![]));
    }

    #[test]
    fn the_address_names_the_account() {
        let account = |changes| read(changes).map(|delivery| delivery.account.to_string());
        for (path, stage, expected) in [
            ("/webhooks/PLATFORM", "$default", Some("default")),
            ("/webhooks/PLATFORM/", "$default", Some("default")),
            ("/webhooks/PLATFORM/eu-shop", "$default", Some("eu-shop")),
            ("/", "$default", Some("default")),
            ("", "$default", Some("default")),
            ("/prod/webhooks/PLATFORM", "prod", Some("default")),
            ("/prod/webhooks/PLATFORM/eu-shop", "prod", Some("eu-shop")),
            ("/prod/webhooks/PLATFORM/eu-shop/", "prod", Some("eu-shop")),
            // A custom domain's mapping is part of the path too, with or without a stage.
            ("/hooks/webhooks/PLATFORM", "$default", Some("default")),
            ("/hooks/v1/webhooks/PLATFORM/eu-shop", "prod", Some("eu-shop")),
            ("/webhooks/other/webhooks/PLATFORM", "$default", Some("default")),
            ("/webhooks/PLATFORM/webhooks/PLATFORM/eu-shop", "$default", Some("eu-shop")),
            ("/webhooks/PLATFORM/webhooks", "$default", Some("webhooks")),
            ("/webhooks/PLATFORM/webhooks/other", "$default", None),
            ("/prod", "prod", None),
            ("/hooks", "$default", None),
            ("/notwebhooks/PLATFORM", "$default", None),
            ("/webhooks/other", "$default", None),
            ("/webhooks/PLATFORM/EU", "$default", None),
            ("/webhooks/PLATFORM/eu/shop", "$default", None),
            ("/webhooks", "$default", None),
            ("/other", "$default", None),
            ("/a/b", "a/b", None),
        ] {
            let got = account(json!({"rawPath": path, "requestContext": {"stage": stage}}));
            assert_eq!(got, expected.map(str::to_owned).ok_or(Refusal::Address), "{path}");
        }
        // Path parameters win over the path.
        let parameters = json!({"rawPath": "/x", "pathParameters": {"account": "eu-shop"}});
        assert_eq!(account(parameters), Ok("eu-shop".to_owned()));
        let parameters = json!({"rawPath": "/x", "pathParameters": {"account": "a b"}});
        assert_eq!(account(parameters), Err(Refusal::Address));
        let parameters = json!({"pathParameters": {"provider": "other"}});
        assert_eq!(account(parameters), Err(Refusal::Address));
        let parameters = json!({"rawPath": "/hooks/x/y/z", "pathParameters": {"provider": "PLATFORM"}});
        assert_eq!(account(parameters), Ok("default".to_owned()));
        // The parameters of a route that is not ours do not count.
        let parameters = json!({"rawPath": "/webhooks/PLATFORM/eu-shop", "pathParameters": {"proxy": "PLATFORM"}});
        assert_eq!(account(parameters), Ok("eu-shop".to_owned()));
    }

    #[test]
    fn only_post_delivers() {
        for method in ["GET", "PUT", "HEAD", "OPTIONS"] {
            let http = json!({"method": method, "path": "/", "protocol": "", "sourceIp": "", "userAgent": ""});
            assert_eq!(read(json!({"requestContext": {"http": http}})).map(|_| ()), Err(Refusal::Method));
        }
    }

    #[test]
    fn what_any_client_can_send_is_survived() {
        for changes in [
            json!({"rawQueryString": "a=<b> c|é"}),
            json!({"headers": {"host": "a]b["}}),
            json!({"headers": {"x-city": "São Paulo"}}),
            json!({"rawPath": "/webhooks/PLATFORM", "queryStringParameters": {"a": "é"}}),
        ] {
            assert!(read(changes.clone()).is_ok(), "{changes}");
        }
    }
}

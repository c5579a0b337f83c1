//! Hookgate accepts what the reference accepts, for the same reason, and nothing else.

#![no_main]

use hookgate_verify::{Account, Delivery, Secrets};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use reference::{
    message, sha256, verifier,
    verify::{self, Accept, Verdict},
};
use time::OffsetDateTime;

fuzz_target!(|input: &[u8]| {
    let Some(message) = message::parse(input) else { return };

    let secrets = Secrets::as_given(&message.secrets);
    let expected = verify::secrets(&message.secrets);
    assert_eq!(secrets.is_ok(), expected.is_some(), "secrets {:?}", message.secrets);
    let (Ok(secrets), Some(expected)) = (secrets, expected) else { return };
    let account = Account::parse(message.account).expect("a legal name");
    let current = expected.get(message.account).map(|list| &list[0][..]);
    assert_eq!(secrets.current(&account), current);

    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("filtered");
        headers.append(name, HeaderValue::from_bytes(value).expect("filtered"));
    }
    let received = OffsetDateTime::from_unix_timestamp(message.now).expect("near the present");
    let delivery = Delivery { headers, body: message.body.clone(), account, received };
    let verdict = verify::judge(&message).expect("the secrets are usable");
    let got = verifier(message.mode).authenticate(&delivery, &secrets);
    if let Ok(authenticated) = &got {
        // What it says is another target's matter; here it must not panic.
        let _ = authenticated.read();
    }
    match (verdict, got) {
        (Verdict::Reject(reasons), Err(rejection)) => {
            assert!(reasons.contains(&rejection), "{rejection:?} instead of {reasons:?} for {message:?}");
        }
        (Verdict::Accept(accept), Ok(got)) => {
            assert_eq!(got.body_digest(), sha256(&accept.signed));
            let got = Accept {
                scheme: got.scheme(),
                secret: got.secret(),
                delivery_id: got.delivery_id().map(str::to_owned),
                signed: accept.signed.clone(),
            };
            assert_eq!(got, accept, "{message:?}");
        }
        (Verdict::Doubtful(secrets), Ok(_)) => {
            assert!(verify::signed_inside(&message, &secrets), "accepted what nobody signed: {message:?}");
        }
        (Verdict::Doubtful(_), Err(_)) => {}
        (Verdict::Reject(reasons), Ok(_)) => panic!("accepted in spite of {reasons:?}: {message:?}"),
        (Verdict::Accept(_), Err(rejection)) => panic!("{rejection:?} in spite of a signature: {message:?}"),
    }
});

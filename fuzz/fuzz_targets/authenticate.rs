//! Hookgate accepts what the reference accepts, for the same reason, and nothing else.

#![no_main]

use hookgate_verify::Secrets;
use libfuzzer_sys::fuzz_target;
use reference::{
    message, sha256, verifier,
    verify::{self, Accept, Verdict},
};

fuzz_target!(init: reference::require_opinions(), |input: &[u8]| {
    let Some(message) = message::parse(input) else { return };

    let secrets = Secrets::as_given(&message.secrets);
    let expected = verify::secrets(&message.secrets);
    assert_eq!(secrets.is_ok(), expected.is_some(), "secrets {:?}", message.secrets);
    let (Ok(secrets), Some(expected)) = (secrets, expected) else { return };
    let delivery = message.delivery().expect("filtered");
    let current = expected.get(message.account).map(|list| &list[0][..]);
    assert_eq!(secrets.current(&delivery.account), current);

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
            if got.unsigned_name().is_none() {
                assert_eq!(got.digest(), sha256(&accept.signed));
            }
            let got = Accept {
                scheme: got.scheme(),
                secret: got.secret(),
                delivery_id: got.delivery_id().map(str::to_owned),
                signed: accept.signed.clone(),
            };
            assert_eq!(got, accept, "{message:?}");
        }
        (Verdict::Doubtful { may_pass }, Ok(_)) => assert!(may_pass, "accepted what nobody signed: {message:?}"),
        (Verdict::Doubtful { .. }, Err(_)) => {}
        (Verdict::Reject(reasons), Ok(_)) => panic!("accepted in spite of {reasons:?}: {message:?}"),
        (Verdict::Accept(_), Err(rejection)) => panic!("{rejection:?} in spite of a signature: {message:?}"),
    }
});

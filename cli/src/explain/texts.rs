//! What `explain` says: every reason's code, finding and remedy. `{0}` and so on are filled in where a reason is given,
//! and whether it is certain is decided there. What the guesses say is in their tables.

/// Code, finding, remedy.
pub(super) type Reason = (&'static str, &'static str, &'static str);

const UNCHANGED: &str =
    "Pass the signature's headers on unchanged: something on the way drops or rewrites one of them.";

macro_rules! reasons {
    ($($name:ident: $code:literal, $finding:expr, $remedy:expr;)*) => {
        $(pub(super) const $name: Reason = ($code, $finding, $remedy);)*
    };
}

reasons! {
    // Address and method.
    METHOD: "method", "The request is not a POST: the intake answers 405.",
        "Use an address that does not redirect: a redirect can turn a POST into a GET.";
    ADDRESS: "address", "The intake rejects the address; expected: /webhooks/{0} or /webhooks/{0}/ACCOUNT.",
        "Correct the address at the platform, in lower case. An account is 1 to 64 of a-z, 0-9 and -.";
    // A request that verifies.
    OLDER_SECRET: "older_secret", "It verifies with an older secret of the account, not with the current one.",
        "This is expected during a rotation. Remove the older secret once deliveries use the current one.";
    UNREADABLE: "unreadable", "It verifies, but cannot be read as an event ({0}): it goes to quarantine.",
        "Compare the body with the platform's documentation.";
    UNRECOGNIZED: "unrecognized",
        "Its event name is not in the platform's table: it is queued as commerce.unrecognized.",
        "Consumers find the platform's own name in providertype.";
    // Not a webhook, or a capture that lost something.
    PING: "ping", "{0} sends this to test an address: the intake answers 200 and queues nothing.",
        "Nothing to do: deliveries come with a signature.";
    NOT_A_WEBHOOK: "not_a_webhook", "This is not a webhook: with the header {0}, {1} asks for something else.",
        "Hookgate never answers it with 2xx. Send such requests to a service of your own: {2}.";
    CAPTURE: "capture", "The capture may have lost something: {0}.",
        "Capture the bytes before anything reads or rewrites them, or give the body with --body FILE.";
    // Another account, setting, scheme or platform.
    UNKNOWN_ACCOUNT: "unknown_account", "The account {0} has no secret. Accounts with secrets: {1}.",
        "Add the account to the secrets, correct the webhook's address, or choose another account with --account.";
    ANOTHER_ACCOUNT: "another_account", "It verifies with a secret of the account {0}, not of {1}.",
        "Register /webhooks/{2}/{0} at the platform, or give the account {1} this secret.";
    OTHER_SETTING: "other_setting",
        "It has a signature of scheme {2}, which {0}={1} accepts and the current setting does not.",
        "If the platform signs this way, set {0}={1}. Otherwise switch the platform to {3}.";
    OLDER_SIGNATURE_RIGHT: "older_signature_right",
        "The signature of scheme {0} is right, but where one of {1} is present, {1} alone decides.",
        "Correct what is wrong with {1}. Removing its header works too, but gives up its protection.";
    ANOTHER_PLATFORM: "another_platform", "This looks like a delivery of {0}, not of {1}: {2}.",
        "Run hookgate explain {0}, and register /webhooks/{0} for it.";
    // The signature's place.
    SIGNATURE_MISSING: "signature_missing", "The signature is missing. Expected: {0}.",
        "Enable signing at the platform. If it is enabled, look for a proxy, CDN or capture tool that drops the header. \
         Upper and lower case do not matter.";
    HEADER_NAME: "header_name", "The signature's header is called {0} instead of {1}.",
        "Pass the header on under its own name: _ and - differ, upper and lower case do not.";
    SIGNATURE_MEMBER: "signature_member", "The signature in the body cannot be read: {2}.",
        "Send {0} at the top level of the body, without escapes, as a string: {1}.";
    REPEATED: "signature_repeated", "The signature, or what belongs to it, is there twice (perhaps joined by a comma).",
        "Find the proxy or the sender that adds it a second time, and let it replace the first.";
    // Id, time, and the form of the signature.
    STAMP_MISSING: "stamp_missing", "The header {0} is missing. It is part of what is signed.", UNCHANGED;
    HEADER_FORM: "header_form", "{0} is invalid; expected: {1}.", UNCHANGED;
    TIMESTAMPS_DIFFER: "timestamps_differ", "The timestamp in {0} is not the one in {1}.", UNCHANGED;
    TIMESTAMP_UNIT: "timestamp_unit", "The timestamp has {0} digits; expected: Unix seconds (10 digits).",
        "Send seconds, not milliseconds: Math.floor(Date.now() / 1000).";
    TIMESTAMP_EXPIRED: "timestamp_expired", "The timestamp is {0}; {1} are allowed.",
        "If the request was received at another time than that, say when: --at {2}. Otherwise look for a wrong clock, a \
         local time in place of UTC, a replay, a retry with its old signature, or a queue in front of the intake.";
    SIGNATURE_FORM: "signature_form", "The signature is invalid: it has {1} characters; expected: {0}.",
        "If it is empty, set the secret at the platform. Otherwise it was cut off, or is something else: an API key, a \
         token, another scheme's signature.";
    SIGNATURE_SPELLING: "signature_spelling", "The signature is right, but written in {0}; expected: {1}.",
        "Write it as the platform does, or find what rewrites the header on its way.";
    OTHER_HASH: "other_hash", "The signature is an HMAC-{0}; scheme {1} uses HMAC-{2}.",
        "Sign with HMAC-{2}. If the platform itself signs this way, it may send its newer signature in another header.";
    // What was signed.
    SIGNED_TEXT: "signed_text", "The signature was made over {0}.", "Sign what the platform signs (\"signed\" above).";
    SIGNED_TIME: "signed_time", "The signature was made over {0}.", "Sign the timestamp that you send, digit by digit.";
    NOTHING_MATCHES: "nothing_matches", "No known mistake explains this signature ({0} combinations tried: {1}).",
        "Most likely the secret is another one: copy it again from this webhook's page at the platform. Otherwise the \
         body was changed in a way that cannot be undone, like 49.90 to 49.9: capture the raw bytes (--body FILE).";
}

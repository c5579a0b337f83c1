//! Every reason that is not a guess: its code, the finding, and what to do. `{0}` and so on are filled in where it is
//! given, and whether it is certain is decided there.

/// Code, finding, remedy.
pub(super) type Reason = (&'static str, &'static str, &'static str);

const AGAIN: &str = "Capture the bytes before anything reads or rewrites them, or give the body with --body FILE.";
const AS_PLATFORM: &str = "Sign what the platform signs: see \"signed\" above.";
const OTHER: &str = "Ask hookgate explain {0}; its webhook belongs to /webhooks/{0}.";
const OTHER_READING: &str =
    "That is another reading of what is signed: choose it by the platform's setting, if the platform means it.";
const OVER: &str = "The signature is made over {0}.";
const OWN_NAME: &str = "Pass the header on under its own name: _ and - differ, upper and lower case do not.";
const REPLACE: &str = "Find the proxy or the sender that adds it again, and let it replace instead.";
const TOP_LEVEL: &str = "Send {0} at the top level, plainly written, as a string: {1}.";
const UNCHANGED: &str = "Pass the signature's headers on unchanged: whatever rewrites one of them has to leave it.";

macro_rules! reasons {
    ($($name:ident: $code:literal, $finding:expr, $remedy:expr;)*) => {
        $(pub(super) const $name: Reason = ($code, $finding, $remedy);)*
    };
}

reasons! {
    // Address and method.
    METHOD: "method", "The request is not a POST: the intake answers 405.",
        "Deliveries are POSTs; a redirect turns a POST into a GET: use the address that needs none.";
    ADDRESS: "address", "The address {0}: the intake rejects it.",
        "Register /webhooks/{1} or /webhooks/{1}/ACCOUNT at the platform, in lower case.";
    // A request that verifies.
    OLDER_SECRET: "older_secret", "It verifies with an older secret of the account, not with the current one.",
        "During a rotation that is right. Remove the older secret once deliveries use the current one.";
    UPPER_CASE_HEX: "upper_case_hex",
        "The signature is in upper-case hex. Hookgate takes it; code that compares text does not.",
        "Compare bytes, not text.";
    UNREADABLE: "unreadable", "It is authentic, but cannot be read as an event ({0}): it goes to quarantine.",
        "Compare the body with the platform's documentation.";
    UNRECOGNIZED: "unrecognized",
        "Its event name is not in the platform's table: it is queued as commerce.unrecognized.",
        "Consumers see the platform's own name in providertype.";
    // No webhook, or a capture that lost something.
    PING: "ping", "With this {0} tries an address: it is answered 200, and nothing comes of it.",
        "Nothing to do: deliveries come with a signature.";
    NOT_A_WEBHOOK: "not_a_webhook", "This is not a webhook: by {0} {1} asks for something else.",
        "Hookgate never answers it 2xx. Point what sends it at a service of your own: {2}.";
    CAPTURE: "capture", "About the capture: {0}.", AGAIN;
    BODY_EMPTY: "body_empty", "The captured body is empty.", AGAIN;
    BODY_COMPRESSED: "body_compressed", "The body is compressed (gzip).", AGAIN;
    BODY_LOST_BYTES: "body_lost_bytes", "The body is not UTF-8, or bytes of it were lost (\u{fffd}).", AGAIN;
    // Another setting, account or platform.
    UNKNOWN_ACCOUNT: "unknown_account", "There is no secret for the account {0} (there is: {1}).",
        "Add the account to the secrets, correct the webhook's address, or choose with --account.";
    ANOTHER_ACCOUNT: "another_account", "It verifies with a secret of the account {0}, not of {1}.",
        "Its webhook belongs to /webhooks/{2}/{0}; or give the account {1} this secret.";
    OTHER_SETTING: "other_setting", "It verifies with {0}={1} (scheme {2}), but not as it is set.",
        "If that is how the platform signs, set {0}={1}; else switch at the platform to {3}.";
    SCHEME_REFUSED: "scheme_refused", "Only the signature {0} is there, which {1} refuses as it is set.",
        "Wanted is {2}: switch to it at the platform.";
    OLDER_SIGNATURE_RIGHT: "older_signature_right",
        "The signature {0} is right, but where {1} is there, {1} alone decides.",
        "Correct what is wrong with {1}; taking its header away works too, but gives up its protection.";
    RIGHT_FOR_ANOTHER: "another_platform", "It verifies as a delivery of {0}, with the same secret.", OTHER;
    HEADER_OF_ANOTHER: "another_platform", "It has the header by which {0} signs, and none of {1}'s.", OTHER;
    ADDRESS_OF_ANOTHER: "another_platform", "Its address is {0}'s, not {1}'s.", OTHER;
    // The signature's place.
    SIGNATURE_MISSING: "signature_missing", "The signature is missing. Wanted: {0}.",
        "Switch signing on at the platform; else look for the proxy, CDN or capture that drops the header. Upper and \
         lower case do not matter.";
    HEADER_RENAMED: "header_name", "The signature is right, but its header is called {0} instead of {1}.", OWN_NAME;
    HEADER_ALIKE: "header_name", "There is a header {0}, and none called {1} (scheme {2}).", OWN_NAME;
    NOT_JSON: "signature_member", "The body is not JSON, so it cannot hold the signature.", TOP_LEVEL;
    MEMBER_INSIDE: "signature_member", "The signature stands inside {2}: only the top level counts.", TOP_LEVEL;
    MEMBER_ESCAPED: "signature_member",
        "The signature member's name is written with escapes, or its value is not a string.", TOP_LEVEL;
    REPEATED: "signature_repeated", "{0} is there twice: readers would disagree on which one counts.", REPLACE;
    JOINED: "signature_repeated",
        "The header holds several signatures: API Gateway joins a header that comes twice with a comma.", REPLACE;
    // Id, time, and the form around them.
    STAMP_MISSING: "stamp_missing", "The header {0} is missing: it is part of what is signed.", UNCHANGED;
    FIELDS_FORM: "signature_form", "{0} is not of the form {1}.", UNCHANGED;
    DELIVERY_ID_FORM: "delivery_id_form", "{0} is not 1 to 128 letters, digits, _ or -.", UNCHANGED;
    TIMESTAMPS_DIFFER: "timestamps_differ", "The timestamp in {0} is not the one in {1}{2}.", UNCHANGED;
    TIMESTAMP_FORM: "timestamp_form", "The timestamp in {0} is not a whole number of seconds.", UNCHANGED;
    TIMESTAMP_UNIT: "timestamp_unit", "{0} timestamp is in {1}; it must be in seconds.",
        "Send Unix seconds: Math.floor(Date.now() / 1000).";
    TIMESTAMP_EXPIRED: "timestamp_expired", "{0} timestamp is {1} old; {2} are allowed.",
        "For a request captured earlier say when it came: --at {3}. Else it is a replay, a retry with its old \
         signature, a queue in front of the intake, or a clock that is off.";
    TIMESTAMP_IN_THE_FUTURE: "timestamp_in_the_future", "{0} timestamp is {1} ahead of now; {2} are allowed.",
        "One of the clocks is off (date -u; NTP), or --at is too early: try --at {3}.";
    // The signature itself.
    SIGNATURE_EMPTY: "signature_empty", "The signature is there, and empty. Wanted: {0}.",
        "The sender has no secret, or failed to sign: set the secret at the platform.";
    SIGNATURE_FORM: "signature_form", "The signature is not of the form {0}: it has {1} characters.",
        "It was cut off, or is something else: an API key, a token, another scheme's or another hash's signature.";
    SIGNATURE_SPELLING: "signature_spelling", "The signature is right, but spelled {0}; wanted is {1}.",
        "Spell it as the platform does, or find what rewrites the header on its way.";
    OTHER_HASH: "other_hash", "The signature is an HMAC-{0}; scheme {1} is HMAC-{2}.",
        "Sign with HMAC-{2}. If the platform signs so, its newer signature may be in another header.";
    NOTHING_MATCHES: "nothing_matches", "No guess makes the signature match ({0} secret(s), {1} combinations: {2}).",
        "Most likely the secret is another one: copy it again from this very webhook at the platform. Else the body \
         was changed in a way that cannot be undone, like 49.90 to 49.9: capture the raw bytes (--body FILE).";
    // The key, and what was signed with it.
    SECRET_WITH_PREFIX: "secret_with_prefix", "It verifies with {0} in front of the secret.",
        "Store the secret whole, as the platform shows it.";
    SECRET_NOT_DECODED: "secret_not_decoded", "It verifies with the secret's characters as the key.",
        "The key is what stands in base64 behind {0}: decode it before signing.";
    SIGNED_BODY_ALONE: "signed_body_alone", OVER, AS_PLATFORM;
    SIGNED_STAMPED: "signed_stamped", OVER, AS_PLATFORM;
    SIGNED_WITHOUT_DELIVERY_ID: "signed_without_delivery_id",
        "The signature is made over {0} without <{1}>.", AS_PLATFORM;
    SIGNED_MEMBER_EMPTIED: "signed_member_emptied", OVER, OTHER_READING;
    SIGNED_MEMBER_CUT_OUT: "signed_member_cut_out", OVER, OTHER_READING;
    SIGNED_HEADER_TIMESTAMP: "signed_header_timestamp",
        "The signature is made over the timestamp of the timestamp's header, not over the one beside the signature.",
        "Put the same timestamp beside the signature.";
    SIGNED_DATA_ALONE: "signed_data_alone", "The signature is made over the member {0} alone.",
        "Sign the whole body: the event's name would be unsigned, and anybody could exchange it.";
    SIGNED_TIME_UNIT: "signed_time_unit", "The signature is made over the time in {0}, which is sent in another unit.",
        "Sign the time as it is sent: the same digits.";
}

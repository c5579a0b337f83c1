//! The pure part of a delivery by itself: verify, read, write the event, each against what it cannot be faster than.
//!
//! `cargo bench --manifest-path bench/Cargo.toml`

use divan::{Bencher, black_box, counter::BytesCount};
use hmac::{Hmac, KeyInit, Mac};
use hookgate_bench::{SECRET, body, delivery, plainest, signed};
use hookgate_verify::{Delivery, Provider, Secrets, Verifier, providers};
use sha2::{Sha256, Sha512};

/// Bytes of a body: a usual one, a long one, and the longest that Lambda takes.
const SIZES: [usize; 3] = [1024, 64 * 1024, 6_000_000];

/// What verifies a body of each platform: its name and the scheme's, for each scheme that is accepted by default.
fn schemes() -> Vec<String> {
    let schemes =
        |provider: &&'static Provider| provider.default_schemes().iter().map(|scheme| (provider.name, scheme.name));
    providers::ALL
        .iter()
        .flat_map(|provider| schemes(provider).map(|(name, scheme)| format!("{name} {scheme}")).collect::<Vec<_>>())
        .collect()
}

fn main() {
    divan::main();
}

fn prepare(name: &str, size: usize) -> (Verifier, Secrets, Delivery) {
    let (provider, scheme) = name.split_once(' ').expect("a platform and a scheme");
    let provider = Provider::named(provider).expect("a platform");
    let scheme = provider.default_schemes().iter().find(|each| each.name == scheme).expect("a scheme");
    let verifier = Verifier::new(provider, |_| None).expect("the default setting");
    let secrets = Secrets::parse(&format!(r#"["{}"]"#, scheme.secret_of(SECRET))).expect("one secret");
    let mut signed = signed(scheme, &body(provider, 1, size));
    // Where the platform names the event in a header that it does not sign.
    let name = provider.fields.name.unsigned_header();
    signed.headers.extend(name.map(|header| (header, provider.events[0].0.to_owned())));
    (verifier, secrets, delivery(signed))
}

/// What HMAC itself costs: the bare `hmac` crate over the same bytes, compared in constant time.
#[divan::bench(args = SIZES)]
fn hmac_sha256(bencher: Bencher, size: usize) {
    bare::<Hmac<Sha256>>(bencher, size);
}

#[divan::bench(args = SIZES)]
fn hmac_sha512(bencher: Bencher, size: usize) {
    bare::<Hmac<Sha512>>(bencher, size);
}

fn bare<M: Mac + KeyInit>(bencher: Bencher, size: usize) {
    let body = body(plainest(), 1, size);
    let mac = || <M as KeyInit>::new_from_slice(SECRET.as_bytes()).expect("a key").chain_update(body.as_bytes());
    let tag = mac().finalize().into_bytes();
    bencher.counter(BytesCount::new(size)).bench(|| black_box(mac()).verify_slice(&tag).is_ok());
}

/// From a delivery to the proof of who sent it.
#[divan::bench(args = schemes(), consts = SIZES)]
fn verify<const SIZE: usize>(bencher: Bencher, name: &str) {
    let (verifier, secrets, delivery) = prepare(name, SIZE);
    bencher
        .counter(BytesCount::new(SIZE))
        .bench(|| verifier.authenticate(black_box(&delivery), &secrets).map(|proof| proof.secret()));
}

/// From the proof to the event, its key and its content hash.
#[divan::bench(args = schemes(), consts = SIZES)]
fn read<const SIZE: usize>(bencher: Bencher, name: &str) {
    let (verifier, secrets, delivery) = prepare(name, SIZE);
    let proof = verifier.authenticate(&delivery, &secrets).expect("signed with that secret");
    bencher.counter(BytesCount::new(SIZE)).bench(|| black_box(&proof).read().expect("a usual event"));
}

/// What of reading is the content hash: SHA-256 over the body.
#[divan::bench(args = SIZES)]
fn sha256(bencher: Bencher, size: usize) {
    let body = body(plainest(), 1, size);
    bencher.counter(BytesCount::new(size)).bench(|| <Sha256 as sha2::Digest>::digest(black_box(body.as_bytes())));
}

/// From the event to the message's text.
#[divan::bench(args = SIZES)]
fn write(bencher: Bencher, size: usize) {
    let name = format!("{} {}", plainest().name, plainest().default_schemes()[0].name);
    let (verifier, secrets, delivery) = prepare(&name, size);
    let reading = verifier.authenticate(&delivery, &secrets).expect("signed with that secret").read();
    let event = reading.expect("a usual event").event;
    bencher.counter(BytesCount::new(size)).bench(|| black_box(&event).to_json());
}

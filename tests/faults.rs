//! The promise under faults: the real functions behind a proxy that fails on demand, and under load.
//!
//! ```text
//! cargo test -p hookgate-functions --test faults                                              # short, under a minute
//! HOOKGATE_SEEDS=0..2000 cargo test -p hookgate-functions --test faults seeds -- --ignored --nocapture
//! HOOKGATE_SOAK=50000    cargo test -p hookgate-functions --test faults soak  -- --ignored --nocapture
//! ```

#[allow(dead_code, reason = "every test target uses its own part of this module")]
mod support;

#[path = "faults/check.rs"]
mod check;
#[path = "faults/exact.rs"]
mod exact;
#[path = "faults/seeds.rs"]
mod seeds;
#[path = "faults/soak.rs"]
mod soak;
#[path = "faults/spoiled.rs"]
mod spoiled;
#[path = "faults/wire.rs"]
mod wire;

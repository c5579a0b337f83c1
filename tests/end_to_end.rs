//! The real function binaries, end to end: a Lambda Runtime API in front, DynamoDB and SQS behind, all on loopback.

mod support;

#[path = "end_to_end/answers.rs"]
mod answers;
#[path = "end_to_end/calls.rs"]
mod calls;
#[path = "end_to_end/claims.rs"]
mod claims;
#[path = "end_to_end/consumer.rs"]
mod consumer;
#[path = "end_to_end/foreign.rs"]
mod foreign;
#[path = "end_to_end/invocations.rs"]
mod invocations;
#[path = "end_to_end/leaks.rs"]
mod leaks;
#[path = "end_to_end/messages.rs"]
mod messages;
#[path = "end_to_end/moto.rs"]
mod moto;
#[path = "end_to_end/one_place.rs"]
mod one_place;
#[path = "end_to_end/samples.rs"]
mod samples;
#[path = "end_to_end/startup.rs"]
mod startup;
#[path = "end_to_end/wire.rs"]
mod wire;
